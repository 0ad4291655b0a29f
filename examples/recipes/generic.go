package recipes

import "github.com/gatehouse-mcp/gatehouse"

// Generic returns a provider whose access tokens are JWTs, and are not marked as access
// tokens: their typ is JWT. audience is the name that the provider has for this server.
func Generic(issuer, audience string, scopes ...string) gatehouse.Provider {
	provider := gatehouse.OIDC(issuer, scopes...)
	provider.Name = "Example"
	provider.Tokens = gatehouse.TokenRules{
		Algorithms:     []string{"RS256"},     // of the header of a token
		Types:          []string{"JWT"},       // likewise
		RequiredClaims: []string{"client_id"}, // one that ID tokens lack
		RejectedClaims: map[string]map[string]string{ // those that only ID tokens have
			"nonce":   {"": "ID token"},
			"at_hash": {"": "ID token"},
		},
		Audiences: []string{audience},
	}
	provider.Claims = gatehouse.ClaimNames{
		Scopes: []string{"scp", "scope"},
		Roles:  []gatehouse.ClaimPath{{"groups"}, {"https://example.com/roles"}},
	}
	return provider
}
