// Package supabase is the provider for users who sign in with the OAuth 2.1 server of Supabase
// Auth (https://supabase.com).
//
// MCP clients register themselves with the project and sign the user in there, on a consent
// page that you host. The guard verifies the project's access tokens against its signing keys.
//
// In the Supabase Dashboard, under Authentication → OAuth Server, turn on the OAuth server and
// allow dynamic OAuth apps. Under Project Settings → JWT Keys, use signing keys. Then copy the
// ID of the project from Project Settings → General:
//
//	MCP_USE_OAUTH_SUPABASE_PROJECT_ID=abcdefghijklmnopqrst
//
// Supabase does not write into a token for which server it is: see [Config].RequireAudience.
//
// [UserOf] returns the user as the token describes it.
package supabase

import (
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Supabase Auth"

	projectIDVariable = "MCP_USE_OAUTH_SUPABASE_PROJECT_ID"
	urlVariable       = "MCP_USE_OAUTH_SUPABASE_URL"
	secretVariable    = "MCP_USE_OAUTH_SUPABASE_JWT_SECRET"

	// projectAudience is aud of the tokens of all users of a project.
	projectAudience = "authenticated"

	// aalPermission is before the level of assurance in Identity.Permissions, as in mcp-use.
	aalPermission = "aal:"
)

// Config describes a Supabase project. ProjectID and URL both name it, and one of them is enough;
// URL overrides ProjectID. A field that is empty here is taken from the environment, or else
// from a .env file in the working directory, if it has a variable.
type Config struct {
	_ [0]func()

	// ProjectID is the ID of the project, as in https://PROJECT_ID.supabase.co. In the
	// environment it is MCP_USE_OAUTH_SUPABASE_PROJECT_ID.
	ProjectID string

	// URL is the URL of the project, without a path: for a custom domain, a self-hosted
	// Supabase or the local CLI ("http://127.0.0.1:54321"). In the environment it is
	// MCP_USE_OAUTH_SUPABASE_URL.
	URL string

	// JWTSecret is the legacy JWT secret of the project, of at least 32 bytes. Set it only if
	// the project still signs with HS256: no other algorithm is accepted then, and everyone
	// who has the secret can make tokens for any user. In the environment it is
	// MCP_USE_OAUTH_SUPABASE_JWT_SECRET.
	JWTSecret gatehouse.Secret

	// RequireAudience accepts only tokens whose aud is the URL of the MCP server. Turn it on
	// once a custom access token hook of the project writes the URL. If it is off, tokens
	// for the whole project are accepted too, which is what Supabase issues.
	RequireAudience bool

	// AllowAnonymous accepts users without an account (signInAnonymously).
	AllowAnonymous bool

	// Roles are the claims with the roles that your application gives to users:
	// {"app_metadata", "roles"}, for example. Do not name anything in user_metadata, which
	// users can change themselves. Empty means that users have no roles.
	Roles []gatehouse.ClaimPath

	// ScopesSupported are the scopes that clients are asked to request, out of openid,
	// profile, email and phone. Empty means that no scopes are named.
	ScopesSupported []string
}

// FromEnv returns the project that the environment names, or else a .env file in the working
// directory. It never fails: gatehouse.New reports what is wrong with the settings.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the project with an ID.
func Provider(projectID string) gatehouse.Provider { return New(Config{ProjectID: projectID}) }

// New returns the project of cfg, completed from the environment. It never fails: gatehouse.New
// reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider {
	return cfg.provider(setting.Load())
}

func (cfg Config) provider(r *setting.Reader) gatehouse.Provider {
	p := gatehouse.Provider{
		Name:            name,
		Issuer:          cfg.issuer(r),
		ScopesSupported: slices.Clone(cfg.ScopesSupported),
		SharedSecret:    cfg.secret(r),
		Claims:          gatehouse.ClaimNames{Roles: slices.Clone(cfg.Roles)},
		Complete:        complete,
		Hints:           hints,

		NoRoles:         len(cfg.Roles) == 0,
		NoOrganizations: true,

		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"ES256", "RS256"},
			Types:          []string{"JWT"},
			RequiredClaims: []string{"client_id"}, // sessions of the application have none
			RejectedClaims: cfg.rejected(),
		},
	}
	if !cfg.RequireAudience {
		p.Tokens.Audiences = []string{projectAudience}
		p.Risks = append(p.Risks, audienceRisk)
	}
	if p.SharedSecret != "" {
		p.Tokens.Algorithms = nil // it is HS256 then
		p.Risks = append(p.Risks, secretRisk)
	}
	for _, path := range cfg.Roles {
		if len(path) > 0 && path[0] == "user_metadata" {
			r.Fault(setting.Value{Name: "Roles", Text: strings.Join(path, " > ")}, "is in user_metadata, which users change themselves",
				"write roles into app_metadata, and name them there")
		}
	}
	return r.Finish(p)
}

func (cfg Config) rejected() map[string]map[string]string {
	rejected := map[string]map[string]string{
		"nonce":        {"": "ID token"},
		"auth_time":    {"": "ID token"},
		"role":         {"service_role": "service_role key", "anon": "anon key"},
		"is_anonymous": {"true": "token of an anonymous user"},
	}
	if cfg.AllowAnonymous {
		delete(rejected, "is_anonymous")
	}
	return rejected
}

const (
	audienceRisk = "tokens of Supabase are issued for the whole project: " +
		"one that is stolen from another API or MCP server of the project works here, and one from here works there; " +
		"use a project of its own for this server, or write its URL into aud with a custom access token hook and set RequireAudience of supabase.Config"

	secretRisk = "the legacy JWT secret of Supabase makes tokens as well as it verifies them: everyone who has it can be any user; " +
		"rotate to signing keys (Supabase Dashboard, Project Settings → JWT Keys) and remove " + secretVariable
)

// hints replace the guard's own advice about a reason with Supabase's settings.
var hints = map[gatehouse.Reason]string{
	"wrong_algorithm": "rotate to signing keys (Supabase Dashboard, Project Settings → JWT Keys) and sign in again, or set " + secretVariable + " while the project still signs with HS256; after the rotation, remove it; the anon and service_role keys are never accepted",
	"wrong_issuer":    "compare the project with iss in the detail; a project with a custom domain may have it in its tokens, so set " + urlVariable,
	"wrong_audience":  "turn on the custom access token hook that writes the URL of this server into aud (Authentication → Hooks), or unset RequireAudience",
	"wrong_type":      "send the access token of a user who signed in with an OAuth client; ID tokens and API keys of Supabase are not accepted, and users of signInAnonymously only with AllowAnonymous",
	"missing_claim":   "have the client sign the user in by OAuth (Authentication → OAuth Server); tokens of your application's own sessions have no client_id",
	"opaque":          "send the access token; API keys (sb_publishable_…, sb_secret_…) and refresh tokens of Supabase are not access tokens",
	"unknown_key":     "sign in again; the project has rotated its signing keys, or the token is from another project",

	"insufficient_scope":       "Supabase has no scopes but openid, profile, email and phone; require a role or the permission aal:aal2, or check in the tool",
	"insufficient_permission":  "give the user the role in app_metadata; for aal:aal2 the user must sign in with a second factor; then sign in again",
	"registration_unavailable": "turn on the OAuth server and allow dynamic OAuth apps (Supabase Dashboard, Authentication → OAuth Server)",
}
