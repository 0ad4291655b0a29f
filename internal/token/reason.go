package token

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Reason says in one word why a token was refused. The set is closed: [Reasons]
// lists it.
type Reason string

const (
	Opaque            Reason = "opaque"             // not three parts: not a signed JWT
	Encrypted         Reason = "encrypted"          // five parts: a JWE (RFC 7516)
	TooLarge          Reason = "too_large"          // longer than Rules.MaxSize
	Malformed         Reason = "malformed"          // not a JWT as RFC 7515 §7.1 and RFC 7519 §7.2 describe it
	CriticalHeader    Reason = "critical_header"    // "crit" or "b64" in the header (RFC 7515 §4.1.11, RFC 7797)
	WrongAlgorithm    Reason = "wrong_algorithm"    // "alg" is not allowed, or is not the key's
	WrongType         Reason = "wrong_type"         // "typ" or another header parameter marks another kind of token
	MissingKeyID      Reason = "missing_key_id"     // no "kid" in the header
	WrongIssuer       Reason = "wrong_issuer"       // "iss" is not the configured issuer
	UnknownKey        Reason = "unknown_key"        // the issuer has no key with this "kid"
	BadSignature      Reason = "bad_signature"      // no key of this "kid" made the signature
	MissingClaim      Reason = "missing_claim"      // a required claim is absent or empty
	Expired           Reason = "expired"            // "exp" is past
	NotYetValid       Reason = "not_yet_valid"      // "nbf" or "iat" is in the future
	WrongAudience     Reason = "wrong_audience"     // "aud" does not name this server
	Unbound           Reason = "unbound"            // no "aud" under AudienceRequired
	WrongSubject      Reason = "wrong_subject"      // "sub" does not begin with Rules.SubjectPrefix
	SenderConstrained Reason = "sender_constrained" // "cnf" binds the token to a key (RFC 9449, RFC 8705): no bearer token
)

// Reasons returns every [Reason], in the order in which Verify checks them.
func Reasons() []Reason {
	return []Reason{
		TooLarge, Opaque, Encrypted, Malformed, CriticalHeader, WrongAlgorithm, WrongType, MissingKeyID,
		WrongIssuer, UnknownKey, BadSignature,
		MissingClaim, Expired, NotYetValid, SenderConstrained, WrongSubject, WrongAudience, Unbound,
	}
}

// Error says why a token was refused. Its text is one line for logs; it quotes
// parts of the token, cut short, and never holds the token itself.
type Error struct {
	Reason Reason
	Claim  string // the claim or header parameter at fault; empty when it is the token as a whole
	Got    string // what the token has, as text for people: quoted and at most about maxQuoted bytes an item
	Want   string // what was wanted, as text for people
	Err    error  // the detail, if there is more to say
}

// Unwrap returns the detail, or nil.
func (e *Error) Unwrap() error { return e.Err }

// Error returns the fact, got before want.
func (e *Error) Error() string {
	text := e.fact()
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) fact() string {
	switch e.Reason {
	case Opaque:
		return "token is opaque, want a signed JWT"
	case Encrypted:
		return "token is encrypted, want a signed JWT"
	case TooLarge:
		if e.Got == "" {
			return "token is too large"
		}
		return "token is " + e.Got + ", want " + e.Want
	case Malformed:
		return "token is malformed"
	case CriticalHeader:
		return fmt.Sprintf("token header has %q, want none", e.Claim)
	case MissingKeyID:
		return `token header has no "kid"`
	case UnknownKey:
		return "token key " + e.Got + " is not one of the issuer's"
	case BadSignature:
		return "token signature is not by key " + e.Got
	case MissingClaim:
		return fmt.Sprintf("token has no %q", e.Claim)
	case Expired:
		return "token expired " + e.Got
	case NotYetValid:
		return fmt.Sprintf("token %q is %s", e.Claim, e.Got)
	case Unbound:
		return "token has no audience, want " + e.Want
	case SenderConstrained:
		return `token is bound to a key by "cnf", want a bearer token`
	default:
		return fmt.Sprintf("token %s is %s, want %s", nouns[e.Claim], e.Got, e.Want)
	}
}

// nouns are the words for what a got-and-want error is about.
var nouns = map[string]string{
	"alg": "algorithm",
	"typ": "type",
	"iss": "issuer",
	"aud": "audience",
	"sub": "subject",
}

func tooLarge(size, maxSize int) error {
	return &Error{Reason: TooLarge, Got: fmt.Sprintf("%d bytes", size), Want: fmt.Sprintf("at most %d", maxSize)}
}

func malformed(where string, err error) error {
	return &Error{Reason: Malformed, Err: fmt.Errorf("%s: %w", where, err)}
}

const (
	maxQuoted      = 128 // bytes of one quoted value before it is cut
	maxQuotedItems = 4   // items of a quoted list before it is cut
)

// quote returns s as a Go string literal, cut at maxQuoted bytes.
func quote(s string) string {
	if len(s) <= maxQuoted {
		return strconv.Quote(s)
	}
	cut := maxQuoted
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut] + "…")
}

// quoteList returns items as ["a", "b"], cut at maxQuotedItems items.
func quoteList(items []string) string {
	quoted := make([]string, 0, maxQuotedItems+1)
	for i, item := range items {
		if i == maxQuotedItems {
			quoted = append(quoted, fmt.Sprintf("%d more", len(items)-i))
			break
		}
		quoted = append(quoted, quote(item))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// oneOf returns items as what is wanted: "a", or one of ["a", "b"].
func oneOf(items []string) string {
	if len(items) == 1 {
		return quote(items[0])
	}
	return "one of " + quoteList(items)
}
