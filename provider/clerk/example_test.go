package clerk_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A tool that greets the caller by name. Clerk's access tokens contain no name, so the
// tool asks Clerk. If Clerk is unavailable, it uses the ID from the token.
func ExampleProfile() {
	hello := func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		user, err := clerk.Profile(ctx, req)
		name := user.Name
		switch {
		case errors.Is(err, clerk.ErrUnavailable):
			name = user.ID
		case err != nil:
			return nil, nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "Hello, " + name}}}, nil, nil
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "greeter", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "hello", Description: "Greet the caller"}, hello)
}

// A tool for admins of the organization that the caller chose at sign-in. Clerk's access tokens
// contain no role, so the tool asks Clerk.
func ExampleMembership() {
	remove := func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		org, err := clerk.Membership(ctx, req)
		if err != nil {
			return nil, nil, err // says what to do: choose an organization, or try again later
		}
		if org.Role != "org:admin" {
			return nil, nil, errors.New("only admins of " + org.Name + " can remove documents")
		}
		return &mcp.CallToolResult{}, nil, nil
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "documents", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "remove", Description: "Remove a document"}, remove)
}

// Configure the instance in code, and accept only tokens that were issued for this
// server.
func ExampleNew() {
	provider := clerk.New(clerk.Config{
		FrontendAPIURL:  "https://verb-noun-42.clerk.accounts.dev",
		RequireAudience: true,
	})
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: provider,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Provider().Issuer, guard.Provider().Tokens.Audience)
	// Output: https://verb-noun-42.clerk.accounts.dev required
}
