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

// Serve serves HTTP requests on all listeners until ctx ends, one of the listeners
// fails, or srv is shut down. It then accepts no more connections, gives running
// requests at most grace to finish, and closes the connections that are left, which
// ends the contexts of their requests. It closes the listeners in every case.
//
// Serve returns the error of the listener that failed, or nil. When it returns,
// nothing listens any more; only a handler that ignores the end of its request's
// context may still run.
//
// For work at the beginning of the shutdown, such as ending streams that would
// otherwise last for the whole of grace, see [http.Server.RegisterOnShutdown].
func Serve(ctx context.Context, srv *http.Server, grace time.Duration, listeners ...net.Listener) error {
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
	case err = <-ended:
	}
	shutDown(srv, grace)
	serving.Wait()
	return err
}

func serveOn(srv *http.Server, l net.Listener) error {
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	}
	return nil
}

func shutDown(srv *http.Server, grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		srv.Close()
	}
}
