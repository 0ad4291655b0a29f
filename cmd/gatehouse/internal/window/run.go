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

	// maxSessions bounds the session IDs that are kept for one run.
	maxSessions = 8

	// discoveryTime is how long after its last step a run accepts steps without a client
	// ID from the same User-Agent.
	discoveryTime = 2 * time.Minute
	// idleTime is how long after its last step a run ends. The client's next step begins
	// a new one.
	idleTime = 10 * time.Minute
	// retryTime is how long after a failure a request without a token is a retry of the
	// same run.
	retryTime = 500 * time.Millisecond
	// serverTime is how long after a step the MCP server's own requests to Clerk are
	// counted as part of the same run.
	serverTime = 5 * time.Second
)

// Run is the steps of one sign-in of one client, and the calls that follow.
type Run struct {
	ID       uint64    `json:"id"` // counts from 1
	Client   string    `json:"client"`
	ClientID string    `json:"client_id,omitempty"`
	User     string    `json:"user,omitempty"` // name
	Began    time.Time `json:"began"`
	Last     time.Time `json:"last"` // the newest step
	Steps    int       `json:"steps"`
	Calls    int       `json:"calls"`  // that succeeded
	Server   bool      `json:"server"` // whether these are the MCP server's own requests to Clerk
	Headline string    `json:"headline"`
	Outcome  Outcome   `json:"outcome"`
}

// owner is what a step reveals about the run that it belongs to. All fields may be empty.
type owner struct {
	userAgent   string
	clientID    string
	client      string // the name that the client gives itself
	user        string // the user's name
	session     string // Mcp-Session-Id
	fromBrowser bool   // the User-Agent is the browser's, not the client's
	fromServer  bool   // the MCP server sent the request
	issued      *Token // a JWT in the response
}

// run is a Run with the properties that identify its steps.
type run struct {
	Run
	userAgent  string
	clientName string // the name that the client gives itself
	sessions   []string
}

// runs assigns steps to runs. It is not safe for concurrent use.
type runs struct {
	list []*run // oldest first
	last uint64 // ID of the newest run
}

// add adds a step to its run, which may be a new one, and returns the run.
//
// A session ID or a client ID identifies the run. Steps that have neither, such as those
// before registration, are assigned by User-Agent and time. So two clients with the same
// User-Agent that start at the same time share a run until the second one registers.
func (a *runs) add(s Step, o owner) *run {
	r := a.find(s, o)
	if r == nil {
		a.last++
		r = &run{Run: Run{ID: a.last, Began: s.Time, Outcome: Neutral, Server: o.fromServer}, userAgent: o.userAgent}
		if o.fromServer {
			r.Client = "MCP server"
		}
		a.list = appendBounded(a.list, r, maxRuns)
	}
	r.add(s, o)
	return r
}

// find returns the run that a step belongs to, or nil.
func (a *runs) find(s Step, o owner) *run {
	if o.session != "" {
		inSession := func(r *run) bool { return slices.Contains(r.sessions, o.session) && !conflict(r.ClientID, o.clientID) }
		if r := a.newest(inSession); r != nil {
			return r
		}
	}
	if o.fromServer && o.clientID == "" {
		if r := a.newest(func(r *run) bool { return s.Time.Sub(r.Last).Abs() < serverTime }); r != nil {
			return r
		}
		return a.newest(func(r *run) bool { return r.Server })
	}
	if o.clientID != "" {
		if r := a.newest(func(r *run) bool { return r.ClientID == o.clientID && s.Time.Sub(r.Last) < idleTime }); r != nil {
			return a.restarted(r, s)
		}
	}
	return a.newest(func(r *run) bool {
		return !r.Server && (o.fromBrowser || r.userAgent == o.userAgent) && s.Time.Sub(r.Last) < discoveryTime && r.accepts(s, o)
	})
}

// restarted returns the run in which the client of r has begun another sign-in: one
// without a client ID until s, which opens the authorization endpoint with the old client
// ID. If there is none, it returns r.
func (a *runs) restarted(r *run, s Step) *run {
	if s.Kind != kindAuthorization && s.Kind != kindDecision {
		return r
	}
	later := a.newest(func(later *run) bool {
		return later.ID > r.ID && later.ClientID == "" && later.userAgent == r.userAgent && s.Time.Sub(later.Last) < discoveryTime
	})
	return cmp.Or(later, r)
}

// newest returns the newest run that matches, or nil.
func (a *runs) newest(matches func(*run) bool) *run {
	for _, r := range slices.Backward(a.list) {
		if matches(r) {
			return r
		}
	}
	return nil
}

func conflict(a, b string) bool { return a != "" && b != "" && a != b }

// accepts reports whether a step that identifies no run may belong to r. A client that
// sends a request without a token when r has a client ID, or has failed, begins a new run.
func (r *run) accepts(s Step, o owner) bool {
	switch {
	case s.Kind == kindChallenge && r.Outcome == Failed:
		return s.Time.Sub(r.Last) < retryTime
	case s.Kind == kindChallenge, s.Kind == kindRegistration, o.clientID != "":
		return r.ClientID == ""
	}
	return true
}

// add updates r with one of its steps.
func (r *run) add(s Step, o owner) {
	r.Steps++
	if s.Time.After(r.Last) {
		r.Last = s.Time
	}
	r.ClientID = cmp.Or(r.ClientID, o.clientID)
	if !o.fromBrowser && !o.fromServer {
		r.userAgent = cmp.Or(r.userAgent, o.userAgent)
	}
	if o.session != "" && !slices.Contains(r.sessions, o.session) && len(r.sessions) < maxSessions {
		r.sessions = append(r.sessions, o.session)
	}
	if !r.Server {
		name := redactName(o.client)
		if s.To == Clerk {
			r.clientName = cmp.Or(name, r.clientName) // the registered name has priority
		}
		r.clientName = cmp.Or(r.clientName, name)
		r.Client = cmp.Or(r.clientName, redactName(r.userAgent), "A client")
	}
	if o.user != "" && s.Outcome == Succeeded {
		r.User = o.user
	}
	r.updateHeadline(s)
}

// updateHeadline sets the headline and the outcome after s. Steps that do not matter leave
// them unchanged.
func (r *run) updateHeadline(s Step) {
	switch {
	case s.Outcome == Failed && s.From == Server:
		r.Outcome, r.Headline = Failed, "the server cannot reach Clerk: "+s.summary()
	case s.Outcome == Failed:
		r.Outcome, r.Headline = Failed, fmt.Sprintf("stopped at %s: %s", s.stage(), s.summary())
	case r.Outcome == Failed && (s.Kind == kindChallenge || s.Kind == kindResource): // a retry that has not succeeded
	case r.Server && s.Outcome == Succeeded:
		r.Outcome, r.Headline = Succeeded, "connected to Clerk"
	case s.Outcome != Succeeded:
		r.Headline = cmp.Or(r.Headline, noSignIn)
	case s.Kind == kindCall:
		r.Calls++
		r.Outcome, r.Headline = Succeeded, r.signedIn()
	case s.Kind == kindToken, s.Kind == kindRefresh:
		r.Outcome, r.Headline = Succeeded, r.signedIn()
	case r.Outcome == Succeeded && s.Kind != kindAuthorization && s.Kind != kindDecision: // a document is read again
	case s.Kind == kindDecision:
		r.Outcome, r.Headline = Neutral, strings.ToLower(s.Title[:1])+s.Title[1:]+"; returning to the client"
	case kinds[s.Kind].progress != "":
		r.Outcome, r.Headline = Neutral, kinds[s.Kind].progress
	default:
		r.Headline = cmp.Or(r.Headline, noSignIn)
	}
}

// noSignIn is the headline of a run without a step of a sign-in.
const noSignIn = "no sign-in yet"

func (r *run) signedIn() string {
	user := cmp.Or(r.User, "an unknown user")
	switch r.Calls {
	case 0:
		return "signed in as " + user
	case 1:
		return "signed in as " + user + ", 1 call"
	}
	return fmt.Sprintf("signed in as %s, %d calls", user, r.Calls)
}
