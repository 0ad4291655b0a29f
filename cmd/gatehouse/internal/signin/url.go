package signin

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// maxURL bounds a URL, in bytes. A sign-in link has about a thousand, and more with many
// scopes.
const maxURL = 16_000

// checkURL returns the URL raw if it is https, or http on loopback, without a user name
// or a fragment, and otherwise a *[wellknown.Fault]. Documents of other servers name URLs
// that this program requests and that it opens in a browser. A URL with another scheme,
// such as file or vscode, would start another program instead of the browser.
func checkURL(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, &wellknown.Fault{
			Problem: fmt.Sprintf("is %d bytes long, want at most %d", len(raw), maxURL),
			Fix:     "use a shorter URL",
		}
	}
	if i := strings.IndexFunc(raw, notInURL); i >= 0 {
		return nil, &wellknown.Fault{Problem: "has a character that is not allowed in a URL", Fix: "percent-encode it"}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, &wellknown.Fault{Problem: "is not a URL", Fix: "use https, or http only on localhost"}
	case u.User != nil:
		return nil, &wellknown.Fault{Problem: "has user info", Fix: "remove everything between // and @"}
	case strings.Contains(raw, "#"):
		return nil, &wellknown.Fault{Problem: "has a fragment", Fix: "remove the # and everything after it"}
	}
	// Scheme, host and port are those of an issuer.
	if err := wellknown.Issuer(u.Scheme + "://" + u.Host); err != nil {
		return nil, err
	}
	return u, nil
}

// notInURL reports whether r is not a character of a URI (RFC 3986 section 2). Such a
// character could end the argument of a command, or mean something to a shell.
func notInURL(r rune) bool {
	alphanumeric := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !alphanumeric && !strings.ContainsRune("-._~:/?#[]@!$&'()*+,;=%", r)
}

// reach is from where a host can be contacted.
type reach int

const (
	thisMachine reach = iota
	privateNetwork
	internet
)

func (r reach) String() string {
	switch r {
	case thisMachine:
		return "on this machine"
	case privateNetwork:
		return "on a private network"
	}
	return "on the internet"
}

// privateSuffixes are names that no public DNS server resolves (RFC 6762, RFC 8375, and
// ICANN's reservation of .internal).
var privateSuffixes = []string{".local", ".home.arpa", ".internal"}

// privatePrefixes are the networks that are not on the internet, in addition to those that
// package netip knows: carrier-grade NAT (RFC 6598), protocol assignments (RFC 6890),
// benchmarking (RFC 2544), reserved (RFC 1112), site-local (RFC 3879), and the prefixes
// that contain an IPv4 address (RFC 4291, RFC 6052, RFC 8215, RFC 3056).
var privatePrefixes = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// reachOf returns the reach of the host of a URL. It looks no name
// up: what a name means can change between the look-up and the request. A request to a
// name that means a private address fails, because the server there has no certificate
// for the name.
func reachOf(u *url.URL) reach {
	if wellknown.IsLoopback(u.Hostname()) {
		return thisMachine
	}
	host := strings.ToLower(u.Hostname())
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return reachOfName(host)
	}
	if !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return privateNetwork
	}
	for _, prefix := range privatePrefixes {
		if prefix.Contains(addr) {
			return privateNetwork
		}
	}
	return internet
}

func reachOfName(host string) reach {
	if !strings.Contains(host, ".") {
		return privateNetwork
	}
	for _, suffix := range privateSuffixes {
		if strings.HasSuffix(host, suffix) {
			return privateNetwork
		}
	}
	return internet
}

// checkNamedURL returns an error unless raw is a URL that a document of the server at
// owner may name. A server on the internet may not name a host on a private network or on
// this machine: only this program can contact that, so the server would use it as a proxy.
func checkNamedURL(raw, owner string) error {
	u, err := checkURL(raw)
	if err != nil {
		return err
	}
	from, err := url.Parse(owner)
	if err != nil {
		return err
	}
	if to := reachOf(u); to < reachOf(from) {
		return &wellknown.Fault{
			Problem: fmt.Sprintf("is %s, and the server that names it is not", to),
			Fix:     "use a host that is as public as the server that names it",
		}
	}
	return nil
}

// CheckEndpoint returns an error unless the metadata of the issuer may name the endpoint
// raw. The name is that of the metadata field.
func CheckEndpoint(issuer, name, raw string) error {
	err := checkNamedURL(raw, issuer)
	if err == nil {
		return nil
	}
	problem, fix := parts(err)
	f := setupFailure(diagnose.Explain("server.endpoint", "member", name), "%s %s of authorization server %q %s", name, quote.String(raw), issuer, problem)
	f.Hint += ": " + fix
	return f
}

// checkEndpoints checks every URL in the metadata of an authorization server that a client
// or a resource server requests.
func checkEndpoints(metadata *oauthex.AuthServerMeta) error {
	for _, endpoint := range []struct {
		name, url string
		required  bool
	}{
		{"authorization_endpoint", metadata.AuthorizationEndpoint, true},
		{"token_endpoint", metadata.TokenEndpoint, true},
		{"registration_endpoint", metadata.RegistrationEndpoint, false},
		{"revocation_endpoint", metadata.RevocationEndpoint, false},
		{"introspection_endpoint", metadata.IntrospectionEndpoint, false},
		{"jwks_uri", metadata.JWKSURI, false},
	} {
		if endpoint.url == "" && endpoint.required {
			return setupFailure(diagnose.Explain("server.incomplete", "member", endpoint.name), "metadata of authorization server %q has no %s", metadata.Issuer, endpoint.name)
		}
		if endpoint.url == "" {
			continue
		}
		if err := CheckEndpoint(metadata.Issuer, endpoint.name, endpoint.url); err != nil {
			return err
		}
	}
	return nil
}

// checkIssuer returns an error unless the protected resource metadata of resource may name
// the issuer (RFC 8414 section 2).
func checkIssuer(resource, issuer string) error {
	err := wellknown.Issuer(issuer)
	if err == nil {
		err = checkNamedURL(issuer, resource)
	}
	if err == nil {
		return nil
	}
	problem, fix := parts(err)
	if e, ok := diagnose.ExplainIssuer(issuer, resource); ok {
		return setupFailure(e, "authorization server %s of %q %s", quote.String(issuer), resource, problem)
	}
	return failure.New(
		"the operator of the MCP server must change its protected resource metadata: "+fix,
		"authorization server %s of %q %s", quote.String(issuer), resource, problem)
}

// checkMetadataURL returns an error unless the challenge of resource may name raw as its
// protected resource metadata: RFC 9728 section 3 has it on the origin of the resource.
func checkMetadataURL(resource, raw string) error {
	u, err := checkURL(raw)
	if err == nil && !sameOrigin(u, resource) {
		err = &wellknown.Fault{
			Problem: "is on another origin",
			Fix:     "name the metadata at its own origin (RFC 9728 section 3.1), with the scheme and host that clients use",
		}
	}
	if err == nil {
		return nil
	}
	problem, fix := parts(err)
	if endpoint, parseErr := url.Parse(resource); parseErr == nil {
		if e, ok := diagnose.ExplainMetadataURL(raw, endpoint); ok {
			return setupFailure(e, "resource_metadata %s in the challenge of %q %s", quote.String(raw), resource, problem)
		}
	}
	return failure.New(
		"the operator of the MCP server must change the challenge: "+fix,
		"resource_metadata %s in the challenge of %q %s", quote.String(raw), resource, problem)
}

// sameOrigin reports whether u has the scheme, host and port of resource. The names and
// addresses of this machine are equal.
func sameOrigin(u *url.URL, resource string) bool {
	r, err := url.Parse(resource)
	if err != nil || u.Scheme != r.Scheme || port(u) != port(r) {
		return false
	}
	return strings.EqualFold(u.Hostname(), r.Hostname()) || wellknown.IsLoopback(u.Hostname()) && wellknown.IsLoopback(r.Hostname())
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// parts returns the problem and the fix of an error of checkURL.
func parts(err error) (problem, fix string) {
	var fault *wellknown.Fault
	if errors.As(err, &fault) {
		return fault.Problem, fault.Fix
	}
	return err.Error(), "use https, or http only on localhost"
}
