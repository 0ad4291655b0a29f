package workos_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/workos"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Configure the AuthKit domain in code.
func ExampleNew() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: workos.New(workos.Config{
			Domain: "acme.authkit.app",
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Provider().Issuer)
	// Output: https://acme.authkit.app
}

// A tool that describes the caller. The tokens have no name, so look it up by the ID.
func ExampleUserOf() {
	whoami := func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		user, ok := workos.UserOf(req)
		if !ok {
			return nil, nil, fmt.Errorf("sign in with AuthKit to use this tool")
		}
		text := user.ID
		if user.OrganizationID != "" {
			text += " of " + user.OrganizationID
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "my-server", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Describe the caller"}, whoami)
}
