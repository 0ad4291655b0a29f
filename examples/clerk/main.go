// An MCP server whose users sign in with Clerk, with graceful shutdown and a tool that
// describes the caller.
//
//	MCP_USE_OAUTH_CLERK_FRONTEND_API_URL=https://verb-noun-42.clerk.accounts.dev go run ./examples/clerk
//
// Without a Clerk account, with a local Clerk:
//
//	go run ./cmd/gatehouse dev -- go run ./examples/clerk
package main

import (
	"context"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	server, err := serve.New(serve.Config{
		Name:     "my-server",
		Version:  "1.0.0",
		Provider: clerk.FromEnv(),     // MCP_USE_OAUTH_CLERK_FRONTEND_API_URL, from the environment or .env
		Revoked:  clerk.TokenRejected, // a token that Clerk rejects gets 401, so that the client refreshes it
	})
	if err != nil {
		log.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get authenticated user info"}, whoami)
	if err := server.ListenAndServe(ctx); err != nil { // PORT, HOST; default localhost:3000/mcp
		log.Fatal(err)
	}
}

func whoami(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	user, err := clerk.Profile(ctx, req) // UserOf(req) reads only the token; Profile also asks Clerk for name and email
	if err != nil {
		slog.Warn("whoami", "error", err) // with the details
		return nil, nil, err              // says to try again, or to sign in again
	}
	id, _ := gatehouse.IdentityOf(req)
	return reply.Object(map[string]any{
		"userId":       user.ID,
		"email":        user.Email,
		"name":         user.Name,
		"scopes":       id.Scopes,
		"clientId":     id.ClientID,
		"organization": user.Org.ID,
	}), nil, nil
}
