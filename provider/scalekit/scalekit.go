// Package scalekit is the provider for users who sign in with MCP Auth of Scalekit
// (https://scalekit.com).
//
// MCP clients register themselves with your Scalekit environment and sign the user in there.
// The guard verifies Scalekit's access tokens against the keys of the environment.
//
// In the Scalekit dashboard, add your server under MCP Servers, and copy its Resource ID from
// there and the Environment URL from Settings → API Credentials:
//
//	MCP_USE_OAUTH_SCALEKIT_ENVIRONMENT_URL=https://acme.scalekit.dev
//	MCP_USE_OAUTH_SCALEKIT_RESOURCE_ID=res_70123456789012345
//
// docs/scalekit.md has the steps in full.
package scalekit

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Scalekit"

	environmentVariable = "MCP_USE_OAUTH_SCALEKIT_ENVIRONMENT_URL"
	resourceVariable    = "MCP_USE_OAUTH_SCALEKIT_RESOURCE_ID"

	exampleEnvironment = "https://acme.scalekit.dev"
)

// Config describes an MCP server in a Scalekit environment. EnvironmentURL and ResourceID may
// also be in the environment of the process, or in a .env file in the working directory.
type Config struct {
	_ [0]func()

	// EnvironmentURL is the URL of the Scalekit environment, with https and without a path:
	// "https://acme.scalekit.dev", or a custom domain. In the environment it is
	// MCP_USE_OAUTH_SCALEKIT_ENVIRONMENT_URL.
	EnvironmentURL string

	// ResourceID is the ID of the MCP server at Scalekit: "res_70123456789012345". In the
	// environment it is MCP_USE_OAUTH_SCALEKIT_RESOURCE_ID.
	ResourceID string

	// ScopesSupported are the scopes that clients are asked to request, of those that the
	// MCP server has in the Scalekit dashboard. Empty means that no scopes are named.
	ScopesSupported []string

	// AllowMachines accepts the tokens of M2M clients. See
	// [gatehouse.Provider].
	AllowMachines bool
}

// FromEnv returns the Scalekit environment and MCP server that the environment of the process
// names, or else a .env file in the working directory: MCP_USE_OAUTH_SCALEKIT_ENVIRONMENT_URL
// and MCP_USE_OAUTH_SCALEKIT_RESOURCE_ID. It never fails: gatehouse.New reports what is wrong
// with them.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the MCP server with an ID, like "res_70123456789012345", of the Scalekit
// environment at a URL, like "https://acme.scalekit.dev". If either is empty, it is taken from
// the environment.
func Provider(environmentURL, resourceID string) gatehouse.Provider {
	return New(Config{EnvironmentURL: environmentURL, ResourceID: resourceID})
}

// New returns the MCP server of cfg, completed from the environment. It never fails:
// gatehouse.New reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider { return cfg.provider(setting.Load()) }

func (cfg Config) provider(settings *setting.Reader) gatehouse.Provider {
	environment := cfg.environmentURL(settings)
	resource := cfg.resourceID(settings)
	issuer := environment + "/resources/" + resource
	return settings.Finish(gatehouse.Provider{
		Name:            name,
		Issuer:          issuer,
		TokenIssuers:    []string{environment, issuer},
		ScopesSupported: slices.Clone(cfg.ScopesSupported),
		AllowMachines:   cfg.AllowMachines,
		Complete:        complete,
		Hints:           hints,
		Claims: gatehouse.ClaimNames{
			Client:      []string{"client_id"},
			Scopes:      []string{"scope", "scopes"},
			Roles:       []gatehouse.ClaimPath{{"roles"}},
			Permissions: []gatehouse.ClaimPath{{"permissions"}},
		},
		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256"},
			Types:          []string{"JWT", "at+jwt"},
			RequiredClaims: []string{"client_id"},
			RejectedClaims: map[string]map[string]string{
				"at_hash": {"": "ID token"},
				"c_hash":  {"": "ID token"},
				"nonce":   {"": "ID token"},
			},
			Audiences: []string{resource},
		},
	})
}

func (cfg Config) environmentURL(settings *setting.Reader) string {
	v := settings.Require(fmt.Sprintf("set it to the Environment URL (Scalekit dashboard, Settings → API Credentials), like %q", exampleEnvironment),
		"EnvironmentURL", cfg.EnvironmentURL, environmentVariable)
	if u, err := url.Parse(v.Text); err == nil {
		switch host := u.Hostname(); {
		case host == "app.scalekit.com" || host == "app.scalekit.cloud" || host == "docs.scalekit.com":
			settings.Fault(v, "is not an environment", fmt.Sprintf("copy the Environment URL from Settings → API Credentials, like %q", exampleEnvironment))
			return ""
		case host != "" && strings.Trim(u.Path, "/") != "": // of an issuer, or of a metadata document
			settings.Fault(v, "has a path", fmt.Sprintf("write %q", u.Scheme+"://"+u.Host))
			return ""
		}
	}
	return settings.Origin(v, exampleEnvironment)
}

var resourceID = regexp.MustCompile(`^res_[0-9A-Za-z]+$`)

func (cfg Config) resourceID(settings *setting.Reader) string {
	const fix = `copy the value below the name of the server (Scalekit dashboard, MCP Servers), like "res_70123456789012345"`
	v := settings.Require(fix, "ResourceID", cfg.ResourceID, resourceVariable)
	if v.Text != "" && !resourceID.MatchString(v.Text) {
		settings.Fault(v, "is not the ID of a resource", fix)
	}
	return v.Text
}

// complete is the Complete function of the provider. The ID of the organization is in the claim
// oid, and was in org_id before. With a claim of another type, there is none.
func complete(id *gatehouse.Identity) error {
	var claims struct {
		OID   string `json:"oid"`
		OrgID string `json:"org_id"`
	}
	if err := id.Claims(&claims); err == nil {
		id.Organization.ID = cmp.Or(claims.OID, claims.OrgID)
	}
	return nil
}

// hints replace the guard's own advice about a reason with Scalekit's settings.
var hints = map[gatehouse.Reason]string{
	"wrong_type": "send the access token of the sign-in at this server; ID tokens and session tokens " +
		"of Scalekit are signed with the same key but are not access tokens",
	"missing_claim": "send the access token of the sign-in at this server; session tokens of web " +
		"applications, which have no client_id, are not accepted",
	"wrong_issuer": "compare the Environment URL of the server with the environment in which the MCP " +
		"server was added (Scalekit dashboard, MCP Servers); development and production have different URLs",
	"wrong_audience": "compare the Resource ID of the server with the one below its name in the Scalekit " +
		"dashboard (MCP Servers); tokens for other MCP servers and for web applications are not accepted",
	"unbound": "have the client sign in at this server; tokens of Scalekit without aud are for " +
		"Scalekit's own API",
	"machine_token": "sign in as a user; if M2M clients may call this server, set AllowMachines, and " +
		"Person in the requirements of what only people may do",
	"insufficient_scope": "add the scope to the MCP server in the Scalekit dashboard (MCP Servers → your " +
		"server → Advanced settings), then sign in again",
	"insufficient_permission": "give the user the role or the permission in the organization (Scalekit dashboard, " +
		"Roles & Permissions), then sign in again",
	"registration_unavailable": "turn on dynamic client registration of the MCP server (Scalekit dashboard, MCP " +
		"Servers → your server), then restart the client",
	"unknown_key": "sign in again; the token was signed by another environment, or by a key that " +
		"Scalekit has removed",
}
