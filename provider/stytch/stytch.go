// Package stytch is the provider for users who sign in with Stytch Connected Apps
// (https://stytch.com), of a consumer or a B2B project.
//
// MCP clients register themselves with the project and sign the user in on a page of your
// application, which shows Stytch's consent component. The guard verifies the access tokens of
// Connected Apps against the keys of the project.
//
// In the Stytch Dashboard, under Connected Apps, set the URL of that page as the Authorization
// URL and allow Dynamic Client Registration. Then copy the project domain, or your custom
// domain, and the project ID:
//
//	STYTCH_DOMAIN=https://example.customers.stytch.com
//	STYTCH_PROJECT_ID=project-live-…
//
// Stytch does not write into a token for which server it is: all tokens of a project have the same
// audience. Use a project of its own for the MCP server if other servers accept its tokens.
//
// [UserOf] returns the user as the token describes it.
package stytch

import (
	"slices"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Stytch"

	domainVariable    = "STYTCH_DOMAIN"
	projectIDVariable = "STYTCH_PROJECT_ID"

	// Claims of Stytch's own.
	sessionClaim      = "https://stytch.com/session"
	organizationClaim = "https://stytch.com/organization"
)

// Config describes a Stytch project. A field that is empty here is taken from the environment, or
// else from a .env file in the working directory, if it has a variable.
type Config struct {
	_ [0]func()

	// Domain is the project domain, "https://example.customers.stytch.com", or a custom
	// domain. In the environment it is STYTCH_DOMAIN.
	Domain string

	// ProjectID is the ID of the project, "project-test-…" or "project-live-…". In the
	// environment it is STYTCH_PROJECT_ID.
	ProjectID string

	// ScopesSupported are the scopes that clients are asked to request. Empty means
	// that no scopes are named. The scopes of [gatehouse.Config].Requirements are always
	// added.
	ScopesSupported []string
}

// FromEnv returns the project that the environment names, or else a .env file in the working
// directory: STYTCH_DOMAIN and STYTCH_PROJECT_ID. It never fails: gatehouse.New reports what is
// wrong with them.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the project with a domain, like "https://example.customers.stytch.com", and an
// ID.
func Provider(domain, projectID string) gatehouse.Provider {
	return New(Config{Domain: domain, ProjectID: projectID})
}

// New returns the project of cfg, completed from the environment. It never fails: gatehouse.New
// reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider {
	return cfg.provider(setting.Load())
}

func (cfg Config) provider(r *setting.Reader) gatehouse.Provider {
	p := gatehouse.Provider{
		Name:            name,
		Issuer:          issuer(r, r.Require(findDomain, "Domain", cfg.Domain, domainVariable)),
		ScopesSupported: slices.Clone(cfg.ScopesSupported),
		Hints:           hints,
		Claims: gatehouse.ClaimNames{
			Organization:     gatehouse.ClaimPath{organizationClaim, "organization_id"},
			OrganizationSlug: gatehouse.ClaimPath{organizationClaim, "slug"},
		},
		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256"},
			Types:          []string{"JWT", "at+jwt"},
			RequiredClaims: []string{"client_id"}, // ID tokens, sessions and M2M tokens have none
			RejectedClaims: map[string]map[string]string{
				sessionClaim: {"": "session token"},
				"nonce":      {"": "ID token"},
			},
		},
		Risks: []string{audienceRisk},
	}
	if id := projectID(r, r.Require(findID, "ProjectID", cfg.ProjectID, projectIDVariable)); id != "" {
		p.Tokens.Audiences = []string{id}
	}
	return r.Finish(p)
}

const audienceRisk = "tokens of Stytch are issued for the whole project: " +
	"one that is stolen from another API or MCP server of the project works here, and one from here works there; " +
	"use a project of its own for this server, or require a scope that only its clients get"

// hints replace the guard's own advice about a reason with Stytch's settings.
var hints = map[gatehouse.Reason]string{
	"wrong_issuer":    "compare the domain with iss in the detail; tokens that were requested at stytch.com have no URL as their issuer, so have the client use the endpoints of the project domain; after a change of the domain, sign in again",
	"wrong_audience":  "compare the project ID with aud in the detail; the test and the live environment are different projects",
	"wrong_type":      "send the access token of a Connected App; session tokens and ID tokens of Stytch are signed with the same keys but are not access tokens",
	"missing_claim":   "send the access token of a Connected App; session tokens, ID tokens and M2M tokens of Stytch have no client_id",
	"opaque":          "send the access token; refresh tokens and session tokens of Stytch are not access tokens",
	"wrong_algorithm": "send the access token; Stytch signs access tokens with RS256",

	"insufficient_scope":       "add the scope to the Connected App, and in a B2B project to a role of the member (Stytch Dashboard, RBAC); then sign in again",
	"registration_unavailable": "allow Dynamic Client Registration, or use a client with a metadata document (Stytch Dashboard, Connected Apps)",
}
