package gatehouse

import (
	"errors"
	"net/http"
	"net/url"
	"time"
)

// issuerClient sends the caller's token to its own issuer and to no other origin,
// redirects included.
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

const issuerTimeout = 10 * time.Second

type issuerTransport struct {
	base   http.RoundTripper
	issuer *url.URL
	caller *caller
}

var errOtherOrigin = errors.New("gatehouse: the caller's token goes to its own issuer only")

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
