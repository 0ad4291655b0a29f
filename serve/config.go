package serve

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Config describes a server. Name, Version and Provider are required; the zero
// value of everything else is the default. Explicit values win over the
// environment, and the environment over a .env file in the working directory.
type Config struct {
	_ [0]func()

	// Name and Version are what clients learn about the server.
	Name, Version string

	// Title is the name for people. Empty means Name.
	Title string

	// Instructions tell a model how to use the server. They may be empty.
	Instructions string

	// Provider is where users sign in, like clerk.FromEnv().
	Provider gatehouse.Provider

	// Guard, instead of Provider, is a guard made beforehand. The server then
	// takes its endpoint from it and none of the guard's settings below.
	Guard *gatehouse.Guard

	// These configure the guard; see [gatehouse.Config].
	RequiredScopes []string
	ImpliedScopes  map[string][]string
	Requirements   []gatehouse.Requirement
	AllowedOrigins []string
	Revoked        func(gatehouse.Identity) bool
	KeyFile        string

	// URL is the public URL of the server, as users type it: an origin like
	// "https://mcp.example.com", to which Path is appended, or the whole URL of
	// the endpoint. Empty means the environment variable MCP_URL, and without
	// that the loopback address that is listened on. A server that listens
	// elsewhere must have it.
	URL string

	// Host is the address to listen on. Empty means HOST, else "localhost".
	Host string

	// Port is the port to listen on. Zero means PORT, else 3000.
	Port int

	// Path is the path of the endpoint. Empty means "/mcp".
	Path string

	// NoLandingPage leaves browsers that open the endpoint with the same 401 as
	// everybody else. The page is public: it names the server and its tools.
	NoLandingPage bool

	// ServerOptions configure the go-sdk server. Nil means its defaults.
	// Instructions above, if set, win.
	ServerOptions *mcp.ServerOptions

	// Logger gets a line when the server starts and stops and one for each
	// request, with its outcome and never with a token. Nil means slog.Default.
	Logger *slog.Logger
}

func newServer(cfg Config, settings *env.Env) (*Server, error) {
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
	cfg.Host = cmp.Or(cfg.Host, settings.Get("HOST"), defaultHost)
	if port := settings.Get("PORT"); cfg.Port == 0 && port != "" {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			fault("PORT", port, "is not a port", "set it to a number from 1 to 65535, like 3000")
			n = defaultPort // one fault is told once
		}
		cfg.Port = n
	}
	cfg.Port = cmp.Or(cfg.Port, defaultPort)
	if cfg.Port < 0 || cfg.Port > 65535 {
		fault("Port", strconv.Itoa(cfg.Port), "is not a port", "set it to a number from 1 to 65535, like 3000")
		cfg.Port = defaultPort
	}
	cfg.Path = cmp.Or(cfg.Path, defaultPath)
	if !strings.HasPrefix(cfg.Path, "/") {
		fault("Path", cfg.Path, "does not begin with a slash", "write it like "+defaultPath)
		cfg.Path = defaultPath
	}
	s := &Server{config: cfg, logger: cfg.Logger}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	if err := s.settle(settings); err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	options := mcp.ServerOptions{}
	if cfg.ServerOptions != nil {
		options = *cfg.ServerOptions
	}
	options.Instructions = cmp.Or(cfg.Instructions, options.Instructions)
	s.MCP = mcp.NewServer(&mcp.Implementation{Name: cfg.Name, Title: cfg.Title, Version: cfg.Version}, &options)
	return s, nil
}

// settle decides which URL the endpoint has and makes the guard for it.
func (s *Server) settle(settings *env.Env) error {
	cfg := &s.config
	if cfg.Guard != nil {
		if cfg.Provider.Issuer != "" {
			return &gatehouse.ConfigError{Field: "Guard", Problem: "is set beside Provider", Fix: "set one of them; a guard has its provider already"}
		}
		u, err := url.Parse(cfg.Guard.Resource())
		s.resource, s.guard = u, cfg.Guard
		return err
	}
	resource, fault := s.public(settings)
	s.resource = resource
	// The guard is made even if its URL is not known yet: its faults are to be
	// reported with the others.
	guard, err := s.newGuard(s.endpoint(cfg.Port))
	s.guard = guard
	return errors.Join(fault, err)
}

// public returns the configured URL of the endpoint, nil when it follows from the
// listener.
func (s *Server) public(settings *env.Env) (*url.URL, error) {
	cfg := &s.config
	field, public := "URL", cfg.URL
	if public == "" {
		field, public = "MCP_URL", settings.Get("MCP_URL")
	}
	if public == "" {
		if !wellknown.IsLoopback(cfg.Host) {
			fault := &gatehouse.ConfigError{Field: "MCP_URL", Problem: fmt.Sprintf("is missing while the server listens on %q", cfg.Host),
				Fix: `set it to the public URL of the server, like "https://mcp.example.com", or listen on localhost`}
			cfg.Host = defaultHost
			return nil, fault
		}
		return nil, nil
	}
	u, err := wellknown.Resource(public)
	if err != nil {
		return nil, urlFault(field, public, err)
	}
	if u.Path == "" && cfg.Path != "/" {
		u.Path = cfg.Path
	}
	return u, nil
}

func urlFault(field, value string, err error) error {
	var fault *wellknown.Fault
	if errors.As(err, &fault) {
		return &gatehouse.ConfigError{Field: field, Value: value, Problem: fault.Problem, Fix: fault.Fix}
	}
	return err
}
