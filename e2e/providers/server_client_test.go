//go:build providers && unix

package providers

import (
	"net/url"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const (
	// otherResource is the URL of an MCP server that is not the endpoint of the test.
	otherResource = "https://other.example.com/mcp"
	// recordedResource is the URL of the endpoint of the test in recordings.
	recordedResource = "https://mcp.example.com/mcp"
	// pythonClient is the name of a client of scriptClients.
	pythonClient = "mcp of Python"
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

// flags returns the flags with which "gatehouse call" is the public client c.
func (c oauthClient) flags() []string {
	to, err := url.Parse(redirectURI)
	if err != nil {
		panic(err)
	}
	return []string{"--client-id", c.ID, "--callback-port", to.Port()}
}

// refresh uses the refresh token of an answer.
func (c oauthClient) refresh(t testing.TB, issued tokens) tokens {
	t.Helper()
	answer, err := c.grant(within(t, stepTime), url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {issued.Refresh},
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// lookalike is a token, and the reason why the guard must reject it; "" means that the guard
// must accept it.
type lookalike struct {
	name, token string
	want        gatehouse.Reason
}

// wantReasons checks all tokens.
func (e *endpoint) wantReasons(t *testing.T, tokens []lookalike) {
	t.Helper()
	for _, l := range tokens {
		e.wantReason(t, l.token, l.name, l.want)
	}
}
