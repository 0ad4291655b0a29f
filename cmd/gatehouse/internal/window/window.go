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

// Path is the URL path of the window on the host of the local Clerk.
const Path = "/_window/"

// Config configures a Window. Clerk and Server are required.
type Config struct {
	// Clerk is the local Clerk that the window shows and controls.
	Clerk *localclerk.Server

	// Server is the public origin of the MCP server, like "http://localhost:3000".
	Server string

	// Endpoint is the URL that clients connect to. Empty means Server followed by "/mcp".
	Endpoint string

	// Program is the command with which the user runs this program. Empty means "gatehouse".
	Program string
}

// Window serves the page and its API under [Path]. It is safe for concurrent use.
type Window struct {
	config  Config
	clerk   *localclerk.Server
	journal *journal
	mux     *http.ServeMux
	boot    string        // another value in each process, so that pages notice a restart
	streams chan struct{} // has one item for each open event stream
	done    chan struct{} // closed when Follow returns

	probeKey    string     // marks the requests of checks; see probeHeader
	checkClient string     // the client ID of the tokens of checks
	checking    sync.Mutex // held during a check
	checkTime   period     // of the newest check

	changing sync.Mutex // held while settings or faults are read, changed and written

	// organizationScopeRemoved reports that turning organizations off removed their scope
	// from the default scopes. It is guarded by changing.
	organizationScopeRemoved bool
}

// New returns a window. It shows events of the local Clerk once [Window.Follow] runs, and
// requests to the MCP server that pass through the handlers of [Window.Proxy].
func New(config Config) *Window {
	if config.Endpoint == "" {
		config.Endpoint = strings.TrimSuffix(config.Server, "/") + "/mcp"
	}
	if config.Program == "" {
		config.Program = "gatehouse"
	}
	w := &Window{
		config:  config,
		clerk:   config.Clerk,
		journal: newJournal(),
		boot:    rand.Text(),
		streams: make(chan struct{}, maxStreams),
		done:    make(chan struct{}),

		probeKey: rand.Text(), checkClient: newCheckClient(),
	}
	w.mux = w.routes()
	return w
}

// URL returns the URL of the page, which is on the host of the local Clerk.
func (w *Window) URL() string { return w.clerk.Issuer() + Path }

// Follow records the local Clerk's events until ctx ends. It then ends the event streams
// of open pages. It must be called only once.
func (w *Window) Follow(ctx context.Context) {
	defer close(w.done)
	go w.abandonRuns(ctx)
	for e := range w.clerk.Events(ctx, 0) {
		if step, owner := w.stepOfClerk(e); step.Kind.recorded() {
			w.journal.add(step, owner)
		}
	}
}

// abandonInterval is how often runs are searched for sign-ins that have not continued.
const abandonInterval = 5 * time.Second

// abandonRuns marks runs whose sign-in has not continued, until ctx ends.
func (w *Window) abandonRuns(ctx context.Context) {
	tick := time.NewTicker(abandonInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			w.journal.abandon(now)
		}
	}
}

// ServeHTTP answers a request under [Path]. Requests from other machines and from other web
// origins get 403.
func (w *Window) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	setSecurityHeaders(rw.Header())
	if problem := checkSender(r); problem != "" {
		writeError(rw, http.StatusForbidden, problem)
		return
	}
	w.mux.ServeHTTP(rw, r)
}

// Handler returns a handler that serves the window under [Path], and next everywhere else.
// It redirects browsers from / to the window.
func (w *Window) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && wantsPage(r) {
			rw.Header().Set("Cache-Control", "no-store")
			rw.Header().Set("Vary", "Accept")
			http.Redirect(rw, r, Path, http.StatusFound)
			return
		}
		if strings.HasPrefix(r.URL.Path, Path) || r.URL.Path == strings.TrimSuffix(Path, "/") {
			w.ServeHTTP(rw, r)
			return
		}
		next.ServeHTTP(rw, w.withoutEvent(r))
	})
}

func (w *Window) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path+"{file...}", serveAsset)
	mux.Handle("GET "+strings.TrimSuffix(Path, "/"), http.RedirectHandler(Path, http.StatusFound))
	mux.HandleFunc("GET "+Path+"api/state", w.serveState)
	mux.HandleFunc("GET "+Path+"api/events", w.serveEvents)
	mux.HandleFunc("GET "+Path+"api/steps", w.serveSteps)
	for name, action := range w.actions() {
		mux.Handle("POST "+Path+"api/"+name, action)
	}
	return mux
}

// userName returns the name of the user with the given ID, or the ID if there is no such
// user.
func (w *Window) userName(id string) string {
	for _, u := range w.clerk.Users() {
		if u.ID == id {
			return u.Name()
		}
	}
	return id
}

// clerkNow returns the time by the local Clerk's clock.
func (w *Window) clerkNow() time.Time { return time.Now().Add(w.clerk.Faults().ClockOffset) }

// sameResource reports whether the URL that a client called belongs to a resource
// identifier, as clients check it: the origins are equal, and the identifier's path is a
// prefix of the URL's.
func sameResource(identifier, called string) bool {
	a, errA := url.Parse(identifier)
	b, errB := url.Parse(called)
	if errA != nil || errB != nil || a.Scheme != b.Scheme || a.Host != b.Host {
		return false
	}
	return a.Path == "" || a.Path == b.Path || strings.HasPrefix(b.Path, strings.TrimSuffix(a.Path, "/")+"/")
}
