package gatehouse

import (
	"context"
	"encoding/json"
	"slices"
)

// AudiencePolicy says what becomes of a token whose aud claim does not name
// this server. A token whose aud names only others is refused under either.
type AudiencePolicy int

const (
	// AudienceRequired takes only tokens whose aud names this server
	// (RFC 9068 §4, RFC 8707). It is the zero value.
	AudienceRequired AudiencePolicy = iota

	// AudienceIfPresent also takes tokens without any aud, for providers that do
	// not bind their tokens to a resource. Such a token was issued for no server
	// in particular: one stolen from another server of the same issuer works
	// here. Each is counted, and logged once per client.
	AudienceIfPresent
)

func (p AudiencePolicy) String() string {
	if p == AudienceIfPresent {
		return "if present"
	}
	return "required"
}

// Provider is one identity provider: where its issuer is and which rules its
// access tokens follow. It is data; the packages below provider make one each,
// and [OIDC] makes the plain one.
type Provider struct {
	_ [0]func()

	// Name is what people call the provider: "Clerk".
	Name string

	// Issuer is the issuer identifier, exactly as the iss claim and the metadata
	// have it (RFC 8414 §2). A trailing slash counts.
	Issuer string

	// JWKSURL is where the signing keys are. Empty means the jwks_uri of the
	// issuer's metadata.
	JWKSURL string

	// Tokens are the rules for access tokens beyond those that hold for all.
	Tokens TokenRules

	// ScopesSupported are the scopes that clients are told to ask for, in
	// challenges and in the resource metadata: those that a freshly registered
	// client really holds. Empty tells them nothing.
	ScopesSupported []string

	// OrganizationScope is the scope with which a user chooses an organization
	// while signing in. Empty means that there is none to ask for.
	OrganizationScope string

	// Complete, when set, fills what the provider keeps in claims of its own
	// (roles, permissions, organization) into an identity whose standard fields
	// are set. It runs once for each token.
	Complete func(*Identity) error

	// Introspect, when set, asks the provider about a token that is no JWT, and
	// returns what it says as claims: one JSON object with the names of RFC 7662
	// §2.2, iss and exp among them, judged by the same rules as a JWT. An error
	// that wraps [ErrInactive] refuses the token; any other means that the
	// provider cannot be asked now, and one with a method RetryAfter
	// time.Duration says until when. It must be bounded in size and respect ctx.
	// Answers are kept for a minute, refusals for ten seconds. Nil means that
	// opaque tokens are refused.
	Introspect func(ctx context.Context, token string) (claims json.RawMessage, err error)

	// Hints replace, for this provider, what the operator should do about a
	// reason: which switch of which page.
	Hints map[Reason]string

	// DangerouslySkipVerification takes any well-formed token without looking at
	// its signature, issuer, expiry or audience: whoever can reach the server is
	// whoever they say. It is accepted only for a resource on loopback, and then
	// only on connections that arrive on loopback.
	DangerouslySkipVerification bool

	// NoRoles, NoPermissions and NoOrganizations say what the access tokens of the
	// provider never contain. A [Requirement] for it is a fault at start, because it
	// would reject every caller. If Complete is nil, they are all true. Set them to false
	// if your own Complete adds what the tokens lack.
	NoRoles, NoPermissions, NoOrganizations bool

	// ScopesFixedAtRegistration says that a client cannot ask for scopes later that it did
	// not register with. Clients register with the scopes of the first challenge, so the
	// scopes of all requirements are then in that challenge and in the resource metadata.
	ScopesFixedAtRegistration bool

	// Err is what was wrong with the settings the provider was made from. New
	// reports it.
	Err error
}

// TokenRules are the properties by which a provider's access tokens are told
// from its other tokens. The zero value follows RFC 9068.
type TokenRules struct {
	// Algorithms are the accepted JWS algorithms. Empty means RS256, PS256,
	// ES256, ES384 and EdDSA. Symmetric ones cannot be accepted.
	Algorithms []string

	// Types are the accepted values of the typ header. Empty means "at+jwt",
	// which ID tokens do not have. Types are compared without case, and
	// "application/" may stand before (RFC 7515 §4.1.9).
	Types []string

	// RejectedHeader names header parameters whose values mark other kinds of
	// token: parameter, then value, then the kind for the log.
	RejectedHeader map[string]map[string]string

	// RequiredClaims must be there and not empty, beyond iss, sub and exp.
	RequiredClaims []string

	// SubjectPrefix is how the sub of a user begins. Empty means anything.
	SubjectPrefix string

	// Audience is the policy for the aud claim.
	Audience AudiencePolicy
}

func (r TokenRules) algorithms() []string {
	if len(r.Algorithms) > 0 {
		return r.Algorithms
	}
	return []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"}
}

func (r TokenRules) types() []string {
	if len(r.Types) > 0 {
		return r.Types
	}
	return []string{"at+jwt"}
}

// OIDC returns the provider at an issuer that follows the standards: metadata
// with a jwks_uri (RFC 8414 or OpenID Connect Discovery), at+jwt access tokens
// (RFC 9068) bound to this server by the resource parameter (RFC 8707).
// scopesSupported is told to clients.
func OIDC(issuer string, scopesSupported ...string) Provider {
	if issuer == "" {
		return Provider{Name: "OpenID Connect", Err: &ConfigError{
			Field: "issuer of OIDC", Problem: "is empty", Fix: `pass the URL of the issuer, like "https://issuer.example.com"`,
		}}
	}
	return Provider{Name: issuer, Issuer: issuer, ScopesSupported: slices.Clone(scopesSupported)}
}
