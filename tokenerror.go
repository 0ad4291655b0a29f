package gatehouse

import "github.com/modelcontextprotocol/go-sdk/auth"

// TokenError describes why a token was rejected. It matches [auth.ErrInvalidToken] with
// errors.Is, so that go-sdk's own middleware answers with 401.
type TokenError struct {
	Reason Reason
	Claim  string // claim or header parameter; empty if the reason is not about one
	Got    string // its value, shortened; empty if the value is secret or there is none
	Want   string // the expected value; may be empty
	kind   string // in words, if TokenRules.RejectedHeader or RejectedClaims marked the token
	err    error
}

func (e *TokenError) Error() string { return e.err.Error() }

// Is reports whether target is [auth.ErrInvalidToken].
func (e *TokenError) Is(target error) bool { return target == auth.ErrInvalidToken }

func (e *TokenError) Unwrap() error { return e.err }

// publicError has a fixed phrase as its text and wraps the details, since go-sdk sends the
// text of a verifier's error to the client.
type publicError struct {
	phrase string
	err    error
}

func (e *publicError) Error() string { return e.phrase }
func (e *publicError) Unwrap() error { return e.err }
