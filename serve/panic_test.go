package serve_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A panic in a tool, a prompt, a resource or a middleware is an error of that call alone. It would
// end the process otherwise.
func TestPanicsAreErrors(t *testing.T) {
	var log testlog.Buffer
	server, err := serve.New(serve.Config{
		Name: "test", Version: "1", URL: "http://localhost:3000", Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami"}, whoami)
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "panic"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		panic("secret")
	})
	server.MCP.AddPrompt(&mcp.Prompt{Name: "panic"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		panic("secret")
	})
	server.MCP.AddResource(&mcp.Resource{URI: "test://panic", Name: "panic"},
		func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) { panic("secret") })
	server.MCP.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method == "prompts/list" {
				panic("secret")
			}
			return next(ctx, method, req)
		}
	})
	server.Handler() // adds the middleware of the server
	clientSide, serverSide := mcp.NewInMemoryTransports()
	if _, err := server.MCP.Connect(t.Context(), serverSide, nil); err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(), clientSide, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	ctx := t.Context()
	for name, ask := range map[string]func() error{
		"tool":   func() error { _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "panic"}); return err },
		"prompt": func() error { _, err := session.GetPrompt(ctx, &mcp.GetPromptParams{Name: "panic"}); return err },
		"resource": func() error {
			_, err := session.ReadResource(ctx, &mcp.ReadResourceParams{URI: "test://panic"})
			return err
		},
		"middleware": func() error { _, err := session.ListPrompts(ctx, nil); return err },
	} {
		if err := ask(); err == nil || !strings.Contains(err.Error(), "internal error") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want an internal error", name, err)
		}
	}
	if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "whoami"}); err != nil {
		t.Errorf("a call after the panics: %v", err)
	}
	if got := log.String(); strings.Count(got, "a call panicked") != 4 || !strings.Contains(got, "panic_test.go") || strings.Contains(got, "secret") {
		t.Errorf("got log %s, want 4 panics with their stacks and without the values", got)
	}
}
