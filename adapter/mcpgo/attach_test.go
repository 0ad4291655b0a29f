package mcpgo_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/adapter/mcpgo"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// message returns a request with the method and the text of its params.
func message(method, params string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`
}

// protectedMessages are requests for what needs the role admin.
var protectedMessages = map[string]string{
	"tool":                   message("tools/call", `{"name":"admin"}`),
	"tool, another case":     `{"jsonrpc":"2.0","id":1,"Method":"tools/call","PARAMS":{"Name":"admin"}}`,
	"tool after another":     message("tools/call", `{"name":"whoami","NAME":"admin"}`),
	"tool, a long s":         `{"jsonrpc":"2.0","id":1,"method":"tools/call","paramſ":{"name":"admin"}}`,
	"tool, two params":       `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"},"Params":{"name":"admin"}}`,
	"task":                   message("tools/call", `{"name":"admin_task","task":{}}`),
	"prompt":                 message("prompts/get", `{"name":"admin"}`),
	"resource":               message("resources/read", `{"uri":"notes://admin"}`),
	"resource, another form": message("resources/read", `{"uri":"NOTES://admin"}`),
	"resource of a template": message("resources/read", `{"uri":"notes://admin/plans"}`),
	"subscription":           message("resources/subscribe", `{"uri":"notes://admin"}`),
	"completion, prompt":     message("completion/complete", `{"ref":{"type":"ref/prompt","name":"admin"},"argument":{"name":"a","value":""}}`),
	"completion, template": message("completion/complete",
		`{"ref":{"type":"ref/resource","uri":"notes://admin/{name}"},"argument":{"name":"name","value":""}}`),
	"listen": message("subscriptions/listen", `{"notifications":{"resourceSubscriptions":["notes://all","notes://admin"]}}`),
}

// handle gives the message to mcp-go without HTTP, as another transport does, and returns the
// error of the answer.
func handle(t *testing.T, ctx context.Context, s *server.MCPServer, text string) *mcp.JSONRPCErrorDetails {
	t.Helper()
	reply := s.HandleMessage(ctx, json.RawMessage(text))
	if failed, ok := reply.(mcp.JSONRPCError); ok {
		return &failed.Error
	}
	return nil
}

// What the MCP server parsed is checked, however the message is written and whether or not the
// guard has seen it.
func TestAttachEnforces(t *testing.T) {
	f := newFixture(t, server.WithStateLess(true))
	for name, text := range protectedMessages {
		failed := handle(t, t.Context(), f.mcpServer, text)
		if failed == nil || failed.Code != mcp.INVALID_REQUEST {
			t.Errorf("%s: got %+v without a caller, want a rejection", name, failed)
		}
		got := f.post(t, f.token(t, "ada", []string{"user"}, nil), "", text)
		if got.status == http.StatusOK && !strings.Contains(got.body, `"error"`) {
			t.Errorf("%s: got status %d and %s without the role, want a rejection", name, got.status, got.body)
		}
	}
	for name, text := range map[string]string{
		"tool":     call("whoami"),
		"prompt":   message("prompts/get", `{"name":"draft"}`),
		"resource": message("resources/read", `{"uri":"notes://all"}`),
		"template": message("resources/read", `{"uri":"notes://of/ada"}`),
		"ping":     `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
	} {
		if failed := handle(t, t.Context(), f.mcpServer, text); failed != nil {
			t.Errorf("%s: got %+v without a caller, want a result", name, failed)
		}
	}
}

// A caller who has the role may do everything that is protected by it.
func TestAttachAllows(t *testing.T) {
	f := newFixture(t, server.WithStateLess(true))
	token := f.token(t, "ada", []string{"admin"}, nil)
	for _, name := range []string{"tool", "task", "prompt", "resource", "resource of a template", "subscription", "completion, prompt"} {
		got := f.post(t, token, "", protectedMessages[name])
		if got.status != http.StatusOK || strings.Contains(got.body, `"error"`) {
			t.Errorf("%s: got status %d and %s", name, got.status, got.body)
		}
	}
}

// mcp-go ignores the case of member names. A message that the guard understands differently on the
// HTTP request is rejected by the MCP server, and counted.
func TestAttachReadsAsMCPGo(t *testing.T) {
	f := newFixture(t, server.WithStateLess(true))
	got := f.post(t, f.token(t, "ada", nil, nil), "", protectedMessages["tool after another"])
	if strings.Contains(got.body, "result") {
		t.Errorf("got status %d and %s, want a rejection", got.status, got.body)
	}
	if n := f.guard.Stats().Rejected["insufficient_permission"] + f.guard.Stats().Rejected["body_malformed"]; n == 0 {
		t.Errorf("got %v, want the rejection in Stats", f.guard.Stats().Rejected)
	}
}

// Without Attach, the requirement is enforced on the HTTP request alone.
func TestRequirementsByName(t *testing.T) {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:     "http://localhost:3000/mcp",
		Provider:     gatehouse.OIDC("https://issuer.example.com"),
		Requirements: []gatehouse.Requirement{{Tool: "whoami", Require: gatehouse.Require{Scopes: []string{scopeWrite}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := server.NewMCPServer("by name", "1.0.0")
	s.AddTool(mcp.NewTool("whoami"), whoami)
	mcpgo.Attach(s, guard)
	if failed := handle(t, t.Context(), s, call("whoami")); failed == nil {
		t.Error("got a result without a caller, want a rejection")
	}
}

// The hooks that the server had are kept.
func TestAttachKeepsHooks(t *testing.T) {
	f := newFixture(t)
	called := false
	hooks := &server.Hooks{}
	hooks.AddBeforeAny(func(context.Context, any, mcp.MCPMethod, any) { called = true })
	s := server.NewMCPServer("hooks", "1.0.0", server.WithHooks(hooks))
	register(s, mcpgo.Attach(s, f.guard))
	if failed := handle(t, t.Context(), s, call("admin")); failed == nil {
		t.Error("got a result without a caller, want a rejection")
	}
	if handle(t, t.Context(), s, call("whoami")); !called {
		t.Error("the hook of the server was not called")
	}
}

// A declaration that can never take effect panics.
func TestProtectPanics(t *testing.T) {
	f := newFixture(t)
	adapter := mcpgo.Attach(server.NewMCPServer("empty", "1.0.0"), f.guard)
	scope := gatehouse.Require{Scopes: []string{scopeWrite}}
	for name, declare := range map[string]func(){
		"tool without a name":       func() { adapter.ProtectTool(mcp.Tool{}, scope) },
		"prompt without a name":     func() { adapter.ProtectPrompt(mcp.Prompt{}, scope) },
		"resource without a URI":    func() { adapter.ProtectResource(mcp.Resource{}, scope) },
		"template without a text":   func() { adapter.ProtectResourceTemplate(mcp.ResourceTemplate{}, scope) },
		"tool that needs nothing":   func() { adapter.ProtectTool(mcp.NewTool("a"), gatehouse.Require{}) },
		"role that no token can be": func() { adapter.ProtectTool(mcp.NewTool("a"), gatehouse.Require{Permissions: []string{"p"}}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			declare()
		})
	}
}
