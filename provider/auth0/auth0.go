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
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Auth0"

	domainVariable   = "MCP_USE_OAUTH_AUTH0_DOMAIN"
	audienceVariable = "MCP_USE_OAUTH_AUTH0_AUDIENCE"
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

	// ScopesSupported are the scopes that the server asks clients to request: permissions of the
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
func New(cfg Config) gatehouse.Provider { return cfg.provider(setting.Load()) }

func (cfg Config) provider(r *setting.Reader) gatehouse.Provider {
	domain := parseDomain(r, r.Require(findDomain, "Domain", cfg.Domain, domainVariable))
	audience := parseAudience(r, r.Get("Audience", cfg.Audience, audienceVariable), domain)
	p := gatehouse.Provider{
		Name:            name,
		Issuer:          "https://" + domain + "/",
		ScopesSupported: slices.Clone(cfg.ScopesSupported),
		AllowMachines:   cfg.AllowMachines,
		NoRoles:         cfg.RolesClaim == "",
		Complete:        complete,
		Hints:           hints,

		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256", "PS256"},
			Types:          []string{"at+jwt", "JWT"}, // the RFC 9068 profile and the Auth0 profile
			RejectedClaims: idTokenClaims,
			MachineClaims:  machineClaims,
		},
		Claims: gatehouse.ClaimNames{
			Client:           []string{"client_id", "azp"},
			Scopes:           []string{"scope"},
			Permissions:      []gatehouse.ClaimPath{{"permissions"}},
			Organization:     gatehouse.ClaimPath{"org_id"},
			OrganizationName: gatehouse.ClaimPath{"org_name"},
		},
	}
	if cfg.RolesClaim != "" {
		p.Claims.Roles = []gatehouse.ClaimPath{{cfg.RolesClaim}}
	}
	if audience != "" {
		p.Tokens.Audiences = []string{audience}
	}
	if audience != "" && !strings.Contains(audience, "://") {
		p.Risks = []string{fmt.Sprintf("tokens for the Auth0 API %q are accepted, and one that was stolen from another server "+
			"of that API works here; create an API whose identifier is the URL of this server, and remove the audience", audience)}
	}
	return r.Finish(p)
}

// idTokenClaims mark ID tokens, which are signed with the same keys as access tokens of the Auth0
// profile and have the same type.
var idTokenClaims = map[string]map[string]string{
	"nonce":   {"": "ID token"},
	"at_hash": {"": "ID token"},
	"c_hash":  {"": "ID token"},
}

// machineClaims mark the tokens of applications and agents that act for themselves. gty is in the
// Auth0 profile only. sub_profile is there if the API has agent subject claims.
var machineClaims = map[string][]string{
	"gty":         {"client-credentials"},
	"sub_profile": {"ai_agent", "service", "browser_app", "native_app", "web_app"},
}

// complete is the Complete function of the provider. In the RFC 9068 profile, only the subject
// says that a token is of a machine. The ID of a user is a connection and a name with a bar between
// them, "auth0|6553da60a54af58e29493993"; that of an application is its client ID and "@clients",
// and that of an agent begins with "agt_" or is from another system.
func complete(id *gatehouse.Identity) error {
	if !strings.Contains(id.Subject, "|") {
		id.Kind = gatehouse.KindMachine
	}
	return nil
}

const (
	exampleDomain = "tenant.eu.auth0.com"
	// findDomain says where the domain is.
	findDomain = "copy the domain from the Auth0 Dashboard (Applications → Applications → any application → Domain), " +
		`like "` + exampleDomain + `"`
)

// parseDomain returns the domain that v is, or reports a fault.
func parseDomain(r *setting.Reader, v setting.Value) string {
	for _, dashboard := range []string{"manage.auth0.com", "www.auth0.com", "//auth0.com"} {
		if strings.Contains("//"+v.Text, dashboard) {
			r.Fault(v, "is the address of the Auth0 Dashboard", findDomain)
			return ""
		}
	}
	v.Text = strings.ToLower(v.Text)
	domain := r.Host(v, exampleDomain)
	if domain != "" && (!strings.Contains(domain, ".") || strings.Contains(domain, ":")) {
		r.Fault(v, "is not a domain", findDomain)
	}
	return domain
}

// parseAudience returns the identifier of the API that v is, or reports a fault.
func parseAudience(r *setting.Reader, v setting.Value, domain string) string {
	const fix = "write the identifier of the API from the Auth0 Dashboard (Applications → APIs), or remove the " +
		"setting if that is the URL of the server"
	issuer := "https://" + domain
	switch audience := strings.TrimSuffix(v.Text, "/"); {
	case audience == "" || domain == "":
	case audience == issuer:
		r.Fault(v, "is the issuer", fix)
	case audience == issuer+"/api/v2":
		r.Fault(v, "is the Management API", fix)
	case audience == issuer+"/userinfo":
		r.Fault(v, "is the userinfo endpoint", fix)
	}
	return v.Text
}

// hints replace the guard's own advice about a reason with Auth0's settings.
var hints = map[gatehouse.Reason]string{
	"opaque":    opaqueHint,
	"encrypted": opaqueHint,
	"wrong_algorithm": "choose RS256 as the signing algorithm of the API in the Auth0 Dashboard (Applications → APIs " +
		"→ the API → Settings); tokens with HS256 are signed with a secret",
	"wrong_type": "have the client send its access token; ID tokens of Auth0 are signed with the same keys",
	"wrong_audience": "compare aud in the log with the URL of the server; the identifier of the API in the Auth0 " +
		"Dashboard (Applications → APIs) must be that URL, or be set as the audience, and ID tokens have the client " +
		"there",
	"wrong_issuer": "compare the domain of the server with the domain at which the client signed in; the domain of " +
		"the tenant and its custom domain are two issuers, and both end in a slash",
	"machine_token": "sign in as a user; AllowMachines accepts the tokens of applications and agents that act for themselves",
	"insufficient_scope": "add the scope to the permissions of the API (Applications → APIs → the API → Permissions) " +
		"and to its default permissions for third-party applications, and if RBAC is on, give the user a role with the " +
		"permission",
	"insufficient_permission": "turn on RBAC and Add Permissions in the Access Token (Applications → APIs → the API → " +
		"Settings), and give the user a role with the permission",
	"registration_unavailable": `turn on "Dynamic Client Registration (DCR)" in the Auth0 Dashboard (Settings → Advanced)`,
}

const opaqueHint = `turn on "Resource Parameter Compatibility Profile" in the Auth0 Dashboard (Settings → Advanced), ` +
	"and check that there is an API whose identifier is the URL of the server (Applications → APIs); without an API, " +
	"Auth0 issues a token for its userinfo endpoint only"
