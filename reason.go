package gatehouse

import (
	"log/slog"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

// Reason names why a request was rejected, in a form for logs, metrics and comparisons.
// The set is closed; [Reasons] lists it.
type Reason = reason.Reason

// ReasonInfo describes one [Reason]: the answer that a client gets, what happened and
// what the operator should do.
type ReasonInfo = reason.Info

// Reasons returns every reason for which a request can be rejected, in the order of the
// checks.
func Reasons() []ReasonInfo { return reason.All() }

// infoOf returns the description of r, which must be one of the constants of package
// reason.
func infoOf(r Reason) ReasonInfo {
	info, _ := reason.InfoOf(r)
	return info
}

// Rejection is one refused request, as [Config.OnReject] sees it. It never
// holds the token.
type Rejection struct {
	Reason Reason
	Status int
	// Err has the precise detail, for logs only. It may be nil.
	Err error
	// Hint is what the operator should do.
	Hint string
	// Identity is set when the token itself was good.
	Identity Identity
}

// TokenError is a refused token. Inside go-sdk's own middleware it counts as
// auth.ErrInvalidToken.
type TokenError struct {
	Reason Reason
	Claim  string // claim or header parameter, if the reason is about one
	Got    string // shortened; empty where it would tell about the token
	Want   string
	err    error
}

func (e *TokenError) Error() string { return e.err.Error() }

// Is makes errors.Is(err, auth.ErrInvalidToken) true.
func (e *TokenError) Is(target error) bool { return target == auth.ErrInvalidToken }

func (e *TokenError) Unwrap() error { return e.err }

// outsideError has the fixed phrase as its text and the detail behind it: go-sdk
// writes the text of a verifier's error into the answer.
type outsideError struct {
	phrase string
	err    error
}

func (e *outsideError) Error() string { return e.phrase }
func (e *outsideError) Unwrap() error { return e.err }

// LogValue tells reason, detail and hint, and who it was about.
func (r Rejection) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("reason", string(r.Reason))}
	if r.Err != nil {
		attrs = append(attrs, slog.String("detail", r.Err.Error()))
	}
	if r.Identity.Subject != "" {
		attrs = append(attrs, slog.Any("caller", r.Identity))
	}
	// Every sign-in begins without credentials; that needs no advice.
	if r.Hint != "" && r.Reason != reason.NoCredentials {
		attrs = append(attrs, slog.String("hint", r.Hint))
	}
	return slog.GroupValue(attrs...)
}
