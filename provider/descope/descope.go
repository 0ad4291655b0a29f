// Package descope is the provider for users who sign in with Descope (https://www.descope.com).
//
// MCP clients register themselves with an MCP server of the project and sign the user in there.
// The guard verifies the project's access tokens against its keys.
//
// In the Descope Console, under Agentic Identity Hub → MCP Servers, create an MCP server, set its
// MCP Server URL to the URL of this server, and leave Dynamic Client Registration on. Then
// copy the Discovery URL:
//
//	DESCOPE_CONFIG_URL=https://api.descope.com/v1/apps/agentic/P…/MS…/.well-known/openid-configuration
//
// [UserOf] returns the user as the token describes it.
package descope

import (
	"slices"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Descope"

	discoveryURLVariable = "DESCOPE_CONFIG_URL"
	projectIDVariable    = "DESCOPE_PROJECT_ID"
	serverIDVariable     = "DESCOPE_MCP_SERVER_ID"
	baseURLVariable      = "DESCOPE_BASE_URL"
)

// Config describes an MCP server of a Descope project, by its Discovery URL, or by its ID and that
// of the project. A field that is empty here is taken from the environment, or else from a .env
// file in the working directory, if it has a variable.
type Config struct {
	_ [0]func()

	// DiscoveryURL is the Discovery URL of the MCP server, as the Descope Console shows it. In
	// the environment it is DESCOPE_CONFIG_URL. If it is set, ProjectID, MCPServerID and
	// BaseURL are ignored.
	DiscoveryURL string

	// ProjectID is the ID of the project, "P…". In the environment it is DESCOPE_PROJECT_ID.
	ProjectID string

	// MCPServerID is the ID of the MCP server, "MS…". In the environment it is
	// DESCOPE_MCP_SERVER_ID. Empty means that clients sign in at the project (Inbound Apps).
	MCPServerID string

	// BaseURL is the origin of the API. In the environment it is DESCOPE_BASE_URL. Empty means
	// the region of the project, which is https://api.descope.com for most.
	BaseURL string

	// Tenants are the IDs of the tenants, "T…", whose tokens are accepted with the tenant as
	// their issuer: those of cross-app access. Tokens of users of all tenants have another
	// issuer and need no entry here.
	Tenants []string

	// AcceptProjectAudience accepts tokens that were issued for the whole project: aud has the
	// ID of the project and not the URL of this server. Descope issues them if the MCP server
	// has no MCP Server URL in the console.
	AcceptProjectAudience bool

	// ScopesSupported are the scopes that clients are asked to request. Empty means
	// that no scopes are named. The scopes of [gatehouse.Config].Requirements are always
	// added.
	ScopesSupported []string

	// AllowMachines accepts tokens of machines. See [gatehouse.Provider].
	AllowMachines bool
}

// FromEnv returns the MCP server that the environment names, or else a .env file in the working
// directory. It never fails: gatehouse.New reports what is wrong with the settings.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the MCP server with a Discovery URL.
func Provider(discoveryURL string) gatehouse.Provider { return New(Config{DiscoveryURL: discoveryURL}) }

// New returns the MCP server of cfg, completed from the environment. It never fails:
// gatehouse.New reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider {
	return cfg.provider(setting.Load())
}

func (cfg Config) provider(r *setting.Reader) gatehouse.Provider {
	p := gatehouse.Provider{
		Name:            name,
		ScopesSupported: slices.Clone(cfg.ScopesSupported),
		Claims: gatehouse.ClaimNames{
			Roles:       []gatehouse.ClaimPath{{"roles"}},
			Permissions: []gatehouse.ClaimPath{{"permissions"}},
		},
		Complete:      complete,
		AllowMachines: cfg.AllowMachines,
		Hints:         hints,
		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256"},
			Types:          []string{"JWT", "at+jwt"},
			RejectedClaims: map[string]map[string]string{"drn": {"DSR": "refresh token"}, "nonce": {"": "ID token"}},
		},
	}
	if server, ok := cfg.server(r); ok {
		p.Issuer = server.issuer()
		p.TokenIssuers = cfg.tokenIssuers(r, server)
		if cfg.AcceptProjectAudience {
			p.Tokens.Audiences = []string{server.project}
			p.Risks = []string{projectRisk}
		}
	}
	return r.Finish(p)
}

// tokenIssuers returns the issuers that tokens of the project may have.
func (cfg Config) tokenIssuers(r *setting.Reader, server server) []string {
	issuers := []string{server.issuer()}
	if server.id != "" {
		issuers = append(issuers, server.projectIssuer())
	}
	for _, tenant := range cfg.Tenants {
		if !tenantPattern.MatchString(tenant) {
			r.Fault(setting.Value{Name: "Tenants", Text: tenant}, "is not the ID of a tenant", "copy it from the Descope Console (Tenants)")
			continue
		}
		issuers = append(issuers, server.projectIssuer()+"/"+tenant)
	}
	return issuers
}

const projectRisk = "descope.Config.AcceptProjectAudience accepts tokens that were issued for the whole project: " +
	"one that is stolen from another API or MCP server of the project works here; " +
	"set MCP Server URL of the MCP server (Descope Console, Agentic Identity Hub → MCP Servers) and remove AcceptProjectAudience"

// hints replace the guard's own advice about a reason with Descope's settings.
var hints = map[gatehouse.Reason]string{
	"wrong_audience": "set MCP Server URL of the MCP server to the URL of this server, character by character (Descope Console, Agentic Identity Hub → MCP Servers), and sign in again",
	"unbound":        "set MCP Server URL of the MCP server to the URL of this server (Descope Console, Agentic Identity Hub → MCP Servers), and sign in again",
	"wrong_issuer":   "compare the Discovery URL with iss in the detail; session tokens of your web application have the bare ID of the project and are not accepted; for cross-app access, add the tenant to Tenants of descope.Config",
	"wrong_type":     "send the access token; refresh tokens and ID tokens of Descope are signed with the same keys but are not access tokens",
	"machine_token":  "sign in as a user; the token is of an access key or of client credentials, which AllowMachines of descope.Config accepts",
	"unknown_key":    "sign in again; the token is from another project, or its key was rotated",

	"insufficient_scope":       "add the scope to the MCP server, and allow it to the client by a policy (Descope Console, Agentic Identity Hub)",
	"insufficient_permission":  "give the user the role or the tenant (Descope Console, Users), and add the claims to the project's JWT template; then sign in again",
	"registration_unavailable": "turn on Dynamic Client Registration or CIMD of the MCP server (Descope Console, Agentic Identity Hub → MCP Servers)",
}
