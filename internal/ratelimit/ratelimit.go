// Package ratelimit has the arithmetic of rate limits: the generic cell rate algorithm (GCRA), which
// is a token bucket whose state is one time.
package ratelimit

import (
	"context"
	"time"
)

// Rate is what a budget allows: at most Burst at once, and one more in each Every.
type Rate struct {
	Every time.Duration // positive
	Burst int           // positive
}

// Bucket is the state of one budget: the time at which it will be full again. The zero value is a
// full budget.
type Bucket struct{ fullAt time.Time }

// Take takes n from the budget at the time now, and returns 0. If less than n is left, it takes
// nothing and returns how long it will be until n is left. More than the burst is as much as the
// burst. A negative n gives back what was taken.
//
// A time that lies before that of earlier calls does no harm: a budget is never emptier than one
// from which everything was taken just now.
func (b *Bucket) Take(now time.Time, n int, rate Rate) (wait time.Duration) {
	n = min(n, rate.Burst)
	whole := rate.Every * time.Duration(rate.Burst)
	missing := min(max(b.fullAt.Sub(now), 0), whole)
	next := missing + rate.Every*time.Duration(n)
	if next > whole {
		b.fullAt = now.Add(missing)
		return next - whole
	}
	b.fullAt = now.Add(max(next, 0))
	return 0
}

// Block sets the budget to what is left in another one of the same rate, from which n cannot be
// taken before wait has passed.
func (b *Bucket) Block(now time.Time, n int, wait time.Duration, rate Rate) {
	n = min(max(n, 1), rate.Burst)
	need := rate.Every * time.Duration(n)
	whole := rate.Every * time.Duration(rate.Burst)
	b.fullAt = now.Add(whole - need + min(max(wait, 0), need))
}

type asOneKey struct{}

// AsOne returns a context whose request counts as one, however many messages its body has: forward
// auth asks with a body that it has made up.
func AsOne(ctx context.Context) context.Context { return context.WithValue(ctx, asOneKey{}, true) }

// CountsAsOne reports whether ctx is from [AsOne].
func CountsAsOne(ctx context.Context) bool { return ctx.Value(asOneKey{}) != nil }
