package recipes

import "github.com/gatehouse-mcp/gatehouse"

// Kinde returns a Kinde business. issuer is "https://acme.kinde.com", or the custom domain.
// clientIDs are the applications whose tokens are accepted although they name no server.
func Kinde(issuer string, clientIDs ...string) gatehouse.Provider {
	return gatehouse.Provider{
		Name:            "Kinde",
		Issuer:          issuer,
		ScopesSupported: []string{"openid", "profile", "email", "offline"}, // Kinde's name of offline_access
		Claims: gatehouse.ClaimNames{
			Client:       []string{"azp"},
			Scopes:       []string{"scp"},
			Permissions:  []gatehouse.ClaimPath{{"permissions"}},
			Organization: gatehouse.ClaimPath{"org_code"},
		},
		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256"},
			Types:          []string{"JWT"},
			RequiredClaims: []string{"azp", "scp"},
			RejectedClaims: map[string]map[string]string{"at_hash": {"": "ID token"}},
			MachineClaims:  map[string][]string{"gty": {"client_credentials"}},
			BoundClients:   clientIDs,
		},
	}
}
