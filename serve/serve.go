// Package serve runs an MCP server with sign-in: tools on one side, an identity
// provider on the other, and everything between them.
//
//	server, err := serve.New(serve.Config{
//		Name:     "my-server",
//		Version:  "1.0.0",
//		Provider: clerk.FromEnv(),
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami"}, whoami)
//	if err := server.ListenAndServe(ctx); err != nil {
//		log.Fatal(err)
//	}
//
// Tools stay go-sdk's own. The server answers both eras of MCP on one URL, the
// stateless revision of 2026-07-28 and the revisions with sessions before it;
// serves the discovery documents, a landing page for browsers, /healthz and
// /readyz; and stops gracefully when its context ends.
package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	defaultHost = listen.Localhost
	defaultPort = 3000
	defaultPath = "/mcp"

	maxHeaderBytes    = 64 << 10
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	// sessionTimeout ends sessions of the older revisions that nobody uses; their
	// clients then initialize anew.
	sessionTimeout = time.Hour
	// stopTimeout is how long running calls may take to finish after the context
	// has ended.
	stopTimeout = 10 * time.Second
	// readyTimeout bounds one /readyz.
	readyTimeout = 3 * time.Second
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

	// NoHeapFloor leaves Go's garbage collector as it is. Otherwise it waits for
	// 32 MB of garbage before it runs, which about halves the processor time of a
	// call for some 35 MB of memory; not if GOGC, GOMEMLIMIT or runtime/debug
	// says how it should run, nor in a container with less than 256 MB.
	NoHeapFloor bool

	// ServerOptions configure the go-sdk server. Nil means its defaults.
	// Instructions above, if set, win.
	ServerOptions *mcp.ServerOptions

	// Logger gets a line when the server starts and stops and one for each
	// request, with its outcome and never with a token. Nil means slog.Default.
	Logger *slog.Logger
}

// Server is an MCP server with sign-in. Make one with [New].
type Server struct {
	// MCP is the go-sdk server. Add tools, prompts and resources to it.
	MCP *mcp.Server

	config   Config
	resource *url.URL // nil when it follows from the listener
	guard    *gatehouse.Guard
	logger   *slog.Logger
}

// New validates cfg, completes it from the environment and returns its server.
// It reports every fault at once, each as a *gatehouse.ConfigError, and opens no
// connection.
func New(cfg Config) (*Server, error) {
	settings, err := env.Load(".")
	if err != nil {
		return nil, err
	}
	return newServer(cfg, settings)
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
		}
		cfg.Port = n
	}
	cfg.Port = cmp.Or(cfg.Port, defaultPort)
	if cfg.Port < 0 || cfg.Port > 65535 {
		fault("Port", strconv.Itoa(cfg.Port), "is not a port", "set it to a number from 1 to 65535, like 3000")
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

// endpoint is the URL of the endpoint when the server listens on port.
func (s *Server) endpoint(port int) string {
	if s.resource != nil {
		return s.resource.String()
	}
	return "http://" + net.JoinHostPort(s.config.Host, strconv.Itoa(port)) + strings.TrimSuffix(s.config.Path, "/")
}

func (s *Server) newGuard(resource string) (*gatehouse.Guard, error) {
	cfg := s.config
	gate := gatehouse.Config{
		Resource:       resource,
		Provider:       cfg.Provider,
		RequiredScopes: cfg.RequiredScopes,
		ImpliedScopes:  cfg.ImpliedScopes,
		Requirements:   cfg.Requirements,
		ResourceName:   cmp.Or(cfg.Title, cfg.Name),
		AllowedOrigins: cfg.AllowedOrigins,
		Revoked:        cfg.Revoked,
		KeyFile:        cfg.KeyFile,
		Logger:         s.logger,
		OnReject:       noteRejection,
	}
	if !cfg.NoLandingPage {
		gate.LandingPage = s.landingPage()
	}
	return gatehouse.New(gate)
}

// URL returns the public URL of the endpoint. Without a configured one it is
// certain only once the server listens.
func (s *Server) URL() string { return s.guard.Resource() }

// Guard returns the guard before the endpoint.
func (s *Server) Guard() *gatehouse.Guard { return s.guard }

// ListenAndServe listens on the configured host and port and serves until ctx
// ends. It then lets running calls finish for ten seconds and returns nil.
func (s *Server) ListenAndServe(ctx context.Context) error {
	listeners, err := listen.TCP(s.config.Host, s.config.Port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("serve: %w; stop the program that has it, or set PORT to another", err)
	} else if err != nil {
		return fmt.Errorf("serve: %w; set HOST and PORT to an address of this machine", err)
	}
	return s.Serve(ctx, listeners...)
}

// Serve is [Server.ListenAndServe] on listeners of the caller's, which it closes.
// At least one is needed; all but the first must be the same server under another
// address.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("serve: no listener")
	}
	if err := s.adopt(listeners[0]); err != nil {
		closeAll(listeners)
		return err
	}
	s.MCP.AddReceivingMiddleware(s.guard.Middleware())
	srv := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	s.announce()
	if !s.config.NoHeapFloor {
		raiseHeapFloor(s.logger)
	}
	// The keys are fetched now, so that the first user does not wait for them.
	// A provider that is away is no reason not to start: requests get 503 until
	// it is back.
	go s.guard.Ready(ctx)

	failed := make(chan error, len(listeners))
	var running sync.WaitGroup
	for _, l := range listeners {
		running.Add(1)
		go func() {
			defer running.Done()
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		}()
	}
	var err error
	select {
	case <-ctx.Done():
		s.logger.Info("stopping", "reason", context.Cause(ctx))
	case err = <-failed:
	}
	s.stop(srv)
	running.Wait()
	if s.config.Guard == nil {
		s.guard.Close()
	}
	return err
}

// adopt takes the address of the listener as the resource when none is
// configured.
func (s *Server) adopt(l net.Listener) error {
	if s.resource != nil {
		return nil
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok || !addr.IP.IsLoopback() {
		return &gatehouse.ConfigError{Field: "MCP_URL", Problem: fmt.Sprintf("is missing while the server listens on %s", l.Addr()),
			Fix: `set it to the public URL of the server, like "https://mcp.example.com", or listen on localhost`}
	}
	if addr.Port == s.config.Port {
		return nil
	}
	guard, err := s.newGuard(s.endpoint(addr.Port))
	if err != nil {
		return err
	}
	s.guard.Close()
	s.guard = guard
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	s.guard.Mount(mux, noteCaller(bothEras(s.MCP)))
	mux.HandleFunc("/healthz", s.serveHealth)
	mux.HandleFunc("/readyz", s.serveReady)
	mux.HandleFunc("/", s.serveElsewhere)
	return logRequests(s.logger, mux)
}

// announce says what was configured, and what about it is risky.
func (s *Server) announce() {
	p := s.guard.Provider()
	s.logger.Info("serving MCP",
		"name", s.config.Name, "version", s.config.Version, "url", s.guard.Resource(),
		"provider", p.Name, "issuer", p.Issuer, "audience", p.Tokens.Audience.String(), "scopes", p.ScopesSupported)
	for _, warning := range s.guard.Warnings() {
		s.logger.Warn(warning)
	}
}

// stop lets running calls finish, then ends what is left: streams of sessions
// have no end of their own.
func (s *Server) stop(srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	go func() {
		for session := range s.MCP.Sessions() {
			session.Close()
		}
	}()
	if srv.Shutdown(ctx) != nil {
		srv.Close()
	}
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}
