package window

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	maxRuns = 100

	// discoveryTime is how long after a client's last step without a client ID
	// the next one is taken to be the same sign-in's.
	discoveryTime = 2 * time.Minute
	// idleTime is how long after its last step a client begins a new run.
	idleTime = 10 * time.Minute
	// retryTime is how long after a failure a client still tries what it tried
	// before, rather than begin anew.
	retryTime = 500 * time.Millisecond
	// serverTime is how long after a step the server's own requests to Clerk are
	// taken to be for its sake.
	serverTime = 5 * time.Second
)

// Run is one client's way to its first call and on: the steps that belong
// together.
type Run struct {
	ID       uint64    `json:"id"` // counts from 1
	Client   string    `json:"client"`
	ClientID string    `json:"client_id,omitempty"`
	User     string    `json:"user,omitempty"`
	Began    time.Time `json:"began"`
	Last     time.Time `json:"last"`
	Steps    int       `json:"steps"`
	Calls    int       `json:"calls"`  // that were let in
	Server   bool      `json:"server"` // no client's: the MCP server's own steps
	Headline string    `json:"headline"`
	Outcome  Outcome   `json:"outcome"`
}

// hint is what a step tells of who it belongs to.
type hint struct {
	userAgent string
	clientID  string
	client    string // what the client calls itself
	user      string // the name of the person
	session   string // Mcp-Session-Id
	fromUser  bool   // from a browser, whose User-Agent says nothing of the client
	fromSrv   bool   // from the MCP server
	issued    *Token
}

// run is a Run with what tells its steps apart from others'.
type run struct {
	Run
	userAgent string
	name      string // what the client calls itself
	sessions  []string
}

// assembly puts steps into runs. It is not safe for concurrent use.
type assembly struct {
	runs []*run // oldest first
	last uint64
}

// maxSessions bounds what is remembered of one run.
const maxSessions = 8

// place returns the run that a step belongs to, a new one if there is none.
//
// A client ID or a session decides. Without one, as before registration, it is
// the User-Agent and the time. Two clients of one User-Agent that begin within a
// moment share a run until the second one registers.
func (a *assembly) place(s Step, h hint) *run {
	r := a.find(s, h)
	if r == nil {
		a.last++
		r = &run{Run: Run{ID: a.last, Began: s.Time, Outcome: Neutral, Server: h.fromSrv}, userAgent: h.userAgent}
		if h.fromSrv {
			r.Client = "The MCP server itself"
		}
		a.runs = append(a.runs, r)
		if len(a.runs) > maxRuns {
			a.runs = slices.Delete(a.runs, 0, 1)
		}
	}
	r.take(s, h)
	return r
}

func (a *assembly) find(s Step, h hint) *run {
	if h.session != "" {
		if r := a.newest(func(r *run) bool { return slices.Contains(r.sessions, h.session) && !conflict(r.ClientID, h.clientID) }); r != nil {
			return r
		}
	}
	if h.fromSrv && h.clientID == "" {
		if r := a.newest(func(r *run) bool { return s.Time.Sub(r.Last).Abs() < serverTime }); r != nil {
			return r
		}
		return a.newest(func(r *run) bool { return r.Server })
	}
	if h.clientID != "" {
		if r := a.newest(func(r *run) bool { return r.ClientID == h.clientID && s.Time.Sub(r.Last) < idleTime }); r != nil {
			return a.again(r, s)
		}
	}
	return a.newest(func(r *run) bool {
		return !r.Server && (h.fromUser || r.userAgent == h.userAgent) && s.Time.Sub(r.Last) < discoveryTime && r.open(s, h)
	})
}

// again returns the run of a client that has begun another sign-in and comes to
// the authorization endpoint with the client ID it had before, else r.
func (a *assembly) again(r *run, s Step) *run {
	if s.Kind != kindAuthorization && s.Kind != kindDecision {
		return r
	}
	later := a.newest(func(later *run) bool {
		return later.ID > r.ID && later.ClientID == "" && later.userAgent == r.userAgent && s.Time.Sub(later.Last) < discoveryTime
	})
	return cmp.Or(later, r)
}

// open reports whether a step of no known run may belong to r. A client that
// asks without a token once r has a client, or has stopped, begins anew.
func (r *run) open(s Step, h hint) bool {
	switch {
	case s.Kind == kindChallenge:
		if r.Outcome == Failed {
			return s.Time.Sub(r.Last) < retryTime
		}
		return r.ClientID == ""
	case s.Kind == kindRegistration, h.clientID != "":
		return r.ClientID == ""
	}
	return true
}

func conflict(a, b string) bool { return a != "" && b != "" && a != b }

// newest returns the newest run that matches, or nil.
func (a *assembly) newest(matches func(*run) bool) *run {
	for _, r := range slices.Backward(a.runs) {
		if matches(r) {
			return r
		}
	}
	return nil
}

// take brings the run up to date with a step of its own.
func (r *run) take(s Step, h hint) {
	r.Steps++
	if s.Time.After(r.Last) {
		r.Last = s.Time
	}
	r.ClientID = cmp.Or(r.ClientID, h.clientID)
	r.userAgent = cmp.Or(r.userAgent, when(!h.fromUser && !h.fromSrv, h.userAgent))
	if h.session != "" && !slices.Contains(r.sessions, h.session) && len(r.sessions) < maxSessions {
		r.sessions = append(r.sessions, h.session)
	}
	if !r.Server {
		if s.To == Clerk {
			r.name = cmp.Or(name(h.client), r.name) // as registered
		}
		r.name = cmp.Or(r.name, name(h.client))
		r.Client = cmp.Or(r.name, name(r.userAgent), "A client")
	}
	if h.user != "" && s.Outcome == Good {
		r.User = h.user
	}
	r.advance(s)
}

func when(condition bool, text string) string {
	if condition {
		return text
	}
	return ""
}

// advance says where the run stands after s. Steps that decide nothing leave
// it as it was.
func (r *run) advance(s Step) {
	switch {
	case s.Outcome == Failed && s.From == Server:
		r.Outcome, r.Headline = Failed, "the server cannot reach Clerk: "+shortOf(s)
	case s.Outcome == Failed:
		r.Outcome, r.Headline = Failed, fmt.Sprintf("stopped at %s: %s", stageOf(s), shortOf(s))
	case r.Outcome == Failed && (s.Kind == kindChallenge || s.Kind == kindResource): // one more try changes nothing
	case r.Server && s.Outcome == Good:
		r.Outcome, r.Headline = Good, "in touch with Clerk"
	case s.Outcome != Good:
		if r.Headline == "" {
			r.Headline = "looking around"
		}
	case s.Kind == kindCall:
		r.Calls++
		r.Outcome, r.Headline = Good, r.signedIn()
	case s.Kind == kindToken, s.Kind == kindRefresh:
		r.Outcome, r.Headline = Good, r.signedIn()
	case r.Outcome == Good && s.Kind != kindAuthorization && s.Kind != kindDecision: // reading a document again changes nothing
	case progress[s.Kind] != "":
		r.Outcome, r.Headline = Neutral, progress[s.Kind]
		if s.Kind == kindDecision {
			r.Headline = strings.ToLower(s.Title[:1]) + s.Title[1:] + "; on the way back to the client"
		}
	case r.Headline == "":
		r.Headline = "looking around"
	}
}

// stageOf is where a step that failed stands in a sign-in.
func stageOf(s Step) string {
	if s.errorCode() == registrationOff {
		return about[kindRegistration].stage
	}
	return about[s.Kind].stage
}

func (r *run) signedIn() string {
	who := cmp.Or(r.User, "somebody")
	switch r.Calls {
	case 0:
		return "signed in as " + who
	case 1:
		return "signed in as " + who + ", 1 call"
	}
	return fmt.Sprintf("signed in as %s, %d calls", who, r.Calls)
}

// progress is where a run stands that has got as far as a step of the kind.
var progress = map[kind]string{
	kindChallenge:     "asked to sign in",
	kindResource:      "finding out where to sign in",
	kindMetadata:      "finding out where to sign in",
	kindRegistration:  "registered, about to sign in",
	kindAuthorization: "waiting for the person at the sign-in page",
	kindPage:          "waiting for the person in the browser",
	kindDecision:      "in the browser",
}
