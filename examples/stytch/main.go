// An MCP server whose users sign in with Stytch Connected Apps. The settings are in the environment or in a
// .env file in the working directory:
//
//	cd examples/stytch && cp .env.example .env && go run .
package main

import (
	"context"
	"log"

	"github.com/gatehouse-mcp/gatehouse/provider/stytch"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	server, err := serve.New(serve.Config{Name: "my-server", Version: "1.0.0", Provider: stytch.FromEnv()})
	if err != nil {
		log.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get the signed-in user"}, whoami)
	log.Fatal(server.ListenAndServe(context.Background()))
}

func whoami(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, stytch.User, error) {
	user, _ := stytch.UserOf(req)
	return nil, user, nil
}
