package gatehouse

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/ratelimit"
	"github.com/maypok86/otter/v2"
)

const (
	// maxBudgets bounds the budgets in one table. If there are more, those that are used rarely are
	// removed, and are full when they are used again: no caller is rejected because a table is full.
	maxBudgets = 16_384
	// sharedTimeout bounds one call of [RateLimits.Shared].
	sharedTimeout = 50 * time.Millisecond
	// sharedPause is how long it is not called after a failure, so that an outage delays one request
	// in each such time, and not all of them.
	sharedPause = time.Second
)

// budgetID names one budget of a guard.
type budgetID struct {
	kind      budgetKind
	network   netip.Prefix // of the client; the zero value if it does not matter
	principal string       // of the caller; empty if it does not matter
}

// budgetKind says what a budget is for.
type budgetKind string

const (
	budgetJunk      budgetKind = "junk"      // texts that cannot be a valid token
	budgetJWT       budgetKind = "jwt"       // JWTs that look valid before their signature is checked
	budgetOpaque    budgetKind = "opaque"    // opaque tokens
	budgetKnown     budgetKind = "known"     // JWTs of a caller who has sent a signed one before
	budgetAnonymous budgetKind = "anonymous" // requests without a token
	budgetRequests  budgetKind = "requests"  // requests of a caller
)

// budgets is a bounded table of budgets. It is safe for concurrent use.
type budgets struct {
	resource string // of the guard
	seed     maphash.Seed
	rows     *otter.Cache[uint64, *budgetRow] // by a hash that clients cannot predict
	shared   *sharedBudgets                   // nil without RateLimits.Shared
}

type budgetRow struct {
	mu     sync.Mutex
	bucket ratelimit.Bucket
}

func newBudgets(resource string, shared *sharedBudgets) *budgets {
	return &budgets{
		resource: resource,
		seed:     maphash.MakeSeed(),
		rows: otter.Must(&otter.Options[uint64, *budgetRow]{
			MaximumSize: maxBudgets,
			Executor:    func(maintain func()) { maintain() }, // see newTokenCache
		}),
		shared: shared,
	}
}

func (b *budgets) row(id *budgetID) *budgetRow {
	key := maphash.Comparable(b.seed, *id)
	if row, ok := b.rows.GetIfPresent(key); ok {
		return row
	}
	row, _ := b.rows.SetIfAbsent(key, &budgetRow{})
	return row
}

// take takes n from the budget, or returns how long it will be until n is left. The budget of this
// process is asked first. It is never emptier than the shared one, which counts the same and more,
// so a flood that is over its limit causes at most one call of the shared limiter in each interval
// of the rate. And it has counted along when the shared limiter fails.
func (b *budgets) take(ctx context.Context, id *budgetID, n int, rate Rate) (wait time.Duration) {
	n = min(n, rate.Burst)
	row := b.row(id)
	if wait := row.take(n, rate); wait > 0 {
		return wait
	}
	if b.shared == nil {
		return 0
	}
	wait, ok := b.shared.take(ctx, b.name(id), n, rate)
	if !ok {
		b.shared.countFallback()
		return 0
	}
	if wait > 0 {
		row.block(n, wait, rate)
	}
	return wait
}

// giveBack gives back what take has taken.
func (b *budgets) giveBack(ctx context.Context, id *budgetID, n int, rate Rate) {
	b.giveBackHere(id, n, rate)
	if b.shared != nil {
		b.shared.take(ctx, b.name(id), -n, rate)
	}
}

// takeHere is take for a budget that other processes do not share.
func (b *budgets) takeHere(id *budgetID, n int, rate Rate) (wait time.Duration) {
	return b.row(id).take(min(n, rate.Burst), rate)
}

// giveBackHere gives back what takeHere has taken.
func (b *budgets) giveBackHere(id *budgetID, n int, rate Rate) { b.row(id).take(-n, rate) }

// name returns the name of the budget for [RateLimiter].
func (b *budgets) name(id *budgetID) string {
	network := "-"
	if id.network.IsValid() {
		network = id.network.String()
	}
	return strings.Join([]string{b.resource, string(id.kind), network, id.principal}, " ")
}

func (r *budgetRow) take(n int, rate Rate) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bucket.Take(time.Now(), n, ratelimit.Rate(rate))
}

func (r *budgetRow) block(n int, wait time.Duration, rate Rate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bucket.Block(time.Now(), n, wait, ratelimit.Rate(rate))
}

// sharedBudgets calls a [RateLimiter], and stops calling it for a while when it fails. All tables of
// a guard use the same one.
type sharedBudgets struct {
	limiter RateLimiter
	logger  *slog.Logger

	mu         sync.Mutex
	failing    bool
	failedAt   time.Time // of the first failure since the last success
	lastFailed time.Time
	retryAt    time.Time
	logged     bool // whether the log has a line about the present outage
	log        sometimes
	stats      RateLimitStats
}

func newSharedBudgets(s *settings) *sharedBudgets {
	if s.RateLimits.Shared == nil {
		return nil
	}
	return &sharedBudgets{limiter: s.RateLimits.Shared, logger: s.Logger, stats: RateLimitStats{Shared: true}}
}

// take calls the limiter. ok is false if it failed or has just failed, and so nothing is known.
func (s *sharedBudgets) take(ctx context.Context, key string, n int, rate Rate) (wait time.Duration, ok bool) {
	if !s.mayCall() {
		return 0, false
	}
	began := time.Now()
	wait, err := s.call(ctx, key, n, rate)
	if err != nil {
		s.failed(err)
		return 0, false
	}
	s.succeeded(began)
	return min(max(wait, 0), rate.Every*time.Duration(rate.Burst)), true
}

// mayCall reports whether the limiter may be called. After a failure, one call in each sharedPause
// may.
func (s *sharedBudgets) mayCall() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.failing && now.Before(s.retryAt) {
		return false
	} else if s.failing {
		s.retryAt = now.Add(sharedPause)
	}
	return true
}

// call calls the limiter with a deadline. The end of the request is not one: that would look like a
// failure of the limiter. A panic is a failure; its value may contain the address of a client.
func (s *sharedBudgets) call(ctx context.Context, key string, n int, rate Rate) (wait time.Duration, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the rate limiter panicked")
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedTimeout)
	defer cancel()
	return s.limiter.Take(ctx, key, n, rate)
}

// countFallback counts a decision that this process makes alone.
func (s *sharedBudgets) countFallback() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Fallbacks++
}

// failed records a failure. It is logged once for each outage, and at most once in each
// limitLogInterval: the answers of a limiter that is about as slow as sharedTimeout are failures
// and successes in turn.
func (s *sharedBudgets) failed(err error) {
	s.mu.Lock()
	now := time.Now()
	if !s.failing {
		s.failing, s.failedAt = true, now
	}
	s.lastFailed, s.retryAt = now, now.Add(sharedPause)
	s.stats.SharedFailures++
	s.stats.SharedAvailable = false
	due := !s.logged && s.log.isDue(now)
	s.logged = s.logged || due
	s.mu.Unlock()
	text := quote.Clip(err.Error(), maxLoggedDetail)
	if due {
		s.logger.Warn("the shared rate limiter is unavailable; this process counts alone until it is available again", "error", text)
	} else {
		s.logger.Debug("the shared rate limiter is still unavailable", "error", text)
	}
}

// succeeded records the success of a call that began at the time. Calls that ran when another one
// failed do not end the outage: otherwise a limiter that is slow would be called, and waited for,
// by each request.
func (s *sharedBudgets) succeeded(began time.Time) {
	s.mu.Lock()
	if s.failing && !began.After(s.lastFailed) {
		s.mu.Unlock()
		return
	}
	logged, outage := s.logged, time.Since(s.failedAt)
	s.failing, s.logged = false, false
	s.stats.SharedAvailable = true
	s.mu.Unlock()
	if logged {
		s.logger.Info("the shared rate limiter is available again", "after", outage.Round(time.Millisecond).String())
	}
}

// stats returns the state of the limits.
func (l *limiter) stats() RateLimitStats {
	var out RateLimitStats
	if l.shared != nil {
		l.shared.mu.Lock()
		out = l.shared.stats
		l.shared.mu.Unlock()
	}
	out.Budgets = l.byClient.rows.EstimatedSize() + l.byCaller.rows.EstimatedSize()
	out.LimitedSignIns, out.LimitedRequests, out.LimitedAnonymous = l.limitedSignIns.Load(), l.limitedRequests.Load(), l.limitedAnonymous.Load()
	return out
}

// overLimitError says by which budget a request was rejected, and when to try again.
type overLimitError struct {
	id   budgetID
	rate Rate
	wait time.Duration
}

func (e *overLimitError) RetryAfter() time.Duration { return e.wait }

func (e *overLimitError) Error() string {
	rate := fmt.Sprintf("%.6g a minute, and %d at once", float64(time.Minute)/float64(e.rate.Every), e.rate.Burst)
	switch e.id.kind {
	case budgetRequests:
		return "the caller sends more requests than RateLimits allows, " + rate
	case budgetAnonymous:
		return fmt.Sprintf("callers without a token at %s send more requests than RateLimits allows, %s", e.id.network, rate)
	case budgetKnown:
		return fmt.Sprintf("the caller sent more invalid tokens from %s than RateLimits allows, %s", e.id.network, rate)
	}
	return fmt.Sprintf("more invalid tokens (%s) were sent from %s than RateLimits allows, %s", e.id.kind, e.id.network, rate)
}
