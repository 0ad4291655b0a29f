package recipes

import "github.com/gatehouse-mcp/gatehouse"

// Authentik returns an OAuth2/OpenID provider of authentik. issuer is its "OpenID
// Configuration Issuer", with the slash: "https://id.example.com/application/o/my-mcp/".
// clientIDs are the clients whose tokens are accepted.
func Authentik(issuer string, clientIDs ...string) gatehouse.Provider {
	return gatehouse.Provider{
		Name:            "authentik",
		Issuer:          issuer,
		ScopesSupported: []string{"openid", "profile", "email"},
		Claims: gatehouse.ClaimNames{
			Client: []string{"azp"},
			Roles:  []gatehouse.ClaimPath{{"groups"}},
		},
		Tokens: gatehouse.TokenRules{
			Types:          []string{"JWT"},
			RequiredClaims: []string{"azp", "uid"}, // an ID token has neither
			Audiences:      clientIDs,              // authentik writes the client into aud, not the server
		},
		Risks: []string{"tokens of authentik name a client and no server: every server that accepts the same client accepts them; " +
			"make one application for this server only"},
	}
}
