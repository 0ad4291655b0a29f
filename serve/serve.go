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
// Tools, prompts and resources are added with the go-sdk's own functions. The
// server answers the stateless revision of MCP (2026-07-28) and the earlier
// revisions, which have sessions, on one URL. It also serves the discovery
// documents, a landing page for browsers, /healthz and /readyz. It stops
// gracefully when its context ends.
//
// With Go's defaults, a server with little live data spends much of its processor
// time on garbage collection. The environment variable GOGC=400 takes about a third
// off the processor time of a call, for about 10 MB more memory.
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
	s.guard.Mount(mux, noteCallers(bothEras(s.MCP)))
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
