package window

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// A check of the set-up sends the requests of a client through the proxy, since only there it sees
// what clients see: the public URL, and what a server makes of it. Its requests are not steps of a
// sign-in, so they carry a header by which the window recognizes and does not record them. The value
// is a random key that exists in the memory of this process alone: a program that does not know it
// cannot hide its requests. The window removes the header, so the MCP server does not see it either.
const probeHeader = "Gatehouse-Window-Check"

// takeProbe reports whether r is a request of a check by this window, and removes the key.
func (w *Window) takeProbe(r *http.Request) bool {
	key := r.Header.Get(probeHeader)
	if subtle.ConstantTimeCompare([]byte(key), []byte(w.probeKey)) != 1 {
		return false
	}
	r.Header.Del(probeHeader)
	return true
}

// withoutEvent returns r with a context that keeps the local Clerk from recording it, if it is a
// request of a check.
func (w *Window) withoutEvent(r *http.Request) *http.Request {
	if !w.takeProbe(r) {
		return r
	}
	return r.WithContext(localclerk.WithoutEvent(r.Context()))
}

// probeTransport adds the key of the window to the requests of a check that go to this program, and
// to no others: a document of the MCP server may name any URL.
type probeTransport struct {
	base  http.RoundTripper
	key   string
	ports []string // of this program
}

// newProbeTransport returns a transport for the checks. Like that of package diagnose, it opens a
// connection for each request and bounds the header of an answer.
func (w *Window) newProbeTransport() http.RoundTripper {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DisableKeepAlives = true
	base.MaxResponseHeaderBytes = 256 << 10
	t := &probeTransport{base: base, key: w.probeKey}
	for _, own := range []string{w.config.Server, w.clerk.Issuer()} {
		if u, err := url.Parse(own); err == nil && u.Port() != "" {
			t.ports = append(t.ports, u.Port())
		}
	}
	return t
}

func (t *probeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.isOwn(r.URL) {
		r = r.Clone(r.Context())
		r.Header.Set(probeHeader, t.key)
	}
	return t.base.RoundTrip(r)
}

// isOwn reports whether this program listens at u.
func (t *probeTransport) isOwn(u *url.URL) bool {
	return u.Scheme == "http" && slices.Contains(t.ports, u.Port()) &&
		slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
}
