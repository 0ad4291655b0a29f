package stytch_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/stytch"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Configure the project in code.
func ExampleNew() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: stytch.New(stytch.Config{
			Domain:    "https://login.example.com",
			ProjectID: "project-live-6d902c62-fc8f-40ea-a4b1-c260966d4655",
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Provider().Issuer)
	// Output: https://login.example.com
}

// A tool that describes the caller by the claims of the token.
func ExampleUserOf() {
	whoami := func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		user, ok := stytch.UserOf(req)
		if !ok {
			return nil, nil, fmt.Errorf("sign in with Stytch to use this tool")
		}
		text := user.ID
		if user.OrganizationSlug != "" {
			text += " of " + user.OrganizationSlug
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "my-server", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Describe the caller"}, whoami)
}
