package migrating

import (
	"context"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse"
)

// MCPGo protects a server of mcp-go: handler is what server.NewStreamableHTTPServer
// returns.
func MCPGo(handler http.Handler) (*http.ServeMux, error) {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: gatehouse.OIDC("https://issuer.example.com"),
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	guard.Mount(mux, handler)
	return mux, nil
}

type callerKey struct{}

// WithCaller is for server.WithHTTPContextFunc of mcp-go, which calls it for each request.
func WithCaller(ctx context.Context, r *http.Request) context.Context {
	id, ok := gatehouse.IdentityOfHTTP(r)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, callerKey{}, id)
}

// CallerOf returns the caller in a tool of mcp-go.
func CallerOf(ctx context.Context) (id gatehouse.Identity, ok bool) {
	id, ok = ctx.Value(callerKey{}).(gatehouse.Identity)
	return id, ok
}
