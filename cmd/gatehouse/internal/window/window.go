package window

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// Path is where the window lives on the host that serves it.
const Path = "/_window/"

// Config describes a Window. Clerk and Server are required.
type Config struct {
	// Clerk is the local Clerk to watch and to work.
	Clerk *localclerk.Server

	// Server is the public URL of the MCP server's origin, like
	// "http://localhost:3000".
	Server string

	// Endpoint is the URL that clients are pointed at. Empty means Server
	// followed by "/mcp".
	Endpoint string

	// Program is how a person calls the command line, like "gatehouse".
	Program string
}

// Window is the page and its API: an http.Handler for everything under [Path],
// safe for concurrent use.
type Window struct {
	config  Config
	clerk   *localclerk.Server
	journal *journal
	mux     *http.ServeMux
	boot    string        // tells a page that the program was started anew
	streams chan struct{} // one for each page that is open
	done    chan struct{} // closed when Follow has ended

	changing sync.Mutex // settings and faults change one at a time
}

// New returns a window. It watches nothing until [Window.Follow] runs, and
// records what passes through the handlers of [Window.Proxy].
func New(config Config) *Window {
	if config.Endpoint == "" {
		config.Endpoint = strings.TrimSuffix(config.Server, "/") + "/mcp"
	}
	if config.Program == "" {
		config.Program = "gatehouse"
	}
	w := &Window{config: config, clerk: config.Clerk, journal: newJournal(), boot: rand.Text(), streams: make(chan struct{}, maxStreams), done: make(chan struct{})}
	w.mux = w.routes()
	return w
}

// URL returns where the window is shown, on the host of the local Clerk.
func (w *Window) URL() string { return w.clerk.Issuer() + Path }

// Follow records the local Clerk's events until ctx ends, and then ends the
// streams to open pages. Call it once.
func (w *Window) Follow(ctx context.Context) {
	defer close(w.done)
	for e := range w.clerk.Events(ctx, 0) {
		if step, hint := w.fromClerk(e); step.Kind != kindPreflight {
			w.journal.add(step, hint)
		}
	}
}

// ServeHTTP answers a request under [Path]. What does not come from this
// machine, or comes from another web origin, gets 403.
func (w *Window) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	protect(rw.Header())
	if problem := refusal(r); problem != "" {
		writeError(rw, http.StatusForbidden, problem)
		return
	}
	w.mux.ServeHTTP(rw, r)
}

// Beside returns a handler that serves the window under [Path] and everything
// else from next.
func (w *Window) Beside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, Path) || r.URL.Path == strings.TrimSuffix(Path, "/") {
			w.ServeHTTP(rw, r)
			return
		}
		next.ServeHTTP(rw, r)
	})
}

func (w *Window) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path+"{file...}", serveAsset)
	mux.Handle("GET "+strings.TrimSuffix(Path, "/"), http.RedirectHandler(Path, http.StatusFound))
	mux.HandleFunc("GET "+Path+"api/state", w.serveState)
	mux.HandleFunc("GET "+Path+"api/events", w.serveEvents)
	mux.HandleFunc("GET "+Path+"api/steps", w.serveSteps)
	for name, do := range w.actions() {
		mux.Handle("POST "+Path+"api/"+name, do)
	}
	return mux
}

// userName is the name of a user by id, or the id of one who is gone.
func (w *Window) userName(id string) string {
	for _, u := range w.clerk.Users() {
		if u.ID == id {
			return u.Name()
		}
	}
	return id
}

// clerkNow is the local Clerk's clock.
func (w *Window) clerkNow() time.Time { return time.Now().Add(w.clerk.Faults().ClockOffset) }

// sameResource reports whether a protected resource's identifier covers the URL
// a client called: same origin, and its path a prefix (as clients check it).
func sameResource(identifier, called string) bool {
	a, errA := url.Parse(identifier)
	b, errB := url.Parse(called)
	if errA != nil || errB != nil || a.Scheme != b.Scheme || a.Host != b.Host {
		return false
	}
	return a.Path == "" || a.Path == b.Path || strings.HasPrefix(b.Path, strings.TrimSuffix(a.Path, "/")+"/")
}
