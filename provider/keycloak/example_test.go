package keycloak_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/keycloak"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Configure the realm in code. The client scope mcp:tools has the audience mapper.
func ExampleNew() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: keycloak.New(keycloak.Config{
			ServerURL:       "https://sso.example.com",
			Realm:           "demo",
			ScopesSupported: []string{"mcp:tools"},
			ClientRoles:     []string{"notes"}, // only the roles of this client
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Provider().Issuer)
	// Output: https://sso.example.com/realms/demo
}

// A tool that describes the caller by the claims of the token.
func ExampleUserOf() {
	whoami := func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		user, ok := keycloak.UserOf(req)
		if !ok {
			return nil, nil, fmt.Errorf("sign in with Keycloak to use this tool")
		}
		text := fmt.Sprintf("%s, with the roles %q", user.Username, user.RealmRoles)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "my-server", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Describe the caller"}, whoami)
}
