package localclerk

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The token endpoint authentication methods of RFC 7591 section 2 that Clerk
// supports.
const (
	authNone  = "none"
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
)

// The limits of what a client may register.
const (
	maxURILength    = 1024
	maxRedirectURIs = 50
	maxClientName   = 256
	maxClientScope  = 1024
)

// client is an OAuth application, also called OAuth client. It is immutable.
type client struct {
	id            string
	secret        secret // empty for a public client
	applicationID string // oauthapp_…, its ID in the Backend API
	name          string
	uri, logoURI  string
	redirectURIs  []string
	scopes        []string
	dynamic       bool
	consentScreen bool
	pkceRequired  bool
	createdAt     time.Time
	freshUntil    time.Time // for clients of a metadata document; zero for others
}

func (c *client) public() bool { return c.secret == "" }

func newClientSecret() secret { return secret(randomString(base62, clientSecretLength)) }

// resolveRedirectURI returns the redirect URI for the authorization response and
// reports whether it is registered. If requested is empty and only one URI is
// registered, it returns that one (RFC 6749 section 3.1.2.3).
func (c *client) resolveRedirectURI(requested string) (string, bool) {
	if requested == "" && len(c.redirectURIs) == 1 {
		return c.redirectURIs[0], true
	}
	matches := func(registered string) bool {
		return registered == requested || equalExceptPort(registered, requested)
	}
	return requested, slices.ContainsFunc(c.redirectURIs, matches)
}

// equalExceptPort reports whether two http URIs with the same loopback host differ
// at most in the port, which RFC 8252 section 7.3 allows clients to choose. That
// section covers 127.0.0.1 and [::1]. localhost is treated the same way here,
// because MCP clients register it and then listen on any free port.
func equalExceptPort(registered, requested string) bool {
	a, errA := url.Parse(registered)
	b, errB := url.Parse(requested)
	if errA != nil || errB != nil || !isLoopbackHost(a.Hostname()) || !strings.HasPrefix(requested, "http://") {
		return false
	}
	a.Host, b.Host = hostWithoutPort(a), hostWithoutPort(b)
	return a.String() == b.String()
}

func hostWithoutPort(u *url.URL) string { return strings.TrimSuffix(u.Host, ":"+u.Port()) }

// checkRedirectURIs checks the number of redirect URIs of a client and each of them.
func checkRedirectURIs(uris []string) error {
	if n := len(uris); n == 0 || n > maxRedirectURIs {
		return fmt.Errorf("got %d redirect_uris, want 1 to %d", n, maxRedirectURIs)
	}
	for _, uri := range uris {
		if err := checkRedirectURI(uri); err != nil {
			return err
		}
	}
	return nil
}

// checkRedirectURI checks that uri may be registered: it must be absolute, without
// a fragment, and must not be plain http to another machine.
func checkRedirectURI(uri string) error {
	if len(uri) > maxURILength {
		return fmt.Errorf("redirect URI has %d bytes, want at most %d", len(uri), maxURILength)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return fmt.Errorf("redirect URI %q is not a URI", uri)
	}
	switch {
	case u.Scheme == "":
		return fmt.Errorf("redirect URI %q is not absolute", uri)
	case strings.Contains(uri, "#"):
		return fmt.Errorf("redirect URI %q has a fragment", uri)
	case slices.Contains([]string{"javascript", "data", "vbscript", "file", "blob", "about", "view-source"}, u.Scheme):
		return fmt.Errorf("redirect URI %q has a scheme that browsers run or read themselves", uri)
	case (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() == "":
		return fmt.Errorf("redirect URI %q has no host", uri)
	case u.Scheme == "http" && !isLoopbackHost(u.Hostname()):
		return fmt.Errorf("redirect URI %q would send codes over plain http; use https, or a loopback host", uri)
	case u.User != nil:
		return fmt.Errorf("redirect URI %q has a user name", uri)
	}
	return nil
}
