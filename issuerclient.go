package gatehouse

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// issuerTimeout is the limit of one request of an IssuerClient, with redirects and body.
const issuerTimeout = 10 * time.Second

// IssuerClient returns an HTTP client that adds the caller's access token to its requests,
// for endpoints of the provider such as userinfo. A request to any other origin than the
// token's issuer fails, and so does a redirect to one. ok is false if req did not come
// through a [Guard].
func IssuerClient(req mcp.Request) (client *http.Client, ok bool) {
	c := callerOf(req)
	if c == nil {
		return nil, false
	}
	return c.issuerClient(), true
}

func (c *caller) issuerClient() *http.Client {
	base := c.guard.HTTPClient
	if base == nil {
		base = http.DefaultClient
	}
	issuer, _ := url.Parse(c.identity.Issuer)
	return &http.Client{
		Transport: &issuerTransport{base: base.Transport, issuer: issuer, caller: c},
		Timeout:   issuerTimeout,
	}
}

// issuerTransport adds the caller's token to requests to the origin of issuer, and fails
// all others.
type issuerTransport struct {
	base   http.RoundTripper // nil means http.DefaultTransport
	issuer *url.URL
	caller *caller
}

var errOtherOrigin = errors.New("gatehouse: the caller's token is sent to its own issuer only")

// RoundTrip implements [http.RoundTripper].
func (t *issuerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.issuer == nil || r.URL.Scheme != t.issuer.Scheme || r.URL.Host != t.issuer.Host {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, errOtherOrigin
	}
	base := t.base
	if base == nil {
		base = http.DefaultTransport
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+t.caller.token)
	return base.RoundTrip(r)
}
