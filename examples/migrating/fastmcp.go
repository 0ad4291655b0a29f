package migrating

import (
	"context"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// FastMCP is a server with a RemoteAuthProvider and a tool that needs a scope.
func FastMCP(ctx context.Context) error {
	server, err := serve.New(serve.Config{
		Name:     "Company API",
		Version:  "1.0.0",
		URL:      "https://api.yourcompany.com/mcp",
		Provider: gatehouse.OIDC("https://auth.yourcompany.com"),
	})
	if err != nil {
		return err
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami"}, whoami)
	mcp.AddTool(server.MCP, server.ProtectTool(&mcp.Tool{Name: "delete_note"}, gatehouse.Require{
		Scopes: []string{"notes:write"},
	}), deleteNote)
	return server.ListenAndServe(ctx)
}

func whoami(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	id, _ := gatehouse.IdentityOf(req)
	var claims struct {
		Department string `json:"department"`
	}
	if err := id.Claims(&claims); err != nil {
		return nil, nil, err
	}
	return reply.Object(map[string]any{"sub": id.Subject, "scopes": id.Scopes, "department": claims.Department}), nil, nil
}

type noteArgs struct {
	ID string `json:"id"`
}

func deleteNote(_ context.Context, _ *mcp.CallToolRequest, args noteArgs) (*mcp.CallToolResult, any, error) {
	return reply.Text("deleted " + args.ID), nil, nil
}
