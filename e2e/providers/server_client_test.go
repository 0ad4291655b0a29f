//go:build providers && unix

package providers

import (
	"slices"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const (
	// otherResource is the URL of an MCP server that is not the endpoint of the test.
	otherResource = "https://other.example.com/mcp"
	// recordedResource is the URL of the endpoint of the test in recordings.
	recordedResource = "https://mcp.example.com/mcp"
)

// goSDK returns the configuration of the client of go-sdk as c, which is registered already.
// The user of b signs in.
func (c oauthClient) goSDK(b *browser) *auth.AuthorizationCodeHandlerConfig {
	credentials := &oauthex.ClientCredentials{ClientID: c.ID, Issuer: c.server.Issuer}
	if c.Secret != "" {
		credentials.ClientSecretAuth = &oauthex.ClientSecretAuth{ClientSecret: c.Secret}
	}
	return &auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient:      credentials,
		RedirectURL:              redirectURI,
		AuthorizationCodeFetcher: b.fetchCode,
	}
}

// keyMaterial are the members of a JSON Web Key that hold the key itself (RFC 7518 section 6).
var keyMaterial = []string{"n", "x", "y"}

// recordedKeys fetches a JWK Set for a recording, which has a text in place of the keys.
func recordedKeys(t testing.TB, keysURL string) map[string]any {
	t.Helper()
	set := getJSON[map[string]any](t, keysURL)
	keys, _ := set["keys"].([]any)
	for _, key := range keys {
		members, _ := key.(map[string]any)
		for name := range members {
			if slices.Contains(keyMaterial, name) {
				members[name] = "public key"
			}
		}
	}
	return set
}
