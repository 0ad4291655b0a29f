package gatehouse_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A plain go-sdk server with one tool.
func newServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "hello", Description: "Greet the caller"},
		func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			id, _ := gatehouse.IdentityOf(req)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello, " + id.Subject}}}, nil, nil
		})
	return server
}

func newHandler(server *mcp.Server) http.Handler {
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true})
}

func ExampleGuard_Mount() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	mux := http.NewServeMux()
	guard.Mount(mux, newHandler(newServer()))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/mcp", nil))
	fmt.Println(w.Code)
	fmt.Println(w.Header().Get("WWW-Authenticate"))
	// Output:
	// 401
	// Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", scope="profile email"
}

// Router is what chi, gorilla and most others have in common. With echo, wrap the
// handlers in echo.WrapHandler; with gin, in gin.WrapH.
type Router interface {
	Handle(pattern string, handler http.Handler)
}

// With another router, the endpoint and the documents are mounted by hand.
func ExampleGuard_Wrap_router() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	var r Router = http.NewServeMux() // r := chi.NewRouter()

	r.Handle("/mcp", guard.Wrap(newHandler(newServer())))
	for _, path := range guard.MetadataPaths() {
		r.Handle(path, guard.MetadataHandler())
	}
	fmt.Println(guard.MetadataPaths()[0])
	// Output:
	// /.well-known/oauth-protected-resource/mcp
}

// A tool that only some callers may use: scopes are asked for when they are
// missing, a role is not.
func ExampleRequirement() {
	server := newServer()
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),
		Requirements: []gatehouse.Requirement{
			{Tool: "hello", Scopes: []string{"notes:read"}},
			{Tool: "purge", Organization: true, Roles: []string{"org:admin"}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	server.AddReceivingMiddleware(guard.Middleware()) // once more, inside the MCP server
	mux := http.NewServeMux()
	guard.Mount(mux, newHandler(server))
}

// Leaving, or beginning: the guard is a verifier for go-sdk's own middleware.
func ExampleGuard_Verify() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: gatehouse.OIDC("https://issuer.example.com"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	protected := auth.RequireBearerToken(guard.Verify, nil)(newHandler(newServer()))
	http.Handle("/mcp", protected)
}
