package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	// connectTimeout bounds the time to connect to a backend, name resolution included.
	connectTimeout = 5 * time.Second
	// keepAlive is the interval of TCP keep-alive probes, which find backends that have
	// disappeared, and keep idle streams open in networks that forget idle connections.
	keepAlive = 15 * time.Second
	// idleConnections is how many idle connections to a backend are kept. With Go's default of
	// two, most requests of a busy gateway open a new one.
	idleConnections = 256
	// idleTimeout is shorter than the time after which servers usually close idle connections.
	idleTimeout = 55 * time.Second
	// maxAnswerHeader bounds the header of a backend's answer.
	maxAnswerHeader = 64 << 10
	// maxUpstreams bounds the backends of an endpoint.
	maxUpstreams = 64

	tagSize      = 4 // bytes of the hash of the URL that are in session IDs
	tagSeparator = "-"
)

// upstreams are the backends of an endpoint. It is the transport of the proxy.
type upstreams struct {
	all    []*upstream
	next   atomic.Uint32
	logger *slog.Logger
}

// upstream is one backend.
type upstream struct {
	Upstream
	target    *url.URL
	tag       string // names the backend in session IDs
	transport *http.Transport
	health    health

	probe struct { // of the readiness check
		sync.Mutex
		reachable bool
		at        time.Time
	}
}

func newUpstreams(configs []Upstream, headerTimeout time.Duration, logger *slog.Logger) (*upstreams, error) {
	var faults []error
	fault := func(value, problem, fix string) {
		faults = append(faults, &gatehouse.ConfigError{Field: "Upstreams", Value: value, Problem: problem, Fix: fix})
	}
	if len(configs) == 0 {
		fault("", "is missing", `set it to the URL of the MCP server, like "http://localhost:8000/mcp"`)
	}
	if len(configs) > maxUpstreams {
		fault("", "has too many backends", "use at most 64")
	}
	u := &upstreams{logger: logger}
	seen := map[string]bool{}
	for _, config := range configs {
		if problem, fix := upstreamFault(config.URL); problem != "" {
			fault(redacted(config.URL), problem, fix)
			continue
		}
		if text := config.URL.String(); seen[text] {
			fault(redacted(config.URL), "appears twice", "remove one")
		} else {
			seen[text] = true
		}
		if config.H2C && config.URL.Scheme == "https" {
			fault(redacted(config.URL), "is https, for which h2c has no effect", "remove h2c; HTTP/2 is used if the server offers it")
		}
		if config.RootCAs != nil && config.URL.Scheme == "http" {
			fault(redacted(config.URL), "is http, for which certificates of authorities have no effect", "use https, or remove the certificates")
		}
		u.all = append(u.all, newUpstream(config, headerTimeout))
	}
	return u, errors.Join(faults...)
}

// upstreamFault describes what is wrong with the URL of a backend.
func upstreamFault(u *url.URL) (problem, fix string) {
	const example = `write it like "http://localhost:8000/mcp"`
	switch {
	case u == nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "is not an http or https URL", example
	case u.User != nil:
		return "has user info", "remove everything between // and @"
	case u.Fragment != "":
		return "has a fragment", "remove the # and everything after it"
	}
	return "", ""
}

func redacted(u *url.URL) string {
	if u == nil {
		return ""
	}
	return quote.Clip(u.Redacted(), quote.MaxBytes)
}

func newUpstream(config Upstream, headerTimeout time.Duration) *upstream {
	target := *config.URL
	if target.Path == "" {
		target.Path = "/"
	}
	sum := sha256.Sum256([]byte(target.String()))
	u := &upstream{Upstream: config, target: &target, tag: hex.EncodeToString(sum[:tagSize])}
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: keepAlive}
	u.transport = &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    connectTimeout,
		MaxIdleConnsPerHost:    idleConnections,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // what the client and the backend agree on is passed through
		ForceAttemptHTTP2:      true,
	}
	if config.RootCAs != nil {
		u.transport.TLSClientConfig = &tls.Config{RootCAs: config.RootCAs, MinVersion: tls.VersionTLS12}
	}
	if config.H2C {
		u.transport.Protocols = new(http.Protocols)
		u.transport.Protocols.SetUnencryptedHTTP2(true)
	}
	return u
}

// isLoopback reports whether the backend is on this machine.
func isLoopback(u *url.URL) bool { return wellknown.IsLoopback(u.Host) }

// close closes the idle connections.
func (u *upstreams) close() {
	for _, up := range u.all {
		up.transport.CloseIdleConnections()
	}
}

// sessionID returns the session ID that clients get for that of the backend. The guard then
// seals it for the user, so no one can choose the backend.
func (u *upstream) sessionID(id string) string { return u.tag + tagSeparator + id }

// ofSession returns the backend that opened the session, and its ID there. The backend is nil if
// it is not one of these. So sessions stay where they were opened without a table, also in
// another process with the same configuration.
func (u *upstreams) ofSession(id string) (*upstream, string) {
	tag, rest, found := strings.Cut(id, tagSeparator)
	if !found {
		return nil, ""
	}
	for _, up := range u.all {
		if up.tag == tag {
			return up, rest
		}
	}
	return nil, ""
}

// choose returns the backend for a request that is in no session: each in turn, without those
// that are down, unless all are. It returns nil if all were tried.
func (u *upstreams) choose(tried map[*upstream]bool, now time.Time) *upstream {
	if len(u.all) == 1 {
		if tried[u.all[0]] {
			return nil
		}
		return u.all[0]
	}
	first := int(u.next.Add(1))
	var down *upstream
	for i := range u.all {
		up := u.all[(first+i)%len(u.all)]
		switch {
		case tried[up]:
		case up.health.isUp(now):
			return up
		case down == nil:
			down = up
		}
	}
	return down
}

// RoundTrip sends a request to a backend. Only if it could not connect, and so has sent nothing,
// it tries another one.
func (u *upstreams) RoundTrip(out *http.Request) (*http.Response, error) {
	x := exchangeOf(out.Context())
	if x.unnamed != nil {
		return nil, &problem{status: http.StatusBadGateway, code: codeBadGateway, reason: "identity_too_long", err: x.unnamed,
			text: "the identity of the caller cannot be sent to the MCP server"}
	}
	var tried map[*upstream]bool
	for {
		up := x.upstream
		if up == nil {
			up = u.choose(tried, time.Now())
		}
		x.answeredBy = up
		resp, err := up.send(out, x)
		if err == nil {
			up.health.succeeded(u.logger, up)
			return resp, nil
		}
		if !notSent(err) || out.Context().Err() != nil {
			return nil, err
		}
		up.health.failed(u.logger, up, err)
		switch {
		case x.upstream != nil && u.hasOther(up, time.Now()):
			// The process that had the session in its memory does not run.
			return nil, unknownSession
		case x.upstream != nil || len(tried)+1 == len(u.all):
			return nil, err
		}
		if tried == nil {
			tried = make(map[*upstream]bool)
		}
		tried[up] = true
	}
}

// hasOther reports whether another backend than up works.
func (u *upstreams) hasOther(up *upstream, now time.Time) bool {
	for _, other := range u.all {
		if other != up && other.health.isUp(now) {
			return true
		}
	}
	return false
}

// send sends one request to the backend.
func (u *upstream) send(out *http.Request, x *exchange) (*http.Response, error) {
	req := out.WithContext(withoutTrace{out.Context()})
	target := *u.target
	target.RawQuery = joinQuery(u.target.RawQuery, out.URL.RawQuery)
	req.URL = &target
	hideIdempotencyKey(req.Header)
	req.Body = nil
	req.ContentLength = int64(len(x.body))
	if len(x.body) > 0 {
		req.Body = x.newBody()
		req.GetBody = func() (io.ReadCloser, error) { return x.newBody(), nil }
	}
	resp, err := u.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	// The transport sets trailers in its own Response after the body. They would reach the
	// client, whatever their names are.
	withoutTrailer := *resp
	withoutTrailer.Trailer = nil
	withoutTrailer.Request = out
	return &withoutTrailer, nil
}

// hideIdempotencyKey writes the names of these headers in lower case. The transport would send a
// request with one of them again if the connection breaks, although the backend may have carried
// it out: it does not promise to know the header.
func hideIdempotencyKey(h http.Header) {
	for _, name := range [...]string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, ok := h[name]; ok {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
}

// joinQuery returns the query of the upstream, followed by that of the client without the parameters
// that the upstream has too: many servers read the last one of a name, so a client could replace what
// the operator has set.
func joinQuery(own, clients string) string {
	if own == "" || clients == "" {
		return own + clients
	}
	var names []string
	for parameter := range strings.SplitSeq(own, "&") {
		names = append(names, parameterName(parameter))
	}
	var b strings.Builder
	b.WriteString(own)
	for parameter := range strings.SplitSeq(clients, "&") {
		name := parameterName(parameter)
		if !slices.ContainsFunc(names, func(own string) bool { return strings.EqualFold(own, name) }) {
			b.WriteByte('&')
			b.WriteString(parameter)
		}
	}
	return b.String()
}

// parameterName returns the name of a parameter of a query, as servers compare it: PHP and others take
// "a[b]" and " a" for "a", and PHP takes "a.b" and "a b" for "a_b".
func parameterName(parameter string) string {
	name, _, _ := strings.Cut(parameter, "=")
	if decoded, err := url.QueryUnescape(name); err == nil {
		name = decoded
	}
	name, _, _ = strings.Cut(name, "[")
	return strings.NewReplacer(".", "_", " ", "_").Replace(strings.TrimSpace(name))
}

// withoutTrace is a context without the trace that ReverseProxy adds to pass informational
// answers (1xx) on: their headers would reach the client unchanged, and the headers that the
// guard has set would be lost.
type withoutTrace struct{ context.Context }

func (c withoutTrace) Value(key any) any {
	value := c.Context.Value(key)
	if _, ok := value.(*httptrace.ClientTrace); ok {
		return nil
	}
	return value
}

// notSent reports whether the request failed before anything of it was sent, because no
// connection could be opened, or TLS could not begin on it.
func notSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || isTLSError(err)
}

// isTLSError reports whether the certificate of the backend is not valid, or the backend does not
// speak TLS.
func isTLSError(err error) bool {
	var invalid *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	return errors.As(err, &invalid) || errors.As(err, &plain)
}

// unreachableHint says what the operator can do about an error of notSent.
func unreachableHint(err error) string {
	if !isTLSError(err) {
		return "start the MCP server, or correct the URL of the upstream"
	}
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		return "name the file with the certificate of its authority in ca_file of the upstream, or with --upstream-ca"
	}
	if plain := (tls.RecordHeaderError{}); errors.As(err, &plain) {
		return "the server speaks http on this port: write http:// in the URL of the upstream, or correct its port"
	}
	return "give the MCP server a certificate for the host of the upstream, or correct the URL of the upstream"
}

// health is what is known about whether a backend works.
type health struct {
	mu       sync.Mutex
	failures int       // in a row
	until    time.Time // when it is tried again
	failing  bool      // whether the health check fails
}

const (
	// firstPause and longestPause are how long a backend gets no requests after it could not be
	// reached, if there are others.
	firstPause   = time.Second
	longestPause = 15 * time.Second
)

func (h *health) isUp(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.failing && !now.Before(h.until)
}

// failed notes that the backend could not be reached.
func (h *health) failed(logger *slog.Logger, u *upstream, err error) {
	h.mu.Lock()
	first := h.failures == 0
	h.until = time.Now().Add(min(firstPause<<min(h.failures, 4), longestPause))
	h.failures++
	h.mu.Unlock()
	if first {
		logger.Warn("backend is unreachable; requests get 502 until it answers", "upstream", u.target.Redacted(), "error", err,
			"hint", unreachableHint(err))
	}
}

// succeeded notes that the backend has answered.
func (h *health) succeeded(logger *slog.Logger, u *upstream) {
	h.mu.Lock()
	failures := h.failures
	h.failures, h.until = 0, time.Time{}
	h.mu.Unlock()
	if failures > 0 {
		logger.Info("backend is reachable again", "upstream", u.target.Redacted())
	}
}
