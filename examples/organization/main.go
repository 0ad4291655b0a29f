// A tool that works in the organization that the user chose while signing in.
//
//	go run ./cmd/gatehouse dev -- go run ./examples/organization
//
// Clerk puts the ID of the organization into an access token if Organizations are
// enabled, the client has the scope user:org:read, and the user picks an organization on
// the consent page. The requirement of the tool makes clients request that scope. Add it to
// the default scopes of the Clerk instance first: otherwise Clerk answers invalid_scope to
// clients that registered without it.
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

	server, err := newServer(serve.Config{
		Provider: clerk.FromEnv(),
		Revoked:  clerk.TokenRejected, // a token that Clerk rejects gets 401, so that the client refreshes it
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := server.ListenAndServe(ctx); err != nil {
		log.Fatal(err)
	}
}

func newServer(cfg serve.Config) (*serve.Server, error) {
	cfg.Name, cfg.Version = "organization", "1.0.0"
	server, err := serve.New(cfg)
	if err != nil {
		return nil, err
	}
	tool := &mcp.Tool{Name: "get-organization-info", Description: "Get the active organization"}
	mcp.AddTool(server.MCP, server.ProtectTool(tool, gatehouse.Require{Organization: true}), organization)
	return server, nil
}

func organization(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	user, err := clerk.Profile(ctx, req)
	if err != nil {
		slog.Warn("get-organization-info", "error", err)
		return nil, nil, err
	}
	return reply.Object(map[string]any{
		"org_id":   user.Org.ID,
		"org_role": user.Org.Role, // empty in OAuth access tokens, which contain only the ID
		"org_slug": user.Org.Slug,
	}), nil, nil
}
