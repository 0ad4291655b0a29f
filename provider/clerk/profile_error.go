package clerk

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// Errors of [Profile], for errors.Is.
var (
	// ErrNotSignedIn means that the request did not come through a guard.
	ErrNotSignedIn = errors.New("clerk: request has no verified caller")
	// ErrUnavailable means that Clerk gave no usable answer. The caller can try again.
	ErrUnavailable = errors.New("clerk: Clerk is unavailable; try again later")
	// ErrTokenRevoked means that Clerk rejected the caller's token: it has expired, or the
	// user was signed out, banned or deleted. Only another sign-in helps, or a refresh of
	// the token by the client; see [TokenRejected].
	ErrTokenRevoked = errors.New("clerk: sign-in has expired or was revoked; sign in again")
)

// profileError is an error of Profile. Its text is that of kind, so that a tool can return
// it to a client. The detail, which may contain addresses, is for logs.
type profileError struct{ kind, detail error }

func (e *profileError) Error() string   { return e.kind.Error() }
func (e *profileError) Unwrap() []error { return []error{e.kind, e.detail} }

// LogValue returns the text and the detail.
func (e *profileError) LogValue() slog.Value {
	return slog.StringValue(e.kind.Error() + ": " + e.detail.Error())
}

const (
	// maxRejectedTokens bounds the memory of tokens that Clerk rejected.
	maxRejectedTokens = 10_000
	// rejectedTokenGrace is how long a rejected token is kept after its expiry: the largest
	// leeway of a guard.
	rejectedTokenGrace = 2 * time.Minute
)

// rejectedTokens are the tokens that Clerk's userinfo endpoint rejected.
var rejectedTokens = tokenList{limit: maxRejectedTokens}

// TokenRejected reports whether Clerk rejected the token of id when [Profile] used it.
// Set it as the Revoked function of the guard:
//
//	serve.Config{Provider: clerk.FromEnv(), Revoked: clerk.TokenRejected}
//
// Then the next request with the token gets 401 invalid_token, and the client refreshes its
// token or signs the user in again. Otherwise the guard accepts a token until it expires,
// also one whose user has signed out, because it does not ask Clerk about JWTs.
//
// The list is in the memory of this process, and has at most 10,000 tokens. TokenRejected is
// safe for concurrent use.
func TokenRejected(id gatehouse.Identity) bool {
	return rejectedTokens.has(id.Fingerprint, time.Now())
}

// tokenList is a bounded set of fingerprints that expire. It is safe for concurrent use.
type tokenList struct {
	limit int

	mu      sync.RWMutex
	expires map[string]time.Time
}

func (l *tokenList) has(fingerprint string, now time.Time) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	expires, ok := l.expires[fingerprint]
	return ok && now.Before(expires)
}

// add adds a fingerprint. If the list is full, it removes those that have expired, or else
// any other one.
func (l *tokenList) add(fingerprint string, expires, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expires == nil {
		l.expires = make(map[string]time.Time)
	}
	if len(l.expires) >= l.limit {
		for other, end := range l.expires {
			if !now.Before(end) {
				delete(l.expires, other)
			}
		}
	}
	for other := range l.expires {
		if len(l.expires) < l.limit {
			break
		}
		delete(l.expires, other)
	}
	l.expires[strings.Clone(fingerprint)] = expires
}
