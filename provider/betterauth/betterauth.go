// Package betterauth is the provider for users who sign in with a Better Auth server
// (https://better-auth.com): a web application with that library, whose plugin for OAuth makes it
// an identity provider.
//
// MCP clients register themselves with the Better Auth server and sign the user in there. The
// guard verifies its access tokens against its keys.
//
// In the configuration of Better Auth, name the URL of your MCP endpoint as a resource, allow
// clients to register, and serve the metadata. Then set the URL of Better Auth, with its base path:
//
//	MCP_USE_OAUTH_BETTER_AUTH_URL=https://auth.example.com/api/auth
//
// docs/betterauth.md has the steps in full.
package betterauth

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Better Auth"

	urlVariable = "MCP_USE_OAUTH_BETTER_AUTH_URL"

	exampleURL = "https://auth.example.com/api/auth"
	basePath   = "/api/auth" // of a Better Auth that does not set basePath
)

// Config describes a Better Auth server. URL may also be in the environment, or in a .env file in
// the working directory.
type Config struct {
	_ [0]func()

	// URL is the URL of Better Auth with its base path, which is also the issuer of its tokens:
	// "https://auth.example.com/api/auth". If the JWT plugin sets an issuer, it is that. In the
	// environment it is MCP_USE_OAUTH_BETTER_AUTH_URL.
	URL string

	// NoBasePath says that URL has no path, because Better Auth has none or the JWT plugin sets
	// such an issuer. Otherwise that is an error, because it is more likely forgotten.
	NoBasePath bool

	// OrganizationClaim is the claim to which customAccessTokenClaims of the server writes the
	// ID of the organization: "https://example.com/org". Empty means that tokens have no
	// organization.
	OrganizationClaim string

	// ScopesSupported are the scopes that clients are asked to request, of those that the
	// server has. Empty means that no scopes are named.
	ScopesSupported []string

	// AllowMachines accepts the tokens of clients that signed in as themselves. See
	// [gatehouse.Provider].
	AllowMachines bool
}

// FromEnv returns the Better Auth server that MCP_USE_OAUTH_BETTER_AUTH_URL names in the
// environment, or else in a .env file in the working directory. It never fails: gatehouse.New
// reports what is wrong with it.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the Better Auth server at a URL, like "https://auth.example.com/api/auth". If it
// is empty, it is taken from the environment.
func Provider(url string) gatehouse.Provider { return New(Config{URL: url}) }

// New returns the Better Auth server of cfg, completed from the environment. It never fails:
// gatehouse.New reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider { return cfg.provider(setting.Load()) }

func (cfg Config) provider(settings *setting.Reader) gatehouse.Provider {
	p := gatehouse.Provider{
		Name:            name,
		Issuer:          cfg.issuer(settings),
		ScopesSupported: slices.Clone(cfg.ScopesSupported),
		AllowMachines:   cfg.AllowMachines,
		Hints:           hints,
		Claims: gatehouse.ClaimNames{
			Client:      []string{"client_id"},
			Scopes:      []string{"scope"},
			Roles:       []gatehouse.ClaimPath{{"roles"}},
			Permissions: []gatehouse.ClaimPath{{"permissions"}},
		},
		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"EdDSA", "ES256", "RS256", "PS256", "ES512"}, // that keys of the JWT plugin can have
			RequiredClaims: []string{"client_id"},
		},
	}
	if cfg.OrganizationClaim != "" {
		p.Claims.Organization = gatehouse.ClaimPath{cfg.OrganizationClaim}
	}
	return settings.Finish(p)
}

func (cfg Config) issuer(settings *setting.Reader) string {
	v := settings.Require(`set it to the URL of Better Auth with its base path, like "`+exampleURL+`"`, "URL", cfg.URL, urlVariable)
	issuer := settings.NoSlash(v, exampleURL)
	if issuer == "" {
		return ""
	}
	u, err := url.Parse(issuer)
	switch {
	case err != nil || (u.Path == "") == cfg.NoBasePath:
	case cfg.NoBasePath:
		settings.Fault(v, "has a path, although NoBasePath is set", "unset NoBasePath")
	default:
		settings.Fault(v, "has no path", fmt.Sprintf("write %q, or with the basePath of betterAuth(); set NoBasePath if it has none",
			issuer+basePath))
	}
	return issuer
}

// hints replace the guard's own advice about a reason with settings of Better Auth.
var hints = map[gatehouse.Reason]string{
	"opaque": "have the client send the URL of this server as the resource parameter (RFC 8707), " +
		"and list it in resources of the plugin; without a resource, or with disableJwtPlugin, tokens of Better " +
		"Auth are opaque, and it describes them to no other server",
	"wrong_type": "send the access token; ID tokens and the session JWTs of the endpoint /token are " +
		"signed with the same key but are not access tokens",
	"wrong_issuer": "set MCP_USE_OAUTH_BETTER_AUTH_URL to the issuer in the metadata of Better Auth: " +
		"baseURL and basePath, or issuer of the JWT plugin; localhost and 127.0.0.1 differ",
	"wrong_audience": "list the URL of this server, exactly, in resources of the plugin, and have the " +
		"client send it as the resource parameter",
	"sender_constrained": "turn off dpopBoundAccessTokensRequired for the resource of this server; tokens " +
		"that are bound to a key cannot be checked here",
	"machine_token": "sign in as a user; if clients may call this server by client credentials, set " +
		"AllowMachines, and Person in the requirements of what only people may do",
	"insufficient_scope": "add the scope to scopes of the plugin, and to clientRegistrationAllowedScopes for " +
		"clients that register themselves, then sign in again",
	"insufficient_permission": "add roles, permissions and the organization to access tokens with " +
		"customAccessTokenClaims of the plugin; the name of the claim with the organization is OrganizationClaim",
	"registration_unavailable": "set allowDynamicClientRegistration and allowUnauthenticatedClientRegistration of " +
		"the plugin, or add @better-auth/cimd for clients with a metadata document",
	"unknown_key": "sign in again; the token was signed by another server, or by a key that Better " +
		"Auth has removed",
}
