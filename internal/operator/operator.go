// Package operator serves the operator port of a server: health, readiness with its reasons,
// metrics, counters and profiles, for those who run the server. It is a listener of its own, so
// that none of it can be reached where users sign in.
package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// Paths of the operator port.
const (
	HealthPath      = "/healthz"
	ReadyPath       = "/readyz"
	MetricsPath     = "/metrics"
	StatsPath       = "/stats"
	RevocationsPath = "/revocations"
	PProfPath       = "/debug/pprof/"
)

const (
	// readyTimeout bounds the readiness check. It is shorter than the second that a probe of
	// Kubernetes waits by default, so that the reason arrives.
	readyTimeout = 800 * time.Millisecond
	// maxRunning bounds the requests for metrics, counters and profiles that are answered at
	// once. Health and readiness are not among them, so that no one can make a probe fail.
	maxRunning = 16
	// writeTimeout bounds an answer. It is longer than the longest profile.
	writeTimeout = maxProfile + 30*time.Second
	// closeTimeout is how long running answers may take when the port closes.
	closeTimeout = time.Second
)

// Config configures a [New] handler. The zero value of each field leaves its path out, except
// that /healthz and /readyz always exist.
type Config struct {
	// Ready reports whether the server can answer requests, and what /readyz answers, as JSON.
	// Nil means that it always can. It must return soon after ctx ends.
	Ready func(ctx context.Context) (ready bool, report any)
	// Metrics answers /metrics.
	Metrics http.Handler
	// Stats returns what /stats answers, as JSON.
	Stats func() any
	// Revocations answers GET and POST of /revocations to requests that arrive on loopback. It must
	// authorize each of them.
	Revocations http.Handler
	// PProf serves profiles under /debug/pprof/ to requests that arrive on loopback.
	PProf bool
}

// New returns the handler of an operator port.
func New(cfg Config) http.Handler {
	running := make(chan struct{}, maxRunning)
	mux := http.NewServeMux()
	paths := []string{HealthPath, ReadyPath}
	handleWithin := func(running chan struct{}, path string, h http.Handler) {
		paths = append(paths, path)
		mux.Handle(path, bounded(running, h))
	}
	handle := func(path string, h http.Handler) { handleWithin(running, path, h) }
	mux.HandleFunc(HealthPath, ServeHealth)
	mux.HandleFunc(ReadyPath, cfg.serveReady)
	if cfg.Metrics != nil {
		handle(MetricsPath, cfg.Metrics)
	}
	if cfg.Stats != nil {
		handle(StatsPath, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, cfg.Stats()) }))
	}
	if cfg.Revocations != nil {
		// Clients that read metrics slowly must not keep a user from being shut out.
		handleWithin(make(chan struct{}, maxRunning), RevocationsPath, onLoopback("revocations are", cfg.Revocations))
	}
	if cfg.PProf {
		handle(PProfPath, onLoopback("profiles are", http.HandlerFunc(servePProf)))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusOK
		if r.URL.Path != "/" {
			status = http.StatusNotFound
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, "The paths of the operator port are:\n%s\n", strings.Join(paths, "\n"))
	})
	return guarded(cfg.Revocations != nil, mux)
}

func (cfg *Config) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	var report any = map[string]string{"status": Ready}
	ready := true
	if cfg.Ready != nil {
		ready, report = cfg.Ready(ctx)
	}
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, report)
}

// bounded returns a handler that rejects requests with 503 while too many are being answered.
func bounded(running chan struct{}, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case running <- struct{}{}:
			defer func() { <-running }()
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			reject(w, http.StatusServiceUnavailable, fmt.Sprintf("%d requests are being answered, which is the limit; try again later", maxRunning))
		}
	})
}

// guarded returns a handler that answers GET and HEAD, and POST of the revocations if they exist. It
// keeps web pages out: those that reach a server on loopback by DNS rebinding, and those that make a
// browser send requests whose answers they cannot read.
func guarded(revocations bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site")
		posts := revocations && r.URL.Path == RevocationsPath && r.Method == http.MethodPost
		switch {
		case !posts && r.Method != http.MethodGet && r.Method != http.MethodHead:
			allow, use := "GET, HEAD", "use GET"
			if revocations && r.URL.Path == RevocationsPath {
				allow, use = allow+", POST", use+" or POST"
			}
			w.Header().Set("Allow", allow)
			reject(w, http.StatusMethodNotAllowed, use)
		case arrivedOnLoopback(r) && !wellknown.IsLoopback(r.Host):
			reject(w, http.StatusForbidden, fmt.Sprintf("got Host %s on a loopback address, want the name of this machine; use localhost in the URL",
				quote.String(r.Host)))
		case r.Header.Get("Origin") != "" || site != "" && site != "none" && site != "same-origin":
			reject(w, http.StatusForbidden, "the request is from a web page; open the URL itself")
		default:
			h := w.Header()
			h.Set("Cache-Control", "no-store")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
			next.ServeHTTP(w, r)
		}
	})
}

// onLoopback returns a handler for requests that arrive on loopback, through a port forwarding
// for example. It rejects others, wherever the port listens. what begins the reason.
func onLoopback(what string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !arrivedOnLoopback(r) {
			reject(w, http.StatusForbidden, what+" served on loopback only; "+
				"forward the port, like \"kubectl port-forward POD 9090\" or \"ssh -L 9090:localhost:9090 HOST\", and use localhost")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// arrivedOnLoopback reports whether the connection of r arrived on a loopback address. It is
// false if the address is not known.
func arrivedOnLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

func reject(w http.ResponseWriter, status int, reason string) {
	writeJSON(w, status, map[string]string{"status": "rejected", "reason": reason})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(v)
}

// Start serves handler on the listeners. The function that it returns closes the port. If a
// listener fails, that is logged: the server itself goes on.
func Start(handler http.Handler, logger *slog.Logger, listeners ...net.Listener) (stop func()) {
	srv := listen.NewServer(handler, logger)
	srv.WriteTimeout = writeTimeout
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := listen.Serve(ctx, srv, listen.Shutdown{Grace: closeTimeout}, listeners...); err != nil {
			logger.Error("the operator port failed; the server goes on without it", "error", err)
		}
	}()
	logger.Info("operator port", "address", addresses(listeners))
	return func() {
		cancel()
		<-done
	}
}

func addresses(listeners []net.Listener) string {
	var all []string
	for _, l := range listeners {
		all = append(all, l.Addr().String())
	}
	return strings.Join(all, " ")
}
