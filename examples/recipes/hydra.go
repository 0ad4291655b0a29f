package recipes

import (
	"net/http"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/introspection"
)

// HydraJWT returns an Ory Hydra whose setting strategies.access_token is jwt. issuer is
// urls.self.issuer, and scopes are those that clients are asked to request.
func HydraJWT(issuer string, scopes ...string) gatehouse.Provider {
	return gatehouse.Provider{
		Name:            "Ory Hydra",
		Issuer:          issuer,
		ScopesSupported: scopes,
		Claims:          gatehouse.ClaimNames{Scopes: []string{"scp"}},
		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256"},
			Types:          []string{"JWT"},
			RequiredClaims: []string{"client_id"}, // an ID token has none
		},
	}
}

// HydraOpaque returns an Ory Hydra with its default, opaque tokens. admin is the URL of its admin
// API, like "http://127.0.0.1:4445". client sends the requests to it; nil means a default client.
func HydraOpaque(issuer, admin string, client *http.Client, scopes ...string) gatehouse.Provider {
	provider := introspection.New(introspection.Config{
		Issuer:          issuer,
		Endpoint:        admin + "/admin/oauth2/introspect",
		Unauthenticated: true, // the port of the admin API is not public
		HTTPClient:      client,
	}, scopes...)
	provider.Name = "Ory Hydra"
	provider.Tokens.RequiredValues = map[string][]string{"token_use": {"access_token"}} // refresh tokens are active too
	return provider
}
