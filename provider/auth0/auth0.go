// Package auth0 is the provider for users who sign in with Auth0 (https://auth0.com).
//
// MCP clients register themselves with your Auth0 tenant and sign the user in there. The guard
// verifies Auth0's access tokens against the keys of the tenant.
//
// Five settings of the Auth0 Dashboard matter. Under Applications → APIs, create an API whose
// identifier is the URL of your MCP server, and authorize third-party applications for it
// (Settings → Default Permissions for Third-Party Applications). Under Settings → Advanced, turn
// on "Dynamic Client Registration (DCR)" and "Resource Parameter Compatibility Profile". Promote
// the connection that users sign in with to the domain level. Then copy the domain of the tenant:
//
//	MCP_USE_OAUTH_AUTH0_DOMAIN=tenant.eu.auth0.com
//
// docs/auth0.md has the steps in full. Both token profiles of an API work: Auth0 and RFC 9068.
package auth0

import (
	"errors"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Auth0"

	domainVariable   = "MCP_USE_OAUTH_AUTH0_DOMAIN"
	audienceVariable = "MCP_USE_OAUTH_AUTH0_AUDIENCE"

	exampleDomain = "tenant.eu.auth0.com"
)

// Config describes an Auth0 tenant and the API that the MCP server is. An explicit value overrides
// the environment, and the environment a .env file in the working directory.
type Config struct {
	_ [0]func()

	// Domain is the domain of the tenant, "tenant.eu.auth0.com", or its custom domain: the host
	// alone, without a scheme and without a path. Clients and server must use the same of the two,
	// because it is the issuer of the tokens. In the environment it is MCP_USE_OAUTH_AUTH0_DOMAIN.
	Domain string

	// Audience is the identifier of the API in Auth0. Empty means the environment variable
	// MCP_USE_OAUTH_AUTH0_AUDIENCE, or else the URL of the MCP server, which is the identifier to
	// choose: MCP clients send it as the resource parameter.
	Audience string

	// RolesClaim is the name of the custom claim to which an Action of yours writes the roles of
	// the user, like "https://example.com/roles". Empty means that access tokens have no roles.
	// Permissions need no claim: Auth0 adds them if "Add Permissions in the Access Token" is on.
	RolesClaim string

	// ScopesSupported are the scopes that the server tells clients to request: permissions of the
	// API, and scopes of OpenID Connect. Empty means none. The scopes of
	// [gatehouse.Config].Requirements are always added.
	ScopesSupported []string

	// AllowMachines accepts the tokens of applications that act for themselves (client
	// credentials), and of agents. Their identity has the kind [gatehouse.KindMachine].
	AllowMachines bool
}

// FromEnv returns the Auth0 tenant that the environment names, or else a .env file in the working
// directory: MCP_USE_OAUTH_AUTH0_DOMAIN, and MCP_USE_OAUTH_AUTH0_AUDIENCE if the identifier of the
// API is not the URL of the server. It never fails: gatehouse.New reports what is wrong with them.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the Auth0 tenant with a domain, like "tenant.eu.auth0.com". The identifier of
// the API is the URL of the server.
func Provider(domain string) gatehouse.Provider {
	return New(Config{Domain: domain})
}

// New returns the Auth0 tenant of cfg, completed from the environment. It never fails:
// gatehouse.New reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider {
	settings, err := env.Load(".")
	if err != nil {
		return gatehouse.Provider{Name: name, Err: err}
	}
	return cfg.provider(settings)
}
