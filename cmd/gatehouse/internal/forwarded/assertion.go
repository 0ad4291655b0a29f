package forwarded

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// lifetime is how long an assertion is valid.
	lifetime = time.Minute
	// leastLifetime is how long the assertion for a token that is about to expire is valid.
	leastLifetime = 10 * time.Second

	// AssertionType is the header parameter typ of assertions (RFC 8725 §3.11). Access tokens
	// and ID tokens have another one.
	AssertionType = "gatehouse-assertion+jwt"
)

// claims are the claims of an assertion. It is not an access token, and must not be accepted as
// one: it says to one backend who is calling.
type claims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"` // the same as in the header with the user
	Expiry   int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`

	UserIssuer        string `json:"user_issuer"`  // iss of the access token
	UserSubject       string `json:"user_subject"` // sub of the access token
	Kind              string `json:"kind"`         // "user" or "machine"
	Email             string `json:"email,omitempty"`
	PreferredUsername string `json:"preferred_username,omitempty"`

	ClientID    string   `json:"client_id,omitempty"`
	Scope       string   `json:"scope,omitempty"` // separated by spaces (RFC 9068 §2.2.3)
	Roles       []string `json:"roles,omitempty"`
	Permissions []string `json:"permissions,omitempty"`

	OrganizationID          string   `json:"org_id,omitempty"`
	OrganizationName        string   `json:"org_name,omitempty"`
	OrganizationSlug        string   `json:"org_slug,omitempty"`
	OrganizationRole        string   `json:"org_role,omitempty"`
	OrganizationPermissions []string `json:"org_permissions,omitempty"`

	// Truncated is true if a list has fewer items than the access token; see maxList.
	Truncated bool `json:"truncated,omitempty"`
}

// claimsHash is the SHA-256 of the claims of an assertion, without those that differ each time
// one is signed.
type claimsHash [sha256.Size]byte

// signedAssertion is an assertion, and until when it is used again.
type signedAssertion struct {
	text  string
	until time.Time
}

// assertion returns the signed assertion about the caller. It may be one that was signed for
// another access token that says the same.
func (f *Forwarder) assertion(id gatehouse.Identity, p person, now time.Time) (*signedAssertion, error) {
	c := f.claimsOf(id, p)
	if id.Expiry.Before(now.Add(lifetime)) {
		// It is valid for as long as the token, and so is for this token alone.
		expiry := id.Expiry
		if least := now.Add(leastLifetime); expiry.Before(least) {
			expiry = least
		}
		text, err := f.sign(c, now, expiry)
		return &signedAssertion{text, now.Add(leastLifetime / 2)}, err
	}
	said, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	key := claimsHash(sha256.Sum256(said))
	if known, ok := f.assertions.GetIfPresent(key); ok && now.Before(known.until) {
		return known, nil
	}
	text, err := f.sign(c, now, now.Add(lifetime))
	if err != nil {
		return nil, err
	}
	signed := &signedAssertion{text, now.Add(reuse)}
	f.assertions.Set(key, signed)
	return signed, nil
}

// sign returns the claims as an assertion that is valid until expiry.
func (f *Forwarder) sign(c claims, now, expiry time.Time) (string, error) {
	c.Expiry, c.IssuedAt, c.ID = expiry.Unix(), now.Unix(), rand.Text()
	return f.Keys.sign(c, now)
}

// claimsOf returns the claims about the caller, without exp, iat and jti.
func (f *Forwarder) claimsOf(id gatehouse.Identity, p person) claims {
	c := claims{
		Issuer: f.Issuer, Audience: f.Resource, Subject: f.user(id),
		UserIssuer: id.Issuer, UserSubject: id.Subject, Kind: id.Kind.String(),
		Email: p.email, PreferredUsername: p.username, ClientID: text(id.ClientID),
		OrganizationID: text(id.Organization.ID), OrganizationName: text(id.Organization.Name),
		OrganizationSlug: text(id.Organization.Slug), OrganizationRole: text(id.Organization.Role),
	}
	var scopes []string
	complete := true
	for _, list := range []struct {
		into *[]string
		from []string
	}{
		{&scopes, id.Scopes}, {&c.Roles, id.Roles}, {&c.Permissions, id.Permissions},
		{&c.OrganizationPermissions, id.Organization.Permissions},
	} {
		items, all := bounded(list.from)
		*list.into, complete = items, complete && all
	}
	c.Scope, c.Truncated = strings.Join(scopes, " "), !complete
	return c
}

// The methods of [jwt.Claims]. They are for verifying, which this package does not do.

func (c claims) GetExpirationTime() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.Expiry, 0)), nil
}

func (c claims) GetIssuedAt() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.IssuedAt, 0)), nil
}

func (c claims) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }
func (c claims) GetIssuer() (string, error)              { return c.Issuer, nil }
func (c claims) GetSubject() (string, error)             { return c.Subject, nil }
func (c claims) GetAudience() (jwt.ClaimStrings, error)  { return jwt.ClaimStrings{c.Audience}, nil }
