package recipes

import "github.com/gatehouse-mcp/gatehouse"

// PingOne returns an environment of PingOne. issuer ends in /as:
// "https://auth.pingone.eu/3e8a0c2b-5a53-4d1b-9c9e-6d2f7f5c1a11/as". scopes are those of the
// custom resource whose audience is the URL of the server.
func PingOne(issuer string, scopes ...string) gatehouse.Provider {
	return gatehouse.Provider{
		Name:            "PingOne",
		Issuer:          issuer,
		ScopesSupported: scopes,
		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256"},
			Types:          []string{"at+jwt", "JWT", ""}, // "at+jwt" alone, once the environment writes it
			RequiredClaims: []string{"client_id"},
			RejectedClaims: map[string]map[string]string{
				"nonce":   {"": "ID token"},
				"at_hash": {"": "ID token"},
			},
		},
	}
}
