// An MCP server whose users sign in with Descope. The settings are in the environment or in a
// .env file in the working directory:
//
//	cd examples/descope && cp .env.example .env && go run .
package main

import (
	"context"
	"log"

	"github.com/gatehouse-mcp/gatehouse/provider/descope"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	server, err := serve.New(serve.Config{Name: "my-server", Version: "1.0.0", Provider: descope.FromEnv()})
	if err != nil {
		log.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get the signed-in user"}, whoami)
	log.Fatal(server.ListenAndServe(context.Background()))
}

func whoami(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, descope.User, error) {
	user, _ := descope.UserOf(req)
	return nil, user, nil
}
