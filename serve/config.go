package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Config describes a server. Name, Version and Provider are required; the zero
// value of every other field is its default. Explicit values override the
// environment, and the environment overrides a .env file in the working directory.
type Config struct {
	_ [0]func()

	// Name and Version identify the server to clients.
	Name, Version string

	// Title is the name that people see. Empty means Name.
	Title string

	// Instructions tell a model how to use the server. They may be empty. They are
	// public: the landing page shows them.
	Instructions string

	// Provider is where users sign in, for example clerk.FromEnv().
	Provider gatehouse.Provider

	// Providers are several, in place of Provider; see [gatehouse.Config].
	Providers []gatehouse.Provider

	// Guard, if set, is used in place of a guard made from Provider. The server then has
	// the guard's resource as its URL. Provider, URL and the guard's settings below must
	// be empty.
	Guard *gatehouse.Guard

	// These are settings of the guard; see [gatehouse.Config].
	RequiredScopes []string
	ImpliedScopes  map[string][]string
	Requirements   []gatehouse.Requirement
	Default        gatehouse.Require
	DenyUndeclared bool
	ShowLocked     bool

	OperationScopesOnly    bool
	ChallengeInResult      bool
	SecuritySchemes        bool
	DraftStructuredDenials bool

	AllowedOrigins []string
	AllowedHeaders []string
	AllowedHosts   []string
	Revoked        func(gatehouse.Identity) bool
	Revocations    gatehouse.RevocationStore
	KeyFile        string

	// These are settings of the guard's audit events; see [gatehouse.Config] and
	// docs/audit.md. Events are independent of Logger.
	Audit         func(context.Context, gatehouse.AuditEvent)
	AuditLogger   *slog.Logger
	AuditSubjects gatehouse.AuditSubjects
	AuditKey      gatehouse.AuditKey

	// Observers are functions that the guard calls, for metrics and traces; see
	// [gatehouse.Config] and docs/operations.md.
	Observers []gatehouse.Observer

	// SessionKey is the secret key of session IDs; see [gatehouse.Config] and
	// docs/replicas.md. Empty means the environment variable MCP_SESSION_KEY, a text of at
	// least 32 bytes, or else a random key for each process.
	SessionKey gatehouse.SessionKey

	// AcceptedSessionKeys are further keys whose session IDs are accepted, to replace SessionKey
	// without ending sessions; see [gatehouse.Config] and docs/replicas.md. Empty means the
	// environment variable MCP_ACCEPTED_SESSION_KEYS, keys separated by commas.
	AcceptedSessionKeys []gatehouse.SessionKey

	// These limit sessions; see [gatehouse.Config]. An idle session ends after
	// SessionTimeout.
	MaxSessions, MaxSessionsPerUser int
	SessionTimeout                  time.Duration

	// These limit invalid tokens and requests, and say which proxies name the address of a client;
	// see [gatehouse.Config] and docs/reliability.md.
	RateLimits          gatehouse.RateLimits
	TrustedProxies      []netip.Prefix
	ClientAddressHeader string

	// Stateless serves the revisions until 2025-11-25 without sessions too, so that any
	// replica can answer any request. The server then cannot ask its clients anything
	// during a call (elicitation, sampling, roots), and has no stream for notifications in
	// these revisions. Revision 2026-07-28 has no sessions in either case.
	Stateless bool

	// DrainDelay is how long the server still accepts requests after its context has ended,
	// while /readyz answers 503: set it to the time that the load balancer needs to notice. In
	// Kubernetes, which stops a replica and removes it from its services at the same time, five
	// seconds are usual. Zero means no delay.
	DrainDelay time.Duration

	// ShutdownTimeout is how long running calls may then take to finish. Zero means ten
	// seconds.
	ShutdownTimeout time.Duration

	// Operator configures a port of its own for those who run the server: metrics, health,
	// readiness with its reasons, profiles. The zero value opens none.
	Operator Operator

	// SkipSelfCheck turns off the checks that [Server.Serve] makes at start: of the metadata, the
	// keys and the registration of the provider, and of the metadata at the public URL, if that is
	// not on loopback. [Server.Handler] makes none; see [Server.SelfCheck]. They send a few requests without a token, never delay or stop the server,
	// and end after 20 seconds. Each warning and fault is logged once, with its fix. See
	// docs/doctor.md.
	SkipSelfCheck bool

	// Routes, if not nil, is called once, by [Server.Serve] or [Server.Handler], to add
	// routes to the server. They are public, except for handlers that [gatehouse.Guard.Wrap]
	// of the given guard wraps. The paths of the server itself come first: the endpoint, the
	// discovery documents, /healthz and /readyz. A route for one of them is an error. A route
	// for /register replaces [gatehouse.Guard.RegistrationHandler].
	Routes func(*http.ServeMux, *gatehouse.Guard)

	// Middleware, if not nil, wraps the complete handler. It is inside the log and outside
	// the guard: it sees every request, with its token and before any check. A
	// [http.ResponseWriter] of its own needs a method Unwrap, so that streams work.
	Middleware func(http.Handler) http.Handler

	// URL is the public URL of the server, as users type it: an origin like
	// "https://mcp.example.com", to which Path is appended, or the full URL of the
	// endpoint. Empty means the environment variable MCP_URL, or else the loopback
	// address that the server listens on. It is required for any other address.
	URL string

	// Host is the address to listen on. Empty means the environment variable HOST,
	// or else "localhost", which is both 127.0.0.1 and [::1].
	Host string

	// Port is the port to listen on. Zero means the environment variable PORT, or
	// else 3000.
	Port int

	// Path is the path of the endpoint. Empty means the path of URL if that has one, and
	// otherwise "/mcp". Set both if a proxy removes a prefix of the public path: with the
	// URL "https://example.com/tools/mcp" and the Path "/mcp", the server listens on /mcp.
	Path string

	// NoLandingPage turns the landing page off: a browser that opens the endpoint
	// then gets the same 401 as any request without a token. The page is public. It
	// shows how to connect clients, and the name, version, instructions and provider of
	// the server.
	NoLandingPage bool

	fromEnv   map[string]string // the variables of fields that were set from the environment
	localPath string            // Path as it was written
	hostField string            // "Host" or "HOST", whichever was written
	portField string            // "Port" or "PORT", whichever was written

	// LandingTools are the tools that the landing page shows, with their names and
	// descriptions. Nil means none. The page is public and the same for everyone: list
	// only tools whose existence need not be hidden. The MCP server is not asked for them.
	LandingTools []*mcp.Tool

	// ServerOptions are the options of the go-sdk server. Nil means its defaults.
	// Instructions above overrides theirs.
	ServerOptions *mcp.ServerOptions

	// Logger receives a line when the server starts and stops, and one for each
	// request with its outcome. It never receives a token. Nil means [slog.Default].
	Logger *slog.Logger
}

// newServer makes a server in four steps: complete the configuration, decide the
// public URL, make the guard, make the go-sdk server. The first three all run even
// if one fails, so that every fault is reported at once.
func newServer(cfg Config, settings *env.Env) (*Server, error) {
	cfg, configErr := cfg.complete(settings)
	resource, urlErr := cfg.publicURL(settings)
	s := &Server{config: cfg, resource: resource, logger: cfg.Logger, bodies: listen.DefaultBodyTimeouts}
	var guardErr error
	if urlErr != nil {
		_, guardErr = s.newGuard(cfg.validationURL())
	} else {
		s.guard, guardErr = s.configuredGuard()
	}
	if err := errors.Join(configErr, urlErr, guardErr); err != nil {
		return nil, err
	}
	options := mcp.ServerOptions{}
	if cfg.ServerOptions != nil {
		options = *cfg.ServerOptions
	}
	options.Instructions = cfg.Instructions
	s.MCP = mcp.NewServer(&mcp.Implementation{Name: cfg.Name, Title: cfg.Title, Version: cfg.Version}, &options)
	return s, nil
}

// complete returns cfg with its empty fields set from the environment and to
// defaults, and an error that joins every fault in them. In place of a wrong value
// it returns the default, so that later steps do not report the same fault again.
func (cfg Config) complete(settings *env.Env) (Config, error) {
	var faults []error
	fault := func(field, value, problem, fix string) {
		faults = append(faults, &gatehouse.ConfigError{Field: field, Value: value, Problem: problem, Fix: fix})
	}
	if cfg.Name == "" {
		fault("Name", "", "is missing", `name the server, like "my-server"`)
	}
	if cfg.Version == "" {
		fault("Version", "", "is missing", `set the version of the server, like "1.0.0"`)
	}
	cfg.completeAddress(settings, fault)

	port := strconv.Itoa(cfg.Port)
	if cfg.portField == "PORT" {
		port = cmp.Or(settings.Get("PORT"), strconv.Itoa(defaultPort))
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > maxPort {
		fault(cfg.portField, port, "is not a port", "set it to a number from 1 to 65535, like 3000")
		n = defaultPort
	}
	cfg.Port = n

	cfg.checkOperator(fault)
	cfg.checkLandingTools(fault)
	cfg.completeSessionKeys(settings)
	cfg.completeTimes(fault)
	if cfg.ServerOptions != nil {
		cfg.Instructions = cmp.Or(cfg.Instructions, cfg.ServerOptions.Instructions)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg, errors.Join(faults...)
}

// checkLandingTools reports tools that the landing page cannot show.
func (cfg Config) checkLandingTools(fault func(field, value, problem, fix string)) {
	if len(cfg.LandingTools) > 0 && cfg.NoLandingPage {
		fault("LandingTools", "", "is set in addition to NoLandingPage", "remove one of them")
	}
	for i, tool := range cfg.LandingTools {
		if tool == nil || tool.Name == "" {
			fault("LandingTools["+strconv.Itoa(i)+"]", "", "has no name", `name the tool, like &mcp.Tool{Name: "search"}`)
		}
	}
}

// publicURL returns the public URL of the endpoint. It is nil if none is configured
// and the server listens on loopback: then the URL follows from the listener.
func (cfg Config) publicURL(settings *env.Env) (*url.URL, error) {
	if cfg.Guard != nil {
		return url.Parse(cfg.Guard.Resource())
	}
	field, value := "URL", cfg.URL
	if value == "" {
		field, value = "MCP_URL", settings.Get("MCP_URL")
	}
	switch {
	case value == "" && !wellknown.IsLoopback(cfg.Host):
		return nil, missingURL(fmt.Sprintf("%q", cfg.Host))
	case value == "":
		return nil, nil
	}
	u, err := wellknown.Resource(value)
	if err != nil {
		return nil, urlFault(field, value, err)
	}
	if cfg.localPath == "" && isHealthPath(u.Path) {
		return nil, &gatehouse.ConfigError{Field: field, Value: value, Problem: healthPathProblem, Fix: healthPathFix}
	}
	if u.Path == "" && cfg.Path != "/" {
		u.Path = cfg.Path
	}
	return u, nil
}

// missingURL is the error of a server that listens on an address other than
// loopback and has no public URL.
func missingURL(address string) error {
	return &gatehouse.ConfigError{
		Field:   "MCP_URL",
		Problem: "is missing while the server listens on " + address,
		Fix:     `set it to the public URL of the server, like "https://mcp.example.com", or listen on localhost`,
	}
}

func urlFault(field, value string, err error) error {
	var fault *wellknown.Fault
	if errors.As(err, &fault) {
		return &gatehouse.ConfigError{Field: field, Value: wellknown.Redacted(value), Problem: fault.Problem, Fix: fault.Fix}
	}
	return err
}

// loopbackURL returns the URL of the endpoint on this machine when the server
// listens on port.
func (cfg Config) loopbackURL(port int) string {
	host := cfg.Host
	if !wellknown.IsLoopback(host) {
		host = defaultHost // publicURL has reported the host
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(port)) + strings.TrimSuffix(cfg.Path, "/")
}

// configuredGuard returns the guard of the configuration, or makes it. Without a
// public URL the guard is for the loopback address, which may change once the server
// listens; see bindURL.
func (s *Server) configuredGuard() (*gatehouse.Guard, error) {
	switch {
	case s.config.Guard != nil:
		return s.config.Guard, s.config.checkGuardAlone()
	case s.resource != nil:
		return s.newGuard(s.resource.String())
	}
	return s.newGuard(s.config.loopbackURL(s.config.Port))
}

// checkGuardAlone returns an error if a setting has no effect because Guard is set.
func (cfg Config) checkGuardAlone() error {
	var ignored []string
	for _, setting := range []struct {
		field string
		isSet bool
	}{
		{"Provider", cfg.Provider.Name != "" || cfg.Provider.Issuer != ""},
		{"Providers", len(cfg.Providers) > 0},
		{"URL", cfg.URL != ""},
		{"RequiredScopes", len(cfg.RequiredScopes) > 0},
		{"ImpliedScopes", len(cfg.ImpliedScopes) > 0},
		{"Requirements", len(cfg.Requirements) > 0},
		{"Default", !reflect.ValueOf(cfg.Default).IsZero()},
		{"DenyUndeclared", cfg.DenyUndeclared},
		{"ShowLocked", cfg.ShowLocked},
		{"OperationScopesOnly", cfg.OperationScopesOnly},
		{"ChallengeInResult", cfg.ChallengeInResult},
		{"SecuritySchemes", cfg.SecuritySchemes},
		{"DraftStructuredDenials", cfg.DraftStructuredDenials},
		{"AllowedOrigins", len(cfg.AllowedOrigins) > 0},
		{"AllowedHeaders", len(cfg.AllowedHeaders) > 0},
		{"AllowedHosts", len(cfg.AllowedHosts) > 0},
		{"Revoked", cfg.Revoked != nil},
		{"Revocations", cfg.Revocations != nil},
		{"KeyFile", cfg.KeyFile != ""},
		{"Audit", cfg.Audit != nil},
		{"AuditLogger", cfg.AuditLogger != nil},
		{"AuditSubjects", cfg.AuditSubjects != gatehouse.AuditSubjectsHashed},
		{"AuditKey", len(cfg.AuditKey) > 0},
		{"Observers", len(cfg.Observers) > 0},
		{"LandingTools", len(cfg.LandingTools) > 0 && !cfg.NoLandingPage}, // checkLandingTools reports both together
		{"SessionKey", len(cfg.SessionKey) > 0},
		{"AcceptedSessionKeys", len(cfg.AcceptedSessionKeys) > 0},
		{"MaxSessions", cfg.MaxSessions != 0},
		{"MaxSessionsPerUser", cfg.MaxSessionsPerUser != 0},
		{"SessionTimeout", cfg.SessionTimeout != 0},
		{"RateLimits", !reflect.ValueOf(cfg.RateLimits).IsZero()},
		{"TrustedProxies", len(cfg.TrustedProxies) > 0},
		{"ClientAddressHeader", cfg.ClientAddressHeader != ""},
	} {
		if setting.isSet {
			ignored = append(ignored, setting.field)
		}
	}
	if len(ignored) == 0 {
		return nil
	}
	return &gatehouse.ConfigError{
		Field:   "Guard",
		Problem: "is set in addition to " + strings.Join(ignored, ", "),
		Fix:     "set these in the gatehouse.Config of the guard",
	}
}

// newGuard makes the guard for the endpoint at the URL resource.
func (s *Server) newGuard(resource string) (*gatehouse.Guard, error) {
	cfg := s.config
	guardConfig := gatehouse.Config{
		Resource:       resource,
		Provider:       cfg.Provider,
		Providers:      cfg.Providers,
		RequiredScopes: cfg.RequiredScopes,
		ImpliedScopes:  cfg.ImpliedScopes,
		Requirements:   cfg.Requirements,
		Default:        cfg.Default,
		DenyUndeclared: cfg.DenyUndeclared,
		ShowLocked:     cfg.ShowLocked,

		OperationScopesOnly:    cfg.OperationScopesOnly,
		ChallengeInResult:      cfg.ChallengeInResult,
		SecuritySchemes:        cfg.SecuritySchemes,
		DraftStructuredDenials: cfg.DraftStructuredDenials,

		ResourceName:   cmp.Or(cfg.Title, cfg.Name),
		AllowedOrigins: cfg.AllowedOrigins,
		AllowedHeaders: cfg.AllowedHeaders,
		AllowedHosts:   cfg.AllowedHosts,
		LocalPath:      s.guardLocalPath(),
		Revoked:        cfg.Revoked,
		Revocations:    cfg.Revocations,
		KeyFile:        cfg.KeyFile,

		Audit:         cfg.Audit,
		AuditLogger:   cfg.AuditLogger,
		AuditSubjects: cfg.AuditSubjects,
		AuditKey:      cfg.AuditKey,
		Observers:     cfg.Observers,

		SessionKey:          cfg.SessionKey,
		AcceptedSessionKeys: cfg.AcceptedSessionKeys,
		MaxSessions:         cfg.MaxSessions,
		MaxSessionsPerUser:  cfg.MaxSessionsPerUser,
		SessionTimeout:      cfg.SessionTimeout,

		RateLimits:          cfg.RateLimits,
		TrustedProxies:      cfg.TrustedProxies,
		ClientAddressHeader: cfg.ClientAddressHeader,

		Logger:   cfg.Logger,
		OnReject: recordRejection,
	}
	if !cfg.NoLandingPage {
		guardConfig.LandingPage = s.landingPage()
	}
	guard, err := gatehouse.New(guardConfig)
	return guard, nameVariables(err, cfg.fromEnv)
}
