// An MCP server whose users sign in with Auth0. Its settings are in .env.example, and the
// steps at Auth0 in docs/auth0.md.
//
//	cp examples/auth0/.env.example .env && go run ./examples/auth0
package main

import (
	"context"
	"log"

	"github.com/gatehouse-mcp/gatehouse/provider/auth0"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	server, err := serve.New(serve.Config{Name: "my-server", Version: "1.0.0", Provider: auth0.FromEnv()})
	if err != nil {
		log.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get the signed-in user"}, whoami)
	log.Fatal(server.ListenAndServe(context.Background())) // PORT, HOST, MCP_URL; default http://localhost:3000/mcp
}

func whoami(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, auth0.User, error) {
	user, _ := auth0.UserOf(req)
	return nil, user, nil
}
