// Package workos is the provider for users who sign in with WorkOS AuthKit
// (https://workos.com).
//
// MCP clients register themselves with AuthKit and sign the user in there. The guard verifies
// AuthKit's access tokens against its keys.
//
// In the WorkOS Dashboard, under Connect → Configuration, turn on Dynamic Client Registration
// or Client ID Metadata Document, and add the URL of the MCP server to the MCP resource
// indicators. Then copy the AuthKit domain from Domains:
//
//	MCP_USE_OAUTH_WORKOS_SUBDOMAIN=acme.authkit.app
//
// [UserOf] returns the user as the token describes it. Access tokens of AuthKit contain
// neither name nor email.
package workos

import (
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name           = "WorkOS AuthKit"
	domainVariable = "MCP_USE_OAUTH_WORKOS_SUBDOMAIN"
)

// Config describes an AuthKit environment. A field that is empty here is taken from the
// environment, or else from a .env file in the working directory, if it has a variable.
type Config struct {
	_ [0]func()

	// Domain is the AuthKit domain: "acme.authkit.app", its first label "acme", or a custom
	// domain. In the environment it is MCP_USE_OAUTH_WORKOS_SUBDOMAIN.
	Domain string

	// ClientID is the client ID of the environment, "client_…". AuthKit writes it into aud if
	// the client names no resource, and into every token of a machine. If it is set, such
	// tokens are accepted, although they work at every API of the environment. Empty means
	// that aud must be the URL of the MCP server.
	ClientID string

	// ScopesSupported are the scopes that clients are asked to request. Empty means
	// openid, profile and email.
	ScopesSupported []string

	// AllowMachines accepts tokens of M2M applications. It requires ClientID.
	AllowMachines bool
}

// FromEnv returns the AuthKit environment that MCP_USE_OAUTH_WORKOS_SUBDOMAIN names, in the
// environment of the process, or else in a .env file in the working directory. It never fails:
// gatehouse.New reports what is wrong with it.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the AuthKit environment with a domain, like "acme.authkit.app".
func Provider(domain string) gatehouse.Provider { return New(Config{Domain: domain}) }

// New returns the AuthKit environment of cfg, completed from the environment. It never fails:
// gatehouse.New reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider {
	return cfg.provider(setting.Load())
}

func (cfg Config) provider(r *setting.Reader) gatehouse.Provider {
	p := gatehouse.Provider{
		Name:            name,
		Issuer:          issuer(r, r.Require(findDomain, "Domain", cfg.Domain, domainVariable)),
		ScopesSupported: cfg.scopes(),
		AllowMachines:   cfg.AllowMachines,
		Hints:           hints,

		// Access tokens of Connect contain the ID of an organization, but no roles and no
		// permissions. If they do after all, the identity has them.
		Claims: gatehouse.ClaimNames{
			Organization: gatehouse.ClaimPath{"org_id"},
			Roles:        []gatehouse.ClaimPath{{"roles"}, {"role"}},
			Permissions:  []gatehouse.ClaimPath{{"permissions"}},
		},
		NoRoles:       true,
		NoPermissions: true,

		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256"},
			Types:          []string{"", "JWT", "at+jwt"}, // AuthKit writes none
			RequiredClaims: []string{"client_id"},         // ID tokens and session tokens have none
			RejectedClaims: map[string]map[string]string{"nonce": {"": "ID token"}, "at_hash": {"": "ID token"}},
		},
	}
	if cfg.ClientID != "" {
		p.Tokens.Audiences = []string{cfg.ClientID}
		p.Risks = []string{environmentRisk}
	}
	cfg.check(r)
	return r.Finish(p)
}

// check reports faults of the fields that are not in the environment.
func (cfg Config) check(r *setting.Reader) {
	const findClientID = `copy the client ID of the environment from the WorkOS Dashboard (API Keys); it begins with "client_"`
	switch v := (setting.Value{Name: "ClientID", Text: cfg.ClientID}); {
	case strings.HasPrefix(cfg.ClientID, "sk_"):
		r.SecretFault(v, "is an API key", findClientID)
	case cfg.ClientID != "" && !clientID.MatchString(cfg.ClientID):
		r.Fault(v, "is not a client ID", findClientID)
	}
	if cfg.AllowMachines && cfg.ClientID == "" {
		r.Fault(setting.Value{Name: "AllowMachines"}, "has no effect without ClientID, which is aud of every token of a machine",
			"set ClientID to the client ID of the environment, or remove AllowMachines")
	}
}

func (cfg Config) scopes() []string {
	if len(cfg.ScopesSupported) > 0 {
		return slices.Clone(cfg.ScopesSupported)
	}
	return []string{"openid", "profile", "email"}
}

const environmentRisk = "workos.Config.ClientID accepts tokens that were issued for the whole WorkOS environment: " +
	"one that is stolen from another API of the environment works here; " +
	"add this server to the MCP resource indicators (WorkOS Dashboard, Connect → Configuration), use clients that send the resource parameter, and remove ClientID"

// hints replace the guard's own advice about a reason with WorkOS's settings.
var hints = map[gatehouse.Reason]string{
	"wrong_audience": "add the URL of this server to the MCP resource indicators (WorkOS Dashboard, Connect → Configuration), character by character, and use clients that send the resource parameter; without, AuthKit issues tokens for the whole environment",
	"wrong_issuer":   "compare the AuthKit domain with iss in the detail; session tokens of your web application have WorkOS's API as their issuer and are not accepted",
	"wrong_type":     "send the access token; ID tokens of AuthKit are signed with the same key but are not access tokens",
	"missing_claim":  "send the access token of an OAuth client; ID tokens and session tokens of AuthKit have no client_id",
	"machine_token":  "sign in as a user; the token is of an M2M application, which AllowMachines and ClientID of workos.Config accept",
	"opaque":         "send the access token; refresh tokens and API keys of WorkOS are not access tokens",

	"insufficient_scope":       "AuthKit has no scopes but openid, profile, email and offline_access; require an organization, or check roles in the tool",
	"insufficient_permission":  "give the user the role or the permission in the organization; then sign in again",
	"no_organization":          "have the user choose an organization when signing in",
	"registration_unavailable": "turn on Dynamic Client Registration or Client ID Metadata Document in the WorkOS Dashboard (Connect → Configuration)",
}
