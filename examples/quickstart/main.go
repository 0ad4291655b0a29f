// The shortest server with sign-in: one tool that returns the user who calls it.
//
//	MCP_USE_OAUTH_CLERK_FRONTEND_API_URL=https://verb-noun-42.clerk.accounts.dev go run ./examples/quickstart
//
// Without a Clerk account, with a local Clerk:
//
//	go run ./cmd/gatehouse dev -- go run ./examples/quickstart
package main

import (
	"context"
	"log"

	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	server, err := serve.New(serve.Config{Name: "my-server", Version: "1.0.0", Provider: clerk.FromEnv()})
	if err != nil {
		log.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get the signed-in user"}, whoami)
	log.Fatal(server.ListenAndServe(context.Background()))
}

func whoami(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, clerk.User, error) {
	user, err := clerk.Profile(ctx, req)
	return nil, user, err
}
