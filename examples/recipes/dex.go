package recipes

import "github.com/gatehouse-mcp/gatehouse"

// Dex returns a Dex. resource is the URL of the MCP server, which is also the ID of a client in the
// configuration of Dex.
func Dex(issuer, resource string) gatehouse.Provider {
	return gatehouse.Provider{
		Name:   "Dex",
		Issuer: issuer,
		// Dex writes a server into aud if a client requests this scope, and knows no resource.
		ScopesSupported: []string{"openid", "groups", "audience:server:client_id:" + resource},
		Claims: gatehouse.ClaimNames{
			Client: []string{"azp"},
			Roles:  []gatehouse.ClaimPath{{"groups"}},
		},
		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256"},
			Types:          []string{""}, // Dex writes no typ
			RequiredClaims: []string{"azp"},
			RejectedClaims: map[string]map[string]string{"c_hash": {"": "ID token"}},
		},
		Risks: []string{"access tokens of Dex are ID tokens: after a refresh, nothing distinguishes the two, so an ID token that a client " +
			"got for this server works here too"},
	}
}
