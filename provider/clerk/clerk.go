// Package clerk signs users in with Clerk (https://clerk.com).
//
// MCP clients register themselves with your Clerk instance and sign the user in
// there; the guard verifies Clerk's access tokens against the instance's keys.
//
// Setting up takes two switches of the Clerk Dashboard. Under Configure → OAuth
// applications → Settings, turn on Dynamic client registration, without which no
// MCP client gets a client ID, and leave "Generate access tokens as JWTs" on.
// Then copy the Frontend API URL from Configure → API keys:
//
//	MCP_USE_OAUTH_CLERK_FRONTEND_API_URL=https://verb-noun-42.clerk.accounts.dev
//
// An access token of Clerk says who the user is by ID only. [UserOf] returns what
// the token says; [Profile] adds name and email from Clerk's userinfo endpoint.
package clerk

import (
	"errors"
	"os"
	"slices"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
)

// Environment variables that [FromEnv] and [New] read.
const (
	frontendAPIVariable    = "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL"
	publishableKeyVariable = "CLERK_PUBLISHABLE_KEY"
)

// OrganizationScope is the scope with which a user chooses an organization on
// Clerk's consent page; the access token then has its ID. Do not advertise it to
// all clients: Clerk refuses it to those that did not register with it.
const OrganizationScope = "user:org:read"

// Config names a Clerk instance. Fields that are set win over the environment.
type Config struct {
	_ [0]func()

	// FrontendAPIURL is the Frontend API URL of the instance, with https and
	// without a path: "https://verb-noun-42.clerk.accounts.dev" in development,
	// "https://clerk.example.com" in production. Empty means the environment
	// variable MCP_USE_OAUTH_CLERK_FRONTEND_API_URL, then what PublishableKey
	// says.
	FrontendAPIURL string

	// PublishableKey of the instance, "pk_test_…" or "pk_live_…", has the
	// Frontend API URL inside. Empty means CLERK_PUBLISHABLE_KEY.
	PublishableKey string

	// SecretKey of the instance, "sk_test_…" or "sk_live_…", is needed for opaque
	// access tokens ("oat_…") alone, which Clerk's Backend API verifies. Empty
	// means CLERK_SECRET_KEY; without either, opaque tokens are refused.
	SecretKey Secret

	// BackendAPIURL is the origin of the Backend API. Empty means CLERK_API_URL,
	// else https://api.clerk.com.
	BackendAPIURL string

	// RequireAudience takes only tokens whose aud names this server. Turn it on
	// once the instance has aud_claim_enabled and every client sends the resource
	// parameter (RFC 8707). Off, a token without aud is taken as well, and one
	// whose aud names another server is refused all the same.
	RequireAudience bool

	// ScopesSupported are the scopes that clients are told to ask for. Empty
	// means profile and email, which a client holds that registered without
	// naming any. Asking for more is refused by Clerk with invalid_scope.
	ScopesSupported []string

	// DangerouslySkipVerification takes any token unseen, for a resource on
	// loopback only. See [gatehouse.Provider].
	DangerouslySkipVerification bool
}

// FromEnv returns the Clerk instance that the environment names, or the .env
// file in the working directory: MCP_USE_OAUTH_CLERK_FRONTEND_API_URL, else
// CLERK_PUBLISHABLE_KEY. What is wrong with them, gatehouse.New reports.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the Clerk instance at a Frontend API URL.
func Provider(frontendAPIURL string) gatehouse.Provider {
	if frontendAPIURL == "" {
		return gatehouse.Provider{Name: "Clerk", Err: missing("FrontendAPIURL")}
	}
	return New(Config{FrontendAPIURL: frontendAPIURL})
}

// New returns the Clerk instance of cfg, completed from the environment. What is
// wrong with it, gatehouse.New reports.
func New(cfg Config) gatehouse.Provider {
	settings, err := env.Load(".")
	if err != nil {
		return gatehouse.Provider{Name: "Clerk", Err: err}
	}
	return cfg.provider(settings)
}

func (cfg Config) provider(settings *env.Env) gatehouse.Provider {
	issuer, err := cfg.frontendAPI(settings)
	backend, backendErr := cfg.backend(settings, issuer)
	p := gatehouse.Provider{
		Name:    "Clerk",
		Issuer:  issuer,
		JWKSURL: issuer + "/.well-known/jwks.json",
		Err:     errors.Join(err, backendErr),

		ScopesSupported:   cmpSlice(cfg.ScopesSupported, "profile", "email"),
		OrganizationScope: OrganizationScope,
		Complete:          complete,
		Hints:             hints,

		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256"},
			RejectedHeader: map[string]map[string]string{"cat": categories},
			RequiredClaims: []string{"client_id"},
			SubjectPrefix:  "user_",
			Audience:       cfg.audience(),
		},
		DangerouslySkipVerification: cfg.DangerouslySkipVerification,
	}
	if backend != nil {
		p.Introspect = backend.introspect
	}
	return p
}

func (cfg Config) audience() gatehouse.AudiencePolicy {
	if cfg.RequireAudience {
		return gatehouse.AudienceRequired
	}
	return gatehouse.AudienceIfPresent
}

// frontendAPI settles which of the four places names the instance. Two that
// disagree are a fault unless one of them is explicit.
func (cfg Config) frontendAPI(settings *env.Env) (string, error) {
	var faults []error
	find := func(field, explicit, variable string, parse func(field, value string) (string, error)) string {
		value := explicit
		if value == "" {
			field, value = variable, settings.Get(variable)
		}
		if value == "" {
			return ""
		}
		issuer, err := parse(field, value)
		if err != nil {
			faults = append(faults, err)
		}
		return issuer
	}
	if cfg.FrontendAPIURL == "" && cfg.PublishableKey != "" {
		issuer := find("PublishableKey", cfg.PublishableKey, "", parsePublishableKey)
		return issuer, errors.Join(faults...)
	}
	url := find("FrontendAPIURL", cfg.FrontendAPIURL, frontendAPIVariable, parseFrontendAPI)
	if url != "" || len(faults) > 0 {
		return url, errors.Join(faults...)
	}
	key := find("PublishableKey", cfg.PublishableKey, publishableKeyVariable, parsePublishableKey)
	if key == "" && len(faults) == 0 {
		return "", missing(frontendAPIVariable)
	}
	return key, errors.Join(faults...)
}

func missing(field string) error {
	fix := `set it to the Frontend API URL from the Clerk Dashboard (Configure → API keys), like "https://verb-noun-42.clerk.accounts.dev", in the environment or in a .env file`
	if dir, err := os.Getwd(); err == nil {
		fix += " in " + dir
	}
	return &gatehouse.ConfigError{Field: field, Problem: "is missing", Fix: fix + "; to try without an account: gatehouse dev"}
}

func cmpSlice(list []string, otherwise ...string) []string {
	if len(list) > 0 {
		return slices.Clone(list)
	}
	return otherwise
}

// categories are the values of the private header parameter cat by which Clerk
// marks its other tokens. An instance signs all of them with one key.
var categories = map[string]string{
	"cl_B7d4PD111AAA": "session token",
	"cl_B7d4PD222AAA": "JWT template token",
	"cl_B7d4PD333AAA": "M2M token",
}

var hints = map[gatehouse.Reason]string{
	"opaque":        `turn on "Generate access tokens as JWTs" in the Clerk Dashboard (Configure → OAuth applications → Settings), or set CLERK_SECRET_KEY so that Clerk verifies opaque ones`,
	"inactive":      "nothing; the client signs in again",
	"unbound":       "turn on aud_claim_enabled of the Clerk instance (PATCH /v1/instance/oauth_application_settings), use clients that send the resource parameter, then set RequireAudience",
	"wrong_type":    "send the OAuth access token; session tokens, ID tokens and JWT templates of Clerk are signed by the same key and are not access tokens",
	"wrong_issuer":  "compare the Frontend API URL of the server with the instance that the client signed in at; development and production instances differ",
	"wrong_subject": "sign in as a user; machine tokens of Clerk are not taken",
	"unknown_key":   "the token is signed by another Clerk instance, or by a key that was rotated away; sign in again",
}
