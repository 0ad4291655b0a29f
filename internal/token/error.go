package token

import (
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// Error is the reason why a token was rejected. Its text is one line for logs. It
// quotes shortened parts of the token and never contains the token itself.
type Error struct {
	Reason reason.Reason
	Claim  string // the claim or header parameter at fault; empty if it is the token as a whole
	Got    string // the token's value, as text for people: quoted and shortened by package quote
	Want   string // the accepted values, as text for people
	Kind   string // the kind of token in words, if Rules.RejectedHeader or Rules.RejectedClaims marked it
	Err    error  // more detail, or nil
}

// Unwrap returns the detail, or nil.
func (e *Error) Unwrap() error { return e.Err }

// Error returns what is wrong, got before want.
func (e *Error) Error() string {
	text := e.fact()
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) fact() string {
	switch e.Reason {
	case reason.Opaque:
		return "token is opaque, want a signed JWT"
	case reason.Encrypted:
		return "token is encrypted, want a signed JWT"
	case reason.TooLarge:
		return "token is " + e.Got + ", want " + e.Want
	case reason.Malformed:
		return "token is malformed"
	case reason.CriticalHeader:
		return fmt.Sprintf("token header has %q, want none", e.Claim)
	case reason.MissingKeyID:
		return `token header has no "kid", and the issuer has ` + e.Got + ", want " + e.Want
	case reason.UnknownKey:
		if e.Got == "" {
			return `token header has no "kid", and the issuer has no key for its algorithm`
		}
		return "token key " + e.Got + " is not one of the issuer's"
	case reason.BadSignature:
		if e.Got == "" {
			return "token signature is not by a key of the issuer"
		}
		return "token signature is not by key " + e.Got
	case reason.MissingClaim:
		return fmt.Sprintf("token has no %q", e.Claim)
	case reason.Expired:
		return "token expired " + e.Got
	case reason.NotYetValid:
		return fmt.Sprintf("token %q is %s", e.Claim, e.Got)
	case reason.Unbound:
		return "token has no audience, want " + e.Want
	case reason.Inactive:
		return fmt.Sprintf("introspection answer has %s for %q, want %s (RFC 7662 section 2.2)", e.Got, e.Claim, e.Want)
	case reason.MachineToken:
		return "token was issued to a machine, want that of a user"
	case reason.SenderConstrained:
		return `token is bound to a key by "cnf", want a bearer token`
	case reason.WrongClaim:
		return fmt.Sprintf("token claim %q is %s, want %s", e.Claim, e.Got, e.Want)
	default:
		noun := nouns[e.Claim]
		if noun == "" { // of Rules.RejectedClaims
			return fmt.Sprintf("token claim %q marks it as %s, want %s", e.Claim, e.Got, e.Want)
		}
		return fmt.Sprintf("token %s is %s, want %s", noun, e.Got, e.Want)
	}
}

// The names for Error.Claim where rules name the claim.
const (
	claimClient = "client"
	claimScopes = "scopes"
)

// nouns are the words for the claims and header parameters in an error with got and want.
var nouns = map[string]string{
	"alg": "algorithm",
	"typ": "type",
	"iss": "issuer",
	"aud": "audience",
	"sub": "subject",

	claimClient: "client",
	claimScopes: "list of scopes",
}

func malformed(where string, err error) error {
	return &Error{Reason: reason.Malformed, Err: fmt.Errorf("%s: %w", where, err)}
}
