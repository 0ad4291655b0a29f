package gatehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const (
	// maxOpaque bounds an opaque token, in bytes, whatever TokenRules.MaxBytes is: it has no
	// claims. A JWT for a provider with OpaqueOnly has its own limit.
	maxOpaque = 4 << 10
	// maxIntrospections bounds the requests to the provider about unknown tokens that run at
	// the same time, since each of them causes one, and anyone can make them up.
	maxIntrospections = 32
	// maxRenewals bounds the requests about tokens that were accepted before. They are apart,
	// so that a flood of unknown tokens does not lock out users who are signed in.
	maxRenewals = 32
	// introspectionTimeout bounds one request to the provider.
	introspectionTimeout = 5 * time.Second
	// introspectionAge is how long an answer that accepts a token is cached, and so how
	// long a revoked token may still be accepted.
	introspectionAge = time.Minute
	// rejectionAge is how long an answer that rejects a token is cached.
	rejectionAge = 10 * time.Second
	// maxPause bounds a provider's Retry-After.
	maxPause = time.Minute
	// busyRetryAfter is the Retry-After when too many requests run at the same time.
	busyRetryAfter = time.Second
)

// ErrInactive is wrapped by an error of [Provider.Introspect] if the provider does not
// know the token, or says that the token was revoked or has expired.
var ErrInactive = errors.New("token is not active")

// introspector asks the provider about opaque tokens. For each token, at most one request
// runs at a time, and its answer is cached.
type introspector struct {
	introspect  func(context.Context, string) (json.RawMessage, error)
	accepted    tokenCache
	rejected    tokenCache // separate, so that rejected tokens evict no accepted ones
	flights     singleflight.Group
	slots       chan struct{} // of unknown tokens
	renewals    chan struct{} // of tokens that were accepted before
	pausedUntil atomic.Int64  // in Unix nanoseconds
}

func newIntrospector(p Provider) *introspector {
	if p.Introspect == nil {
		return nil
	}
	return &introspector{
		introspect: p.Introspect,
		accepted:   newTokenCache(),
		rejected:   newTokenCache(),
		slots:      make(chan struct{}, maxIntrospections),
		renewals:   make(chan struct{}, maxRenewals),
	}
}

// busyError is an error with a Retry-After.
type busyError struct {
	after time.Duration
	err   error
}

func (e *busyError) Error() string             { return e.err.Error() }
func (e *busyError) Unwrap() error             { return e.err }
func (e *busyError) RetryAfter() time.Duration { return e.after }

var (
	errPaused = errors.New("the provider is rate limiting requests (Retry-After)")
	errBusy   = errors.New("too many introspection requests are running")

	errIntrospectPanicked = errors.New("Provider.Introspect panicked")
)

// checkOpaque sets out to the caller that raw identifies, from a cache or from the provider, and says
// in how which of the two it was.
func (v *verifier) checkOpaque(
	ctx context.Context, from *issuer, raw string, by sender, key fingerprint, now time.Time, out *verified, how *Verification,
) *Rejection {
	in := from.introspector
	last := in.accepted.last(key)
	if last != nil && now.Before(last.expires) {
		out.read(last.record, from)
		how.Cache = cacheHit
		return nil
	}
	if e := in.rejected.get(key, now); e != nil {
		how.Cache = cacheHit
		return v.limiter.rejectJunk(ctx, by, e.rejection)
	}
	if left := time.Unix(0, in.pausedUntil.Load()).Sub(now); left > 0 {
		return &Rejection{Reason: reason.ProviderUnavailable, Err: &busyError{left, errPaused}, from: from}
	}
	ask := v.introspectUnknown
	if last != nil {
		ask = v.introspectAgain
	}
	// The request does not end with its first caller, since others may wait for it too.
	flight := in.flights.DoChan(string(key[:]), func() (_ any, err error) {
		defer recoverPanic(&err)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), introspectionTimeout)
		defer cancel()
		return ask(ctx, from, raw, by, key), nil
	})
	select {
	case result := <-flight:
		answer, ok := result.Val.(*introspection)
		if !ok {
			return &Rejection{Reason: reason.ProviderUnavailable, Err: result.Err, from: from}
		}
		*out = answer.verified
		return answer.rejection
	case <-ctx.Done():
		return &Rejection{Reason: reason.ProviderUnavailable, Err: context.Cause(ctx), from: from}
	}
}

// introspectAgain asks the provider about a token that was accepted before.
func (v *verifier) introspectAgain(ctx context.Context, from *issuer, raw string, _ sender, key fingerprint) *introspection {
	return v.introspect(ctx, from, raw, key, from.introspector.renewals)
}

// introspectUnknown asks the provider about a token that it was not asked about before, unless its
// sender has sent too many. Requests with one token that arrive together count as one.
func (v *verifier) introspectUnknown(ctx context.Context, from *issuer, raw string, by sender, key fingerprint) *introspection {
	counted, rejection := v.limiter.beginOpaque(ctx, by, from)
	if rejection != nil {
		return &introspection{rejection: rejection}
	}
	answer := v.introspect(ctx, from, raw, key, from.introspector.slots)
	v.limiter.endOpaque(ctx, &counted, answer.rejection)
	return answer
}

// recoverPanic turns a panic in Introspect into an error: singleflight would end the
// process, where a panic in a handler ends one connection. The panic value may contain a
// token, so only runtime errors are included.
func recoverPanic(err *error) {
	switch p := recover().(type) {
	case nil:
	case runtime.Error:
		*err = fmt.Errorf("Provider.Introspect panicked: %w", p)
	default:
		*err = fmt.Errorf("Provider.Introspect panicked with a %T", p)
	}
}

// introspection is the result of one request to the provider.
type introspection struct {
	verified  verified
	rejection *Rejection // in place of verified, if the token was rejected
}

// introspect asks the provider about a token and caches the answer, unless the provider is
// unavailable. The request takes one of slots.
func (v *verifier) introspect(ctx context.Context, from *issuer, raw string, key fingerprint, slots chan struct{}) *introspection {
	in := from.introspector
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	default:
		return unavailableAnswer(from, &busyError{busyRetryAfter, errBusy})
	}
	claims, err := v.ask(ctx, from, raw)
	now := time.Now()
	if err != nil && !errors.Is(err, ErrInactive) {
		in.pause(err, now)
		return unavailableAnswer(from, fmt.Errorf("introspecting an opaque token: %w", err))
	}
	answer := &introspection{}
	if answer.rejection = v.judge(from, claims, err, key, now, &answer.verified); answer.rejection != nil {
		in.accepted.remove(key)
		in.rejected.putRejection(key, answer.rejection, now.Add(rejectionAge))
		return answer
	}
	in.accepted.put(key, &answer.verified, 0, earlier(answer.verified.identity.Expiry, now.Add(introspectionAge)))
	return answer
}

// ask sends the request to the provider.
func (v *verifier) ask(ctx context.Context, from *issuer, raw string) (claims json.RawMessage, err error) {
	began := v.observed.now()
	err = errIntrospectPanicked // until Introspect returns
	defer func() { v.observed.introspected(ctx, began, from, claims, err) }()
	claims, err = from.introspector.introspect(ctx, raw)
	return claims, err
}

// unavailableAnswer is the answer, never cached, when the provider cannot be asked.
func unavailableAnswer(from *issuer, err error) *introspection {
	return &introspection{rejection: &Rejection{Reason: reason.ProviderUnavailable, Err: err, from: from}}
}

// judge applies the provider's token rules to its answer about a token. inactive is the
// error that the provider returned instead of claims, or nil.
func (v *verifier) judge(from *issuer, claims json.RawMessage, inactive error, key fingerprint, now time.Time, out *verified) *Rejection {
	if inactive != nil {
		return &Rejection{Reason: reason.Inactive, Err: &TokenError{Reason: reason.Inactive, err: inactive}, from: from}
	}
	t, err := from.jwt.VerifyClaims(claims, now)
	if err != nil {
		return rejectionOf(err, from)
	}
	return v.identify(t, key, from, out)
}

// pause stops requests for as long as the provider's error asks for (Retry-After, RFC
// 9110 §10.2.3), if it does.
func (in *introspector) pause(err error, now time.Time) {
	var hinted interface{ RetryAfter() time.Duration }
	if errors.As(err, &hinted) && hinted.RetryAfter() > 0 {
		in.pausedUntil.Store(now.Add(min(hinted.RetryAfter(), maxPause)).UnixNano())
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
