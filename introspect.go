package gatehouse

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/cache"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
	"golang.org/x/sync/singleflight"
)

const (
	// maxOpaque bounds an opaque token, in bytes.
	maxOpaque = 4 << 10
	// maxIntrospections is how many questions may be under way at once: unknown
	// tokens cost the provider a request each.
	maxIntrospections = 32
	// introspectionTimeout bounds one question.
	introspectionTimeout = 5 * time.Second
	// introspectionAge is how long a good answer is believed, and with that how
	// long a revoked token works on; refusalAge is the same for a bad answer.
	introspectionAge = time.Minute
	refusalAge       = 10 * time.Second
	// maxPause bounds how long a provider that asks for patience is left alone.
	maxPause = time.Minute
)

// ErrInactive is what [Provider.Introspect] wraps when the provider does not know
// the token, or says that it was revoked or has expired.
var ErrInactive = errors.New("token is not active")

// introspector asks the provider about opaque tokens, each at most once at a time
// and once a minute.
type introspector struct {
	ask     func(context.Context, string) (json.RawMessage, error)
	good    *cache.Cache[packed]
	bad     *cache.Cache[*Rejection]
	flights singleflight.Group
	slots   chan struct{}
	pause   atomic.Int64 // until when, in Unix nanoseconds
}

func newIntrospector(p Provider) *introspector {
	if p.Introspect == nil {
		return nil
	}
	return &introspector{
		ask:   p.Introspect,
		good:  cache.New[packed](cache.Config{Entries: cacheEntries, Bytes: cacheBytes}),
		bad:   cache.New[*Rejection](cache.Config{Entries: cacheEntries, Bytes: cacheBytes}),
		slots: make(chan struct{}, maxIntrospections),
	}
}

// busyError says when to ask again.
type busyError struct {
	after time.Duration
	err   error
}

func (e *busyError) Error() string             { return e.err.Error() }
func (e *busyError) Unwrap() error             { return e.err }
func (e *busyError) RetryAfter() time.Duration { return e.after }

var (
	errPaused = errors.New("the provider asked for patience")
	errBusy   = errors.New("too many tokens are being checked at once")
)

// verifyOpaque says in out who raw stands for, from memory or from the provider.
func (v *verifier) verifyOpaque(ctx context.Context, raw string, fingerprint [sha256.Size]byte, now time.Time, out *verified) *Rejection {
	in := v.introspector
	if hit, ok := in.good.Get(fingerprint, 0, now); ok {
		hit.unpack(out)
		return nil
	}
	if hit, ok := in.bad.Get(fingerprint, 0, now); ok {
		return hit
	}
	if len(raw) > maxOpaque {
		return refusal(&token.Error{Reason: reason.TooLarge})
	}
	if left := time.Until(time.Unix(0, in.pause.Load())); left > 0 {
		return &Rejection{Reason: reason.ProviderUnavailable, Err: &busyError{left, errPaused}}
	}
	// The question outlives whoever asked first: others may wait for its answer.
	flight := in.flights.DoChan(string(fingerprint[:]), func() (_ any, err error) {
		defer recovered(&err)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), introspectionTimeout)
		defer cancel()
		a := &answer{}
		a.rejection = v.introspect(ctx, raw, fingerprint, &a.verified)
		return a, nil
	})
	select {
	case result := <-flight:
		a, ok := result.Val.(*answer)
		if !ok {
			return &Rejection{Reason: reason.ProviderUnavailable, Err: result.Err}
		}
		*out = a.verified
		return a.rejection
	case <-ctx.Done():
		return &Rejection{Reason: reason.ProviderUnavailable, Err: context.Cause(ctx)}
	}
}

// recovered makes an error of a panic of the provider's code: singleflight would
// have it end the process, where in a handler it ends one connection. Its value may
// be anything, a token too, so only that of the runtime is told.
func recovered(err *error) {
	switch p := recover().(type) {
	case nil:
	case runtime.Error:
		*err = fmt.Errorf("the provider's code panicked: %w", p)
	default:
		*err = fmt.Errorf("the provider's code panicked with a %T", p)
	}
}

type answer struct {
	verified  verified
	rejection *Rejection
}

func (v *verifier) introspect(ctx context.Context, raw string, fingerprint [sha256.Size]byte, out *verified) *Rejection {
	in := v.introspector
	select {
	case in.slots <- struct{}{}:
		defer func() { <-in.slots }()
	default:
		return &Rejection{Reason: reason.ProviderUnavailable, Err: &busyError{time.Second, errBusy}}
	}
	claims, err := in.ask(ctx, raw)
	now := time.Now()
	if err != nil && !errors.Is(err, ErrInactive) {
		in.rest(err, now)
		return &Rejection{Reason: reason.ProviderUnavailable, Err: fmt.Errorf("asking about an opaque token: %w", err)}
	}
	if rejection := v.judge(claims, err, fingerprint, now, out); rejection != nil {
		in.bad.Put(fingerprint, 0, rejection, 512, now.Add(refusalAge))
		return rejection
	}
	p := out.pack()
	in.good.Put(fingerprint, 0, p, len(p), earlier(out.identity.Expiry, now.Add(introspectionAge)))
	return nil
}

// judge applies the rules for every token to what the provider said of this one.
func (v *verifier) judge(claims json.RawMessage, err error, fingerprint [sha256.Size]byte, now time.Time, out *verified) *Rejection {
	if err != nil {
		return &Rejection{Reason: reason.Inactive, Err: &TokenError{Reason: reason.Inactive, err: err}}
	}
	t, err := v.rules.VerifyClaims(claims, now)
	if err != nil {
		return refusal(err)
	}
	return v.admit(t, fingerprint, out)
}

// rest leaves a provider alone that asked for it (RFC 9110 §10.2.3).
func (in *introspector) rest(err error, now time.Time) {
	var hinted interface{ RetryAfter() time.Duration }
	if errors.As(err, &hinted) && hinted.RetryAfter() > 0 {
		in.pause.Store(now.Add(min(hinted.RetryAfter(), maxPause)).UnixNano())
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
