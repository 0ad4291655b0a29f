package token

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// Token is an access token that passed every check. Most of its strings are parts of
// Payload.
type Token struct {
	Type      string // "typ" as the issuer wrote it; empty only if Rules.Types accepts that
	Algorithm string // "alg"
	KeyID     string // "kid"

	Issuer   string // "iss"
	Subject  string // "sub"; together with Issuer the principal
	ClientID string // the first of Verifier.ClientClaims; may be empty
	ID       string // "jti"; may be empty

	Audience []string // "aud"; nil without one
	Scopes   []string // the first of Verifier.ScopeClaims

	Expiry    time.Time // "exp"
	NotBefore time.Time // "nbf"; zero without one
	IssuedAt  time.Time // "iat"; zero without one

	Payload    string // the claims as the issuer wrote them: one JSON object
	Generation uint64 // of the keys that verified the signature; see Keys
	Bound      bool   // whether "aud" names this server, or Rules.BoundClients and BoundScopePrefix do
	Machine    bool   // whether the token was issued to a machine and not to a user
}

// Verify returns the access token that raw is, by the issuer's keys and at the time now.
//
// If the token breaks a rule, the error is an [*Error]. If its key is not available, the
// error is a [*KeyError]. Verify is safe for concurrent use. For many tokens, use a [Set],
// which prepares the rules once.
func (v *Verifier) Verify(ctx context.Context, raw string, keys Keys, now time.Time) (*Token, error) {
	t, _, err := NewSet(Member{v, keys}).Verify(ctx, raw, now)
	return t, err
}

// VerifyClaims returns the access token whose claims are payload, one JSON object
// that the issuer itself has just sent: the answer to an introspection request
// (RFC 7662 §2.2), whose members have the names of JWT claims. The member "active" must
// be true: an issuer may describe a revoked or expired token and set it to false. The
// rest is checked as [Verifier.Verify] checks it, except header and signature. Every
// error is an [*Error].
func (v *Verifier) VerifyClaims(payload []byte, now time.Time) (*Token, error) {
	text := string(payload)
	if err := v.CheckSize(text); err != nil {
		return nil, err
	}
	if err := checkActive(text); err != nil {
		return nil, err
	}
	var n names
	n.add(v)
	c, err := parseClaims(text, n.claims)
	if err != nil {
		return nil, err
	}
	if err := v.checkIssuer(&c); err != nil {
		return nil, err
	}
	if err := c.readOptional(v.clientClaims(), v.scopeClaims()); err != nil {
		return nil, err
	}
	if err := v.checkClaims(&c, now); err != nil {
		return nil, err
	}
	return v.token(&c, text), nil
}

// checkActive rejects an introspection answer unless its member "active" is the boolean
// true (RFC 7662 §2.2). Anything else means that the token is not active, or that the
// answer is not one of introspection.
func checkActive(answer string) error {
	const member = "active"
	active := ""
	err := strictjson.Walk(answer, func(m strictjson.Member) error {
		if m.Name == member {
			active = m.Value
		}
		return m.CheckSpelling(member)
	})
	switch {
	case err != nil:
		return malformed("introspection answer", err)
	case active == "true":
		return nil
	}
	got := active
	if got != "false" {
		got = strictjson.Describe(active) // "no value" without the member
	}
	return &Error{Reason: reason.Inactive, Claim: member, Got: strings.Clone(got), Want: "true"}
}

// token returns the token with the claims c, whose text is payload.
func (v *Verifier) token(c *claims, payload string) *Token {
	return &Token{
		Issuer:    c.issuer,
		Subject:   c.subject,
		ClientID:  c.client,
		ID:        c.id,
		Audience:  c.audience,
		Scopes:    c.scopes,
		Expiry:    c.expiry,
		NotBefore: c.notBefore,
		IssuedAt:  c.issued,
		Payload:   payload,
		Bound:     !v.isUnbound(c) || v.bindsWithoutAudience(),
		Machine:   v.isMachine(c),
	}
}
