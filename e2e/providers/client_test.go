//go:build providers && unix

package providers

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// whoamiOfGoSDK connects the client of go-sdk to an endpoint, signs the user of b in with a
// client that is registered dynamically, and calls the tool whoami.
func whoamiOfGoSDK(t testing.TB, e *endpoint, b *browser) caller {
	t.Helper()
	return whoamiOf(t, e, &auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName:              "Gatehouse provider tests",
			RedirectURIs:            []string{redirectURI},
			GrantTypes:              []string{"authorization_code", "refresh_token"},
			TokenEndpointAuthMethod: "none",
		}},
		AuthorizationCodeFetcher: b.fetchCode,
	})
}

// whoamiOf is like whoamiOfGoSDK, for a client with another configuration.
func whoamiOf(t testing.TB, e *endpoint, cfg *auth.AuthorizationCodeHandlerConfig) caller {
	t.Helper()
	handler, err := auth.NewAuthorizationCodeHandler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, stepTime)
	client := mcp.NewClient(&mcp.Implementation{Name: "providers", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: e.URL, OAuthHandler: handler}, nil)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "whoami", Arguments: map[string]any{}})
	if err != nil {
		t.Fatalf("calling whoami: %v", err)
	}
	return callerIn(t, result)
}

// fetchCode is an [auth.AuthorizationCodeFetcher]: it signs the user in.
func (b *browser) fetchCode(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	redirect, err := b.authorize(ctx, args.URL)
	if err != nil {
		return nil, err
	}
	query := redirect.Query()
	if query.Has("error") {
		return nil, fmt.Errorf("%s: %s", query.Get("error"), query.Get("error_description"))
	}
	return &auth.AuthorizationResult{Code: query.Get("code"), State: query.Get("state"), Iss: query.Get("iss")}, nil
}

// callerIn returns the caller in a result of the tool whoami.
func callerIn(t testing.TB, result *mcp.CallToolResult) caller {
	t.Helper()
	data, err := json.Marshal(result.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	var c caller
	if err := json.Unmarshal(data, &c); err != nil || result.IsError {
		t.Fatalf("the tool whoami answered %s (error: %t)", data, result.IsError)
	}
	return c
}
