package migrating

import (
	"context"
	"log"

	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// MCPUse is the server of mcp-use's quick start.
func MCPUse(ctx context.Context) error {
	server, err := serve.New(serve.Config{
		Name:     "my-server",
		Version:  "1.0.0",
		Provider: clerk.FromEnv(),
	})
	if err != nil {
		return err
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get authenticated user info"},
		func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			user, err := clerk.Profile(ctx, req) // Clerk's access tokens have no email and no name
			if err != nil {
				log.Print(err)
				return nil, nil, err
			}
			return reply.Object(map[string]any{"userId": user.ID, "email": user.Email, "name": user.Name}), nil, nil
		})
	return server.ListenAndServe(ctx)
}
