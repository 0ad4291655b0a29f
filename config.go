package gatehouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
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

	// LocalPath is the path on which the server receives requests, if it differs from the
	// path of Resource: "/mcp" behind a proxy that removes the prefix /tools of
	// "https://example.com/tools/mcp". "/" is the root. Empty means the path of Resource.
	LocalPath string

	// HostDocuments makes [Guard.Mount] serve this guard's documents at the paths that exist
	// once on a host, like /.well-known/oauth-protected-resource, if several guards are
	// mounted on one mux. Otherwise they are those of the guard that is mounted first. The
	// documents that clients of MCP 2025-06-18 and later read have the path of the endpoint
	// in theirs.
	HostDocuments bool

	// Provider is the identity provider, from one of the packages below
	// provider or from [OIDC].
	Provider Provider

	// Providers are several identity providers, in place of Provider. The claim iss of a
	// token, or the first letters of an opaque one, decide which of them a token is from,
	// and it is checked by the rules and keys of that one alone. The resource metadata
	// names all of them. What clients need to sign in is made for the first: the scopes of
	// the first challenge, and the documents for clients of MCP 2025-03-26.
	Providers []Provider

	// RequiredScopes are the scopes that the token of every request must have. Empty
	// means that a valid token is enough.
	RequiredScopes []string

	// Requirements are what individual tools, prompts and resources require in
	// addition. They are enforced on the HTTP request, where a client can ask for
	// more scopes, and again by [Guard.Middleware] inside the MCP server.
	Requirements []Requirement

	// Default is what tools, prompts and resources require that have no requirement of their
	// own. With it, a server is closed by default, except to those who meet it. The zero value
	// requires a valid token and nothing else. It also holds for methods that are not of MCP or
	// that Gatehouse does not know, such as custom methods of go-sdk and tasks/result.
	Default Require

	// DenyUndeclared rejects every tool, prompt and resource without a requirement of its own,
	// for every caller: a new one is closed until it is declared. Default must then be empty.
	// Declare what needs no more than a valid token with Require.SignedIn. Methods that Gatehouse
	// does not know are rejected too; see Default.
	DenyUndeclared bool

	// ShowLocked keeps in lists what the caller can never use: what needs a role, a permission
	// or an organization that the caller lacks. [Guard.Middleware] removes that from lists
	// otherwise. What lacks only a scope is always listed.
	ShowLocked bool

	// OperationScopesOnly names in the answer to a missing scope only the scopes of the operation
	// (MCP 2026-07-28, SEP-2350: the client keeps those that it has). The default names in addition
	// those of the first challenge and those that the token has, because clients of earlier
	// revisions request exactly what is named and would lose the others.
	OperationScopesOnly bool

	// ChallengeInResult answers a tools/call whose caller lacks a scope with status 200 and the
	// result of a failed call, whose _meta has the member "mcp/www_authenticate" with the
	// challenge, in place of status 403. ChatGPT reads that, and reacts to no 403; other clients
	// react to the 403 only, so set it for an endpoint that serves ChatGPT alone. If something is
	// [Require.Public], a caller without a token gets the same answer in place of status 401. It
	// does not apply to batches.
	ChallengeInResult bool

	// SecuritySchemes adds to each tool in a list what a caller needs for it: in _meta, the member
	// securitySchemes with the schemes "noauth" and "oauth2", as ChatGPT reads it
	// (https://developers.openai.com/apps-sdk/build/auth). Roles and permissions are not named.
	// [Guard.Middleware] does this; see [Guard.SecuritySchemesOf] for other MCP servers.
	SecuritySchemes bool

	// DraftStructuredDenials answers a message that check 8 rejects with a JSON-RPC error whose
	// data says that it is a denial, as in the draft SEP-2643 of MCP: "authorization" with the
	// member reason and, if [Require.Check] returns a [DraftRemediation], what would help. The
	// status and the challenge stay the same, unless the remediation says otherwise. The draft is not accepted and may change, and so
	// may this setting. The code of the error is -32040, because the draft names none yet.
	DraftStructuredDenials bool

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

	// AllowedHeaders are further request headers that web pages may send, such as
	// "X-Tenant". Those of MCP, of W3C Trace Context and of baggage are always allowed.
	AllowedHeaders []string

	// AllowedHosts are further values of the Host header, like "mcp.internal:8080", that
	// are accepted on connections that arrive on a loopback address. There, the host of
	// Resource and every loopback name are accepted already; a proxy on the same machine
	// may send another. Every other host is rejected, because it is how a web page
	// reaches a local server by DNS rebinding. Connections on other addresses are not
	// checked.
	AllowedHosts []string

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

	// Revocations, if not nil, shares the denials of [Guard.Deny] with other processes: a store
	// from the module store/redis or store/postgres, or one of your own. The guard keeps all
	// denials of the store in a table of its own, so that requests never wait for the store. It
	// begins to load them with [Guard.Ready] or the first request with a valid token. Until it
	// has, such requests wait for at most five seconds and get 503 (fail closed). From then on, a denial of another process
	// takes effect within a second. While the store is unavailable, the guard serves on with
	// the denials that it has, logs that once, counts it in [Stats], and catches up afterwards.
	// [Guard.Close] does not close the store. See docs/replicas.md.
	Revocations RevocationStore

	// SessionKey is the key of the session IDs of the revisions until 2025-11-25: at least
	// 32 random bytes, kept secret. An ID that a client gets works only for the user who
	// opened the session, and only where the key is the same. Set the same key in all
	// replicas if a request may reach another one than the one that opened its session; see
	// docs/replicas.md. Empty means a random key for each process: its clients start new
	// sessions after a restart. A session that was opened without a token is known to the
	// process that opened it alone, whatever the key; see [Require.Public].
	SessionKey SessionKey

	// AcceptedSessionKeys are further keys whose session IDs are accepted, at most four. New IDs are
	// made with SessionKey, which must be set too. They make it possible to replace the key
	// without ending sessions: first every replica accepts the new key here, then SessionKey is
	// the new key and the old one is here, and when no session of the old key is open any more it
	// is removed. Remove a key that has become known to others at once; its sessions then end.
	// See docs/replicas.md.
	AcceptedSessionKeys []SessionKey

	// MaxSessions and MaxSessionsPerUser limit the open sessions, of all users and of each
	// one, and likewise the open streams. One more gets 429. Zero means
	// [DefaultMaxSessions] and [DefaultMaxSessionsPerUser]. All callers without a token, whom
	// [Require.Public] lets in, share half of MaxSessions. One more of them is asked to sign in.
	MaxSessions, MaxSessionsPerUser int

	// RateLimits limit how many invalid tokens an address, and how many requests a caller may send.
	// The zero value limits invalid tokens.
	RateLimits RateLimits

	// TrustedProxies are the addresses of the reverse proxies in front of the server, whose header
	// says where a request came from. Without them, all clients of a proxy count as one address in
	// RateLimits. A client whose own address is among them can choose by which address it is
	// limited, so name no more than the proxies. A connection over a Unix socket counts as one
	// from 127.0.0.1.
	TrustedProxies []netip.Prefix

	// ClientAddressHeader is the header in which TrustedProxies write the address of the client.
	// Empty means X-Forwarded-For, to which each proxy appends an address: the last one that is not
	// a trusted proxy is used. Forwarded (RFC 7239) is read in the same way. Every other header,
	// like X-Real-IP, must have one address. The proxy must set this header itself in each request;
	// otherwise clients can.
	ClientAddressHeader string

	// MaxBodyBytes limits the body of a request. A larger one gets 413, unread if its length was
	// announced. The guard keeps the body of a request in memory until it is answered. Zero
	// means [DefaultMaxBodyBytes].
	MaxBodyBytes int64

	// SessionTimeout is how long a session may be idle before it is no longer counted. Set
	// it to the idle timeout of the handler's sessions. Zero means
	// [DefaultSessionTimeout].
	SessionTimeout time.Duration

	// KeyFile, if not empty, is the path of a file in which the last valid signing keys
	// of the provider are stored, so that a server that restarts while the provider is
	// unavailable can still verify tokens. Its folder must exist.
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

	// Audit, if not nil, is called with an event for each decision about a request: for a
	// rejected one before it is answered, for an allowed one when its answer has ended. It
	// runs in the goroutine of the request and must return quickly; the answer to an allowed
	// request is complete for the client only then. It must be safe for concurrent use. The
	// context has the values of the request and does not end with it. If it panics, the
	// decision stands, [Stats] counts the event in AuditFailed, and Logger gets a line about
	// the first one. Events of callers without a valid token are limited to 100 a second, and so are those of
	// callers without a token who use something that is Public.
	// Preflight requests, documents, the landing page and [Guard.Verify] have no events. See
	// docs/audit.md.
	Audit func(context.Context, AuditEvent)

	// AuditLogger, if not nil, receives one line at the level info for each event. It is
	// independent of Audit: both may be set. An error or a panic of its handler is treated
	// as a panic of Audit is.
	AuditLogger *slog.Logger

	// AuditSubjects says how events name the caller. The zero value is a keyed hash.
	AuditSubjects AuditSubjects

	// AuditKey is the key of the hashes of subjects and session IDs in events, and of subjects in
	// what Observers are given: at least 32 random bytes, kept secret. With the same key, a caller
	// has the same hash in all replicas and after a restart. Empty means a random key for each
	// process.
	AuditKey AuditKey

	// Observers are functions that the guard calls while it works, for metrics and traces. See the
	// modules metrics/prometheus and metrics/otel. They are called in order, and each is
	// given the context that the one before returned.
	Observers []Observer
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
		f.add(field, wellknown.Redacted(value), fault.Problem, fault.Fix)
	} else if err != nil {
		*f = append(*f, err)
	}
}

// settings is a Config after validation.
type settings struct {
	Config
	providers    []Provider // with their defaults; not empty
	resourceURL  *url.URL
	loopback     bool     // whether resourceURL is on loopback
	allowedHosts []string // as wellknown.Host returns them
	corsHeaders  string   // value of Access-Control-Allow-Headers

	observers *observers // nil without Config.Observers
}

func (cfg Config) validate() (*settings, error) {
	var f faults
	s := &settings{Config: cfg}
	s.Default = cfg.Default.clone()
	s.RequiredScopes = slices.Clone(cfg.RequiredScopes)
	s.TrustedProxies = slices.Clone(cfg.TrustedProxies)

	if cfg.Resource == "" {
		f.add("Resource", "", "is missing", `set it to the public URL of the MCP endpoint, like "https://mcp.example.com/mcp"`)
	} else if u, err := wellknown.Resource(cfg.Resource); err != nil {
		f.addURL("Resource", cfg.Resource, err)
	} else {
		s.resourceURL = u
		s.loopback = wellknown.IsLoopback(u.Host)
	}

	if cfg.LocalPath != "" && cfg.LocalPath != "/" {
		f.addURL("LocalPath", cfg.LocalPath, wellknown.Path(cfg.LocalPath))
	}
	s.validateProviders(&f)
	s.validateScopes(&f)
	for i, r := range cfg.Requirements {
		r.validate(fmt.Sprintf("Requirements[%d]", i), s.providers, &f)
	}
	cfg.Default.validate("Default", s.providers, &f)
	if cfg.Default.Public {
		f.add("Default.Public", "", "would let callers without a token use everything that has no requirement, also what is added later",
			"set Public where a tool, prompt, resource or template is registered")
	}
	if cfg.DenyUndeclared && !cfg.Default.isZero() {
		f.add("Default", "", "has no effect, because DenyUndeclared rejects what it is for", "remove one of the two")
	}
	if doc := cfg.ResourceDocumentation; doc != "" {
		if u, err := url.Parse(doc); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			f.add("ResourceDocumentation", doc, "is not an absolute URL", "set it to the address of a web page, or leave it empty")
		}
	}
	for _, origin := range cfg.AllowedOrigins {
		s.validateOrigin(origin, &f)
	}
	s.validateHeaders(&f)
	s.validateHosts(&f)
	if cfg.Leeway < 0 || cfg.Leeway > maxLeeway {
		f.add("Leeway", cfg.Leeway.String(), "is out of range",
			"use 0 for the default of 30s, or at most 2m; for a larger difference, set the clock of this machine")
	}
	s.Leeway = cmp.Or(cfg.Leeway, DefaultLeeway)
	s.validateKeyFile(&f)
	s.validateSessions(&f)
	s.validateBody(&f)
	s.validateRateLimits(&f)
	s.validateAudit(&f)
	s.validateObservers(&f)
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	return s, errors.Join(f...)
}

// localPath returns the path on which the server listens. It is empty for the root.
func (s *settings) localPath() string {
	if s.LocalPath == "" {
		return s.resourceURL.EscapedPath()
	}
	return strings.TrimSuffix(s.LocalPath, "/")
}

// validateKeyFile checks that the folder of the key file exists. Otherwise saving the keys
// would fail, at a time when no one looks at the log.
func (s *settings) validateKeyFile(f *faults) {
	if s.KeyFile == "" {
		return
	}
	folder := filepath.Dir(s.KeyFile)
	if info, err := os.Stat(folder); err != nil {
		f.add("KeyFile", s.KeyFile, "is in a folder that cannot be used", fmt.Sprintf("create the folder %q, or allow access to it", folder))
	} else if !info.IsDir() {
		f.add("KeyFile", s.KeyFile, fmt.Sprintf("is below %q, which is not a folder", folder), "set it to a file in an existing folder")
	} else if info, err := os.Stat(s.KeyFile); err == nil && info.IsDir() {
		f.add("KeyFile", s.KeyFile, "is a folder", fmt.Sprintf("set it to a file, like %q", filepath.Join(s.KeyFile, "keys.json")))
	}
}

func (s *settings) validateOrigin(origin string, f *faults) {
	if origin == "" {
		f.addEmpty("AllowedOrigins", "origin")
		return
	}
	if origin == "*" {
		if s.loopback {
			f.add("AllowedOrigins", origin, "lets every web page call a local server",
				"list the origins; pages on localhost are already allowed")
		}
		return
	}
	f.addURL("AllowedOrigins", origin, wellknown.Origin(origin))
}

// validateScopes checks the lists of scopes, each under its own name, and sets s.scopes.
func (s *settings) validateScopes(f *faults) {
	for _, scope := range s.RequiredScopes {
		f.addScope("RequiredScopes", scope)
	}
	for i, p := range s.providers {
		for _, scope := range p.ScopesSupported {
			f.addScope(s.field(i, "ScopesSupported"), scope)
		}
	}
	for _, scope := range slices.Sorted(maps.Keys(s.ImpliedScopes)) {
		for _, name := range append([]string{scope}, s.ImpliedScopes[scope]...) {
			f.addScope("ImpliedScopes", name)
		}
	}
}

// scopesOf returns the scopes that clients are asked to request at p.
func (s *settings) scopesOf(p *Provider, declared []Requirement) []string {
	scopes := union(s.RequiredScopes, p.ScopesSupported)
	if p.ScopesFixedAtRegistration {
		scopes = union(scopes, s.requirementScopes(p, declared))
	}
	return requestedScopes(p, scopes)
}

// requestedScopes returns the scopes as clients request them at p.
func requestedScopes(p *Provider, scopes []string) []string {
	var out []string
	for _, scope := range scopes {
		out = union(out, []string{p.requestedScope(scope)})
	}
	return out
}

// authorizationServers returns the issuers for the resource metadata.
func (s *settings) authorizationServers() []string {
	var out []string
	for _, p := range s.providers {
		out = union(out, p.AuthorizationServers)
	}
	return out
}

// requirementScopes returns the scopes with which a caller of p meets all requirements.
func (s *settings) requirementScopes(p *Provider, declared []Requirement) []string {
	scopes := s.Default.allScopes(p)
	for _, r := range declared {
		scopes = union(scopes, r.allScopes(p))
	}
	return scopes
}

// allScopes returns the scopes of r and of its alternatives.
func (r *Require) allScopes(p *Provider) []string {
	scopes := slices.Clone(r.Scopes)
	if r.Organization && p.OrganizationScope != "" {
		scopes = union(scopes, []string{p.OrganizationScope})
	}
	for i := range r.AnyOf {
		scopes = union(scopes, r.AnyOf[i].allScopes(p))
	}
	return scopes
}

// scopesWarning says what p must allow so that clients can sign in with the scopes of the
// requirements, if they cannot ask for more scopes later.
func (s *settings) scopesWarning(p *Provider, declared []Requirement) string {
	further := slices.DeleteFunc(s.requirementScopes(p, declared), func(scope string) bool {
		return slices.Contains(p.ScopesSupported, scope)
	})
	if !p.ScopesFixedAtRegistration || len(further) == 0 {
		return ""
	}
	return "clients cannot ask for more scopes after they have registered, so they ask for those of the requirements at the first " +
		"sign-in: " + strings.Join(further, ", ") + "; for a client that registers without scopes, sign-in fails with invalid_scope, " +
		"unless these are default scopes for clients; " + cmp.Or(p.Hints[reason.InsufficientScope],
		"add them there at "+p.label())
}

// addScope adds a fault if a client cannot request scope for this resource.
func (f *faults) addScope(field, scope string) {
	if scope == "offline_access" {
		f.add(field, scope, "is not a scope of the resource", "remove it; clients that use refresh tokens ask for it themselves")
	} else if scope == "" {
		f.addEmpty(field, "scope")
	} else if !validScope(scope) {
		f.add(field, scope, "is not a scope", fixScope)
	}
}

// addEmpty adds a fault about an empty text in a list.
func (f *faults) addEmpty(field, what string) {
	f.add(field, "", "has an empty "+what, "remove it")
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
