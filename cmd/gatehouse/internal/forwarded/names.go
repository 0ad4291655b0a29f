package forwarded

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// Headers are the names of the headers that name the caller to a backend. An empty name
// means that the header is not set. It is removed from requests in any case.
type Headers struct {
	User              string // the user; see [Config.Principal]
	Email             string // the claim email, unless email_verified is false
	PreferredUsername string // the claim preferred_username, or else username
	Groups            string // the roles of the user, separated by commas
	Assertion         string // the signed assertion; with "Authorization", it follows "Bearer "
}

// DefaultHeaders returns the names that oauth2-proxy and others use, and the assertion in
// X-Gatehouse-Assertion.
func DefaultHeaders() Headers {
	return Headers{
		User:              "X-Forwarded-User",
		Email:             "X-Forwarded-Email",
		PreferredUsername: "X-Forwarded-Preferred-Username",
		Groups:            "X-Forwarded-Groups",
		Assertion:         "X-Gatehouse-Assertion",
	}
}

// TruncatedSuffix is appended to the name of the header with the groups. That header is
// "true" if there are more groups than the header has; see maxList.
const TruncatedSuffix = "-Truncated"

// authorization is the one header with a scheme before the assertion.
const authorization = "Authorization"

// usedByMCP are headers that mean something else to a backend.
var usedByMCP = []string{
	"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "host",
	"last-event-id", "mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name", "origin", "te", "trailer",
	"transfer-encoding", "upgrade", "keep-alive", "proxy-connection", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
}

// Fault is an invalid name of a header.
type Fault struct {
	Field   string // of [Headers], in the form of the configuration file: "preferred_username"
	Value   string
	Problem string
	Fix     string
}

// Faults returns what is wrong with the names.
func (h Headers) Faults() []Fault {
	var faults []Fault
	seen := map[string]string{}
	for _, header := range h.all() {
		field, name := header.field, header.name
		if name == "" {
			continue
		}
		key := normalized(name)
		switch {
		case !isToken(name):
			faults = append(faults, Fault{field, name, "is not the name of a header", `use letters, digits and hyphens, like "X-Forwarded-User"`})
		case strings.Contains(name, "_"):
			faults = append(faults, Fault{field, name, "has an underscore, which many servers drop", fmt.Sprintf("write %q", strings.ReplaceAll(name, "_", "-"))})
		case slices.Contains(usedByMCP, key) || key == "authorization" && field != "assertion":
			faults = append(faults, Fault{field, name, "has another meaning for the MCP server", `use a name like "X-Forwarded-User"`})
		case seen[key] != "":
			faults = append(faults, Fault{field, name, "is already the header of " + seen[key], "use a name of its own for each"})
		}
		seen[key] = field
	}
	return faults
}

type namedHeader struct{ field, name string }

func (h Headers) all() []namedHeader {
	return []namedHeader{
		{"user", h.User}, {"email", h.Email}, {"preferred_username", h.PreferredUsername},
		{"groups", h.Groups}, {"assertion", h.Assertion},
	}
}

// Names returns the names of all headers that may be set, for proxies that must be configured
// to copy each of them.
func (h Headers) Names() []string {
	var names []string
	for _, header := range h.all() {
		if header.name != "" {
			names = append(names, http.CanonicalHeaderKey(header.name))
		}
	}
	if h.Groups != "" {
		names = append(names, http.CanonicalHeaderKey(h.Groups+TruncatedSuffix))
	}
	return names
}

// reservedPrefixes and reservedNames are how headers begin, and are called, by which proxies
// say who is calling or where the request came from. A client that could send one
// could claim to be any user to a backend that reads it.
var (
	reservedPrefixes = []string{
		"x-forwarded-", "x-auth-request-", "x-gatehouse-", "x-authenticated-", "x-authentik-", "x-pomerium-", "x-jwt-",
		"x-goog-iap-", "x-goog-authenticated-user-", "x-amzn-oidc-", "x-ms-client-principal", "x-ms-token-", "x-webauth-", "x-remote-",
		"x-original-", "x-envoy-", "x-appengine-", "oidc-", "remote-", "cf-access-", "tailscale-user-", "tailscale-", "ssl-client-", "x-ssl-client-", "x-client-cert",
	}
	reservedNames = []string{
		"forwarded", "x-forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip",
		"x-auth-user", "x-auth-username", "x-auth-email", "x-auth-groups", "x-auth-roles", "x-proxy-user", "sm-user", "iv-user", "iv-groups",
		"x-user", "x-user-id", "x-user-name", "x-username", "x-user-email", "x-email", "x-groups", "x-user-groups", "x-roles",
		"x-user-roles", "x-access-token", "x-id-token", "x-mcp-userid", "x-mcp-username", "x-mcp-roles", "x-consumer-id", "x-consumer-username",
		"x-credential-identifier", "x-token-subject", "x-userinfo", "x-http-method-override", "x-method-override", "x-http-method",
		"x-rewrite-url", "x-script-name", "script-name", "client-cert", "client-cert-chain",
	}
)

// Strip removes from h, the header of a client's request, every header that a backend may
// read as the name of the caller: those of h, and the well-known ones. Names are compared without
// regard to case, and punctuation is a hyphen: CGI and WSGI make HTTP_X_FORWARDED_USER of
// X-Forwarded-User and of X_Forwarded_User, and some of X.Forwarded.User, too.
func (h Headers) Strip(header http.Header) {
	for name := range header {
		if h.isReserved(name) {
			delete(header, name)
		}
	}
}

// isReserved reports whether Strip removes the header.
func (h Headers) isReserved(name string) bool {
	if name == "" {
		return true
	}
	for _, own := range [...]string{h.User, h.Email, h.PreferredUsername, h.Groups, h.Assertion} {
		if own != "" && sameName(name, own) {
			return true
		}
	}
	if h.Groups != "" && len(name) == len(h.Groups)+len(TruncatedSuffix) && hasNamePrefix(name, h.Groups) {
		return true
	}
	return hasWellKnownName(name)
}

// hasWellKnownName reports whether the header is one of the lists above.
func hasWellKnownName(name string) bool {
	switch name[0] | 0x20 {
	case 'x', 'f', 'r', 't', 'c', 's', 'o', 'i':
	default:
		return false
	}
	for _, prefix := range reservedPrefixes {
		if hasNamePrefix(name, prefix) {
			return true
		}
	}
	return slices.ContainsFunc(reservedNames, func(reserved string) bool { return sameName(name, reserved) })
}

// sameName reports whether a backend may read both as one header.
func sameName(a, b string) bool { return len(a) == len(b) && hasNamePrefix(a, b) }

// hasNamePrefix reports whether a backend may read the beginning of name as prefix.
func hasNamePrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if foldName(name[i]) != foldName(prefix[i]) {
			return false
		}
	}
	return true
}

// foldName returns the byte of a header's name in lower case, and a hyphen for punctuation.
func foldName(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	}
	return '-'
}

func normalized(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "-")) }

// isToken reports whether name is a token (RFC 9110 §5.6.2).
func isToken(name string) bool {
	return name != "" && len(name) <= quote.MaxBytes && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}
