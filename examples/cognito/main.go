// An MCP server whose users sign in with Amazon Cognito. Its settings are in .env.example, and the
// steps at Amazon Cognito in docs/cognito.md.
//
//	cp examples/cognito/.env.example .env && go run ./examples/cognito
package main

import (
	"context"
	"log"

	"github.com/gatehouse-mcp/gatehouse/provider/cognito"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	server, err := serve.New(serve.Config{Name: "my-server", Version: "1.0.0", Provider: cognito.FromEnv()})
	if err != nil {
		log.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get the signed-in user"}, whoami)
	log.Fatal(server.ListenAndServe(context.Background())) // PORT, HOST, MCP_URL; default http://localhost:3000/mcp
}

func whoami(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, cognito.User, error) {
	user, _ := cognito.UserOf(req)
	return nil, user, nil
}
