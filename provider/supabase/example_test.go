package supabase_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/supabase"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Configure the project in code. A custom access token hook of the project writes the URL of the server into aud.
func ExampleNew() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: supabase.New(supabase.Config{
			ProjectID:       "abcdefghijklmnopqrst",
			RequireAudience: true,
			Roles:           []gatehouse.ClaimPath{{"app_metadata", "roles"}},
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Provider().Issuer)
	// Output: https://abcdefghijklmnopqrst.supabase.co/auth/v1
}

// A tool that describes the caller by the claims of the token.
func ExampleUserOf() {
	whoami := func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		user, ok := supabase.UserOf(req)
		if !ok {
			return nil, nil, fmt.Errorf("sign in with Supabase to use this tool")
		}
		text := user.Email + " with " + user.AAL
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "my-server", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Describe the caller"}, whoami)
}
