package token

import (
	"slices"
	"time"
)

// Unverified is the content of a token that is not verified: anyone can have written
// it. It explains a token to a person, and is the whole check where verification is
// disabled for development. It must never decide about access elsewhere.
type Unverified struct {
	Kind   string // in words: "access token", "ID token", "opaque token", or "JWT" if nothing says more
	Vendor string // who issues texts that begin like this one, if it is not a JWT and that is known

	Type, Algorithm, KeyID    string
	Issuer, Subject, ClientID string
	Audience, Scopes          []string
	Expiry, IssuedAt          time.Time // zero without one

	Header  string // the text of the header
	Payload string // the text of the claims
	Problem error  // why it is not a well-formed JWT, or nil; the other fields hold what could be read
}

// Peek reads raw without verifying it. If raw is longer than LargestMaxSize bytes or
// does not have the form of a signed JWT, only Kind and Problem are set.
func Peek(raw string) Unverified {
	jws, err := split(raw, LargestMaxSize)
	if err != nil {
		kind, vendor := unreadableKind(raw)
		return Unverified{Kind: kind, Vendor: vendor, Problem: err}
	}
	u := Unverified{Header: jws.header, Payload: jws.payload}
	h, err := parseHeader(jws.header, []string{clerkCategory})
	if err != nil {
		u.Problem = malformed("header", err)
	}
	c, err := parseClaims(jws.payload, slices.Concat(defaultClientClaims, defaultScopeClaims))
	if err == nil {
		err = c.readOptional(defaultClientClaims, defaultScopeClaims)
	}
	if u.Problem == nil {
		u.Problem = err
	}
	marked, err := h.kind(clerkCategories)
	if u.Problem == nil {
		u.Problem = err
	}
	if _, err := jws.decodeSignature(); u.Problem == nil {
		u.Problem = err
	}
	u.Type, u.Algorithm, u.KeyID = h.typ, h.algorithm, h.keyID
	u.Issuer, u.Subject, u.ClientID = c.issuer, c.subject, c.client
	u.Audience, u.Scopes = c.audience, c.scopes
	u.Expiry, u.IssuedAt = c.expiry, c.issued
	u.Kind = kindOf(marked, h.typ, jws.payload)
	return u
}

// clerkCategory is Clerk's private header parameter for the kind of a token.
const clerkCategory = "cat"

// clerkCategories are its values.
var clerkCategories = map[string]map[string]string{clerkCategory: {
	"cl_B7d4PD111AAA": "session token",
	"cl_B7d4PD222AAA": "JWT template token",
	"cl_B7d4PD333AAA": "M2M token",
}}

// kindsByType are the media types of JWTs that OAuth and OpenID Connect register.
var kindsByType = map[string]string{
	"at+jwt":                    "access token",           // RFC 9068
	"client-authentication+jwt": "client assertion",       // draft-ietf-oauth-rfc7523bis
	"dpop+jwt":                  "DPoP proof",             // RFC 9449
	"logout+jwt":                "logout token",           // OpenID Connect Back-Channel Logout
	"oauth-authz-req+jwt":       "request object",         // RFC 9101
	"oauth-id-jag+jwt":          "identity assertion",     // draft-ietf-oauth-identity-assertion-authz-grant
	"secevent+jwt":              "security event token",   // RFC 8417
	"token-introspection+jwt":   "introspection response", // RFC 9701
}
