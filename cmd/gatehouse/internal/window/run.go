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

	// maxSessions, maxTransactions and maxAgents bound what is kept of one run.
	maxSessions     = 8
	maxTransactions = 8
	maxAgents       = 4

	// discoveryTime is how long after its last step a run accepts steps without a client
	// ID from the same User-Agent.
	discoveryTime = 2 * time.Minute
	// followTime is how long after its last step a run accepts steps of discovery from
	// another User-Agent, or from none: some clients send these requests with another library.
	followTime = 15 * time.Second
	// idleTime is how long after its last step a run ends. The client's next step begins
	// a new one.
	idleTime = 10 * time.Minute
	// retryTime is how long after a failure the steps before an authorization are a retry of
	// the same run.
	retryTime = 500 * time.Millisecond
	// serverTime is how long after a step the MCP server's own requests to Clerk are
	// counted as part of the same run.
	serverTime = 5 * time.Second

	// clientWait and userWait are how long a run waits for the client, and for the user at a
	// page, until its headline says that the sign-in is not finished.
	clientWait = 2 * time.Minute
	userWait   = 5 * time.Minute
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
	transaction string // of the local Clerk's pages, shortened
	landing     bool   // a browser opens a page of the MCP server
	fromBrowser bool   // the User-Agent is the browser's, not the client's
	fromServer  bool   // the MCP server sent the request
	fromCheck   bool   // and a check of the set-up may be why
	issued      *Token // a JWT in the response
}

// run is a Run with the properties that identify its steps.
type run struct {
	Run
	version      uint64    // of the journal, when the run last changed
	ended        time.Time // when the last step ended
	landing      bool      // a browser at pages of the MCP server
	agents       []string  // User-Agents of the client
	agentless    bool      // the client also sends requests without a User-Agent
	clientName   string    // the name that the client gives itself
	sessions     []string
	transactions []string
	reached      kind // the last step that made progress, or empty
	failedAt     int  // rank of the step that failed
}

// runs assigns steps to runs. It is not safe for concurrent use.
type runs struct {
	list []*run // oldest first
	last uint64 // ID of the newest run
}

// add adds a step to its run, which may be a new one, and returns the run.
//
// A session ID, a transaction of the local Clerk's pages, or a client ID identifies the run.
// Steps that have none of them, such as those before registration, are assigned by User-Agent
// and time. So two clients with the same User-Agent that start at the same time share a run
// until the second one registers.
func (a *runs) add(s Step, o owner) *run {
	r := a.find(s, o)
	if r == nil {
		r = a.begin(s, o)
	}
	r.add(s, o)
	return r
}

// begin adds a new run, which begins with s.
func (a *runs) begin(s Step, o owner) *run {
	a.last++
	r := &run{Run: Run{ID: a.last, Began: s.Time, Outcome: Neutral}}
	switch {
	case o.landing:
		r.landing, r.Client = true, cmp.Or(browserName(o.userAgent), "A browser")
	case o.fromServer && o.clientID == "":
		r.Server, r.Client = true, "MCP server"
	}
	a.list = appendBounded(a.list, r, maxRuns)
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
	if o.transaction != "" {
		if r := a.newest(func(r *run) bool { return slices.Contains(r.transactions, o.transaction) }); r != nil {
			return r
		}
	}
	switch {
	case o.landing:
		return a.newest(func(r *run) bool {
			return r.landing && slices.Contains(r.agents, o.userAgent) && s.Time.Sub(r.Last) < idleTime
		})
	case o.fromCheck:
		return a.newest(func(r *run) bool { return r.Server })
	case o.fromServer && o.clientID == "":
		if r := a.newest(func(r *run) bool { return !r.landing && s.Time.Sub(r.Last).Abs() < serverTime }); r != nil {
			return r
		}
		return a.newest(func(r *run) bool { return r.Server })
	}
	if o.clientID != "" {
		if r := a.newest(func(r *run) bool { return r.ClientID == o.clientID && s.Time.Sub(r.Last) < idleTime }); r != nil {
			return a.attempt(r, s, o)
		}
	}
	if o.fromServer {
		return nil
	}
	return a.findByAgent(s, o)
}

// findByAgent returns the run that a step belongs to by its User-Agent and its time, or nil.
func (a *runs) findByAgent(s Step, o owner) *run {
	accepts := func(r *run) bool {
		return !r.Server && !r.landing && s.Time.Sub(r.Last) < discoveryTime && r.accepts(s, o)
	}
	if o.fromBrowser { // its User-Agent says nothing about the client
		return a.newest(func(r *run) bool { return accepts(r) && r.Outcome == Neutral })
	}
	var followers []*run
	if rank(s.Kind) > rank(kindChallenge) && rank(s.Kind) <= rank(kindRegistration) {
		for _, r := range a.list {
			if accepts(r) && r.ClientID == "" && r.Outcome == Neutral && s.Time.Sub(r.Last) < followTime {
				followers = append(followers, r)
			}
		}
	}
	if o.userAgent == "" && len(followers) > 0 {
		return followers[len(followers)-1]
	}
	same := func(r *run) bool {
		return accepts(r) && (slices.Contains(r.agents, o.userAgent) || o.userAgent == "" && r.agentless)
	}
	if r := a.newest(same); r != nil || len(followers) != 1 {
		return r
	}
	return followers[0]
}

// attempt returns the run of s, a step of the client of r. That is r, unless s begins another
// attempt to sign in: because a later run has begun without a client ID, or because the attempt
// in r failed.
func (a *runs) attempt(r *run, s Step, o owner) *run {
	if s.Kind != kindAuthorization && s.Kind != kindDecision {
		return r
	}
	sameAgent := func(agent string) bool { return slices.Contains(r.agents, agent) }
	later := a.newest(func(later *run) bool {
		return later.ID > r.ID && later.ClientID == "" && slices.ContainsFunc(later.agents, sameAgent) &&
			s.Time.Sub(later.Last) < discoveryTime
	})
	if later == nil && r.Outcome == Failed && r.failedAt >= rank(kindAuthorization) && r.failedAt < rank(kindCall) {
		later = a.begin(s, o)
		later.agents = slices.Clone(r.agents)
	}
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

// accepts reports whether a step that identifies no run may belong to r. A client that begins
// again after a failure, or that sends a request without a token when r has a client ID, begins
// a new run.
func (r *run) accepts(s Step, o owner) bool {
	begins := o.clientID != "" || rank(s.Kind) > 0 && rank(s.Kind) <= rank(kindRegistration)
	switch {
	case r.Outcome == Failed && begins && s.Time.Sub(r.ended) >= retryTime:
		return false
	case r.Outcome == Failed && s.Kind == kindChallenge:
		return true
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
	if ended := s.Time.Add(time.Duration(s.Took * float64(time.Millisecond))); ended.After(r.ended) {
		r.ended = ended
	}
	r.ClientID = cmp.Or(r.ClientID, o.clientID)
	r.sessions = appendNew(r.sessions, o.session, maxSessions)
	r.transactions = appendNew(r.transactions, o.transaction, maxTransactions)
	if !o.fromBrowser && !o.fromServer {
		r.agents = appendNew(r.agents, o.userAgent, maxAgents)
		r.agentless = r.agentless || o.userAgent == ""
	}
	if !r.Server && !r.landing {
		r.setName(s, redactName(o.client))
	}
	if o.user != "" && s.Outcome == Succeeded {
		r.User = o.user
	}
	if r.Outcome == Abandoned {
		r.Outcome = Neutral
	}
	r.updateHeadline(s)
}

// appendNew appends item unless it is empty, in items, or there are maxItems.
func appendNew(items []string, item string, maxItems int) []string {
	if item == "" || len(items) >= maxItems || slices.Contains(items, item) {
		return items
	}
	return append(items, strings.Clone(item))
}

// setName updates the name of the client with that in a step.
func (r *run) setName(s Step, name string) {
	if s.To == Clerk {
		r.clientName = cmp.Or(name, r.clientName) // the registered name has priority
	}
	r.clientName = cmp.Or(r.clientName, name)
	agent := ""
	if len(r.agents) > 0 {
		agent = agentName(r.agents[0])
	}
	r.Client = cmp.Or(r.clientName, agent, "A client")
}

// updateHeadline sets the headline and the outcome after s. Steps that do not matter leave
// them unchanged.
func (r *run) updateHeadline(s Step) {
	switch {
	case s.Outcome == Failed && s.From == Server:
		r.Outcome, r.failedAt, r.Headline = Failed, 0, "the server cannot reach Clerk: "+s.summary()
	case s.Outcome == Failed:
		r.Outcome, r.failedAt, r.Headline = Failed, rank(s.failedKind()), fmt.Sprintf("stopped at %s: %s", s.stage(), s.summary())
	case r.Server && s.Outcome == Succeeded:
		r.Outcome, r.Headline = Succeeded, "connected to Clerk"
	case r.landing:
		r.Outcome, r.Headline = Neutral, "opened the landing page"
		if s.Outcome != Succeeded {
			r.Headline = "opened the address of the MCP server, which has no page for browsers"
		}
	case r.Outcome == Failed && !r.recovers(s): // a retry that has not come as far
	case s.Outcome != Succeeded && s.headline != "" && (r.Headline == "" || r.Headline == noSignIn):
		r.Headline = noSignIn + ": " + s.headline
	case s.Outcome != Succeeded:
		r.Headline = cmp.Or(r.Headline, noSignIn)
	case s.Kind == kindCall:
		r.Calls++
		r.Outcome, r.Headline = Succeeded, r.signedIn()
	case s.Kind == kindToken, s.Kind == kindRefresh:
		r.Outcome, r.Headline = Succeeded, r.signedIn()
	case r.Outcome == Succeeded && s.Kind != kindAuthorization && s.Kind != kindDecision: // a document is read again
	case s.Kind == kindDecision:
		r.Outcome, r.reached = Neutral, s.Kind
		r.Headline = strings.ToLower(s.Title[:1]) + s.Title[1:] + "; returning to the client"
	case kinds[s.Kind].progress != "":
		r.Outcome, r.reached, r.Headline = Neutral, s.Kind, kinds[s.Kind].progress
	default:
		r.Headline = cmp.Or(r.Headline, noSignIn)
	}
}

// recovers reports whether s, after a failure, is as far as the step that failed, or begins to
// ask for more scopes after a call that failed.
func (r *run) recovers(s Step) bool {
	if s.Outcome != Succeeded {
		return false
	}
	if s.Kind == kindAuthorization && r.failedAt == rank(kindCall) {
		return true
	}
	return rank(s.Kind) > 0 && rank(s.Kind) >= r.failedAt
}

// abandon marks the runs whose sign-in has not continued for a while, and returns whether
// there are any. They continue with their next step.
func (a *runs) abandon(now time.Time, version uint64) (changed bool) {
	for _, r := range a.list {
		wait := clientWait
		if r.reached == kindAuthorization || r.reached == kindPage {
			wait = userWait
		}
		if r.Outcome != Neutral || kinds[r.reached].unfinished == "" || now.Sub(r.Last) < wait {
			continue
		}
		r.Outcome, r.Headline = Abandoned, "sign-in not finished: "+kinds[r.reached].unfinished
		r.version = version
		changed = true
	}
	return changed
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
