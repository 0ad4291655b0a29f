package scalekit_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/scalekit"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Configure the MCP server in code.
func ExampleNew() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: scalekit.New(scalekit.Config{
			EnvironmentURL:  "https://acme.scalekit.dev",
			ResourceID:      "res_70123456789012345",
			ScopesSupported: []string{"todo:read"},
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	fmt.Println(guard.Provider().Issuer)
	// Output: https://acme.scalekit.dev/resources/res_70123456789012345
}

// A tool that names the organization of the caller.
func ExampleUserOf() {
	server := mcp.NewServer(&mcp.Implementation{Name: "team", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "team", Description: "Name the caller's organization"},
		func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			user, _ := scalekit.UserOf(req)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: user.OrganizationID}}}, nil, nil
		})
}
