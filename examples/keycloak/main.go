// An MCP server whose users sign in with Keycloak. The settings are in the environment or in a
// .env file in the working directory:
//
//	cd examples/keycloak && cp .env.example .env && go run .
package main

import (
	"context"
	"log"

	"github.com/gatehouse-mcp/gatehouse/provider/keycloak"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	provider := keycloak.New(keycloak.Config{
		ScopesSupported: []string{"mcp:tools"}, // the client scope with the audience mapper
	})
	server, err := serve.New(serve.Config{Name: "my-server", Version: "1.0.0", Provider: provider})
	if err != nil {
		log.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get the signed-in user"}, whoami)
	log.Fatal(server.ListenAndServe(context.Background()))
}

func whoami(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, keycloak.User, error) {
	user, _ := keycloak.UserOf(req)
	return nil, user, nil
}
