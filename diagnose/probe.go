package diagnose

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	maxDocument       = 1 << 20  // bytes of a JSON document
	maxBody           = 16 << 10 // bytes of any other body
	maxResponseHeader = 256 << 10
	maxRedirects      = 3
	maxParallel       = 8 // requests at a time
	maxQuotedBody     = 100

	userAgent = "gatehouse-doctor"
)

// request is one request of a probe.
type request struct {
	method, url string
	header      http.Header // may be nil
	host        string      // the Host header; empty means that of the URL
	body        string
	foreign     bool // the URL is from a document of another machine, so it must not lead to this one
	document    bool // the body is a JSON document, which may be large
	headerOnly  bool // the body may never end
}

// answer is what came back. Either err is set, or status.
type answer struct {
	request   request
	status    int
	header    http.Header
	body      []byte
	truncated bool // the body was longer than its limit
	bodyErr   error
	err       error
	tls       *tls.ConnectionState
	at        time.Time  // when the header came, by this machine's clock
	redirects []string   // that were followed
	remote    netip.Addr // that the answer is from; invalid if unknown
}

// prober sends requests. It is safe for concurrent use.
type prober struct {
	client  *http.Client
	timeout time.Duration
	now     func() time.Time
	origin  string // of a page; sent with requests for documents if it is not empty
	slots   chan struct{}
}

// foreignKey marks the context of a request whose URL is from a document of another machine.
type foreignKey struct{}

var errLoopback = errors.New("the URL is from a document of another machine and leads to this one; it was not opened")

func newProber(cfg Config) *prober {
	client := &http.Client{}
	if cfg.HTTPClient != nil {
		*client = *cfg.HTTPClient
	} else {
		client.Transport = newTransport()
	}
	client.Transport = remote.Transport(client.Transport)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Jar = nil
	return &prober{
		client: client, timeout: cfg.RequestTimeout, now: cfg.Now, origin: cfg.Origin, slots: make(chan struct{}, maxParallel),
	}
}

// newTransport returns a transport that opens a connection for each request, so that the
// replicas behind a name each get a share, and that does not connect to this machine for
// the URL of a foreign document, whatever name the URL has.
func newTransport() *http.Transport {
	dialer := &net.Dialer{ControlContext: func(ctx context.Context, _, address string, _ syscall.RawConn) error {
		if foreign, _ := ctx.Value(foreignKey{}).(bool); !foreign {
			return nil
		}
		addr, err := netip.ParseAddrPort(address)
		if err != nil || !isPublic(addr.Addr().Unmap()) {
			return errLoopback
		}
		return nil
	}}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = dialer.DialContext
	t.MaxResponseHeaderBytes = maxResponseHeader
	t.DisableKeepAlives = true
	return t
}

// isPublic reports whether addr can be on another machine. Addresses of private networks
// count, since many servers and issuers are on one.
func isPublic(addr netip.Addr) bool {
	return addr.IsValid() && !addr.IsLoopback() && !addr.IsUnspecified() && !addr.IsLinkLocalUnicast()
}

// send sends one request, without following a redirect.
func (p *prober) send(ctx context.Context, r request) *answer {
	a := &answer{request: r}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		a.err = ctx.Err()
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if r.foreign {
		ctx = context.WithValue(ctx, foreignKey{}, true)
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		if addr, ok := c.Conn.RemoteAddr().(*net.TCPAddr); ok {
			a.remote = addr.AddrPort().Addr().Unmap()
		}
	}})
	req, err := newRequest(ctx, r)
	if err != nil {
		a.err = err
		return a
	}
	resp, err := p.client.Do(req)
	if err != nil {
		a.err = bareError(err)
		return a
	}
	defer resp.Body.Close()
	a.status, a.header, a.tls, a.at = resp.StatusCode, resp.Header, resp.TLS, p.now()
	a.read(resp)
	return a
}

func newRequest(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader = http.NoBody
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		return nil, errors.New("the URL is malformed")
	}
	req.Header.Set("User-Agent", userAgent)
	maps.Copy(req.Header, r.header)
	if r.host != "" {
		req.Host = r.host
	}
	return req, nil
}

// read reads the body, as far as it is needed. An event stream has no end, so its body is
// not read.
func (a *answer) read(resp *http.Response) {
	if a.request.headerOnly || a.mediaType() == "text/event-stream" {
		return
	}
	limit := int64(maxBody)
	if a.request.document {
		limit = maxDocument
	}
	a.body, a.bodyErr = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if int64(len(a.body)) > limit {
		a.body, a.truncated = a.body[:limit], true
	}
}

// get fetches a document. It follows redirects within the origin, as browsers and the fetch
// function of Node do, and records them.
func (p *prober) get(ctx context.Context, address string, foreign bool) *answer {
	r := request{
		method:   http.MethodGet,
		url:      address,
		header:   http.Header{"Accept": {"application/json"}, "Mcp-Protocol-Version": {legacyRevision}},
		foreign:  foreign,
		document: true,
	}
	if p.origin != "" {
		r.header.Set("Origin", p.origin)
	}
	var followed []string
	for {
		a := p.send(ctx, r)
		a.redirects = followed
		target := a.location()
		if target == nil || len(followed) == maxRedirects || !sameOrigin(target.String(), address) {
			return a
		}
		followed = append(followed, target.String())
		r.url = target.String()
	}
}

// location returns where a redirect leads, or nil if the answer is not one.
func (a *answer) location() *url.URL {
	if a.err != nil || a.status < 300 || a.status > 399 {
		return nil
	}
	base, err := url.Parse(a.request.url)
	if err != nil {
		return nil
	}
	target, err := base.Parse(a.header.Get("Location"))
	if err != nil || a.header.Get("Location") == "" {
		return nil
	}
	return target
}

func (a *answer) mediaType() string {
	mediaType, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(mediaType))
}

// isHTML reports whether the body is a web page, whatever its type says.
func (a *answer) isHTML() bool {
	text := strings.ToLower(strings.TrimSpace(string(a.body[:min(len(a.body), 512)])))
	return a.mediaType() == "text/html" || strings.HasPrefix(text, "<!doctype html") || strings.HasPrefix(text, "<html")
}

// String describes the exchange as evidence: "GET
// https://h/x: 404 Not Found, text/html, body: <!doctype…".
func (a *answer) String() string {
	asked := a.request.method + " " + withoutQuery(a.request.url)
	if a.err != nil {
		return asked + ": " + describeError(a.err)
	}
	parts := []string{fmt.Sprintf("%d %s", a.status, strings.TrimSpace(http.StatusText(a.status)))}
	if t := a.location(); t != nil {
		parts = append(parts, "to "+withoutQuery(t.String()))
	}
	if t := a.mediaType(); t != "" {
		parts = append(parts, t)
	}
	if text := strings.Join(strings.Fields(string(a.body)), " "); text != "" {
		parts = append(parts, "body: "+quote.Clip(text, maxQuotedBody))
	}
	return asked + ": " + strings.Join(parts, ", ")
}

// describeError says why no answer came.
func describeError(err error) string {
	var netErr net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout() {
		return "no answer in time"
	}
	return "no answer: " + err.Error()
}

// withoutQuery returns raw without its query, which may have secrets.
func withoutQuery(raw string) string {
	before, _, found := strings.Cut(raw, "?")
	if found {
		before += "?…"
	}
	return quote.Clip(before, 300)
}

// bareError returns err without the method and the URL, which the evidence names already.
func bareError(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// sameOrigin reports whether a and b have the same scheme, host and port.
func sameOrigin(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && originOf(ua) == originOf(ub)
}

// originOf returns scheme, host and port, without the default port of the scheme.
func originOf(u *url.URL) string {
	host, err := wellknown.Host(strings.ToLower(u.Scheme), u.Host)
	if err != nil {
		host = strings.ToLower(u.Host)
	}
	return strings.ToLower(u.Scheme) + "://" + host
}

// all runs the functions at the same time and returns when all of them have.
func all(functions ...func()) {
	done := make(chan struct{})
	for _, f := range functions {
		go func() {
			defer func() { done <- struct{}{} }()
			f()
		}()
	}
	for range functions {
		<-done
	}
}

// contains reports whether list has s, ignoring case.
func contains(list []string, s string) bool {
	return slices.ContainsFunc(list, func(item string) bool { return strings.EqualFold(item, s) })
}
