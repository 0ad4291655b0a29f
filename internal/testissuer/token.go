package testissuer

import (
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Change alters one thing of a valid token.
type Change func(header, claims map[string]any)

// Claim sets a claim, or removes it if value is nil.
func Claim(name string, value any) Change {
	return func(_, claims map[string]any) { set(claims, name, value) }
}

// Header sets a header parameter, or removes it if value is nil.
func Header(name string, value any) Change {
	return func(header, _ map[string]any) { set(header, name, value) }
}

func set(m map[string]any, name string, value any) {
	if value == nil {
		delete(m, name)
	} else {
		m[name] = value
	}
}

// Token returns a valid access token for audience, with changes. The first published key
// signs it with RS256. The token is one of user_ada, expires in an hour, and has the scopes
// profile and email.
func (is *Issuer) Token(audience string, changes ...Change) string {
	return is.Sign(jwt.SigningMethodRS256, is.Keys()[0].Private, audience, changes...)
}

// Sign is like [Issuer.Token], but signs with any method and the key that goes with it
// in golang-jwt. The token still names the first published key; a Change of kid names
// another one.
func (is *Issuer) Sign(method jwt.SigningMethod, key any, audience string, changes ...Change) string {
	now := time.Now()
	header := map[string]any{"typ": "at+jwt", "alg": method.Alg(), "kid": is.Keys()[0].ID}
	claims := jwt.MapClaims{
		"iss":       is.url,
		"sub":       "user_ada",
		"aud":       audience,
		"client_id": "client_1",
		"jti":       "oat_1",
		"iat":       now.Unix(),
		"nbf":       now.Unix(),
		"exp":       now.Add(time.Hour).Unix(),
		"scope":     "profile email",
	}
	for _, change := range changes {
		change(header, claims)
	}
	token := jwt.NewWithClaims(method, claims)
	token.Header = header
	signed, err := token.SignedString(key)
	if err != nil {
		panic("testissuer: signing a token: " + err.Error())
	}
	return signed
}
