package gatehouse

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
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
	// (RFC 8414 §2). A trailing slash counts. It may have {tenantid} as a part of its path;
	// see Tenants.
	Issuer string

	// TokenIssuers are the accepted values of iss, if they differ from Issuer: a provider
	// may use several, such as Entra ID for tokens of version 1.0 and 2.0. They are
	// compared exactly, and all of them have the same keys. Each may have {tenantid}. Empty
	// means Issuer.
	TokenIssuers []string

	// Tenants are the tenants whose users are accepted. {tenantid} in Issuer and
	// TokenIssuers stands for each of them. A token of any other tenant is rejected,
	// although the same keys sign it.
	Tenants []string

	// AuthorizationServers are the issuers that the resource metadata names (RFC 9728 §2),
	// where clients sign the user in. Empty means Issuer, once for each of Tenants.
	AuthorizationServers []string

	// JWKSURL is the URL of the signing keys. Empty means the jwks_uri of the issuer's
	// metadata.
	JWKSURL string

	// PublicKeys are the signing keys, for networks from which the provider cannot be
	// reached: a JSON Web Key Set (RFC 7517 §5), or public keys or certificates as PEM. They
	// are never fetched or refreshed: if the provider replaces its keys, all tokens are
	// rejected until the server is restarted with the new ones. Use go:embed or
	// [os.ReadFile]. Empty means that keys are fetched.
	PublicKeys []byte

	// SharedSecret is the key of HS256, for the providers that still sign with it: at least
	// 32 bytes. HS256 is then the only accepted algorithm. Everyone who has the secret can
	// make tokens for any user, so prefer a provider with public keys. Empty means that the
	// provider has public keys.
	SharedSecret Secret

	// Tokens are the provider's rules for access tokens, in addition to the rules that
	// hold for every token.
	Tokens TokenRules

	// Claims say which claims the identity comes from. The zero value is for tokens of RFC
	// 9068.
	Claims ClaimNames

	// ScopesSupported are the scopes that clients are asked to request, in challenges
	// and in the resource metadata. List only scopes that a newly registered client can
	// get. Empty means that no scopes are named.
	ScopesSupported []string

	// ScopePrefix is what clients put before a scope when they request it, if tokens
	// contain the scope without it: "api://0f5a…/" of Entra ID. Challenges and the resource
	// metadata have it; requirements may be written with it or without. The scopes of
	// OpenID Connect (openid, profile, email, offline_access) have no prefix.
	ScopePrefix string

	// OrganizationScope is the scope with which a user chooses an organization during
	// sign-in. Empty means that the provider has no such scope.
	OrganizationScope string

	// Complete, if set, sets fields of the identity that Claims cannot describe: roles,
	// permissions, organization, kind. The other fields are already set. It is
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
	// Package provider/introspection has a function for RFC 7662 endpoints.
	//
	// An error that wraps [ErrInactive] rejects the token. Every other error means that the
	// provider is unavailable; if it has a method RetryAfter() time.Duration, Introspect is
	// not called again for that long. Introspect must bound the size of the answer, respect
	// ctx and be safe for concurrent use. Answers are cached for a minute, rejections for
	// ten seconds. If nil, opaque tokens are rejected.
	Introspect func(ctx context.Context, token string) (claims json.RawMessage, err error)

	// OpaquePrefixes are how tokens for Introspect begin: {"oat_"}. Such a token is never
	// read as a JWT. With several providers, the prefix decides whose token it is. Empty
	// means every token that is not a JWT.
	OpaquePrefixes []string

	// OpaqueOnly says that all tokens of the provider are for Introspect, also those that
	// look like a JWT. Then no keys are fetched. Among several providers, such a provider
	// gets the tokens with its OpaquePrefixes, or those that are not JWTs.
	OpaqueOnly bool

	// AllowMachines accepts the tokens of machines: of clients that signed in as
	// themselves, without a user. Their Identity has the kind [KindMachine]. If it is
	// false, they are rejected.
	AllowMachines bool

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
	// would reject every caller. If Complete is nil, they are true for what Claims do not
	// name. Set them to false if your own Complete adds what the tokens lack.
	NoRoles, NoPermissions, NoOrganizations bool

	// ScopesFixedAtRegistration says that a client cannot ask for scopes later that it did
	// not register with. Clients register with the scopes of the first challenge, so the
	// scopes of all requirements are then in that challenge and in the resource metadata.
	ScopesFixedAtRegistration bool

	// Risks are weaker choices in these settings: for each one sentence that says what the
	// risk is and how to avoid it. [Guard.Warnings] returns them.
	Risks []string

	// Backend is for the package that made the provider: what its functions need to ask the
	// provider about a caller. They get it with [ProviderOf]. The guard does not use it.
	Backend any

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
	// iss, sub and exp: strings, or arrays of strings.
	RequiredClaims []string

	// RequiredValues are claims that must have one of the values: {"token_use": {"access"}}.
	// A claim can be a string, or true, false or a number as it is written in the token.
	RequiredValues map[string][]string

	// RejectedClaims lists claims that mark other kinds of tokens: claim, then value, then
	// the kind of token in words, for the log. The value "" stands for every value but
	// null: {"nonce": {"": "ID token"}}. An array has the values of its items.
	RejectedClaims map[string]map[string]string

	// MachineClaims lists claims that mark the token of a machine: {"gty":
	// {"client-credentials"}}. The value "" stands for every value but null. A token whose
	// sub is its client is always one of a machine.
	MachineClaims map[string][]string

	// SubjectPrefix is the prefix of sub that marks users: "user_". Empty means that
	// every sub is accepted.
	SubjectPrefix string

	// Audience says whether a token without aud is accepted.
	Audience AudiencePolicy

	// Audiences are values of aud that are accepted in addition to the resource: the name
	// of this server at a provider that does not use its URL, such as an API identifier or
	// the GUID of an application. If other servers accept the same value, a token that was
	// stolen from one of them works here.
	Audiences []string

	// BoundClients and BoundScopePrefix bind tokens to this server if the provider never
	// writes aud. The client of the token must be one of BoundClients. One of its scopes
	// must begin with BoundScopePrefix and be longer. If both are set, both must hold.
	// Audience must be [AudienceRequired].
	BoundClients     []string
	BoundScopePrefix string

	// MaxBytes is the length of the longest token that is accepted, in bytes. Zero means
	// 16 KiB; more than 64 KiB is an error. Raise it for providers that write the groups
	// of a user into tokens, if you cannot make them write fewer. The token is one of the
	// request's headers, all of which have to fit the HTTP server's limit: that of package
	// serve is 64 KiB, so a token there should be a few KiB shorter.
	MaxBytes int
}

// ClaimNames say in which claims a provider writes what an [Identity] contains. The zero
// value is RFC 9068, with the names that were usual before it.
type ClaimNames struct {
	// Client are the names of the claim with the client, in the order in which they are
	// looked for. Empty means client_id, then azp.
	Client []string

	// Scopes are the names of the claim with the scopes, in the order in which they are
	// looked for: a string of words or an array of strings. Empty means scope, then scp.
	Scopes []string

	// Roles and Permissions are the claims with those of the user; if there are several,
	// all of them count. Empty means none.
	Roles, Permissions []ClaimPath

	// Organization is the claim with the ID of the organization. OrganizationName,
	// OrganizationSlug and OrganizationRole are further claims about it. Empty means none.
	Organization, OrganizationName, OrganizationSlug, OrganizationRole ClaimPath
}

// ClaimPath is the name of a claim, or the names on the way to a member in a claim, from the
// outside in: {"realm_access", "roles"}. A name is not split: "cognito:groups" and
// "https://example.com/roles" are one each. The value of a list may be a string, an array
// of strings, or an object, whose member names are the items, without members that are false or
// null. Every other value rejects the
// token with the reason unusable_claims; null and no value mean that there are none.
type ClaimPath []string

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

// tenantVariable stands for a tenant in an issuer, as in the metadata of Entra ID.
const tenantVariable = "{tenantid}"

// withDefaults returns p with the variable replaced and with the defaults of empty lists.
func (p Provider) withDefaults() Provider {
	if len(p.TokenIssuers) == 0 {
		p.TokenIssuers = []string{p.Issuer}
	}
	if len(p.AuthorizationServers) == 0 {
		p.AuthorizationServers = []string{p.Issuer}
	}
	p.TokenIssuers = p.eachTenant(p.TokenIssuers)
	p.AuthorizationServers = p.eachTenant(p.AuthorizationServers)
	p.Issuer = p.eachTenant([]string{p.Issuer})[0]
	p.Tokens = p.Tokens.withDefaults()
	return p
}

// eachTenant returns the issuers with each tenant in place of the variable.
func (p Provider) eachTenant(issuers []string) []string {
	var out []string
	for _, issuer := range issuers {
		if len(p.Tenants) == 0 || !strings.Contains(issuer, tenantVariable) {
			out = append(out, issuer)
			continue
		}
		for _, tenant := range p.Tenants {
			out = append(out, strings.ReplaceAll(issuer, tenantVariable, tenant))
		}
	}
	return out
}

// requestedScope returns the scope as clients request it.
func (p *Provider) requestedScope(scope string) string {
	if strings.HasPrefix(scope, p.ScopePrefix) || slices.Contains(openIDScopes, scope) {
		return scope
	}
	return p.ScopePrefix + scope
}

// tokenScope returns the scope as tokens contain it.
func (p *Provider) tokenScope(scope string) string { return strings.TrimPrefix(scope, p.ScopePrefix) }

// risks returns one sentence for each weaker choice in p.
func (p *Provider) risks() []string {
	out := slices.Clone(p.Risks)
	if p.Tokens.Audience == AudienceIfPresent {
		w := "tokens without an audience are accepted: one issued for another server of " + p.Issuer + " works here"
		if hint := p.Hints[reason.Unbound]; hint != "" {
			w += "; " + hint
		}
		out = append(out, w)
	}
	if len(p.Tokens.BoundClients) > 0 && p.Tokens.BoundScopePrefix == "" {
		out = append(out, "tokens of "+p.label()+" name no server, and are accepted if they are from one of the clients "+
			quote.List(p.Tokens.BoundClients)+": a token that such a client got for another server works here; use these clients "+
			"for this server only, or set BoundScopePrefix too")
	}
	if p.SharedSecret != "" {
		out = append(out, "tokens of "+p.label()+" are signed with a shared secret (HS256): everyone who has it can make tokens "+
			"for any user; switch the provider to public keys, then remove SharedSecret")
	}
	if !p.OpaqueOnly && p.Tokens.typeIsAmbiguous() {
		out = append(out, fmt.Sprintf("the type %q of the access tokens of %s is also that of its other tokens, such as ID tokens, and no other "+
			"rule distinguishes them except aud; set RequiredClaims, RequiredValues or RejectedClaims of TokenRules", p.Tokens.Types, p.label()))
	}
	return out
}

// typeIsAmbiguous reports whether r accepts types that ID tokens usually have, and has no
// other rule that distinguishes access tokens.
func (r *TokenRules) typeIsAmbiguous() bool {
	others := len(r.RejectedHeader) + len(r.RequiredClaims) + len(r.RequiredValues) + len(r.RejectedClaims)
	return others == 0 && slices.ContainsFunc(r.Types, func(typ string) bool { return typ == "" || strings.EqualFold(typ, "JWT") })
}

// openIDScopes are the scopes of OpenID Connect Core 1.0, sections 5.4 and 11.
var openIDScopes = []string{"openid", "profile", "email", "offline_access"}

// label returns a name of the provider for messages.
func (p *Provider) label() string { return cmp.Or(p.Name, p.Issuer) }

// canHaveRoles, canHavePermissions and canHaveOrganizations report whether an identity of
// the provider can have them.
func (p *Provider) canHaveRoles() bool {
	return !p.NoRoles && (p.Complete != nil || len(p.Claims.Roles) > 0)
}

func (p *Provider) canHavePermissions() bool {
	return !p.NoPermissions && (p.Complete != nil || len(p.Claims.Permissions) > 0)
}

func (p *Provider) canHaveOrganizations() bool {
	return !p.NoOrganizations && (p.Complete != nil || len(p.Claims.Organization) > 0)
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
