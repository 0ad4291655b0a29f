package gatehouse

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/clientaddr"
	"github.com/gatehouse-mcp/gatehouse/internal/ratelimit"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
	"github.com/maypok86/otter/v2"
)

const (
	// jwtFactor is how many times the budget of other tokens an address has for JWTs that look
	// valid. Such a token may be the first one of a user who shares the address with an attacker,
	// and to find out costs less than 0.1 ms and no request to the provider.
	jwtFactor = 20
	// siteFactor is how many times the budget of one IPv6 network all networks of its site have. Many
	// providers give a network of 48 bits to anyone, which is 65,536 networks of 64 bits, but the
	// networks of a site may also belong to many users.
	siteFactor = 16
	// maxKnownCallers bounds the callers that are known to have sent a signed token.
	maxKnownCallers = 32_768
	// limitLogInterval is the least time between two lines of the log that say that a limit is in
	// effect.
	limitLogInterval = time.Minute
)

// limiter limits how often callers may do something; see [RateLimits].
type limiter struct {
	logger   *slog.Logger
	client   clientaddr.Finder
	signIn   Rate // zero if failed sign-ins are not limited
	request  Rate // zero if requests are not limited
	byClient *budgets
	byCaller *budgets
	shared   *sharedBudgets // nil without RateLimits.Shared
	// known has a hash of each caller that sent a JWT that the provider has signed.
	known *otter.Cache[uint64, struct{}]

	signInLog, requestLog sometimes

	limitedSignIns, limitedRequests, limitedAnonymous atomic.Uint64
}

func newLimiter(g *Guard) *limiter {
	resource, shared := g.resourceURL.String(), newSharedBudgets(g.settings)
	return &limiter{
		logger:   g.Logger,
		client:   clientaddr.Finder{Trusted: slices.Clone(g.TrustedProxies), Header: g.ClientAddressHeader},
		signIn:   g.RateLimits.signInRate(),
		request:  g.RateLimits.requestRate(),
		byClient: newBudgets(resource, shared),
		byCaller: newBudgets(resource, shared),
		shared:   shared,
		known: otter.Must(&otter.Options[uint64, struct{}]{
			MaximumSize: maxKnownCallers,
			Executor:    func(maintain func()) { maintain() },
		}),
	}
}

// sender is where a request came from.
type sender struct {
	network netip.Prefix // not valid if tokens from there are not limited
	hint    string       // for the operator, if many clients may have this address
}

// senderOf returns the sender of a token of r. r is nil if there is no request, as when the token of
// an open stream is verified again; that does not count.
func (l *limiter) senderOf(r *http.Request) sender {
	if r == nil || l.signIn.Every == 0 {
		return sender{}
	}
	return l.locate(r)
}

// locate returns the sender of r.
func (l *limiter) locate(r *http.Request) sender {
	source := l.client.Locate(r)
	by := sender{network: clientaddr.Network(source.Address)}
	switch {
	case source.Proxied:
		by.hint = "a request from there names the client of a proxy; if it is a proxy of yours, add its address to TrustedProxies, " +
			"so that each of its clients has a limit of its own"
	case source.Unnamed:
		by.hint = "that is an address of TrustedProxies; have the proxy write the address of the client into " +
			cmp.Or(l.client.Header, clientaddr.XForwardedFor) + " in each request, or name the header that it writes in ClientAddressHeader"
	}
	return by
}

// logAttrs returns the attributes for the log about an address over a limit.
func (by *sender) logAttrs(network netip.Prefix) []any {
	attrs := []any{"address", network.String()}
	if by.hint != "" {
		attrs = append(attrs, "hint", by.hint)
	}
	return attrs
}

// charge is one token that was counted before it was verified.
type charge struct {
	id   budgetID
	rate Rate // zero if nothing was counted
}

// ofSite returns the charge for the site of an IPv6 network. ok is false for an IPv4 address.
func (c *charge) ofSite() (site charge, ok bool) {
	network, ok := clientaddr.Site(c.id.network)
	site = charge{budgetID{c.id.kind, network, c.id.principal}, Rate{c.rate.Every / siteFactor, c.rate.Burst * siteFactor}}
	return site, ok
}

// takeFrom takes n from the budget of the charge and from that of its site, and returns nil. If one
// of them has less left, it takes nothing and returns that. The budget of a site is not shared: it
// bounds the work of this process, and the calls of the shared limiter.
func (l *limiter) takeFrom(ctx context.Context, c *charge, n int) *overLimitError {
	n = min(n, c.rate.Burst)
	site, isIPv6 := c.ofSite()
	if isIPv6 {
		if wait := l.byClient.takeHere(&site.id, n, site.rate); wait > 0 {
			return &overLimitError{site.id, site.rate, wait}
		}
	}
	wait := l.byClient.take(ctx, &c.id, n, c.rate)
	if wait == 0 {
		return nil
	}
	if isIPv6 {
		l.byClient.giveBackHere(&site.id, n, site.rate)
	}
	return &overLimitError{c.id, c.rate, wait}
}

// take takes one from the budget of the charge, or rejects the token.
func (l *limiter) take(ctx context.Context, by sender, c *charge) *Rejection {
	over := l.takeFrom(ctx, c, 1)
	if over == nil {
		return nil
	}
	if l.signInLog.isDue(time.Now()) {
		l.logger.Warn("too many invalid tokens come from one address; further ones are answered with 429", by.logAttrs(over.id.network)...)
	}
	return &Rejection{Reason: reason.TooManyFailedSignIns, Err: over}
}

// giveBack undoes take.
func (l *limiter) giveBack(ctx context.Context, c *charge) {
	if c.rate.Every == 0 {
		return
	}
	l.byClient.giveBack(ctx, &c.id, 1, c.rate)
	if site, isIPv6 := c.ofSite(); isIPv6 {
		l.byClient.giveBackHere(&site.id, 1, site.rate)
	}
}

// sometimes limits lines of the log to one in each limitLogInterval.
type sometimes struct {
	mu   sync.Mutex
	last time.Time
}

// isDue reports whether a line may be logged now.
func (s *sometimes) isDue(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.last.IsZero() && now.Sub(s.last) < limitLogInterval {
		return false
	}
	s.last = now
	return true
}

// rejectJunk counts a text that cannot be a valid token, or is known not to be one, and returns why
// it is rejected: as rejection says, or because of the limit.
func (l *limiter) rejectJunk(ctx context.Context, by sender, rejection *Rejection) *Rejection {
	if !by.network.IsValid() {
		return rejection
	}
	over := l.take(ctx, by, &charge{budgetID{kind: budgetJunk, network: by.network}, l.signIn})
	if over == nil {
		return rejection
	}
	over.from = rejection.from
	return over
}

// beginJWT counts a JWT whose signature is not checked yet, or rejects it. A caller that is known
// has a budget of their own at each address, so that others there cannot use it up.
func (l *limiter) beginJWT(ctx context.Context, by sender, p *token.Parsed) (charge, *Rejection) {
	if !by.network.IsValid() {
		return charge{}, nil
	}
	c := charge{budgetID{kind: budgetJWT, network: by.network}, Rate{l.signIn.Every / jwtFactor, l.signIn.Burst * jwtFactor}}
	if principal := principalOf(p); l.isKnown(principal) {
		c = charge{budgetID{budgetKnown, by.network, principal}, l.signIn}
	}
	return c, l.take(ctx, by, &c)
}

// endJWT must be called when the token has been verified. failed is nil if it was accepted. A token
// that the provider has signed does not count against its address, also if it has expired or is
// for another server; in that case it counts against its caller. If no key of the provider is
// known, the token says nothing about its sender.
func (l *limiter) endJWT(ctx context.Context, c *charge, p *token.Parsed, from *issuer, failed *Rejection) {
	if c.rate.Every == 0 {
		return
	}
	if !p.Signed() {
		if failed.Reason == reason.ProviderUnavailable && from.keys != nil && from.keys.Stats().Keys == 0 {
			l.giveBack(ctx, c)
		}
		return
	}
	principal := principalOf(p)
	l.known.Set(l.hashOf(principal), struct{}{})
	if failed != nil && c.id.kind == budgetKnown {
		return
	}
	l.giveBack(ctx, c)
	if failed != nil {
		l.byClient.take(ctx, &budgetID{budgetKnown, c.id.network, principal}, 1, l.signIn)
	}
}

// beginOpaque counts an opaque token about which the provider is asked, or rejects it.
func (l *limiter) beginOpaque(ctx context.Context, by sender, from *issuer) (charge, *Rejection) {
	if !by.network.IsValid() {
		return charge{}, nil
	}
	c := charge{budgetID{kind: budgetOpaque, network: by.network}, l.signIn}
	rejection := l.take(ctx, by, &c)
	if rejection != nil {
		rejection.from = from
	}
	return c, rejection
}

// endOpaque must be called when the provider has answered, or has not.
func (l *limiter) endOpaque(ctx context.Context, c *charge, failed *Rejection) {
	if failed == nil || failed.Reason == reason.ProviderUnavailable {
		l.giveBack(ctx, c)
	}
}

// principalOf returns the principal that a JWT claims to be of, or "" without one.
func principalOf(p *token.Parsed) string {
	if p.Subject() == "" {
		return ""
	}
	return Identity{Issuer: p.Issuer(), Subject: p.Subject()}.Principal()
}

func (l *limiter) hashOf(principal string) uint64 { return maphash.String(l.byClient.seed, principal) }

func (l *limiter) isKnown(principal string) bool {
	if principal == "" {
		return false
	}
	_, ok := l.known.GetIfPresent(l.hashOf(principal))
	return ok
}

// limitRequests counts a request of a caller whose token is valid, or who needs none, or rejects it.
// Each message of a batch counts.
func (g *Guard) limitRequests(r *http.Request, c *caller, body []byte) *Rejection {
	l := g.limiter
	if l.request.Every == 0 {
		return nil
	}
	n := 1
	if isBatch(body) && !ratelimit.CountsAsOne(r.Context()) {
		messages, _ := messagesOf(body) // a batch that is too long is rejected by the next check
		n = max(n, len(messages))
	}
	over := l.takeRequests(r, c, n)
	if over == nil {
		return nil
	}
	return &Rejection{Reason: reason.RateLimited, Err: over, Identity: c.identity, from: c.from}
}

// takeRequests takes n from the budget of a caller, or of the address of one without a token. It
// returns nil, or which budget has less left.
func (l *limiter) takeRequests(r *http.Request, c *caller, n int) *overLimitError {
	if c.anonymous {
		return l.takeAnonymous(r, n)
	}
	id := budgetID{kind: budgetRequests, principal: c.principal}
	wait := l.byCaller.take(r.Context(), &id, n, l.request)
	if wait == 0 {
		return nil
	}
	l.limitedRequests.Add(1)
	if l.requestLog.isDue(time.Now()) {
		l.logger.Info("a caller sends more requests than RateLimits allows; further ones are answered with 429", "caller", c.identity)
	}
	return &overLimitError{id, l.request, wait}
}

func (l *limiter) takeAnonymous(r *http.Request, n int) *overLimitError {
	by := l.locate(r)
	over := l.takeFrom(r.Context(), &charge{budgetID{kind: budgetAnonymous, network: by.network}, l.request}, n)
	if over == nil {
		return nil
	}
	l.limitedAnonymous.Add(1)
	if l.requestLog.isDue(time.Now()) {
		l.logger.Info("callers without a token at one address send more requests than RateLimits allows; further ones are asked to sign in",
			by.logAttrs(over.id.network)...)
	}
	return over
}
