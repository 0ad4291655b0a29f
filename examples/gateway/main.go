// An MCP server of go-sdk behind the gateway. A server in Go that can import package gatehouse needs
// no gateway; this is how one verifies who calls that cannot.
//
//	GOWORK=off gatehouse dev --upstream http://localhost:8000/mcp -- go run .
package main

import (
	"cmp"
	"context"
	"log"
	"net/http"
	"net/url"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// newVerifier returns what verifies the assertions of a gateway. endpoint is the public URL of the
// endpoint, as users type it into their client.
func newVerifier(ctx context.Context, endpoint *url.URL) *oidc.IDTokenVerifier {
	gateway := endpoint.Scheme + "://" + endpoint.Host
	keys := oidc.NewRemoteKeySet(ctx, gateway+"/.well-known/gatehouse-jwks.json")
	return oidc.NewVerifier(gateway, keys, &oidc.Config{
		ClientID:             endpoint.String(), // the audience
		SupportedSigningAlgs: []string{oidc.ES256},
	})
}

func main() {
	endpoint, err := url.Parse(cmp.Or(os.Getenv("MCP_URL"), "http://localhost:3000/mcp"))
	if err != nil {
		log.Fatal("MCP_URL is not a URL: ", err)
	}
	verifier := newVerifier(context.Background(), endpoint)
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
