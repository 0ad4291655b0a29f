package providername

import (
	"os"
	"slices"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/introspection"
)

// OIDC configures the generic provider: an issuer that follows the standards. See
// [gatehouse.OIDC].
type OIDC struct {
	_ [0]func()

	// Issuer is the issuer identifier, exactly as in the claim iss.
	Issuer string

	// ScopesSupported are the scopes that clients are asked to request.
	ScopesSupported []string

	// JWKSURL is the URL of the signing keys. Empty means the jwks_uri of the issuer's metadata.
	JWKSURL string

	// PublicKeysFile is the path of a file with the signing keys, for networks from which the
	// issuer cannot be reached: a JSON Web Key Set, or public keys as PEM. They are read once.
	PublicKeysFile string

	// Types are the accepted values of the header parameter typ. Empty means "at+jwt".
	Types []string

	// Algorithms are the accepted JWS algorithms. Empty means RS256, PS256, ES256, ES384 and
	// EdDSA.
	Algorithms []string

	// Audiences are values of aud that are accepted in addition to the URL of the endpoint.
	Audiences []string

	// InsecureAcceptMissingAudience accepts tokens without aud. Such a token was not issued for a
	// particular server: one that was stolen from another server of the issuer works here.
	InsecureAcceptMissingAudience bool

	// RequiredClaims are claims that must be present, such as one that ID tokens do not have.
	RequiredClaims []string

	// RolesClaim, PermissionsClaim and OrganizationClaim are the paths of the claims with the
	// roles, the permissions and the organization of the user: [realm_access, roles].
	RolesClaim        gatehouse.ClaimPath
	PermissionsClaim  gatehouse.ClaimPath
	OrganizationClaim gatehouse.ClaimPath

	// AllowMachines accepts the tokens of clients that signed in as themselves.
	AllowMachines bool
}

func newOIDC(cfg OIDC) gatehouse.Provider {
	p := gatehouse.OIDC(cfg.Issuer, cfg.ScopesSupported...)
	p.JWKSURL = cfg.JWKSURL
	p.AllowMachines = cfg.AllowMachines
	p.Tokens = gatehouse.TokenRules{
		Types: cfg.Types, Algorithms: cfg.Algorithms, Audiences: cfg.Audiences, RequiredClaims: cfg.RequiredClaims,
	}
	if cfg.InsecureAcceptMissingAudience {
		p.Tokens.Audience = gatehouse.AudienceIfPresent
	}
	p.Claims.Organization = slices.Clone(cfg.OrganizationClaim)
	if len(cfg.RolesClaim) > 0 {
		p.Claims.Roles = []gatehouse.ClaimPath{cfg.RolesClaim}
	}
	if len(cfg.PermissionsClaim) > 0 {
		p.Claims.Permissions = []gatehouse.ClaimPath{cfg.PermissionsClaim}
	}
	if cfg.PublicKeysFile != "" {
		keys, err := os.ReadFile(cfg.PublicKeysFile)
		if err != nil && p.Err == nil {
			p.Err = &gatehouse.ConfigError{
				Field: "PublicKeysFile", Value: cfg.PublicKeysFile, Problem: "cannot be read", Fix: "check the path and the permissions",
			}
		}
		p.PublicKeys = keys
	}
	return p
}

// Introspection configures a provider whose tokens are opaque (RFC 7662). See
// [introspection.Config].
type Introspection struct {
	_ [0]func()

	// Issuer is the issuer identifier.
	Issuer string

	// Endpoint is the URL of the introspection endpoint. Empty means the one in the issuer's
	// metadata.
	Endpoint string

	// ClientID and ClientSecret authenticate the gateway at the endpoint. The secret is sent as
	// HTTP Basic credentials, or in the body if Post is true.
	ClientID     string
	ClientSecret gatehouse.Secret
	Post         bool

	// Unauthenticated sends no credentials, for an endpoint that only this machine can reach.
	Unauthenticated bool

	// ScopesSupported are the scopes that clients are asked to request.
	ScopesSupported []string

	// Audiences are values of aud that are accepted in addition to the URL of the endpoint.
	Audiences []string

	// InsecureAcceptMissingAudience accepts answers without aud. Such a token was not issued for
	// a particular server: one that was stolen from another server of the issuer works here.
	InsecureAcceptMissingAudience bool

	// RolesClaim is the path of the member with the roles of the user.
	RolesClaim gatehouse.ClaimPath

	// AllowMachines accepts the tokens of clients that signed in as themselves.
	AllowMachines bool
}

func newIntrospection(cfg Introspection) gatehouse.Provider {
	p := introspection.New(introspection.Config{
		Issuer: cfg.Issuer, Endpoint: cfg.Endpoint, ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret,
		Post: cfg.Post, Unauthenticated: cfg.Unauthenticated,
	}, cfg.ScopesSupported...)
	p.AllowMachines = cfg.AllowMachines
	p.Tokens.Audiences = cfg.Audiences
	if cfg.InsecureAcceptMissingAudience {
		p.Tokens.Audience = gatehouse.AudienceIfPresent
	}
	if len(cfg.RolesClaim) > 0 {
		p.Claims.Roles = []gatehouse.ClaimPath{cfg.RolesClaim}
	}
	return p
}
