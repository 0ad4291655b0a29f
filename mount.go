package gatehouse

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// registrationPath is where clients try to register if the issuer's metadata names no
// registration endpoint (MCP 2025-03-26, authorization, 2.3.3).
const registrationPath = "/register"

// mountDocuments registers the metadata documents and the answer to registration.
//
// Some paths exist once on a host, however many endpoints it has. They belong to the first
// guard that is mounted, or to that with [Config.HostDocuments].
func (g *Guard) mountDocuments(mux *http.ServeMux) {
	documents := g.MetadataHandler()
	for _, path := range g.ownMetadataPaths() {
		mux.Handle(path, documents)
	}
	for _, path := range hostMetadataPaths {
		if current, ok := handlerAt(mux, http.MethodGet, path).(*hostPath); ok {
			current.offer(g, documents)
		} else {
			mux.Handle(path, &hostPath{path: path, guard: g, handler: documents})
		}
	}
	registration := g.RegistrationHandler()
	if current, ok := handlerAt(mux, http.MethodPost, registrationPath).(*hostPath); ok {
		current.offer(g, registration)
	} else if isFree(mux, http.MethodPost, registrationPath) && isFree(mux, http.MethodOptions, registrationPath) {
		h := &hostPath{path: registrationPath, guard: g, handler: registration}
		mux.Handle(http.MethodPost+" "+registrationPath, h)
		mux.Handle(http.MethodOptions+" "+registrationPath, h)
	}
}

// hostPath is the handler of a path that exists once on a host.
type hostPath struct {
	path string

	mu      sync.Mutex
	guard   *Guard
	handler http.Handler
}

// offer makes g the owner of the path if it must own it. It panics if the present owner must
// own it, too.
func (h *hostPath) offer(g *Guard, handler http.Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !g.mustOwn(h.path) {
		return
	}
	if h.guard.mustOwn(h.path) {
		panic(fmt.Sprintf("gatehouse: %s belongs to the guards of %s and of %s; set HostDocuments for one of them only, "+
			"and for none if the endpoint of one is the root of the host", h.path, h.guard.Resource(), g.Resource()))
	}
	h.guard, h.handler = g, handler
}

// mustOwn reports whether the path belongs to g, also if another guard was mounted first.
// The metadata of an endpoint at the root of a host has no other path.
func (g *Guard) mustOwn(path string) bool {
	return g.HostDocuments || path == wellknown.ProtectedResource(g.resourceURL)
}

// ServeHTTP implements [http.Handler].
func (h *hostPath) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	handler := h.handler
	h.mu.Unlock()
	handler.ServeHTTP(w, r)
}

func handlerAt(mux *http.ServeMux, method, path string) http.Handler {
	handler, _ := mux.Handler(&http.Request{Method: method, URL: &url.URL{Path: path}})
	return handler
}

// isFree reports whether no pattern of mux is for the path, except for one that is for all.
func isFree(mux *http.ServeMux, method, path string) bool {
	_, pattern := mux.Handler(&http.Request{Method: method, URL: &url.URL{Path: path}})
	return pattern == "" || pattern == "/"
}
