package gateway

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

// DefaultShutdownTimeout is how long running calls may take to finish when the gateway stops.
const DefaultShutdownTimeout = 10 * time.Second

// Stop says how [Gateway.Serve] stops.
type Stop struct {
	Delay   time.Duration // requests are still accepted while the readiness check fails
	Timeout time.Duration // for running calls; zero means DefaultShutdownTimeout
}

// Serve serves on the listeners until ctx ends, by HTTP/1.1 and HTTP/2: with TLS for clients that
// choose it, if the listeners are those of package crypto/tls, and without TLS for clients that
// begin with it. It then lets running calls finish, ends streams, and returns nil.
func (g *Gateway) Serve(ctx context.Context, stop Stop, listeners ...net.Listener) error {
	g.Start()
	server := listen.NewServer(g, g.logger)
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	if stop.Timeout == 0 {
		stop.Timeout = DefaultShutdownTimeout
	}
	err := listen.Serve(ctx, server, listen.Shutdown{
		Begin: func() {
			g.logger.Info("stopping", "delay", stop.Delay, "timeout", stop.Timeout)
			g.Drain()
		},
		Delay: stop.Delay,
		Grace: stop.Timeout,
		Drain: g.Shutdown,
	}, listeners...)
	g.Close()
	return err
}

// LogStart logs the endpoints, and a warning for each setting that carries a risk.
func (g *Gateway) LogStart() {
	g.mu.Lock()
	endpoints := g.current.endpoints
	g.mu.Unlock()
	for _, e := range endpoints {
		for _, p := range e.guard.Providers() {
			g.logger.Info("serving MCP", "url", e.guard.Resource(), "upstreams", e.upstreams.String(),
				"provider", p.Name, "issuer", p.Issuer)
		}
		for _, warning := range e.warnings() {
			g.logger.Warn(warning, "endpoint", e.guard.Resource())
		}
	}
}

// Warnings returns one sentence for each setting that is risky.
func (g *Gateway) Warnings() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var warnings []string
	for _, e := range g.current.endpoints {
		for _, warning := range e.warnings() {
			warnings = append(warnings, e.guard.Resource()+": "+warning)
		}
	}
	return warnings
}

// String returns the URLs of the backends.
func (u *upstreams) String() string {
	text := ""
	for i, up := range u.all {
		if i > 0 {
			text += " "
		}
		text += up.target.Redacted()
	}
	return text
}
