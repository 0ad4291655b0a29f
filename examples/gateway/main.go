// An MCP server of go-sdk behind the gateway. A server in Go that can import package gatehouse needs
// no gateway; this is how one verifies who calls that cannot.
//
//	gatehouse gateway --provider clerk --upstream http://localhost:8000/mcp
//	GOWORK=off go run .
package main

import (
	"cmp"
	"context"
	"log"
	"net/http"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// newVerifier returns what verifies the assertions of a gateway, given its origin.
func newVerifier(ctx context.Context, gateway string) *oidc.IDTokenVerifier {
	keys := oidc.NewRemoteKeySet(ctx, gateway+"/.well-known/gatehouse-jwks.json")
	return oidc.NewVerifier(gateway, keys, &oidc.Config{
		ClientID:             gateway + "/mcp", // the audience: the public URL of the endpoint
		SupportedSigningAlgs: []string{oidc.ES256},
	})
}

func main() {
	verifier := newVerifier(context.Background(), cmp.Or(os.Getenv("GATEWAY"), "http://localhost:3000"))
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Says who calls"},
		func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			caller, err := verifier.Verify(ctx, req.Extra.Header.Get("X-Gatehouse-Assertion"))
			if err != nil {
				return nil, nil, err
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: caller.Subject}}}, nil, nil
		})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	http.Handle("/mcp", handler)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "8000"), nil))
}
