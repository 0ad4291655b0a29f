package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	maxRedirects      = 3
	maxResponseHeader = 64 << 10

	loopback4 = "127.0.0.1"
	loopback6 = "::1"
)

// Transport returns a transport that sends https requests with base, and plain http
// requests to loopback addresses only: any other host is an error. A nil base means
// [http.DefaultTransport].
//
// The name localhost, and the names under it, stand for the loopback addresses
// without a look-up (RFC 6761, section 6.3), and no proxy is used. Otherwise a DNS
// server, a hosts file or HTTP_PROXY could send what is meant for this machine over
// the network in plain text. If base is not an [*http.Transport], it receives the
// plain http requests too, and connects as it likes.
func Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	plain := base
	if t, ok := base.(*http.Transport); ok {
		t = t.Clone()
		t.Proxy = nil
		t.DialContext = dialLoopback
		t.DisableKeepAlives = true // so that the copy holds no idle connections
		plain = t
	}
	return &loopbackTransport{https: base, http: plain}
}

type loopbackTransport struct {
	https, http http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *loopbackTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "https" {
		return t.https.RoundTrip(req)
	}
	if !wellknown.IsLoopback(req.URL.Hostname()) {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, fmt.Errorf("host %q is not a loopback host; use https", req.URL.Host)
	}
	return t.http.RoundTrip(req)
}

// dialLoopback connects to a loopback address, or to the port of address on 127.0.0.1
// or else ::1 if its host is a name.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if !wellknown.IsLoopback(host) {
		return nil, fmt.Errorf("host %q is not a loopback host", host)
	}
	var dialer net.Dialer
	if _, err := netip.ParseAddr(host); err == nil {
		return dialer.DialContext(ctx, network, address)
	}
	conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(loopback4, port))
	if err == nil {
		return conn, nil
	}
	if conn, err6 := dialer.DialContext(ctx, network, net.JoinHostPort(loopback6, port)); err6 == nil {
		return conn, nil
	}
	return nil, err
}

// newClient returns a copy of base, or a new client if base is nil. Redirects stay within
// the origin, cookies are ignored and plain http stays on this machine.
func newClient(base *http.Client) *http.Client {
	client := &http.Client{}
	if base != nil {
		*client = *base
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		t.MaxResponseHeaderBytes = maxResponseHeader
		t.DisableKeepAlives = true // the next fetch is minutes later
		client.Transport = t
	}
	client.Transport = Transport(client.Transport)
	client.CheckRedirect = checkRedirect
	client.Jar = nil
	return client
}

var errRedirect = errors.New("redirect not followed")

func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: more than %d", errRedirect, maxRedirects)
	case !sameOrigin(req.URL, via[0].URL):
		return fmt.Errorf("%w: it leads to %q, want the same origin", errRedirect, req.URL.Redacted())
	}
	return nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(hostPort(a), hostPort(b))
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
