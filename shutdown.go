package gatehouse

import (
	"context"
	"errors"
)

// ErrShuttingDown is the error of [Guard.Ready] after [Guard.Drain] or [Guard.Shutdown].
var ErrShuttingDown = errors.New("gatehouse: the server is shutting down")

// Drain makes [Guard.Ready] return [ErrShuttingDown], so that load balancers send no more
// requests. Requests are still answered. Call it some seconds before [Guard.Shutdown].
func (g *Guard) Drain() { g.draining.Store(true) }

// Shutdown calls [Guard.Drain], waits until the running calls have been answered, and then
// ends the streams, which have no end of their own: those of GET and of
// subscriptions/listen. If ctx ends first, Shutdown ends the calls as well and returns the
// error of ctx. Later requests are answered, but their streams end at once.
//
// Call it while [http.Server.Shutdown] runs, which closes the listeners but waits for
// streams for ever:
//
//	srv.RegisterOnShutdown(func() { guard.Shutdown(ctx) })
//	srv.Shutdown(ctx)
//
// Closing the sessions of the MCP server before that loses the answers of running calls.
func (g *Guard) Shutdown(ctx context.Context) error {
	g.Drain()
	err := g.requests.wait(ctx)
	g.requests.stop()
	if err != nil {
		g.requests.end(errEndedByShutdown, func(*openRequest) bool { return true })
	}
	return err
}
