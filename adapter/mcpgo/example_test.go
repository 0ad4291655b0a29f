package mcpgo_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/adapter/mcpgo"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// A server of mcp-go with sign-in, and a tool that needs a scope.
func Example() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "http://localhost:3000/mcp", // the public URL of the endpoint
		Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),
	})
	if err != nil {
		log.Fatal(err)
	}
	mcpServer := server.NewMCPServer("notes", "1.0.0")
	adapter := mcpgo.Attach(mcpServer, guard)
	mcpServer.AddTool(adapter.ProtectTool(mcp.NewTool("delete_note"), gatehouse.Require{
		Scopes: []string{"notes:write"},
	}), deleteNote)

	mux := http.NewServeMux()
	guard.Mount(mux, adapter.Handler())

	// Without a token, a client is asked to sign in.
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "http://localhost:3000/mcp", nil))
	fmt.Println(answer.Code)
	// Output: 401
}

func deleteNote(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	id, ok := mcpgo.IdentityOf(ctx)
	if !ok {
		return mcp.NewToolResultError("not signed in"), nil
	}
	return mcp.NewToolResultText("deleted a note of " + id.Subject), nil
}

// The functions of provider packages take a request of go-sdk.
func ExampleRequestOf() {
	_ = func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		user, err := clerk.Profile(ctx, mcpgo.RequestOf(ctx))
		if err != nil {
			return nil, err
		}
		return mcp.NewToolResultText("hello, " + user.Name), nil
	}
}
