// Package serve runs an MCP server whose users sign in with an identity provider.
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
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
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

	maxPort = 65535
	// sessionTimeout ends unused sessions of the revisions before 2026-07-28. Their
	// clients then start a new one.
	sessionTimeout = time.Hour
	// shutdownTimeout is how long running calls may take to finish after the context
	// has ended.
	shutdownTimeout = 10 * time.Second
	// readyTimeout bounds one request of /readyz.
	readyTimeout = 3 * time.Second
)

// Server is an MCP server with sign-in. Make one with [New].
type Server struct {
	// MCP is the go-sdk server. Add tools, prompts and resources to it.
	MCP *mcp.Server

	config   Config
	resource *url.URL // nil if no URL is configured: it then follows from the listener
	guard    *gatehouse.Guard
	logger   *slog.Logger
}

// New validates cfg, completes it from the environment and returns its server. It
// opens no connection and no listener. The error joins every fault in cfg, each a
// [*gatehouse.ConfigError], or says why the .env file cannot be read.
func New(cfg Config) (*Server, error) {
	settings, err := env.Load(".")
	if err != nil {
		return nil, err
	}
	return newServer(cfg, settings)
}

// URL returns the public URL of the endpoint. If none is configured, the port in it
// is final only once the server listens.
func (s *Server) URL() string { return s.guard.Resource() }

// Guard returns the guard that protects the endpoint. If no URL is configured, call
// it only once the server listens: a different port needs a new guard.
func (s *Server) Guard() *gatehouse.Guard { return s.guard }

// ListenAndServe listens on the configured host and port and serves until ctx ends.
// It then accepts no more requests, gives running calls ten seconds to finish, and
// returns nil. Any other end is an error. Call it or [Server.Serve] once.
func (s *Server) ListenAndServe(ctx context.Context) error {
	listeners, err := listen.TCP(s.config.Host, s.config.Port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("serve: %w; stop the program that uses it, or set PORT to another", err)
	} else if err != nil {
		return fmt.Errorf("serve: %w; set HOST and PORT to an address of this machine", err)
	}
	return s.Serve(ctx, listeners...)
}

// Serve is like [Server.ListenAndServe], on the given listeners in place of the
// configured host and port. It closes them. There must be at least one. If no URL is
// configured, it follows from the first one, which must then listen on loopback.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("serve: got no listener, want at least one")
	}
	if err := s.bindURL(listeners[0]); err != nil {
		closeAll(listeners)
		return err
	}
	s.MCP.AddReceivingMiddleware(s.guard.Middleware())
	s.logStart()
	// The keys are fetched now so that the first user does not wait for them. The
	// server starts even if the provider is unavailable: requests get 503 until it
	// answers.
	go s.guard.Ready(ctx)

	srv := listen.NewServer(s.handler(), s.logger)
	srv.RegisterOnShutdown(s.closeSessions)
	waitForLog := s.logStop(ctx)
	err := listen.Serve(ctx, srv, shutdownTimeout, listeners...)
	waitForLog()
	if s.config.Guard == nil {
		s.guard.Close()
	}
	return err
}

// bindURL makes the address of the listener the URL of the endpoint if none is
// configured.
func (s *Server) bindURL(l net.Listener) error {
	if s.resource != nil {
		return nil
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok || !addr.IP.IsLoopback() {
		return missingURL(l.Addr().String())
	}
	if addr.Port == s.config.Port {
		return nil
	}
	guard, err := s.newGuard(s.config.loopbackURL(addr.Port))
	if err != nil {
		return err
	}
	s.guard.Close()
	s.guard = guard
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	s.guard.Mount(mux, recordCallers(allRevisions(s.MCP)))
	mux.HandleFunc("/healthz", s.serveHealth)
	mux.HandleFunc("/readyz", s.serveReady)
	mux.HandleFunc("/", s.serveOtherPaths)
	return logRequests(s.logger, mux)
}

// logStart logs the configuration, and a warning for each setting that carries a risk.
func (s *Server) logStart() {
	p := s.guard.Provider()
	s.logger.Info("serving MCP",
		"name", s.config.Name, "version", s.config.Version, "url", s.guard.Resource(),
		"provider", p.Name, "issuer", p.Issuer, "audience", p.Tokens.Audience.String(), "scopes", p.ScopesSupported)
	for _, warning := range s.guard.Warnings() {
		s.logger.Warn(warning)
	}
}

// logStop logs the end of ctx as soon as it ends. The function that it returns waits
// for that line if ctx has ended, so that nothing is logged after Serve has returned.
func (s *Server) logStop(ctx context.Context) (wait func()) {
	logged := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(logged)
		s.logger.Info("stopping", "reason", context.Cause(ctx), "timeout", shutdownTimeout)
	})
	return func() {
		if !cancel() {
			<-logged
		}
	}
}

// closeSessions ends the streams of all sessions, which would otherwise last for the
// whole of shutdownTimeout.
func (s *Server) closeSessions() {
	for session := range s.MCP.Sessions() {
		session.Close()
	}
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}
