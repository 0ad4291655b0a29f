package gatehousetest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestHello is the example of the package documentation: a whole test of a
// server with one tool.
func TestHello(t *testing.T) {
	clerk := gatehousetest.Clerk(t)
	url := start(t, clerk.Provider())

	// Ada signs in and calls a tool.
	session := clerk.Connect(t, url, gatehousetest.Person{User: "ada"})
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "hello"})
	if err != nil || result.IsError {
		t.Errorf("hello = %v, %v", result, err)
	}

	// Every token that is wrong in one thing stays outside.
	for _, flaw := range gatehousetest.Flaws() {
		token := clerk.Token(t, url, gatehousetest.Person{}, flaw)
		if got := status(t, url, token); got != http.StatusUnauthorized {
			t.Errorf("token with %s: status %d, want 401", flaw, got)
		}
	}
}

// start serves the program under test and returns the URL of its endpoint. The
// listener is open before the guard is made, so that the URL is known.
func start(t *testing.T, provider gatehouse.Provider, configure ...func(*gatehouse.Config)) string {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	cfg := gatehouse.Config{
		Resource: "http://" + front.Listener.Addr().String() + "/mcp",
		Provider: provider,
	}
	for _, c := range configure {
		c(&cfg)
	}
	guard, err := gatehouse.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	guard.Mount(mux, endpoint())
	front.Config.Handler = mux
	front.Start()
	t.Cleanup(func() {
		front.Close()
		guard.Close()
	})
	return guard.Resource()
}

// endpoint is an MCP server with one tool.
func endpoint() http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "example", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "hello", Description: "Greet the caller"}, hello)
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true})
}

func hello(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	user, err := clerk.Profile(ctx, req)
	if err != nil {
		return reply.Error("Clerk did not answer, try again"), nil, nil
	}
	id, _ := gatehouse.IdentityOf(req)
	return reply.Object(map[string]any{
		"name": user.Name, "organization": user.Org.ID, "scopes": id.Scopes, "audience": id.Audience,
	}), nil, nil
}

// status is the answer to a request with the token.
func status(t *testing.T, url, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
