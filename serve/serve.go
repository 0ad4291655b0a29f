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
// documents, a landing page for browsers, /healthz and /readyz. Metrics, the reasons why it is
// not ready, and profiles are on a port of their own; see [Operator]. It stops
// gracefully when its context ends: /readyz reports that first, running calls finish, and
// their answers are delivered.
//
// With Go's defaults, a server with little live data spends much of its processor
// time on garbage collection. With the environment variable GOGC=400, a call takes about a
// third less processor time, and the server about 10 MB more memory.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/operator"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	defaultHost = listen.Localhost
	defaultPort = 3000
	defaultPath = "/mcp"
	healthPath  = operator.HealthPath
	readyPath   = operator.ReadyPath

	maxPort = 65535
	// defaultShutdownTimeout is how long running calls may take to finish after the
	// context has ended.
	defaultShutdownTimeout = 10 * time.Second
	// closeTimeout is how long the sessions of the go-sdk may take to close at the end.
	// Closing one waits for its tools, and a tool may ignore its context.
	closeTimeout = time.Second
)

// Server is an MCP server with sign-in. Make one with [New].
type Server struct {
	// MCP is the go-sdk server. Add tools, prompts and resources to it.
	MCP *mcp.Server

	config   Config
	resource *url.URL // nil if no URL is configured: it then follows from the listener
	guard    *gatehouse.Guard

	protected []func(*gatehouse.Guard) // declares what ProtectTool and its relatives declared

	logger *slog.Logger
	bodies listen.BodyTimeouts // of every path; tests replace it

	handler struct {
		sync.Mutex
		http.Handler // nil until it is needed; the URL is final from then on
	}
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

// Handler returns the complete handler of the server: the endpoint behind the guard, the
// discovery documents, the landing page, /healthz, /readyz and [Config.Routes], inside
// [Config.Middleware] and the log. Use it in tests, or with a router or listener of your own,
// in place of [Server.ListenAndServe]. The URL of the endpoint is final from then on: set
// Config.URL, or listen on localhost and the configured port. Once you listen, [Server.SelfCheck]
// makes the checks that Serve makes at start. When you stop, call
// [gatehouse.Guard.Shutdown] of [Server.Guard] as its comment says. Handler panics if
// Config.Routes has a route for a path of the server, as [http.ServeMux.Handle] does.
func (s *Server) Handler() http.Handler {
	handler, err := s.finalHandler()
	if err != nil {
		panic(err)
	}
	return handler
}

// finalHandler makes the handler of the server on its first call.
func (s *Server) finalHandler() (http.Handler, error) {
	s.handler.Lock()
	defer s.handler.Unlock()
	if s.handler.Handler != nil {
		return s.handler.Handler, nil
	}
	handler, err := s.newHandler()
	if err != nil {
		return nil, err
	}
	s.MCP.AddReceivingMiddleware(s.recoverPanics, s.guard.Middleware()) // recoverPanics runs first
	s.handler.Handler = handler
	return handler, nil
}

// ListenAndServe listens on the configured host and port and serves until ctx ends.
// It then stops in this order: /readyz answers 503, also on the operator port; requests are still
// served for [Config.DrainDelay]; it accepts no more requests, and running calls have
// [Config.ShutdownTimeout] to finish, so that their answers are delivered; streams end; the
// operator port closes. It then returns nil. Any other end is an error. Call it or [Server.Serve]
// once.
func (s *Server) ListenAndServe(ctx context.Context) error {
	listeners, err := s.listen()
	operatorListeners, operatorErr := s.config.Operator.listen()
	if err := errors.Join(err, operatorErr); err != nil {
		closeAll(listeners)
		closeAll(operatorListeners)
		return err
	}
	return s.serve(ctx, listeners, operatorListeners)
}

// listen listens on the configured host and port.
func (s *Server) listen() ([]net.Listener, error) {
	listeners, err := listen.TCP(s.config.Host, s.config.Port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("serve: %w; stop the program that uses it, or set %s to another", err, s.config.portField)
	} else if err != nil {
		return nil, fmt.Errorf("serve: %w; set %s and %s to an address of this machine", err, s.config.hostField, s.config.portField)
	}
	return listeners, nil
}

// Serve is like [Server.ListenAndServe], on the given listeners in place of the
// configured host and port. It closes them. There must be at least one. If no URL is
// configured, it follows from the first one, which must then listen on loopback. The operator port
// is opened as configured.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("serve: got no listener, want at least one")
	}
	operatorListeners, err := s.config.Operator.listen()
	if err != nil {
		closeAll(listeners)
		return err
	}
	return s.serve(ctx, listeners, operatorListeners)
}

// serve serves on the listeners, and closes them.
func (s *Server) serve(ctx context.Context, listeners, operatorListeners []net.Listener) error {
	err := s.bindURL(listeners[0])
	var handler http.Handler
	if err == nil {
		handler, err = s.finalHandler()
	}
	if err != nil {
		closeAll(listeners)
		closeAll(operatorListeners)
		return err
	}
	defer s.startOperator(operatorListeners)()
	s.logStart()
	// The keys are fetched now so that the first user does not wait for them. The
	// server starts even if the provider is unavailable: requests get 503 until it
	// answers.
	go s.guard.Ready(ctx)
	defer s.selfCheck(ctx)()

	waitForLog := s.logStop(ctx)
	err = listen.Serve(ctx, listen.NewServer(handler, s.logger), listen.Shutdown{
		Begin: s.guard.Drain,
		Delay: s.config.DrainDelay,
		Grace: s.config.ShutdownTimeout,
		Drain: func(ctx context.Context) { s.guard.Shutdown(ctx) },
	}, listeners...)
	waitForLog()
	s.closeSessions()
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
	s.handler.Lock()
	defer s.handler.Unlock()
	if s.handler.Handler != nil {
		return &gatehouse.ConfigError{
			Field:   "Port",
			Value:   strconv.Itoa(s.config.Port),
			Problem: fmt.Sprintf("is not the port of the listener, which is %d, and Handler was called before", addr.Port),
			Fix:     "set URL or Port, or call Handler after the server listens",
		}
	}
	guard, err := s.newGuard(s.config.loopbackURL(addr.Port))
	if err != nil {
		return err
	}
	for _, declare := range s.protected {
		declare(guard)
	}
	s.guard.Close()
	s.guard = guard
	return nil
}

// newHandler makes the handler of the server. Its own paths come first, so that no route of
// the user's replaces the guard; Middleware is outside the guard, and sees every request
// before it.
func (s *Server) newHandler() (http.Handler, error) {
	mux := http.NewServeMux()
	if err := s.handleOtherPaths(mux); err != nil {
		return nil, err
	}
	s.guard.Mount(mux, recordCallers(s.revisions()))
	mux.HandleFunc(healthPath, operator.ServeHealth)
	mux.HandleFunc(readyPath, s.serveReady)
	var handler http.Handler = mux
	if s.config.Middleware != nil {
		handler = s.config.Middleware(handler)
	}
	return logRequests(s.logger, listen.LimitBodies(s.bodies, handler)), nil
}

// logStart logs the configuration, and a warning for each setting that carries a risk.
func (s *Server) logStart() {
	for _, p := range s.guard.Providers() {
		s.logger.Info("serving MCP",
			"name", s.config.Name, "version", s.config.Version, "url", s.guard.Resource(),
			"provider", p.Name, "issuer", p.Issuer, "audience", p.Tokens.Audience.String(), "scopes", p.ScopesSupported)
	}
	for _, warning := range s.guard.Warnings() {
		s.logger.Warn(warning)
	}
}

// logStop logs the end of ctx as soon as it ends. The function that it returns makes sure of
// that line if ctx has ended, so that nothing is logged after Serve has returned.
func (s *Server) logStop(ctx context.Context) (wait func()) {
	logged := make(chan struct{})
	log := func() {
		defer close(logged)
		s.logger.Info("stopping", "reason", context.Cause(ctx), "delay", s.config.DrainDelay, "timeout", s.config.ShutdownTimeout)
	}
	cancel := context.AfterFunc(ctx, log)
	return func() {
		switch {
		case !cancel():
			<-logged
		case ctx.Err() != nil: // it ended a moment ago, and log was not started
			log()
		}
	}
}

// closeSessions closes all sessions of the go-sdk, and waits a moment for them. It must not
// be called while calls run, because their answers would be lost.
func (s *Server) closeSessions() {
	var closing sync.WaitGroup
	for session := range s.MCP.Sessions() {
		closing.Go(func() { session.Close() })
	}
	closed := make(chan struct{})
	go func() {
		closing.Wait()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
		s.logger.Warn("a tool ignores the end of its context")
	}
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}
