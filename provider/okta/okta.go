// Package okta is the provider for users who sign in with Okta (https://www.okta.com).
//
// The guard verifies the access tokens of a custom authorization server of an Okta org. Tokens of
// the org authorization server are for Okta's own APIs and are rejected. MCP clients cannot register
// themselves at Okta, so each of them needs an app integration there.
//
// In the Okta Admin Console (Security → API → Authorization Servers), add an authorization server
// whose audience is the URL of your MCP server, with its scopes and an access policy. Then copy its
// issuer URI:
//
//	OKTA_OAUTH2_ISSUER=https://acme.okta.com/oauth2/aus9o8wzkhckw9TLa0h7
//
// docs/okta.md has the steps in full.
package okta

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Okta"

	issuerVariable   = "OKTA_OAUTH2_ISSUER"
	audienceVariable = "OKTA_OAUTH2_AUDIENCE"

	// serversPath is before the ID of a custom authorization server, and defaultServer is the ID of
	// the one that every org with API Access Management has.
	serversPath   = "/oauth2/"
	defaultServer = "default"
)

// Config describes a custom authorization server of an Okta org. An explicit value overrides the
// environment, and the environment a .env file in the working directory.
type Config struct {
	_ [0]func()

	// Issuer is the issuer URI of the authorization server, "https://acme.okta.com/oauth2/default"
	// or with an ID in place of default, without a slash at the end. In the environment it is
	// OKTA_OAUTH2_ISSUER.
	Issuer string

	// Audience is the audience of the authorization server, which Okta writes into all of its
	// tokens. Empty means the environment variable OKTA_OAUTH2_AUDIENCE, or else the URL of the MCP
	// server, which is the audience to choose.
	Audience string

	// GroupsClaim is the name of the claim with the groups of the user, which become the roles of
	// the identity. Empty means "groups". Access tokens have it only if the authorization server has
	// such a claim (Security → API → the authorization server → Claims).
	GroupsClaim string

	// ScopesSupported are the scopes that the server asks clients to request. Empty means none. The
	// scopes of [gatehouse.Config].Requirements are always added.
	ScopesSupported []string

	// AllowMachines accepts the tokens of services that act for themselves (client credentials).
	// Their identity has the kind [gatehouse.KindMachine].
	AllowMachines bool
}

// FromEnv returns the authorization server that the environment names, or else a .env file in the
// working directory: OKTA_OAUTH2_ISSUER, and OKTA_OAUTH2_AUDIENCE if its audience is not the URL of
// the server. It never fails: gatehouse.New reports what is wrong with them.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the authorization server with an issuer URI, like
// "https://acme.okta.com/oauth2/default".
func Provider(issuer string) gatehouse.Provider { return New(Config{Issuer: issuer}) }

// New returns the authorization server of cfg, completed from the environment. It never fails:
// gatehouse.New reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider { return cfg.provider(setting.Load()) }

func (cfg Config) provider(r *setting.Reader) gatehouse.Provider {
	issuer := parseIssuer(r, r.Require(findIssuer, "Issuer", cfg.Issuer, issuerVariable))
	audience := parseAudience(r, r.Get("Audience", cfg.Audience, audienceVariable), issuer)
	p := gatehouse.Provider{
		Name:            name,
		Issuer:          issuer,
		ScopesSupported: slices.Clone(cfg.ScopesSupported),
		AllowMachines:   cfg.AllowMachines,
		Hints:           hints,

		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256"},
			Types:          []string{"", "JWT"}, // Okta's pages show tokens without a type
			RequiredClaims: []string{"cid"},     // ID tokens do not have it
			RejectedClaims: idTokenClaims,
		},
		Claims: gatehouse.ClaimNames{
			Client: []string{"cid"},
			Scopes: []string{"scp"},
			Roles:  []gatehouse.ClaimPath{{"groups"}},
		},
	}
	if cfg.GroupsClaim != "" {
		p.Claims.Roles = []gatehouse.ClaimPath{{cfg.GroupsClaim}}
	}
	if audience != "" {
		p.Tokens.Audiences = []string{audience}
	}
	if audience != "" && !strings.HasPrefix(audience, "https://") {
		p.Risks = []string{fmt.Sprintf("all tokens of the authorization server have the audience %q, and one that was stolen "+
			"from another service works here; create an authorization server whose audience is the URL of this server, and "+
			"remove the audience", audience)}
	}
	return r.Finish(p)
}

// idTokenClaims mark ID tokens, which are signed with the same keys as access tokens.
var idTokenClaims = map[string]map[string]string{
	"nonce":   {"": "ID token"},
	"at_hash": {"": "ID token"},
	"c_hash":  {"": "ID token"},
}

const (
	exampleIssuer = "https://acme.okta.com/oauth2/default"
	findIssuer    = "copy the issuer URI from the Okta Admin Console (Security → API → Authorization Servers → the " +
		"server → Settings)"
)

// orgServer are the paths of the org authorization server and of its endpoints.
var orgServer = []string{"", "/", "/oauth2", "/oauth2/", "/oauth2/v1", "/oauth2/v1/"}

// parseIssuer returns the issuer that v is, or reports a fault.
func parseIssuer(r *setting.Reader, v setting.Value) string {
	if v.Text == "" || isOrg(r, v) {
		return ""
	}
	issuer := r.NoSlash(v, exampleIssuer)
	u, err := url.Parse(issuer)
	if issuer == "" || err != nil {
		return "" // reported
	}
	server, rest, _ := strings.Cut(strings.TrimPrefix(u.Path, serversPath), "/")
	switch {
	case !strings.HasPrefix(u.Path, serversPath):
		r.Fault(v, "is not the issuer of an authorization server", findIssuer)
	case rest != "":
		r.Fault(v, "has more than the ID of an authorization server", fmt.Sprintf("write %q", "https://"+u.Host+serversPath+server))
	}
	return issuer
}

// isOrg reports whether v is an address of the org and not that of a custom authorization server,
// and reports that as a fault.
func isOrg(r *setting.Reader, v setting.Value) bool {
	text := v.Text
	if issuer, ok := wellknown.IssuerOf(text); ok {
		text = issuer
	}
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return false
	case strings.Contains(u.Host, "-admin.okta") || u.Host == "login.okta.com" || u.Host == "www.okta.com":
		r.Fault(v, "is the address of the Admin Console", findIssuer)
	case slices.Contains(orgServer, u.Path):
		r.Fault(v, "is the org authorization server, whose access tokens are for Okta alone and cannot protect an MCP server",
			fmt.Sprintf("write %q, or the issuer URI of another custom authorization server "+
				"(Security → API)", "https://"+u.Host+serversPath+defaultServer))
	default:
		return false
	}
	return true
}

// parseAudience returns the audience that v is, or reports a fault.
func parseAudience(r *setting.Reader, v setting.Value, issuer string) string {
	if v.Text != "" && v.Text == issuer {
		r.Fault(v, "is the issuer", "copy the audience from the Okta Admin Console (Security → API → Authorization Servers → "+
			"the server → Settings), "+
			"or remove the setting if that is the URL of the server")
	}
	return v.Text
}

// hints replace the guard's own advice about a reason with Okta's settings.
var hints = map[gatehouse.Reason]string{
	"wrong_issuer": "compare the issuer of the server with iss in the log; a token whose iss is the URL of the org is " +
		"from the org authorization server, so have the client sign in at the custom one",
	"unknown_key": "sign in again; if iss in the log is the URL of the org, the token is from the org authorization " +
		"server, whose keys are not public",
	"wrong_audience": "set the audience of the authorization server to the URL of the server (Security → API → " +
		"Authorization Servers → the server → Settings), or set Audience to what it is; ID tokens have the client there",
	"wrong_type":    "have the client send its access token; ID tokens of Okta are signed with the same keys",
	"missing_claim": "have the client send its access token; ID tokens of Okta lack cid",
	"machine_token": "sign in as a user; AllowMachines accepts the tokens of services that act for themselves",
	"insufficient_scope": "add the scope to the authorization server (Security → API → Authorization Servers → the " +
		"server → Scopes), and allow it in the rule of its access policy",
	"insufficient_permission": "give the user the group, and add a groups claim for access tokens to the " +
		"authorization server (Security → API → Authorization Servers → the server → Claims)",
	"sender_constrained": "turn off Require Demonstrating Proof of Possession (DPoP) in the app integration of the client",
	"registration_unavailable": "create an app integration for the MCP client and enter its client ID there (see " +
		"docs/okta.md); Okta's registration endpoint is for administrators",
}
