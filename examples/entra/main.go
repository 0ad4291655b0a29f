// An MCP server whose users sign in with Microsoft Entra ID. Its settings are in .env.example, and the
// steps at Microsoft Entra ID in docs/entra.md.
//
//	cp examples/entra/.env.example .env && go run ./examples/entra
package main

import (
	"context"
	"log"

	"github.com/gatehouse-mcp/gatehouse/provider/entra"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	server, err := serve.New(serve.Config{Name: "my-server", Version: "1.0.0", Provider: entra.FromEnv()})
	if err != nil {
		log.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get the signed-in user"}, whoami)
	log.Fatal(server.ListenAndServe(context.Background())) // PORT, HOST, MCP_URL; default http://localhost:3000/mcp
}

func whoami(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, entra.User, error) {
	user, _ := entra.UserOf(req)
	return nil, user, nil
}
