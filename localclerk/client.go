package localclerk

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Token endpoint authentication methods of RFC 7591 section 2 that Clerk has.
const (
	authNone  = "none"
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
)

const maxURILength = 1024

// client is an OAuth application. It never changes once it is known.
type client struct {
	id            string
	secret        secret // empty: a public client
	applicationID string // oauthapp_…, its name in the Backend API
	name          string
	uri, logoURI  string
	redirectURIs  []string
	scopes        []string
	dynamic       bool
	consentScreen bool
	pkceRequired  bool
	createdAt     time.Time
	freshUntil    time.Time // of a metadata document; zero for other clients
}

func (c *client) public() bool { return c.secret == "" }

func newClientSecret() secret { return secret(randomString(base62, clientSecretLength)) }

// redirect returns the redirect URI to answer to. An empty requested one
// stands for the only one registered (RFC 6749 section 3.1.2.3).
func (c *client) resolveRedirectURI(requested string) (string, bool) {
	if requested == "" && len(c.redirectURIs) == 1 {
		return c.redirectURIs[0], true
	}
	matches := func(registered string) bool {
		return registered == requested || equalExceptPort(registered, requested)
	}
	return requested, slices.ContainsFunc(c.redirectURIs, matches)
}

// sameButPort reports whether two http URIs on one loopback host differ in
// nothing but the port, which RFC 8252 section 7.3 leaves to the client. That
// section is about 127.0.0.1 and [::1]; localhost is treated alike here,
// because MCP clients register it and then take whatever port is free.
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

// checkRedirectURI says what keeps uri from being registered: it must be
// absolute, without fragment, and not plain http to another machine.
func checkRedirectURI(uri string) error {
	if len(uri) > maxURILength {
		return fmt.Errorf("redirect URI of %d bytes, want at most %d", len(uri), maxURILength)
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
		return fmt.Errorf("redirect URI %q sends codes over plain http; use https, or a loopback host", uri)
	case u.User != nil:
		return fmt.Errorf("redirect URI %q has a user name in it", uri)
	}
	return nil
}
