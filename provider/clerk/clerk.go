// Package clerk is the provider for users who sign in with Clerk
// (https://clerk.com).
//
// MCP clients register themselves with your Clerk instance and sign the user in
// there. The guard verifies Clerk's access tokens against the keys of the instance.
//
// Two settings of the Clerk Dashboard matter. Under Configure → OAuth applications →
// Settings, turn on "Dynamic client registration", without which MCP clients get no
// client ID, and leave "Generate access tokens as JWTs" on. Then copy the Frontend
// API URL from Configure → API keys:
//
//	MCP_USE_OAUTH_CLERK_FRONTEND_API_URL=https://verb-noun-42.clerk.accounts.dev
//
// An access token of Clerk contains the ID of the user, but neither name nor email.
// [UserOf] returns what the token contains. [Profile] adds name and email from
// Clerk's userinfo endpoint.
package clerk

import (
	"errors"
	"maps"
	"slices"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
)

// name is the name of the provider, by which the functions of this package recognize its callers.
const name = "Clerk"

// OrganizationScope is the scope with which a user chooses an organization on
// Clerk's consent page. The access token then contains the ID of the organization. A
// requirement for an organization makes every client ask for it. A client that registers
// without naming scopes gets the default scopes of the instance, so it must be among them:
// otherwise Clerk rejects the sign-in (invalid_scope).
const OrganizationScope = "user:org:read"

// Config describes a Clerk instance. FrontendAPIURL and PublishableKey both name the
// instance, and one of them is enough. They may be set here, in the environment or in
// a .env file in the working directory; the first of these places that has either is
// used, and the others are ignored. If a place has both, for different instances, that
// is a [*gatehouse.ConfigError]. A local Clerk and a proxy, whose URLs no publishable
// key contains, are exempt from that check.
type Config struct {
	_ [0]func()

	// FrontendAPIURL is the Frontend API URL of the instance, with https and
	// without a path: "https://verb-noun-42.clerk.accounts.dev" in development,
	// "https://clerk.example.com" in production. In the environment it is
	// MCP_USE_OAUTH_CLERK_FRONTEND_API_URL.
	FrontendAPIURL string

	// PublishableKey is the publishable key of the instance, "pk_test_…" or
	// "pk_live_…". It contains the Frontend API URL. In the environment it is
	// CLERK_PUBLISHABLE_KEY.
	PublishableKey string

	// SecretKey is the secret key of the instance, "sk_test_…" or "sk_live_…". It is
	// needed for opaque access tokens ("oat_…"), which Clerk's Backend API verifies, and for
	// [Membership]. Empty means the environment variable CLERK_SECRET_KEY. Without either,
	// opaque tokens are rejected. Of several instances on one server, only one can accept
	// opaque tokens; set RejectOpaque for the others.
	SecretKey Secret

	// RejectOpaque rejects opaque access tokens although there is a secret key, which is then
	// for [Membership] alone. Opaque tokens do not show which instance they are from, so all
	// but one of several instances on one server need it.
	RejectOpaque bool

	// BackendAPIURL is the origin of the Backend API. Empty means the environment
	// variable CLERK_API_URL, or else https://api.clerk.com.
	BackendAPIURL string

	// RequireAudience accepts only tokens whose aud names this server. Turn it on
	// once the instance has aud_claim_enabled and every client sends the resource
	// parameter (RFC 8707). If it is off, a token without aud is accepted too. A token
	// whose aud names another server is rejected in both cases.
	RequireAudience bool

	// ScopesSupported are the scopes that the server asks clients to request. Empty
	// means profile and email, which every client has that registers without naming
	// scopes. Clerk rejects requests for other scopes (invalid_scope). The scopes of
	// [gatehouse.Config].Requirements, and [OrganizationScope] if one of them requires an
	// organization, are always added.
	ScopesSupported []string

	// DangerouslySkipVerification accepts any token without verifying it. It works
	// only for a resource on loopback. See [gatehouse.Provider].
	DangerouslySkipVerification bool
}

// FromEnv returns the Clerk instance that the environment names, or else a .env file
// in the working directory: MCP_USE_OAUTH_CLERK_FRONTEND_API_URL or
// CLERK_PUBLISHABLE_KEY. It never fails: gatehouse.New reports what is wrong with
// them.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the Clerk instance at a Frontend API URL, like
// "https://verb-noun-42.clerk.accounts.dev".
func Provider(frontendAPIURL string) gatehouse.Provider {
	if frontendAPIURL == "" {
		return gatehouse.Provider{Name: name, Err: missing("FrontendAPIURL")}
	}
	return New(Config{FrontendAPIURL: frontendAPIURL})
}

// New returns the Clerk instance of cfg, completed from the environment. It never
// fails: gatehouse.New reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider {
	settings, err := env.Load(".")
	if err != nil {
		return gatehouse.Provider{Name: name, Err: err}
	}
	return cfg.provider(settings)
}

func (cfg Config) provider(settings *env.Env) gatehouse.Provider {
	issuer, err := cfg.issuer(settings)
	backend, backendErr := cfg.backend(settings, issuer)
	p := gatehouse.Provider{
		Name:    name,
		Issuer:  issuer,
		JWKSURL: issuer + "/.well-known/jwks.json",
		Err:     errors.Join(err, backendErr),

		ScopesSupported:   cfg.scopes(),
		OrganizationScope: OrganizationScope,
		Complete:          complete,
		Hints:             hints,

		// OAuth access tokens of Clerk contain the ID of an organization, but no roles and
		// no permissions. A client may ask only for scopes that it registered with.
		NoRoles:                   true,
		NoPermissions:             true,
		ScopesFixedAtRegistration: true,

		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256"},
			RejectedHeader: map[string]map[string]string{"cat": rejectedCategories},
			RequiredClaims: []string{"client_id"},
			SubjectPrefix:  "user_",
			Audience:       cfg.audience(),
		},
		DangerouslySkipVerification: cfg.DangerouslySkipVerification,
	}
	if backend != nil {
		p.Backend = backend
	}
	if backend != nil && !cfg.RejectOpaque {
		p.Introspect, p.OpaquePrefixes = backend.introspect, []string{opaquePrefix}
		p.Hints = maps.Clone(hints)
		p.Hints["opaque"] = `send the OAuth access token, which is a JWT or begins with "` + opaquePrefix + `"; ` +
			`machine tokens ("mt_") and API keys ("ak_") of Clerk are not accepted`
	}
	return p
}

func (cfg Config) audience() gatehouse.AudiencePolicy {
	if cfg.RequireAudience {
		return gatehouse.AudienceRequired
	}
	return gatehouse.AudienceIfPresent
}

func (cfg Config) scopes() []string {
	if len(cfg.ScopesSupported) > 0 {
		return slices.Clone(cfg.ScopesSupported)
	}
	return []string{"profile", "email"}
}

// rejectedCategories are the values of the private header parameter cat that mark
// Clerk's other kinds of token, which are signed with the same key.
var rejectedCategories = map[string]string{
	"cl_B7d4PD111AAA": "session token",
	"cl_B7d4PD222AAA": "JWT template token",
	"cl_B7d4PD333AAA": "M2M token",
}

// hints replace the guard's own advice about a reason with Clerk's settings.
var hints = map[gatehouse.Reason]string{
	"opaque":                   `turn on "Generate access tokens as JWTs" in the Clerk Dashboard (Configure → OAuth applications → Settings), or set CLERK_SECRET_KEY so that Clerk verifies opaque ones`,
	"inactive":                 "nothing; the client signs in again by itself",
	"unbound":                  "turn on aud_claim_enabled of the Clerk instance (PATCH /v1/instance/oauth_application_settings), use clients that send the resource parameter, then set RequireAudience",
	"wrong_type":               "send the OAuth access token; session tokens, ID tokens and JWT templates of Clerk are signed with the same key but are not access tokens",
	"wrong_issuer":             "compare the Frontend API URL of the server with the instance that the client signed in at; development and production instances differ",
	"wrong_subject":            "sign in as a user; machine tokens of Clerk are not accepted",
	"insufficient_scope":       `add the scope to the default scopes for dynamic clients (Clerk Dashboard, Configure → OAuth applications → Settings, or default_scopes of PATCH /v1/instance/oauth_application_settings), then have the client register again: a client of Clerk cannot ask for a scope that it did not register with`,
	"insufficient_permission":  "give the caller what the requirement demands; Clerk's access tokens have no roles and no permissions, see clerk.Membership",
	"no_organization":          "have the user choose an organization on Clerk's consent page; if there is none to choose, turn on Organizations in the Clerk Dashboard (Configure → Organizations)",
	"registration_unavailable": `turn on "Dynamic client registration" in the Clerk Dashboard (Configure → OAuth applications → Settings)`,
	"unknown_key":              "sign in again; the token was signed by another Clerk instance, or by a key that the instance has removed",
}
