package serve_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// What is declared before the server listens holds also if it listens on another port than the
// configured one, and so has another guard.
func TestProtectBeforeListening(t *testing.T) {
	clerkListeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	local, err := localclerk.New(localclerk.Config{Issuer: "http://localhost:" + portOf(clerkListeners[0])})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range clerkListeners {
		go local.Serve(ctx, l)
	}
	server, err := serve.New(serve.Config{Name: "test", Version: "1", Provider: clerk.Provider(local.Issuer())})
	if err != nil {
		t.Fatal(err)
	}
	before := server.Guard()
	write := gatehouse.Require{Scopes: []string{"notes:write"}}
	mcp.AddTool(server.MCP, server.ProtectTool(&mcp.Tool{Name: "write"}, write), whoami)
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "read"}, whoami)
	server.ProtectPrompt(&mcp.Prompt{Name: "draft"}, write)
	server.ProtectResource(&mcp.Resource{URI: "notes://secret"}, write)
	server.ProtectResourceTemplate(&mcp.ResourceTemplate{URITemplate: "notes://team/{name}"}, write)

	listeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listeners...) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	url := "http://localhost:" + portOf(listeners[0])
	waitFor(t, url+"/healthz")
	if server.Guard() == before {
		t.Fatal("the guard is the same, so the test shows nothing")
	}
	token, err := local.IssueToken(localclerk.Token{User: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		method, params string
		status         int
	}{
		"protected tool":     {"tools/call", `{"name":"write","arguments":{}}`, http.StatusForbidden},
		"other tool":         {"tools/call", `{"name":"read","arguments":{}}`, http.StatusOK},
		"protected prompt":   {"prompts/get", `{"name":"draft"}`, http.StatusForbidden},
		"protected resource": {"resources/read", `{"uri":"notes://secret"}`, http.StatusForbidden},
		"protected template": {"resources/read", `{"uri":"notes://team/a"}`, http.StatusForbidden},
	} {
		params := strings.TrimSuffix(test.params, "}") + `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}`
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/mcp",
			strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"`+test.method+`","params":`+params+`}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", test.method)
		r.Header.Set("Mcp-Name", map[string]string{"tools/call": "read"}[test.method])
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != test.status {
			t.Errorf("%s: got status %d, want %d", name, resp.StatusCode, test.status)
		}
	}
}
