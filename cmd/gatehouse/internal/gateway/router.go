package gateway

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/internal/operator"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// Paths of the gateway itself, on every host.
const (
	HealthPath = operator.HealthPath
	ReadyPath  = operator.ReadyPath
)

// router finds the endpoint of a request.
type router struct {
	hosts  map[string]*http.ServeMux // by host in lower case; nil if all endpoints have one host
	single *http.ServeMux
}

// newRouter returns the handler of the endpoints.
func (g *Gateway) newRouter(endpoints []*endpoint, logRequests bool) (http.Handler, error) {
	byHost := map[string][]*endpoint{}
	var hosts []string
	for _, e := range endpoints {
		if byHost[e.host] == nil {
			hosts = append(hosts, e.host)
		}
		byHost[e.host] = append(byHost[e.host], e)
	}
	r := &router{hosts: map[string]*http.ServeMux{}}
	for _, host := range hosts {
		mux, err := g.newMux(byHost[host], endpoints)
		if err != nil {
			return nil, err
		}
		for _, e := range byHost[host] {
			for _, name := range e.hostNames() {
				r.hosts[name] = mux
			}
		}
		r.single = mux
	}
	if len(hosts) > 1 {
		r.single = nil
	}
	var handler http.Handler = r
	if slices.ContainsFunc(endpoints, func(e *endpoint) bool { return e.config.DangerouslyForwardAccessToken }) {
		handler = keepAccessTokens(handler)
	}
	if logRequests {
		handler = g.logged(handler)
	}
	return handler, nil
}

// hostNames returns the values of Host with which requests for the endpoint may arrive.
func (e *endpoint) hostNames() []string {
	names := []string{e.host}
	if u, err := url.Parse(e.guard.Resource()); err == nil {
		for _, alias := range wellknown.Aliases(u) {
			_, rest, _ := strings.Cut(alias, "://")
			host, _, _ := strings.Cut(rest, "/")
			names = append(names, host)
		}
	}
	for _, host := range e.config.Guard.AllowedHosts {
		names = append(names, plainHost(host))
	}
	return names
}

func plainHost(host string) string {
	host = strings.ToLower(host)
	return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
}

// newMux returns the mux of the endpoints of one host.
func (g *Gateway) newMux(endpoints, all []*endpoint) (mux *http.ServeMux, err error) {
	mux = http.NewServeMux()
	mux.HandleFunc(HealthPath, operator.ServeHealth)
	mux.HandleFunc(ReadyPath, func(w http.ResponseWriter, r *http.Request) { operator.ServePublicReady(w, r, guardsOf(all)...) })
	mux.Handle(forwarded.KeysPath, g.keys)
	var paths []string
	for i, e := range endpoints {
		if slices.ContainsFunc(endpoints[:i], func(o *endpoint) bool { return o.guard.Resource() == e.guard.Resource() }) {
			return nil, &EndpointError{slices.Index(all, e), &gatehouse.ConfigError{
				Field: "Resource", Value: e.guard.Resource(), Problem: "is also the URL of another endpoint", Fix: "give each endpoint a URL of its own"}}
		}
		if err := mount(mux, e); err != nil {
			return nil, &EndpointError{slices.Index(all, e), err}
		}
		paths = append(paths, e.guard.Resource())
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		writeJSON(w, http.StatusNotFound, map[string]string{
			"error": "not_found", "error_description": "the MCP endpoint is " + strings.Join(paths, " or "),
		})
	})
	return mux, nil
}

// mount mounts the endpoint. Mount panics if the path is used already, which depends on the
// configuration.
func mount(mux *http.ServeMux, e *endpoint) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &gatehouse.ConfigError{Field: "Resource", Value: e.guard.Resource(),
				Problem: "has a path that the gateway uses already",
				Fix:     "use a path of its own, like /mcp; set HostDocuments for one endpoint of a host only"}
		}
	}()
	e.guard.Mount(mux, e)
	return nil
}

// ServeHTTP implements [http.Handler].
func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := rt.single
	if mux == nil {
		if mux = rt.hosts[plainHost(r.Host)]; mux == nil {
			rt.serveUnknownHost(w, r)
			return
		}
	}
	mux.ServeHTTP(w, r)
}

// serveUnknownHost answers a request whose Host is that of no endpoint. Health checks often
// come with an address.
func (rt *router) serveUnknownHost(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == HealthPath || r.URL.Path == ReadyPath {
		for _, mux := range rt.hosts {
			mux.ServeHTTP(w, r)
			return
		}
	}
	writeJSON(w, http.StatusMisdirectedRequest, map[string]string{
		"error": "misdirected_request", "error_description": "no endpoint has the host of this request",
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// logged logs each request when it has been answered.
func (g *Gateway) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		recorder := &statusRecorder{ResponseWriter: w}
		defer func() {
			attrs := []slog.Attr{
				slog.String("method", quote.Clip(r.Method, quote.MaxBytes)), slog.String("path", quote.Clip(r.URL.Path, quote.MaxBytes)),
				slog.Int("status", recorder.status), slog.Duration("took", time.Since(begin).Round(time.Microsecond)),
			}
			for _, name := range []string{methodHeader, nameHeader} {
				if value := r.Header.Get(name); value != "" {
					attrs = append(attrs, slog.String(strings.ToLower(strings.ReplaceAll(name, "-", "_")), quote.Clip(value, quote.MaxBytes)))
				}
			}
			g.logger.LogAttrs(r.Context(), slog.LevelInfo, "request", attrs...)
		}()
		next.ServeHTTP(recorder, r)
	})
}

// statusRecorder records the status of an answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	if s.status < http.StatusOK {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusRecorder) Write(b []byte) (int, error) {
	if s.status < http.StatusOK {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
