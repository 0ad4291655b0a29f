package gatehouse

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// issuerTimeout is the limit of one request of an IssuerClient, with redirects and body.
const issuerTimeout = 10 * time.Second

// IssuerClient returns an HTTP client that adds the caller's access token to its requests,
// for endpoints of the provider such as userinfo. A request to any other origin than the
// token's issuer fails, and so does a redirect to one. Plain http, which only an issuer on
// loopback may use, stays on this machine: it uses neither a proxy nor DNS. The client of an
// initialize request works until that request has been answered, since the guard then drops
// its token. ok is false if req did not come through a [Guard].
func IssuerClient(req mcp.Request) (client *http.Client, ok bool) {
	c := callerOf(req)
	if c == nil {
		return nil, false
	}
	return c.issuerClient(), true
}

func (c *caller) issuerClient() *http.Client {
	issuer, _ := url.Parse(c.identity.Issuer)
	return &http.Client{
		Transport: &issuerTransport{base: c.guard.verifier.toIssuer, issuer: issuer, caller: c},
		Timeout:   issuerTimeout,
	}
}

// newIssuerTransport returns the transport of all requests of a guard's IssuerClients. It
// is made once, because it clones the transport of client.
func newIssuerTransport(client *http.Client) http.RoundTripper {
	if client == nil {
		client = http.DefaultClient
	}
	return remote.Transport(client.Transport)
}

// issuerTransport adds the caller's token to requests to the origin of issuer, and fails
// all others.
type issuerTransport struct {
	base   http.RoundTripper
	issuer *url.URL
	caller *caller
}

var (
	errOtherOrigin  = errors.New("gatehouse: the caller's token is sent to its own issuer only")
	errRequestEnded = errors.New("gatehouse: the request that opened the session has ended, and its token was dropped; " +
		"use the IssuerClient of the request in which you need it")
)

// RoundTrip implements [http.RoundTripper].
func (t *issuerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	token := t.caller.token()
	var err error
	switch {
	case t.issuer == nil || r.URL.Scheme != t.issuer.Scheme || r.URL.Host != t.issuer.Host:
		err = errOtherOrigin
	case token == "":
		err = errRequestEnded
	}
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return t.base.RoundTrip(r)
}
