package gatehouse

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	// recheckInterval is how often [Config.Revoked] is called for each open stream, and its
	// token verified again if that is opaque.
	recheckInterval = 30 * time.Second
	// unblockAfter is how long a handler may take to return after its request was ended. A
	// write to a client that does not read may block it; it then fails.
	unblockAfter = 500 * time.Millisecond
)

// endError is why the guard ends a request that has passed all checks.
type endError struct {
	reason Reason // of the answer, if none was sent yet; empty if the server stops
	text   string
}

func (e *endError) Error() string { return e.text }

var (
	errEndedByDenial   = &endError{reason.Revoked, "the token was revoked by Deny or Config.Revoked"}
	errEndedByExpiry   = &endError{reason.Expired, "the token of the stream has expired"}
	errEndedByShutdown = &endError{"", "the server is shutting down"}
)

// openRequest is a request that has passed all checks and has not been answered yet.
type openRequest struct {
	caller  *caller
	stream  bool // whether its answer is a stream without an end of its own
	opens   bool // whether its answer may open a session
	opening bool // whether it has one message, which opens a session if the server accepts it
	session *sessionUse
	audit   *AuditEvent // of the request, as far as it is known when it is let through; nil if there is no audit

	observed *observation // nil without observers

	cancel context.CancelCauseFunc // ends the context of the HTTP request

	mu    sync.Mutex
	why   *endError         // why the guard has ended the request; nil until then
	atEnd []func(*endError) // called once when the guard ends the request

	holders int // guarded by openRequests.mu
}

// end ends the request: its context is done, and nothing is sent any more. It is not called
// when the client leaves: calls of the older revisions then run on.
func (o *openRequest) end(why *endError) {
	o.mu.Lock()
	if o.why != nil {
		o.mu.Unlock()
		return
	}
	o.why = why
	functions := o.atEnd
	o.atEnd = nil
	o.mu.Unlock()
	o.cancel(why)
	for _, f := range functions {
		f(why)
	}
}

// onEnd makes end call f, or calls it now if the guard has ended the request.
func (o *openRequest) onEnd(f func(*endError)) {
	o.mu.Lock()
	why := o.why
	if why == nil {
		o.atEnd = append(o.atEnd, f)
	}
	o.mu.Unlock()
	if why != nil {
		f(why)
	}
}

// forgetFunctions drops the functions of onEnd and what they refer to. The context of a request
// that opens a session is kept by go-sdk for as long as the session is open, and the open
// request with it.
func (o *openRequest) forgetFunctions() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.atEnd = nil
}

// endedBy returns why the guard has ended the request, or nil.
func (o *openRequest) endedBy() *endError {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.why
}

// openRequests are the open requests of a guard. There is one for each handler that runs, so
// the server's connections bound them; streams are bounded in addition.
type openRequests struct {
	maxStreams, maxStreamsPerUser int

	mu      sync.Mutex
	all     map[*openRequest]bool
	streams map[string]int // by principal
	total   int            // of streams
	calls   int            // HTTP requests other than streams
	idle    chan struct{}  // closed when there are no calls; nil if no one waits
	stopped bool           // whether streams end as soon as they are opened
}

func newOpenRequests(s *settings) *openRequests {
	return &openRequests{
		maxStreams:        s.MaxSessions,
		maxStreamsPerUser: s.MaxSessionsPerUser,
		all:               make(map[*openRequest]bool),
		streams:           make(map[string]int),
	}
}

// open adds a request of c. The returned request has a context that ends with the open request
// and carries the caller.
func (reqs *openRequests) open(
	r *http.Request, c *caller, kind messageKind, use *sessionUse,
) (*openRequest, *http.Request, error) {
	o := &openRequest{caller: c, stream: kind.stream, opens: kind.opensSession, session: use}
	o.opening = kind.opensSession && !kind.stream && !kind.batch
	reqs.mu.Lock()
	defer reqs.mu.Unlock()
	switch {
	case o.stream && reqs.streams[c.principal] >= userLimit(c.principal, reqs.maxStreams, reqs.maxStreamsPerUser):
		return nil, nil, userLimitError(c.principal)
	case o.stream && reqs.total >= reqs.maxStreams:
		return nil, nil, errAllSessions
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	o.cancel = cancel
	if o.stream {
		reqs.streams[strings.Clone(c.principal)]++
		reqs.total++
	} else {
		reqs.calls++
	}
	reqs.hold(o)
	if o.stream && reqs.stopped {
		o.end(errEndedByShutdown)
	}
	return o, r.WithContext(context.WithValue(ctx, callerKey{}, c)), nil
}

// close removes a request that has been answered.
func (reqs *openRequests) close(o *openRequest) {
	o.cancel(nil)
	reqs.mu.Lock()
	defer reqs.mu.Unlock()
	reqs.letGo(o)
	principal := o.caller.principal
	if o.stream {
		reqs.total--
		if reqs.streams[principal]--; reqs.streams[principal] <= 0 {
			delete(reqs.streams, principal)
		}
		return
	}
	if reqs.calls--; reqs.calls == 0 && reqs.idle != nil {
		close(reqs.idle)
		reqs.idle = nil
	}
}

// hold keeps o among the open requests until letGo. reqs.mu must be held.
func (reqs *openRequests) hold(o *openRequest) {
	o.holders++
	reqs.all[o] = true
}

func (reqs *openRequests) letGo(o *openRequest) {
	if o.holders--; o.holders > 0 {
		return
	}
	delete(reqs.all, o)
	o.forgetFunctions()
	if o.opens {
		o.caller.forgetToken()
	}
}

// end ends the open requests for which match returns true.
func (reqs *openRequests) end(why *endError, match func(*openRequest) bool) {
	reqs.mu.Lock()
	var matched []*openRequest
	for o := range reqs.all {
		if match(o) {
			matched = append(matched, o)
		}
	}
	reqs.mu.Unlock()
	for _, o := range matched {
		o.end(why)
	}
}

// wait returns when no calls run or ctx ends. It returns the error of ctx.
func (reqs *openRequests) wait(ctx context.Context) error {
	reqs.mu.Lock()
	if reqs.calls == 0 {
		reqs.mu.Unlock()
		return nil
	}
	if reqs.idle == nil {
		reqs.idle = make(chan struct{})
	}
	idle := reqs.idle
	reqs.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop makes streams end, those that are open and those that are opened later.
func (reqs *openRequests) stop() {
	reqs.mu.Lock()
	reqs.stopped = true
	reqs.mu.Unlock()
	reqs.end(errEndedByShutdown, func(o *openRequest) bool { return o.stream })
}

// openStreams returns how many streams are open.
func (reqs *openRequests) openStreams() int {
	reqs.mu.Lock()
	defer reqs.mu.Unlock()
	return reqs.total
}

// open adds an admitted request to the open requests. A denial that was added since the
// token was verified is noticed here; later ones find the request.
func (g *Guard) open(r *http.Request, c *caller, kind messageKind, use *sessionUse) (*openRequest, *http.Request, *Rejection) {
	o, r, err := g.requests.open(r, c, kind, use)
	if err != nil {
		return nil, nil, &Rejection{Reason: reason.TooManySessions, Err: err, Identity: c.identity}
	}
	c.request = o
	if g.denials.match(&c.verified, time.Now()) {
		g.requests.close(o)
		return nil, nil, &Rejection{Reason: reason.Revoked, Err: errRevoked, Identity: c.identity, from: c.from}
	}
	// Likewise, a user may have taken over the session since it was looked up.
	if use.isLost() {
		g.requests.close(o)
		return nil, nil, &Rejection{Reason: reason.SessionOfAnotherUser, Err: errAnonymousSession}
	}
	return o, r, nil
}

// watch ends a stream when its token expires, leeway included, or is revoked. It returns when
// the stream has ended or done is closed.
func (g *Guard) watch(o *openRequest, done <-chan struct{}) {
	validUntil := o.caller.identity.Expiry
	remaining := func() time.Duration { return time.Until(validUntil.Add(g.Leeway)) }
	ended, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	o.onEnd(func(why *endError) { cancel(why) })
	expiry := time.NewTimer(remaining())
	defer expiry.Stop()
	var recheck <-chan time.Time
	if !o.caller.anonymous && (g.Revoked != nil || g.verifier.opaqueIssuer(o.caller.token()) != nil) {
		ticker := time.NewTicker(recheckInterval)
		defer ticker.Stop()
		recheck = ticker.C
	}
	for {
		select {
		case <-done:
			return
		case <-ended.Done():
			return
		case <-expiry.C:
			o.end(errEndedByExpiry)
		case <-recheck:
			why := g.recheck(ended, o, &validUntil)
			if why != nil {
				o.end(why)
			}
			expiry.Reset(remaining())
		}
	}
}

// recheck returns why the token of an open stream is no longer valid, or nil. An opaque token
// is verified again, which may change validUntil: only the provider knows whether it was
// revoked and how long it lives. If the provider does not answer, the stream stays open.
//
// A panic of [Config.Revoked] counts as a revocation. It would end the process otherwise,
// since no handler is above it.
func (g *Guard) recheck(ctx context.Context, o *openRequest, validUntil *time.Time) (why *endError) {
	defer func() {
		if recover() != nil {
			g.Logger.Error("Config.Revoked panicked, ending the stream")
			why = errEndedByDenial
		}
	}()
	if g.verifier.opaqueIssuer(o.caller.token()) == nil {
		if g.Revoked(o.caller.identity) {
			return errEndedByDenial
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, introspectionTimeout)
	defer cancel()
	c, rejection := g.verifyToken(ctx, o.caller.token(), nil)
	switch {
	case rejection == nil:
		*validUntil = c.identity.Expiry
	case rejection.Reason != reason.ProviderUnavailable:
		return &endError{rejection.Reason, "the opaque token of the stream is no longer valid"}
	}
	return nil
}

// endWithRequest returns a handler whose context ends when the guard ends the HTTP request
// that carried the message. In sessions of the older revisions, go-sdk's context outlives
// that request.
func (g *Guard) endWithRequest(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		c := callerOf(req)
		if c == nil || c.request == nil || c.guard != g {
			return next(ctx, method, req)
		}
		o := c.request
		g.requests.mu.Lock()
		g.requests.hold(o)
		g.requests.mu.Unlock()
		defer func() {
			g.requests.mu.Lock()
			defer g.requests.mu.Unlock()
			g.requests.letGo(o)
		}()
		if g.denials.match(&c.verified, time.Now()) {
			o.end(errEndedByDenial)
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		o.onEnd(func(why *endError) { cancel(why) })
		return next(ctx, method, req)
	}
}
