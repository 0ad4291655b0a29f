package token

import (
	"strings"
	"time"
)

// Unverified is what a token says of itself. Nothing of it is checked, anybody can
// have written it: it is for telling a person what they sent, never for letting
// them in.
type Unverified struct {
	Kind string // in words: "access token", "ID token", "opaque token", "JWT" when nothing tells more

	Type, Algorithm, KeyID    string
	Issuer, Subject, ClientID string
	Audience, Scopes          []string
	Expiry, IssuedAt          time.Time // zero when the token does not say

	Problem error // why it is not a well-formed JWT, or nil; the other fields hold what was readable
}

// Peek reads raw without checking it. Of what is longer than DefaultMaxSize bytes
// or has not the form of a signed JWT it tells the kind only.
func Peek(raw string) Unverified {
	jws, err := split(raw, DefaultMaxSize)
	if err != nil {
		return Unverified{Kind: unreadableKind(raw), Problem: err}
	}
	u := Unverified{Kind: "JWT"}
	h, err := parseHeader(jws.header, clerkCategories)
	if err != nil {
		u.Problem = malformed("header", err)
	}
	c, err := parseClaims(jws.payload, nil)
	if u.Problem == nil {
		u.Problem = err
	}
	if _, err := jws.appendSignature(nil); u.Problem == nil {
		u.Problem = err
	}
	u.Type, u.Algorithm, u.KeyID = h.typ, h.algorithm, h.keyID
	u.Issuer, u.Subject, u.ClientID = c.issuer, c.subject, c.client()
	u.Audience, u.Scopes = c.audience, c.scopes()
	u.Expiry, u.IssuedAt = c.expiry, c.issued
	for _, kind := range []string{h.kind, kindsByType[strings.ToLower(mediaType(h.typ))], kindByClaims(jws.payload)} {
		if kind != "" {
			u.Kind = kind
			break
		}
	}
	return u
}

// clerkCategories are the values of the private header parameter that marks Clerk's JWTs.
var clerkCategories = map[string]map[string]string{"cat": {
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

// kindByClaims tells tokens apart by the claims that only one kind has.
func kindByClaims(payload string) string {
	kind := ""
	o := object{scanner: scanner{text: payload}}
	for o.next() {
		text := o.value.raw
		switch o.name {
		case "sid":
			if strings.HasPrefix(text, `"sess_`) {
				return "session token"
			}
		case "sub":
			if strings.HasPrefix(text, `"mch_`) {
				return "M2M token"
			}
		case "handshake":
			return "handshake token"
		case "nonce", "at_hash", "c_hash":
			return "ID token"
		case "client_id", "scope", "scp":
			kind = "access token"
		}
	}
	return kind
}

// unreadableKind tells apart what is not a signed JWT, by how it begins.
func unreadableKind(raw string) string {
	for _, mark := range []struct{ prefix, kind string }{
		{"oat_", "opaque access token"},
		{"mt_", "opaque M2M token"},
		{"ak_", "API key"},
		{"sk_", "secret key"},
		{"pk_", "publishable key"},
	} {
		if strings.HasPrefix(raw, mark.prefix) {
			return mark.kind
		}
	}
	switch strings.Count(raw, ".") {
	case 2:
		return "malformed JWT"
	case 4:
		return "encrypted token"
	}
	return "opaque token"
}
