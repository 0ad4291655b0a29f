// An MCP server whose users sign in with Okta. Its settings are in .env.example, and the
// steps at Okta in docs/okta.md.
//
//	cp examples/okta/.env.example .env && go run ./examples/okta
package main

import (
	"context"
	"log"

	"github.com/gatehouse-mcp/gatehouse/provider/okta"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	server, err := serve.New(serve.Config{Name: "my-server", Version: "1.0.0", Provider: okta.FromEnv()})
	if err != nil {
		log.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get the signed-in user"}, whoami)
	log.Fatal(server.ListenAndServe(context.Background())) // PORT, HOST, MCP_URL; default http://localhost:3000/mcp
}

func whoami(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, okta.User, error) {
	user, _ := okta.UserOf(req)
	return nil, user, nil
}
