package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const (
	DefaultLeeway = 30 * time.Second // for clocks that differ
	MaxLeeway     = 2 * time.Minute  // RFC 7519 §4.1.4: "no more than a few minutes"

	DefaultMaxSize = 16 << 10 // bytes of a token
	LargestMaxSize = 1 << 20  // bytes; the most that Verifier.MaxSize may be
)

// AudiencePolicy says whether a token without "aud" is accepted. A token whose "aud"
// names other servers only is rejected under every policy.
type AudiencePolicy int

const (
	// AudienceRequired rejects a token without "aud" (RFC 9068 §4). It is the zero value.
	AudienceRequired AudiencePolicy = iota
	// AudienceIfPresent accepts a token without "aud", with Token.Bound false: any
	// server that receives such a token can use it here.
	AudienceIfPresent
)

// String returns "required" or "if present".
func (p AudiencePolicy) String() string {
	if p == AudienceIfPresent {
		return "if present"
	}
	return "required"
}

// Rules are the rules of one kind of provider for its access tokens. The zero value
// rejects every token. Package gatehouse documents the fields for users, in its type
// TokenRules, which converts to this one.
type Rules struct {
	// Algorithms are the accepted "alg" values, out of [jose.Names].
	Algorithms []string

	// Types are the accepted "typ" values, compared without case and without the
	// prefix "application/" (RFC 9068 §4, RFC 7515 §4.1.9): "at+jwt" accepts
	// "application/AT+JWT" too. An empty string accepts a token without "typ".
	Types []string

	// RejectedHeader marks other kinds of tokens of the same issuer: header
	// parameter → value → the kind, in words for the error. A parameter that is
	// named here must be a string; its other values are accepted. It cannot be one
	// that is checked for every token ("alg", "typ", "kid", "crit", "b64").
	RejectedHeader map[string]map[string]string

	// RequiredClaims must be present and not empty, in addition to "iss", "sub" and
	// "exp". Those that have no type in claimNames must be strings.
	RequiredClaims []string

	// SubjectPrefix is how "sub" must begin; more must follow. Empty allows every subject.
	SubjectPrefix string

	// Audience says whether a token without "aud" is accepted.
	Audience AudiencePolicy
}

// Verifier checks the access tokens of one issuer for one server. The zero value
// rejects every token. A Verifier must not change once it is in use, and is then safe
// for concurrent use.
type Verifier struct {
	Rules

	// Issuer is compared with "iss" byte by byte (RFC 9068 §4, RFC 8725 §3.8).
	Issuer string

	// Audiences are the names of this server, compared byte by byte. "aud" must have
	// at least one of them (RFC 9068 §4).
	Audiences []string

	// Leeway is added to "exp" and subtracted from "nbf" and "iat"; 0 means DefaultLeeway.
	Leeway time.Duration

	// MaxSize bounds the token, in bytes; 0 means DefaultMaxSize.
	MaxSize int
}

// Validate returns every fault of v as one joined error, or nil. A Verifier with faults
// rejects more tokens than one without, never fewer.
func (v *Verifier) Validate() error {
	var f faults
	if v.Issuer == "" {
		f.add("Issuer is empty")
	}
	v.Rules.validate(&f)
	if len(v.Audiences) == 0 || slices.Contains(v.Audiences, "") {
		f.add("Audiences is %q, want the names of this server", v.Audiences)
	}
	if v.Leeway < 0 || v.Leeway > MaxLeeway {
		f.add("Leeway is %v, want 0 to %v", v.Leeway, MaxLeeway)
	}
	if v.MaxSize < 0 || v.MaxSize > LargestMaxSize {
		f.add("MaxSize is %d, want 0 to %d", v.MaxSize, LargestMaxSize)
	}
	return errors.Join(f...)
}

// faults collects the faults of a Verifier. Each names a field first.
type faults []error

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Errorf(format, args...)) }

func (r *Rules) validate(f *faults) {
	if len(r.Algorithms) == 0 {
		f.add("Algorithms is empty, want some of %q", jose.Names())
	}
	for _, name := range r.Algorithms {
		if _, ok := jose.Lookup(name); !ok {
			f.add("Algorithms has %q, want some of %q", name, jose.Names())
		}
	}
	if len(r.Types) == 0 {
		f.add(`Types is empty, want "at+jwt" or the issuer's own type`)
	}
	for name := range r.RejectedHeader {
		if slices.Contains(headerNames, name) {
			f.add("RejectedHeader has %q, want other parameters", name)
		}
	}
	if r.Audience != AudienceRequired && r.Audience != AudienceIfPresent {
		f.add("Audience is %d, want AudienceRequired or AudienceIfPresent", int(r.Audience))
	}
}

func (v *Verifier) leeway() time.Duration {
	if v.Leeway == 0 {
		return DefaultLeeway
	}
	return min(max(v.Leeway, 0), MaxLeeway)
}

func (v *Verifier) maxSize() int {
	if v.MaxSize == 0 {
		return DefaultMaxSize
	}
	return min(v.MaxSize, LargestMaxSize)
}

// checkIssuer checks the one claim that is checked before the signature, so that a
// token of another issuer never causes a key to be looked up.
func (v *Verifier) checkIssuer(c *claims) error {
	if c.issuer == "" {
		return &Error{Reason: reason.MissingClaim, Claim: "iss"}
	}
	if c.issuer != v.Issuer {
		return &Error{Reason: reason.WrongIssuer, Claim: "iss", Got: quote.String(c.issuer), Want: quote.String(v.Issuer)}
	}
	return nil
}

// checkClaims checks all other claims, once the signature is verified.
func (v *Verifier) checkClaims(c *claims, now time.Time) error {
	if err := v.checkRequired(c); err != nil {
		return err
	}
	if err := v.checkTimes(c, now); err != nil {
		return err
	}
	if c.confirmation {
		return &Error{Reason: reason.SenderConstrained, Claim: "cnf"}
	}
	if rest, ok := strings.CutPrefix(c.subject, v.SubjectPrefix); !ok || rest == "" {
		return &Error{Reason: reason.WrongSubject, Claim: "sub", Got: quote.String(c.subject), Want: quote.String(v.SubjectPrefix + "…")}
	}
	return v.checkAudience(c)
}

func (v *Verifier) checkRequired(c *claims) error {
	for _, names := range [...][]string{{"sub", "exp"}, v.RequiredClaims} {
		for _, name := range names {
			if !c.has(name) {
				return &Error{Reason: reason.MissingClaim, Claim: name}
			}
		}
	}
	return nil
}

func (v *Verifier) checkTimes(c *claims, now time.Time) error {
	if !now.Before(c.expiry.Add(v.leeway())) {
		return &Error{Reason: reason.Expired, Claim: "exp", Got: now.Sub(c.expiry).Truncate(time.Second).String() + " ago"}
	}
	latest := now.Add(v.leeway())
	if c.notBefore.After(latest) {
		return notYetValid("nbf", c.notBefore.Sub(now))
	}
	if c.issued.After(latest) {
		return notYetValid("iat", c.issued.Sub(now))
	}
	return nil
}

func notYetValid(claim string, d time.Duration) error {
	return &Error{Reason: reason.NotYetValid, Claim: claim, Got: d.Truncate(time.Second).String() + " in the future"}
}

func (v *Verifier) checkAudience(c *claims) error {
	if !c.hasAudience {
		if v.Audience == AudienceIfPresent {
			return nil
		}
		return &Error{Reason: reason.Unbound, Claim: "aud", Want: quote.OneOf(v.Audiences)}
	}
	for _, name := range c.audience {
		if name != "" && slices.Contains(v.Audiences, name) {
			return nil
		}
	}
	return &Error{Reason: reason.WrongAudience, Claim: "aud", Got: quote.List(c.audience), Want: quote.OneOf(v.Audiences)}
}
