package descope_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/descope"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Configure the MCP server in code, by its IDs.
func ExampleNew() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: descope.New(descope.Config{
			ProjectID:   "P2abcdefghijklmnopqrstuvwxyz",
			MCPServerID: "MS2abcdefghijklmnopqrstuvwxyz",
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Provider().Issuer)
	// Output: https://api.descope.com/v1/apps/agentic/P2abcdefghijklmnopqrstuvwxyz/MS2abcdefghijklmnopqrstuvwxyz
}

// A tool that describes the caller by the claims of the token.
func ExampleUserOf() {
	whoami := func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		user, ok := descope.UserOf(req)
		if !ok {
			return nil, nil, fmt.Errorf("sign in with Descope to use this tool")
		}
		text := fmt.Sprintf("%s in %s, with the roles %q", user.ID, user.Tenant, user.Roles)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "my-server", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Describe the caller"}, whoami)
}
