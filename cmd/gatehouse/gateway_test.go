package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"net/http"
	"net/http/httptest"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// newOpenServer starts an MCP server that knows nothing of sign-in. Its tool whoami returns what
// the gateway says about the caller.
func newOpenServer(t *testing.T) string {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "open", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami"},
		func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			return nil, map[string]any{"user": req.Extra.Header.Get("X-Forwarded-User"), "token": req.Extra.Header.Get("Authorization")}, nil
		})
	backend := httptest.NewServer(mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	t.Cleanup(backend.Close)
	return backend.URL
}

// TestGateway signs in through a gateway that is started from a file, and changes the file.
func TestGateway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	write := func(more string) {
		t.Helper()
		text := fmt.Sprintf("listen: localhost:%s\nprovider: {name: clerk, frontend_api_url: %q}\n"+
			"endpoints:\n  - url: http://localhost:%s/mcp\n    upstream: %s\n%s", port, f.clerkURL, port, newOpenServer(t), more)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	var stderr testlog.Buffer
	wait := func(pattern string) {
		t.Helper()
		if _, err := stderr.Wait(t.Context(), regexp.MustCompile(pattern)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	con := &console{stdout: &stderr, stderr: &stderr, getenv: func(string) string { return "" }}
	go func() { ended <- run(ctx, con, []string{"gateway", "--config", file}) }()
	wait("Ctrl-C stops the gateway")
	url := "http://localhost:" + port + "/mcp"

	got := f.call(t, url, "whoami")
	got.want(t, exitOK)
	if !strings.Contains(got.stdout, `"user": "user_`) || !strings.Contains(got.stdout, `"token": ""`) {
		t.Errorf("whoami is %s, want a user and no token", got.stdout)
	}
	write("    requirements: [{tool: whoami, organization: true}]\n    colour: red\n")
	wait("config file not applied.*gateway.yaml:7: an endpoint has no member")
	f.call(t, url, "whoami").want(t, exitOK)

	write("    requirements: [{tool: whoami, permissions: [\"org:notes:write\"]}, {tool: whoamy, scopes: [profile]}]\n")
	wait("config file not applied.*gateway.yaml:6: requirements.0..permissions requires permissions")

	write("    requirements: [{tool: whoami, scopes: [private_metadata]}]\n")
	wait("config file applied")
	got = f.call(t, url, "whoami") // asks for the scope
	got.want(t, exitOK)
	stop()
	if code := <-ended; code != exitOK && code != exitInterrupted {
		t.Errorf("the gateway ended with status %d:\n%s", code, stderr.String())
	}
}
