package gatehouse

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/token"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// DefaultLeeway is the tolerated clock difference between the provider and this
// machine if [Config.Leeway] is zero.
const DefaultLeeway = token.DefaultLeeway

// maxLeeway is the largest leeway: "usually no more than a few minutes" (RFC 9068 §4).
const maxLeeway = token.MaxLeeway

// Config configures a [Guard]: the endpoint that it protects, and the provider whose tokens
// it accepts. Resource and Provider are required. The zero value of every other field is
// the safe default.
type Config struct {
	_ [0]func()

	// Resource is the public URL of the MCP endpoint, as users type it into
	// their client: "https://mcp.example.com/mcp". It is the resource
	// identifier of RFC 9728 and the audience of RFC 8707. It is never taken from
	// a request. A loopback resource is accepted under each of the names localhost,
	// 127.0.0.1 and [::1].
	Resource string

	// Provider is the identity provider, from one of the packages below
	// provider or from [OIDC].
	Provider Provider

	// RequiredScopes are the scopes that the token of every request must have. Empty
	// means that a valid token is enough.
	RequiredScopes []string

	// Requirements are what individual tools, prompts and resources require in
	// addition. They are enforced on the HTTP request, where a client can ask for
	// more scopes, and again by [Guard.Middleware] inside the MCP server.
	Requirements []Requirement

	// ImpliedScopes maps a scope to the narrower scopes that it includes: with
	// {"notes:write": {"notes:read"}}, a token with notes:write may also do what
	// requires notes:read. It is transitive.
	ImpliedScopes map[string][]string

	// ResourceName is the name of the server for its users (RFC 9728 §2). If empty,
	// the metadata has no name.
	ResourceName string

	// ResourceDocumentation is the URL of a page for developers (RFC 9728 §2). If
	// empty, the metadata has none.
	ResourceDocumentation string

	// AllowedOrigins are the web origins, like "https://app.example.com", whose
	// pages may call the endpoint from a browser. The origin of Resource is
	// always allowed, and so is every loopback origin if Resource is on loopback.
	// "*" allows every origin. It is an error for a loopback resource, because it
	// would let every page that the user visits call a local server.
	AllowedOrigins []string

	// LandingPage, if not nil, answers a browser that opens the endpoint: a GET
	// or HEAD whose Accept header names text/html. It is public.
	LandingPage http.Handler

	// Leeway is the tolerated clock difference for exp, nbf and iat. Zero means
	// [DefaultLeeway]; more than two minutes is an error.
	Leeway time.Duration

	// Revoked, if not nil, is called for every request whose token is valid. If it
	// returns true, the request is rejected with the reason "revoked". It is called again
	// every 30 seconds for each open stream, and ends it. Use it for your own store of
	// revocations. It must be fast and safe for concurrent use. See also [Guard.Deny].
	Revoked func(Identity) bool

	// SessionKey is the key of the session IDs of the revisions until 2025-11-25: at least
	// 32 random bytes, kept secret. An ID that a client gets works only for the user who
	// opened the session, and only where the key is the same. Set the same key in all
	// replicas if a request may reach another one than the one that opened its session; see
	// docs/replicas.md. Empty means a random key for each process: its clients start new
	// sessions after a restart.
	SessionKey SessionKey

	// MaxSessions and MaxSessionsPerUser limit the open sessions, of all users and of each
	// one, and likewise the open streams. One more gets 429. Zero means
	// [DefaultMaxSessions] and [DefaultMaxSessionsPerUser].
	MaxSessions, MaxSessionsPerUser int

	// SessionTimeout is how long a session may be idle before it is no longer counted. Set
	// it to the idle timeout of the handler's sessions. Zero means
	// [DefaultSessionTimeout].
	SessionTimeout time.Duration

	// KeyFile, if not empty, is the path of a file in which the last valid signing keys
	// of the provider are stored, so that a server that restarts while the provider is
	// unavailable can still verify tokens.
	KeyFile string

	// HTTPClient fetches keys and metadata from the provider. Nil means a default
	// client. The guard limits time and size of each fetch in either case.
	HTTPClient *http.Client

	// Logger receives one line for each rejected request and for each change in
	// the state of the keys. It never receives a token. Nil means
	// [slog.Default].
	Logger *slog.Logger

	// OnReject, if not nil, is called for each rejected request before the answer is
	// written. It replaces the line in Logger. It must be safe for concurrent use
	// and return quickly.
	OnReject func(*http.Request, Rejection)
}

// ConfigError is one fault in a configuration. [New] returns all faults, joined by
// [errors.Join]; errors.As finds the first of them.
type ConfigError struct {
	Field   string // name of the field or environment variable
	Value   string // the value as configured; empty if there is none
	Problem string // what is wrong, as a verb phrase: "is not an absolute URL"
	Fix     string // what to do, as an imperative: "set it to …"
}

func (e *ConfigError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("gatehouse: %s %s; %s", e.Field, e.Problem, e.Fix)
	}
	return fmt.Sprintf("gatehouse: %s %q %s; %s", e.Field, e.Value, e.Problem, e.Fix)
}

// faults collects faults, so that all of them are reported at once.
type faults []error

func (f *faults) add(field, value, problem, fix string) {
	*f = append(*f, &ConfigError{Field: field, Value: value, Problem: problem, Fix: fix})
}

// addURL adds err, which package wellknown returned for value, unless it is nil.
func (f *faults) addURL(field, value string, err error) {
	var fault *wellknown.Fault
	if errors.As(err, &fault) {
		f.add(field, value, fault.Problem, fault.Fix)
	} else if err != nil {
		*f = append(*f, err)
	}
}

// settings is a Config after validation.
type settings struct {
	Config
	resourceURL *url.URL
	loopback    bool     // whether resourceURL is on loopback
	scopes      []string // sent in challenges and in the resource metadata
}

func (cfg Config) validate() (*settings, error) {
	var f faults
	s := &settings{Config: cfg}

	if cfg.Resource == "" {
		f.add("Resource", "", "is missing", `set it to the public URL of the MCP endpoint, like "https://mcp.example.com/mcp"`)
	} else if u, err := wellknown.Resource(cfg.Resource); err != nil {
		f.addURL("Resource", cfg.Resource, err)
	} else {
		s.resourceURL = u
		s.loopback = wellknown.IsLoopback(u.Host)
	}

	s.validateProvider(&f)
	s.scopes = union(cfg.RequiredScopes, cfg.Provider.ScopesSupported)
	for _, scope := range s.scopes {
		if scope == "offline_access" {
			f.add("Provider.ScopesSupported", scope, "is not a scope of the resource",
				"remove it; clients that use refresh tokens ask for it themselves")
		} else if !validScope(scope) {
			f.add("Provider.ScopesSupported", scope, "is not a scope", fixScope)
		}
	}
	for i, r := range cfg.Requirements {
		r.validate(fmt.Sprintf("Requirements[%d]", i), &f)
	}
	if doc := cfg.ResourceDocumentation; doc != "" {
		if u, err := url.Parse(doc); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			f.add("ResourceDocumentation", doc, "is not an absolute URL", "set it to the address of a web page, or leave it empty")
		}
	}
	for _, origin := range cfg.AllowedOrigins {
		s.validateOrigin(origin, &f)
	}
	if cfg.Leeway < 0 || cfg.Leeway > maxLeeway {
		f.add("Leeway", cfg.Leeway.String(), "is out of range",
			"use 0 for the default of 30s, or at most 2m; for a larger difference, set the clock of this machine")
	}
	s.Leeway = cmp.Or(cfg.Leeway, DefaultLeeway)
	s.validateSessions(&f)
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	return s, errors.Join(f...)
}

func (s *settings) validateProvider(f *faults) {
	p := s.Provider
	if p.Err != nil {
		*f = append(*f, p.Err)
		return
	}
	if p.Issuer == "" {
		f.add("Provider", "", "is missing",
			`set it to the identity provider, like clerk.FromEnv() or gatehouse.OIDC("https://issuer.example.com")`)
		return
	}
	f.addURL("Provider.Issuer", p.Issuer, wellknown.Issuer(p.Issuer))
	if p.JWKSURL != "" {
		f.addURL("Provider.JWKSURL", p.JWKSURL, wellknown.Issuer(p.JWKSURL))
	}
	if p.DangerouslySkipVerification && s.resourceURL != nil && !s.loopback {
		f.add("Provider.DangerouslySkipVerification", "", "is set for "+s.resourceURL.String(),
			"unset it, or use a resource on localhost; without verification, anyone can forge a token")
	}
}

func (s *settings) validateOrigin(origin string, f *faults) {
	if origin == "*" {
		if s.loopback {
			f.add("AllowedOrigins", origin, "lets every web page call a local server",
				"list the origins; pages on localhost are already allowed")
		}
		return
	}
	if !isWebOrigin(origin) {
		f.add("AllowedOrigins", origin, "is not a web origin",
			`write a scheme and a host in lower case, like "https://app.example.com"`)
	}
}

// isWebOrigin reports whether a browser can send s as the Origin header.
func isWebOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != "" && u.User == nil &&
		u.Path == "" && u.RawQuery == "" && u.Fragment == "" && s == strings.ToLower(s)
}

// fixScope is the fix for a name that is not a scope.
const fixScope = "use one word of printable ASCII for each scope (RFC 6749 section 3.3)"

// validScope reports whether s is a scope-token of RFC 6749 §3.3.
func validScope(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c == '"' || c == '\\' || c > '~' {
			return false
		}
	}
	return s != ""
}

// union returns the elements of all lists in order, without duplicates.
func union(lists ...[]string) []string {
	var out []string
	for _, list := range lists {
		for _, v := range list {
			if !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	return out
}
