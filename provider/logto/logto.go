// Package logto is the provider for users who sign in with Logto (https://logto.io), in its
// cloud or hosted by yourself.
//
// The guard verifies Logto's access tokens against the keys of the tenant. Create an API
// resource in the Logto Console whose API identifier is the URL of your MCP endpoint. Logto has
// no dynamic client registration: enable the dynamic app, for clients with a metadata document,
// or register an application and give its App ID to users. Then copy the Logto endpoint:
//
//	LOGTO_ENDPOINT=https://acme.logto.app
//
// docs/logto.md has the steps in full.
package logto

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Logto"

	endpointVariable = "LOGTO_ENDPOINT"

	exampleEndpoint = "https://acme.logto.app"
	issuerPath      = "/oidc"
)

// Config describes a Logto tenant. Endpoint may also be in the environment, or in a .env file in
// the working directory.
type Config struct {
	_ [0]func()

	// Endpoint is the Logto endpoint of the tenant, with https: "https://acme.logto.app", or a
	// custom domain. The issuer, which ends in /oidc, is accepted too. In the environment it is
	// LOGTO_ENDPOINT.
	Endpoint string

	// ScopesSupported are the scopes that clients are asked to request, of the permissions of
	// the API resource. Empty means that no scopes are named.
	ScopesSupported []string

	// AllowMachines accepts the tokens of machine-to-machine applications. See
	// [gatehouse.Provider].
	AllowMachines bool
}

// FromEnv returns the Logto tenant that LOGTO_ENDPOINT names in the environment, or else in a
// .env file in the working directory. It never fails: gatehouse.New reports what is wrong with
// it.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the Logto tenant at an endpoint, like "https://acme.logto.app". If it is
// empty, it is taken from the environment.
func Provider(endpoint string) gatehouse.Provider { return New(Config{Endpoint: endpoint}) }

// New returns the Logto tenant of cfg, completed from the environment. It never fails:
// gatehouse.New reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider { return cfg.provider(setting.Load()) }

func (cfg Config) provider(settings *setting.Reader) gatehouse.Provider {
	return settings.Finish(gatehouse.Provider{
		Name:            name,
		Issuer:          cfg.issuer(settings),
		ScopesSupported: slices.Clone(cfg.ScopesSupported),
		AllowMachines:   cfg.AllowMachines,
		Hints:           hints,
		Claims: gatehouse.ClaimNames{
			Client:       []string{"client_id"},
			Scopes:       []string{"scope"},
			Organization: gatehouse.ClaimPath{"organization_id"},
		},
		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"ES384", "RS256"}, // of the tenant's signing keys: EC or RSA
			RequiredClaims: []string{"client_id"},
		},
	})
}

func (cfg Config) issuer(settings *setting.Reader) string {
	const where = `copy the Logto endpoint (Logto Console, an application → Endpoints & Credentials), like "` + exampleEndpoint + `"`
	v := settings.Require("set it to the endpoint of the tenant; "+where, "Endpoint", cfg.Endpoint, endpointVariable)
	u, err := url.Parse(v.Text)
	switch {
	case v.Text == "":
		return ""
	case err == nil && (u.Hostname() == "cloud.logto.io" || u.Hostname() == "docs.logto.io"):
		settings.Fault(v, "is not the endpoint of a tenant", where)
		return ""
	case err == nil && u.Host != "" && u.Path != issuerPath && strings.Trim(u.Path, "/") != "":
		settings.Fault(v, "has a path", fmt.Sprintf("write %q", u.Scheme+"://"+u.Host))
		return ""
	}
	endpoint := settings.NoSlash(v, exampleEndpoint)
	if endpoint == "" {
		return ""
	}
	return strings.TrimSuffix(endpoint, issuerPath) + issuerPath
}

// hints replace the guard's own advice about a reason with Logto's settings.
var hints = map[gatehouse.Reason]string{
	"opaque": "have the client send the URL of this server as the resource parameter (RFC 8707), " +
		"and create an API resource with that API identifier (Logto Console, API resources); without a resource, " +
		"tokens of Logto are opaque and for userinfo only",
	"wrong_type": "send the access token; ID tokens of Logto are signed with the same key but are " +
		"not access tokens",
	"wrong_issuer": "sign in at the endpoint that LOGTO_ENDPOINT names; a custom domain is an issuer " +
		"of its own, next to the one at logto.app",
	"wrong_algorithm": "rotate the signing key of the tenant to one of the type EC or RSA (Logto Console, " +
		"Signing keys)",
	"wrong_audience": "set the API identifier of the API resource to the URL of this server, exactly " +
		"(Logto Console, API resources); tokens for an organization or for the Management API are not accepted",
	"machine_token": "sign in as a user; if machine-to-machine applications may call this server, set " +
		"AllowMachines, and Person in the requirements of what only people may do",
	"insufficient_scope": "add the permission to the API resource and to a role of the user; for clients of " +
		"the dynamic app, grant it there too (Logto Console, API resources, Roles, and Applications → Third-party " +
		"apps)",
	"insufficient_permission": "require scopes in place of roles and permissions, because Logto writes the " +
		"permissions of a role as scopes; an organization is in a token only if the client asked for it",
	"registration_unavailable": "enable the dynamic app, for clients with a metadata document (Logto Console, " +
		"Applications → Third-party apps), or register an application and enter its App ID in the client; Logto " +
		"has no dynamic client registration",
	"unknown_key": "sign in again; the token was signed by another tenant, or by a key that the " +
		"tenant has removed",
}
