package gatehouse

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

// Guard protects one MCP endpoint. It is the OAuth 2.1 resource server in front of an
// [http.Handler] that speaks MCP. Make one with [New]. It is safe for concurrent use.
//
// A request passes these checks in this order. The first one that fails answers the
// request, and the handler does not run.
//
//  1. Host and Origin. On a loopback listener, Host must name this machine or the
//     resource. Origin, if present, must be allowed. Otherwise 403 without a challenge.
//  2. CORS preflight. It is answered with 204 before any token is checked.
//  3. Public pages: [Config.LandingPage], and the documents of [Guard.MetadataHandler].
//  4. No credentials, or a scheme other than Bearer: 401, with a challenge that has no
//     error code. If something is [Require.Public], a request without credentials goes on
//     to check 8, which lets it do only that. If token verification is disabled, a connection that did not arrive on
//     loopback: 403.
//  5. Malformed credentials, two Authorization headers, or a token in the query: 400
//     invalid_request. The query is never read as a token.
//  6. Invalid token: 401 invalid_token. If the address of the client has sent too many of them:
//     429 with Retry-After, and the token is not verified; see [Config.RateLimits].
//  7. The provider's keys or its introspection endpoint are unavailable, or
//     [Config.Revocations] was not loaded yet: 503 with Retry-After.
//  8. The caller sends more requests than [Config.RateLimits] allows: 429 with Retry-After.
//     The caller lacks a scope, a role, a permission or an organization for the
//     operation: 403, with insufficient_scope if another scope would help. A body that is
//     too large is answered with 413. One that cannot be read, or that is not JSON-RPC
//     although requirements depend on it, is answered with 400.
//  9. The session was opened by another principal, or the session ID was not issued here:
//     404, as for any unknown session. The user, or the server, has too many open sessions
//     or streams: 429. A caller without a token is asked to sign in instead.
//
// A stream without an end of its own (GET, subscriptions/listen) ends when its token
// expires. [Guard.Deny] ends the streams and calls of the tokens that it matches, and
// [Guard.Shutdown] all streams. Until then, an idle event stream gets a comment every 25
// seconds. The limit of a body, 30 seconds, holds for every request, with or without a
// token, unless the host has a limit of its own ([http.Server.ReadTimeout]).
//
// A rejection has a JSON body with the members error, error_description and reason; see
// [Reasons]. Details are sent to [Config.Logger] or [Config.OnReject] only.
type Guard struct {
	*settings
	resources     []resource // the canonical one first
	origin        string
	endpoint      string    // path on which the server listens; empty for the root
	issuers       []*issuer // at least one, in the order of the configuration
	verifier      *verifier
	limiter       *limiter
	sessions      *sessions
	requests      *openRequests
	currentPolicy atomic.Pointer[policy]
	declaring     sync.Mutex // held while currentPolicy is replaced
	listings      listings
	denials       denials
	revocations   *revocationFeed // nil if Config.Revocations is not set
	counters      counters
	auditor       *auditor // nil if there is no audit
	// tokenInfoInstaller is what newTokenInfoInstaller returns.
	tokenInfoInstaller http.Handler
	draining           atomic.Bool
	limits             limits
}

// limits are the times that tests replace.
type limits struct {
	bodies    listen.BodyTimeouts
	keepAlive time.Duration
}

// New validates cfg and returns its guard. It reports every fault at once, each
// as a *[ConfigError]. It opens no connection: keys are fetched with the first request
// or by [Guard.Ready].
func New(cfg Config) (*Guard, error) {
	s, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	key, randomKey := s.takeAuditKey()
	s.observers = newObservers(s, key)
	g := &Guard{
		settings: s,
		origin:   s.resourceURL.Scheme + "://" + s.resourceURL.Host,
		endpoint: s.localPath(),
		sessions: newSessions(s),
		requests: newOpenRequests(s),
		counters: newCounters(),
		auditor:  newAuditor(s, key, randomKey),
		limits:   limits{bodies: listen.DefaultBodyTimeouts, keepAlive: keepAliveInterval},
	}
	var audiences []string
	for _, alias := range wellknown.Aliases(s.resourceURL) {
		r, err := s.newResource(alias)
		if err != nil {
			return nil, err
		}
		g.resources = append(g.resources, r)
		audiences = append(audiences, wellknown.Audiences(alias)...)
	}
	var faults []error
	for index := range s.providers {
		i, err := newIssuer(s, index, audiences)
		faults = append(faults, err)
		g.issuers = append(g.issuers, i)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	g.limiter = newLimiter(g)
	g.verifier = newVerifier(g)
	g.revocations = newRevocationFeed(g)
	g.tokenInfoInstaller = g.newTokenInfoInstaller()
	if err := g.declare(s.Requirements...); err != nil {
		return nil, err
	}
	return g, nil
}

// Resource returns the canonical resource identifier of the endpoint (RFC 9728 §1.2).
func (g *Guard) Resource() string { return g.resources[0].url }

// Provider returns the provider with its defaults, or the first one of several.
func (g *Guard) Provider() Provider { return g.settings.providers[0] }

// Providers returns all providers with their defaults.
func (g *Guard) Providers() []Provider { return slices.Clone(g.settings.providers) }

// Warnings returns one sentence for each setting that is risky. Log them at start.
func (g *Guard) Warnings() []string {
	var out []string
	if g.settings.providers[0].DangerouslySkipVerification {
		return append(out, "token verification is disabled (DangerouslySkipVerification): "+
			"anyone who reaches this server can claim to be any user; only loopback connections are accepted")
	}
	for i := range g.settings.providers {
		p := &g.settings.providers[i]
		out = append(out, p.risks()...)
		if w := g.scopesWarning(p, g.policy().declared); w != "" {
			out = append(out, w)
		}
	}
	for _, o := range g.AllowedOrigins {
		if o == "*" {
			out = append(out, "pages of every web origin may call the endpoint (AllowedOrigins)")
		}
	}
	out = append(out, g.RateLimits.warnings()...)
	return append(out, g.auditor.warnings()...)
}

// SessionTimeout returns how long a session may be idle before it is no longer counted; see
// [Config.SessionTimeout].
func (g *Guard) SessionTimeout() time.Duration { return g.settings.SessionTimeout }

// Ready reports whether tokens can be verified now: it returns nil if the provider's
// keys, or those of one of several providers, are known or can be fetched, and the snapshot of
// [Config.Revocations] was loaded. Otherwise the error is [ErrRevocationsNotLoaded], which a
// later outage of the store does not cause, or [ErrShuttingDown] after [Guard.Drain]. Use it for
// health checks. It waits at most about five seconds for each of the two. If the issuer has another name in its metadata, the error says which one to
// configure.
func (g *Guard) Ready(ctx context.Context) error {
	if g.draining.Load() {
		return ErrShuttingDown
	}
	if g.revocations != nil {
		g.revocations.start() // while the keys are fetched
	}
	var errs []error
	for _, i := range g.issuers {
		err := i.ready(ctx)
		if err == nil {
			return g.revocations.ready(ctx)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Close stops the background refresh of keys and documents, and the watching of
// [Config.Revocations], which it does not close. Later requests are still answered, with the keys
// and revocations known at that time.
func (g *Guard) Close() {
	if g.revocations != nil {
		g.revocations.close()
	}
	for _, i := range g.issuers {
		i.close()
	}
}

// Mount registers handler behind the guard at the path of [Config.Resource], or at
// [Config.LocalPath], and the metadata documents at the paths of [Guard.MetadataPaths]. It
// also answers POST /register, unless the mux has a pattern for that path already; see
// [Guard.RegistrationHandler]. Several guards can be mounted on one mux; see
// [Config.HostDocuments].
//
// It panics if the mux has a pattern that conflicts with one of these, as
// [http.ServeMux.Handle] does, which also panics if such a pattern is added afterwards:
//
//   - POST /register: register a handler of your own for it before you call Mount, which then
//     leaves the path to that handler.
//   - A pattern with a method that matches the endpoint or a document among other paths, such
//     as GET / or GET /{page}: neither pattern is more specific, because those of Mount are for
//     every method. Leave the method out and check it in the handler ("/{page}"), or choose a
//     pattern that does not match these paths ("GET /pages/{page}").
func (g *Guard) Mount(mux *http.ServeMux, handler http.Handler) {
	wrapped := g.Wrap(handler)
	if g.endpoint == "" {
		mux.Handle("/{$}", wrapped)
	} else {
		mux.Handle(g.endpoint, wrapped)
		mux.Handle(g.endpoint+"/{$}", wrapped)
	}
	g.mountDocuments(mux)
}

// Wrap returns a handler that runs the checks of [Guard] and calls handler if all of them
// pass. Requests of every method are checked.
//
// handler gets the caller with [IdentityOf] or [IdentityOfHTTP]. The request that it sees
// has no Authorization header, and its body has arrived. Responses without Cache-Control
// get "no-store". The context of the request ends when the guard ends the request; see
// [Guard]. A tool of go-sdk gets that end in the older revisions only with
// [Guard.Middleware].
func (g *Guard) Wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = g.observers.start(r)
		defer g.limitBody(w, r).Finish()
		if o, admitted := g.admit(w, r); o != nil {
			g.serve(handler, w, admitted, o)
		}
	})
}

// serve calls handler for an admitted request.
func (g *Guard) serve(handler http.Handler, w http.ResponseWriter, r *http.Request, o *openRequest) {
	answer := newAnswerWriter(w, o, g.limits.keepAlive)
	returned := false
	defer func() {
		answer.finish()
		o.session.finish(r.Method, answer.status)
		g.auditor.finish(r, o, answer, returned)
		g.observers.finish(r, o, answer, returned)
		g.requests.close(o)
	}()
	o.onEnd(answer.unblockSoon)
	if o.stream {
		done := make(chan struct{})
		defer close(done)
		go g.watch(o, done)
	}
	if admitted := g.forHandler(answer, r); admitted != nil {
		handler.ServeHTTP(answer, admitted)
	}
	returned = true
	if why := o.endedBy(); why != nil {
		answer.replace(func() { g.answerEnded(w, r, o, why) })
	}
}

// answerEnded answers a request that the guard has ended before an answer was sent.
func (g *Guard) answerEnded(w http.ResponseWriter, r *http.Request, o *openRequest, why *endError) {
	if why.reason != "" {
		g.reject(w, r, Rejection{Reason: why.reason, Err: why, Identity: o.caller.identity, letThrough: true})
		return
	}
	setRetryAfter(w.Header(), nil)
	writeError(w, r, http.StatusServiceUnavailable,
		errorBody{Error: reason.CodeUnavailable, Description: "the server is shutting down, try again"})
}

// admit lets a request through: it returns the open request, and r with its context, if all
// checks of [Guard] pass. Otherwise it answers the request and returns nil.
func (g *Guard) admit(w http.ResponseWriter, r *http.Request) (*openRequest, *http.Request) {
	// Check 1: Host and Origin.
	if err := g.checkHost(r); err != nil {
		g.reject(w, r, Rejection{Reason: reason.ForbiddenHost, Err: err})
		return nil, nil
	}
	origin := r.Header.Get("Origin")
	if origin != "" && !g.originAllowed(origin) {
		g.reject(w, r, Rejection{Reason: reason.ForbiddenOrigin, Err: g.originError(origin)})
		return nil, nil
	}
	// Check 2: CORS. From here on, a page of the allowed origin can read the answer.
	allowOrigin(w.Header(), origin)
	if isPreflight(r) {
		g.preflight(w, r)
		return nil, nil
	}
	// Check 3: public pages. Mount registers the documents at paths of their own.
	if g.LandingPage != nil && wantsPage(r) {
		g.LandingPage.ServeHTTP(w, r)
		return nil, nil
	}
	o, admitted, rejection := g.admitCaller(r)
	if rejection != nil {
		g.reject(w, r, *rejection)
		return nil, nil
	}
	g.counters.accept(o.caller)
	o.audit = g.auditor.begin(r, o.caller)
	return o, g.observers.admit(admitted, o)
}

// admitCaller is checks 4 to 9.
func (g *Guard) admitCaller(r *http.Request) (*openRequest, *http.Request, *Rejection) {
	// Checks 4 to 7: credentials and token.
	c, rejection := g.authenticate(r)
	if rejection != nil {
		return nil, nil, rejection
	}
	// Check 8: requirements of the operation.
	body, rejection := readBody(r, c)
	if rejection == nil {
		rejection = g.limitRequests(r, c, body)
	}
	if rejection == nil {
		rejection = g.authorize(r, c)
	}
	if rejection != nil {
		return nil, nil, c.askedToSignIn(rejection)
	}
	// Check 9: the session.
	kind := kindOf(r, body)
	use, rejection := g.sessions.admit(r, c, kind)
	if rejection != nil {
		return nil, nil, c.askedToSignIn(rejection)
	}
	if use.takenOver {
		g.requests.end(errEndedBySignIn, func(o *openRequest) bool {
			return o.stream && o.caller.anonymous && o.session.seal == use.seal
		})
	}
	o, admitted, rejection := g.open(r, c, kind, use)
	if rejection != nil {
		rejection = c.askedToSignIn(rejection)
		use.finish(r.Method, http.StatusServiceUnavailable) // the session neither opened nor ended
	}
	return o, admitted, rejection
}

// Verify verifies an access token: checks 6 and 7 of [Guard]. It is an
// [auth.TokenVerifier], for use with go-sdk's own auth.RequireBearerToken.
//
// The text of an error is a fixed phrase, since go-sdk sends it to the client.
// errors.As finds the *[TokenError] with the details. r may be nil, except with
// [Provider.DangerouslySkipVerification]: then its connection must have arrived on loopback.
// Without r, the token does not count against the limit of failed sign-ins.
func (g *Guard) Verify(ctx context.Context, token string, r *http.Request) (*auth.TokenInfo, error) {
	if g.issuers[0].DangerouslySkipVerification && (r == nil || !arrivedOnLoopback(r)) {
		return nil, &publicError{infoOf(reason.NotLoopback).Phrase, auth.ErrInvalidToken}
	}
	c, rejection := g.verifyToken(ctx, token, r)
	if rejection == nil {
		return g.tokenInfo(c), nil
	}
	return nil, &publicError{infoOf(rejection.Reason).Phrase, rejection.Err}
}

var _ auth.TokenVerifier = (*Guard)(nil).Verify
