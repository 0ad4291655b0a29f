package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const (
	DefaultLeeway = 30 * time.Second // for clocks that differ
	MaxLeeway     = 5 * time.Minute  // RFC 7519 §4.1.4: "no more than a few minutes"

	DefaultMaxSize = 16 << 10 // bytes of a token
	LargestMaxSize = 1 << 20  // bytes; the most that Rules.MaxSize may say
)

// AudiencePolicy says what a token without "aud" is worth. A token whose "aud"
// names others only is refused under every policy.
type AudiencePolicy int

const (
	// AudienceRequired refuses a token without "aud" (RFC 9068 §4). It is the zero value.
	AudienceRequired AudiencePolicy = iota
	// AudienceIfPresent lets a token without "aud" through, with Token.Bound false:
	// any server that was shown the token can use it here.
	AudienceIfPresent
)

// Rules are what one issuer's access tokens must be. The zero value refuses every
// token. Rules are read-only once in use and then safe for concurrent use.
type Rules struct {
	// Issuer is compared with "iss" byte for byte (RFC 9068 §4, RFC 8725 §3.8).
	Issuer string

	// Algorithms are the "alg" values allowed, out of [Algorithms].
	Algorithms []string

	// Types are the "typ" values allowed, compared without case and without the
	// prefix "application/" (RFC 9068 §4, RFC 7515 §4.1.9): "at+jwt" admits
	// "application/AT+JWT" too. An empty string admits a token without "typ".
	Types []string

	// RejectedHeader marks other kinds of tokens of the same issuer: header
	// parameter → value → the kind, as words for the error. A parameter that is
	// named here must be a string; other values of it are let through. It cannot be
	// one that every token is judged by ("alg", "typ", "kid", "crit", "b64").
	RejectedHeader map[string]map[string]string

	// RequiredClaims must be there beside "iss", "sub" and "exp", and not be empty:
	// dates and lists for the claims that are such, non-empty strings for all others.
	RequiredClaims []string

	// SubjectPrefix must begin "sub", and not be all of it. Empty allows every subject.
	SubjectPrefix string

	// Audience says what a token without "aud" is worth.
	Audience AudiencePolicy

	// Audiences are the names of this server, compared byte for byte; "aud" must
	// hold at least one of them (RFC 9068 §4).
	Audiences []string

	// Leeway is added to "exp" and taken from "nbf" and "iat"; 0 means DefaultLeeway.
	Leeway time.Duration

	// MaxSize bounds the token, in bytes; 0 means DefaultMaxSize.
	MaxSize int
}

// Validate returns every fault of r as one joined error, or nil. Rules with faults
// refuse tokens; they never let more of them in.
func (r *Rules) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if r.Issuer == "" {
		fault("Issuer is empty")
	}
	if len(r.Algorithms) == 0 {
		fault("Algorithms is empty, want some of %q", Algorithms())
	}
	for _, name := range r.Algorithms {
		if _, ok := algorithms[name]; !ok {
			fault("Algorithms has %q, want some of %q", name, Algorithms())
		}
	}
	if len(r.Types) == 0 {
		fault(`Types is empty, want "at+jwt" or what the issuer writes`)
	}
	for name := range r.RejectedHeader {
		if slices.Contains(headerNames, name) {
			fault("RejectedHeader has %q, want other parameters", name)
		}
	}
	if r.Audience != AudienceRequired && r.Audience != AudienceIfPresent {
		fault("Audience is %d, want AudienceRequired or AudienceIfPresent", r.Audience)
	}
	if len(r.Audiences) == 0 || slices.Contains(r.Audiences, "") {
		fault("Audiences is %q, want the names of this server", r.Audiences)
	}
	if r.Leeway < 0 || r.Leeway > MaxLeeway {
		fault("Leeway is %v, want 0 to %v", r.Leeway, MaxLeeway)
	}
	if r.MaxSize < 0 || r.MaxSize > LargestMaxSize {
		fault("MaxSize is %d, want 0 to %d", r.MaxSize, LargestMaxSize)
	}
	return errors.Join(faults...)
}

func (r *Rules) leeway() time.Duration {
	if r.Leeway == 0 {
		return DefaultLeeway
	}
	return min(max(r.Leeway, 0), MaxLeeway)
}

func (r *Rules) maxSize() int {
	if r.MaxSize == 0 {
		return DefaultMaxSize
	}
	return min(r.MaxSize, LargestMaxSize)
}

// checkHeader judges a well-formed header.
func (r *Rules) checkHeader(h *header) error {
	if err := h.checkAlgorithm(r.Algorithms); err != nil {
		return err
	}
	switch {
	case h.kind != "":
		return &Error{Reason: reason.WrongType, Claim: "typ", Got: quote(h.kind), Want: quote("access token")}
	case !r.admitsType(h.typ):
		return &Error{Reason: reason.WrongType, Claim: "typ", Got: quote(h.typ), Want: oneOf(r.Types)}
	case h.keyID == "":
		return &Error{Reason: reason.MissingKeyID, Claim: "kid"}
	}
	return nil
}

func (r *Rules) admitsType(typ string) bool {
	typ = mediaType(typ)
	for _, want := range r.Types {
		if strings.EqualFold(typ, mediaType(want)) {
			return true
		}
	}
	return false
}

// mediaType returns typ without the prefix that RFC 7515 §4.1.9 lets writers leave out.
func mediaType(typ string) string {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) && !strings.Contains(typ[len(prefix):], "/") {
		return typ[len(prefix):]
	}
	return typ
}

// checkIssuer judges the one claim that is judged before the signature, so that a
// foreign token never causes a key to be looked for.
func (r *Rules) checkIssuer(c *claims) error {
	if c.issuer == "" {
		return &Error{Reason: reason.MissingClaim, Claim: "iss"}
	}
	if c.issuer != r.Issuer {
		return &Error{Reason: reason.WrongIssuer, Claim: "iss", Got: quote(c.issuer), Want: quote(r.Issuer)}
	}
	return nil
}

// checkClaims judges everything else, once the signature is good.
func (r *Rules) checkClaims(c *claims, now time.Time) error {
	if err := r.checkRequired(c); err != nil {
		return err
	}
	if err := r.checkTimes(c, now); err != nil {
		return err
	}
	if c.confirmation {
		return &Error{Reason: reason.SenderConstrained, Claim: "cnf"}
	}
	if rest, ok := strings.CutPrefix(c.subject, r.SubjectPrefix); !ok || rest == "" {
		return &Error{Reason: reason.WrongSubject, Claim: "sub", Got: quote(c.subject), Want: quote(r.SubjectPrefix + "…")}
	}
	return r.checkAudience(c)
}

func (r *Rules) checkRequired(c *claims) error {
	for _, names := range [...][]string{{"sub", "exp"}, r.RequiredClaims} {
		for _, name := range names {
			if !c.has(name) {
				return &Error{Reason: reason.MissingClaim, Claim: name}
			}
		}
	}
	return nil
}

func (r *Rules) checkTimes(c *claims, now time.Time) error {
	if !now.Before(c.expiry.Add(r.leeway())) {
		return &Error{Reason: reason.Expired, Claim: "exp", Got: now.Sub(c.expiry).Truncate(time.Second).String() + " ago"}
	}
	latest := now.Add(r.leeway())
	if c.notBefore.After(latest) {
		return notYet("nbf", c.notBefore.Sub(now))
	}
	if c.issued.After(latest) {
		return notYet("iat", c.issued.Sub(now))
	}
	return nil
}

func notYet(claim string, d time.Duration) error {
	return &Error{Reason: reason.NotYetValid, Claim: claim, Got: d.Truncate(time.Second).String() + " in the future"}
}

func (r *Rules) checkAudience(c *claims) error {
	if !c.hasAudience {
		if r.Audience == AudienceIfPresent {
			return nil
		}
		return &Error{Reason: reason.Unbound, Claim: "aud", Want: oneOf(r.Audiences)}
	}
	for _, name := range c.audience {
		if name != "" && slices.Contains(r.Audiences, name) {
			return nil
		}
	}
	return &Error{Reason: reason.WrongAudience, Claim: "aud", Got: quoteList(c.audience), Want: oneOf(r.Audiences)}
}
