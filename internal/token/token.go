package token

import (
	"context"
	"crypto"
	"time"
)

// Token is an access token that passed every check. Its strings are parts of the
// memory of Payload, which must not be written to.
type Token struct {
	Type      string // "typ" as it was written; empty where Rules.Types admit that
	Algorithm string // "alg"
	KeyID     string // "kid"

	Issuer   string // "iss"
	Subject  string // "sub"; together with Issuer the principal
	ClientID string // "client_id", else "azp"; may be empty
	ID       string // "jti"; may be empty

	Audience []string // "aud"; nil without one
	Scopes   []string // "scope", else "scp"

	Expiry    time.Time // "exp"
	NotBefore time.Time // "nbf"; zero without one
	IssuedAt  time.Time // "iat"; zero without one

	Payload    []byte // the claims as the issuer wrote them: one JSON object
	Generation uint64 // of the keys that verified the signature
	Bound      bool   // "aud" is there and names this server
}

// Verify returns the access token that raw is. keys finds the issuer's keys; now is
// the time to judge by.
//
// A token that breaks a rule is refused with an [*Error]. Any other error is that
// of keys, wrapped. Verify is safe for concurrent use if keys is.
func (r *Rules) Verify(ctx context.Context, raw string, keys Keys, now time.Time) (*Token, error) {
	jws, err := split(raw, r.maxSize())
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(jws.header, r.RejectedHeader)
	if err != nil {
		return nil, malformed("header", err)
	}
	if err := r.checkHeader(&h); err != nil {
		return nil, err
	}
	c, err := parseClaims(jws.payload, r.RequiredClaims)
	if err != nil {
		return nil, err
	}
	if err := r.checkIssuer(&c); err != nil {
		return nil, err
	}
	generation, err := jws.checkSignature(ctx, &h, keys)
	if err != nil {
		return nil, err
	}
	if err := r.checkClaims(&c, now); err != nil {
		return nil, err
	}
	t := c.token(jws.bytes)
	t.Type, t.Algorithm, t.KeyID, t.Generation = h.typ, h.algorithm, h.keyID, generation
	return t, nil
}

// VerifyClaims returns the access token whose claims are payload, one JSON object
// that the issuer itself has just handed over: the answer to an introspection
// request (RFC 7662 §2.2), whose members have the names of JWT claims. Everything
// but header and signature is judged as [Rules.Verify] does, and every error is an [*Error].
// The token keeps payload.
func (r *Rules) VerifyClaims(payload []byte, now time.Time) (*Token, error) {
	if len(payload) > r.maxSize() {
		return nil, tooLarge(len(payload), r.maxSize())
	}
	c, err := parseClaims(string(payload), r.RequiredClaims)
	if err != nil {
		return nil, err
	}
	if err := r.checkIssuer(&c); err != nil {
		return nil, err
	}
	if err := r.checkClaims(&c, now); err != nil {
		return nil, err
	}
	return c.token(payload), nil
}

// token returns what the claims say, with payload as their text.
func (c *claims) token(payload []byte) *Token {
	return &Token{
		Issuer:    c.issuer,
		Subject:   c.subject,
		ClientID:  c.client(),
		ID:        c.id,
		Audience:  c.audience,
		Scopes:    c.scopes(),
		Expiry:    c.expiry,
		NotBefore: c.notBefore,
		IssuedAt:  c.issued,
		Payload:   payload,
		Bound:     c.hasAudience,
	}
}

// CheckSignature reads raw as a JWS in compact serialization and checks that its
// algorithm is one of algorithms and that key made its signature (RFC 7515 §5.2).
// It asks for no "typ" and no "kid" and looks at no claim: what passes is
// signed, and not yet a token. The error is an [*Error].
func CheckSignature(raw string, algorithms []string, key crypto.PublicKey) error {
	jws, err := split(raw, LargestMaxSize)
	if err != nil {
		return err
	}
	h, err := parseHeader(jws.header, nil)
	if err != nil {
		return malformed("header", err)
	}
	if err := h.checkAlgorithm(algorithms); err != nil {
		return err
	}
	static := func(context.Context, string, string, uint64) ([]crypto.PublicKey, uint64, error) {
		return []crypto.PublicKey{key}, 0, nil
	}
	_, err = jws.checkSignature(context.Background(), &h, static)
	return err
}
