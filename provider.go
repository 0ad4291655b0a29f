package gatehouse

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// AudiencePolicy says whether a token without an aud claim is accepted. A token whose
// aud names other servers only is rejected under every policy. The zero value is
// [AudienceRequired].
type AudiencePolicy = token.AudiencePolicy

const (
	// AudienceRequired accepts only tokens whose aud names this server (RFC 9068 §4,
	// RFC 8707).
	AudienceRequired = token.AudienceRequired

	// AudienceIfPresent also accepts tokens without aud, for providers that do not bind
	// their tokens to a resource. Such a token was not issued for a particular server: if
	// it is stolen from another server of the same issuer, it works here. The guard counts
	// these tokens and logs a warning once for each client.
	AudienceIfPresent = token.AudienceIfPresent
)

// Provider is an identity provider: its issuer, and the rules that its access tokens
// follow. It is plain data. The packages below provider return one for each supported
// service; [OIDC] returns one for an issuer that follows the standards.
type Provider struct {
	_ [0]func()

	// Name is the provider's name for people: "Clerk".
	Name string

	// Issuer is the issuer identifier, exactly as in the iss claim and in the metadata
	// (RFC 8414 §2). A trailing slash counts.
	Issuer string

	// JWKSURL is the URL of the signing keys. Empty means the jwks_uri of the issuer's
	// metadata.
	JWKSURL string

	// Tokens are the provider's rules for access tokens, in addition to the rules that
	// hold for every token.
	Tokens TokenRules

	// ScopesSupported are the scopes that clients are asked to request, in challenges
	// and in the resource metadata. List only scopes that a newly registered client can
	// get. Empty means that no scopes are named.
	ScopesSupported []string

	// OrganizationScope is the scope with which a user chooses an organization during
	// sign-in. Empty means that the provider has no such scope.
	OrganizationScope string

	// Complete, if set, sets fields of the identity from claims of the provider's own:
	// roles, permissions, organization. The standard fields are already set. It is
	// called once for each token and may be called concurrently. An error rejects the
	// token with the reason unusable_claims.
	Complete func(*Identity) error

	// Introspect, if set, asks the provider about a token that is not a JWT. It returns
	// the answer as claims: one JSON object with the names of RFC 7662 §2.2. Its member
	// active must be exactly true. With any other value, such as "true" or null, and
	// without active, the token is rejected with the reason inactive. The object must have
	// iss, sub and exp too, which introspection endpoints may leave out. The same rules
	// apply to it as to the claims of a JWT.
	//
	// An error that wraps [ErrInactive] rejects the token. Every other error means that the
	// provider is unavailable; if it has a method RetryAfter() time.Duration, Introspect is
	// not called again for that long. Introspect must bound the size of the answer, respect
	// ctx and be safe for concurrent use. Answers are cached for a minute, rejections for
	// ten seconds. If nil, opaque tokens are rejected.
	Introspect func(ctx context.Context, token string) (claims json.RawMessage, err error)

	// Hints are instructions for the operator, by the reason of a rejection. They name
	// the provider's own settings and replace [ReasonInfo].Do.
	Hints map[Reason]string

	// DangerouslySkipVerification accepts any well-formed token without a check of its
	// signature, issuer, expiry or audience, so a caller can claim to be any user. It
	// is allowed only if the resource is on a loopback host, and then only for
	// connections that arrive on a loopback address.
	DangerouslySkipVerification bool

	// NoRoles, NoPermissions and NoOrganizations say what the access tokens of the
	// provider never contain. A [Requirement] for it is an error at start, because it
	// would reject every caller. If Complete is nil, they are all true. Set them to false
	// if your own Complete adds what the tokens lack.
	NoRoles, NoPermissions, NoOrganizations bool

	// ScopesFixedAtRegistration says that a client cannot ask for scopes later that it did
	// not register with. Clients register with the scopes of the first challenge, so the
	// scopes of all requirements are then in that challenge and in the resource metadata.
	ScopesFixedAtRegistration bool

	// Err is a fault in the settings that the provider was made from. [New] returns it.
	Err error
}

// TokenRules are the rules that distinguish a provider's access tokens from its other
// tokens. The zero value follows RFC 9068.
type TokenRules struct {
	// Algorithms are the accepted JWS algorithms. Empty means RS256, PS256, ES256,
	// ES384 and EdDSA. EdDSA and Ed25519 are two names of one algorithm (RFC 9864 §2.2):
	// either accepts both. Symmetric algorithms are never accepted.
	Algorithms []string

	// Types are the accepted values of the header parameter typ. Empty means "at+jwt",
	// which ID tokens do not have. They are compared without regard to case and to a
	// prefix "application/" (RFC 7515 §4.1.9). An empty string accepts a token without typ.
	Types []string

	// RejectedHeader lists header parameters whose values mark other kinds of tokens:
	// parameter, then value, then the kind of token in words, for the log.
	RejectedHeader map[string]map[string]string

	// RequiredClaims are claims that must be present and not empty, in addition to
	// iss, sub and exp.
	RequiredClaims []string

	// SubjectPrefix is the prefix of sub that marks users: "user_". Empty means that
	// every sub is accepted.
	SubjectPrefix string

	// Audience says whether a token without aud is accepted.
	Audience AudiencePolicy

	// MaxBytes is the length of the longest token that is accepted, in bytes. Zero means
	// 16 KiB; more than 64 KiB is an error. Raise it for providers that write the groups
	// of a user into tokens, if you cannot make them write fewer. The token is one of the
	// request's headers, all of which have to fit the HTTP server's limit: that of package
	// serve is 64 KiB, so a token there should be a few KiB shorter.
	MaxBytes int
}

// withDefaults returns r with the defaults of empty lists.
func (r TokenRules) withDefaults() TokenRules {
	if len(r.Algorithms) == 0 {
		r.Algorithms = jose.DefaultNames()
	}
	if len(r.Types) == 0 {
		r.Types = []string{"at+jwt"}
	}
	return r
}

// OIDC returns the provider for an issuer that follows the standards: metadata with a
// jwks_uri (RFC 8414 or OpenID Connect Discovery), and access tokens of the type at+jwt
// (RFC 9068) that the resource parameter binds to this server (RFC 8707).
// scopesSupported becomes [Provider.ScopesSupported].
func OIDC(issuer string, scopesSupported ...string) Provider {
	if issuer == "" {
		return Provider{Name: "OpenID Connect", Err: &ConfigError{
			Field: "issuer of OIDC", Problem: "is empty", Fix: `pass the URL of the issuer, like "https://issuer.example.com"`,
		}}
	}
	return Provider{Name: issuer, Issuer: issuer, ScopesSupported: slices.Clone(scopesSupported)}
}
