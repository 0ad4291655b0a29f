package forwarded

import (
	"crypto/rand"
	"time"

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

// sign returns the claims as an assertion that is valid until expiry.
func (f *Forwarder) sign(c claims, now, expiry time.Time) (string, error) {
	c.Expiry, c.IssuedAt, c.ID = expiry.Unix(), now.Unix(), rand.Text()
	return f.Keys.sign(c, now)
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
