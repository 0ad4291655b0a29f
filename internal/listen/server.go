package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of the servers that [NewServer] returns.
const (
	ReadHeaderTimeout = 10 * time.Second
	IdleTimeout       = 2 * time.Minute // of a connection that is kept open between requests
	MaxHeaderBytes    = 64 << 10        // of the request line and all headers
)

// NewServer returns a server for handler with the limits of this package. It bounds
// neither the body of a request nor the time of a response, since MCP streams may
// last for hours. What net/http reports about single connections is logged to logger
// at Debug.
func NewServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: ReadHeaderTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// closeTimeout is how long connections may take to become idle after the grace of a
// [Shutdown], in which [Shutdown.Drain] has ended what was left.
const closeTimeout = time.Second

// Shutdown is how [Serve] ends after its context.
type Shutdown struct {
	// Begin, if not nil, is called first. The server still accepts requests.
	Begin func()
	// Delay is how long the server then accepts requests as before, so that load balancers
	// notice that it is about to stop.
	Delay time.Duration
	// Grace is how long running requests may then take to finish.
	Grace time.Duration
	// Drain, if not nil, is called when the listeners are about to close. It ends what
	// would not end by itself, such as streams. Its context ends with Grace.
	Drain func(context.Context)
}

// Serve serves HTTP requests on all listeners until ctx ends, one of the listeners
// fails, or srv is shut down. It then stops as shutdown says: it accepts no more
// connections, lets running requests finish, and closes the connections that are left,
// which ends the contexts of their requests. It closes the listeners in every case. If a
// listener has failed, there is no delay.
//
// Serve returns the error of the listener that failed, or nil. When it returns,
// nothing listens any more; only a handler that ignores the end of its request's
// context may still run.
func Serve(ctx context.Context, srv *http.Server, shutdown Shutdown, listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("no listener to serve on")
	}
	ended := make(chan error, len(listeners))
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Go(func() { ended <- serveOn(srv, l) })
	}
	var err error
	select {
	case <-ctx.Done():
		if shutdown.Begin != nil {
			shutdown.Begin()
		}
		select {
		case <-time.After(shutdown.Delay):
		case err = <-ended:
		}
	case err = <-ended:
	}
	shutdown.run(srv)
	serving.Wait()
	return err
}

func serveOn(srv *http.Server, l net.Listener) error {
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	}
	return nil
}

// run closes the listeners and waits for the running requests.
func (s Shutdown) run(srv *http.Server) {
	var draining sync.WaitGroup
	if s.Drain != nil {
		draining.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), s.Grace)
			defer cancel()
			s.Drain(ctx)
		})
	}
	timeout := s.Grace
	if s.Drain != nil {
		timeout += closeTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		srv.Close()
	}
	draining.Wait()
}
