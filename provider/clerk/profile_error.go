package clerk

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/maypok86/otter/v2"
)

// Errors of [Profile], for errors.Is.
var (
	// ErrNotSignedIn means that the request did not come through a guard, or that the caller has
	// no token, which [gatehouse.Require.Public] allows.
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

// rejectedTokens has the tokens that Clerk's userinfo endpoint rejected: their fingerprint,
// and when it is no longer needed.
var rejectedTokens = otter.Must(&otter.Options[string, *time.Time]{MaximumSize: maxRejectedTokens})

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
	needed, ok := rejectedTokens.GetIfPresent(id.Fingerprint)
	return ok && time.Now().Before(*needed)
}

// rejectToken adds the token of id to rejectedTokens.
func rejectToken(id gatehouse.Identity) {
	needed := id.Expiry.Add(rejectedTokenGrace)
	rejectedTokens.Set(strings.Clone(id.Fingerprint), &needed)
}
