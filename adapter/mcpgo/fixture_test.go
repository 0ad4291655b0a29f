package mcpgo_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/adapter/mcpgo"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// scopeWrite is a custom scope of the local Clerk.
const scopeWrite = "notes:write"

// fixture is a server of mcp-go with sign-in at a local Clerk. The tool whoami, the prompt draft,
// the resource notes://all and the template notes://of/{name} are open. The tool delete needs a
// scope. What has admin in its name needs the role admin.
type fixture struct {
	clerk     *gatehousetest.ClerkServer
	mcpServer *server.MCPServer
	guard     *gatehouse.Guard
	url       string
}

// newFixture starts a server. options are for its transport.
func newFixture(t *testing.T, options ...server.StreamableHTTPOption) *fixture {
	t.Helper()
	f := &fixture{clerk: gatehousetest.Clerk(t), mcpServer: newMCPServer()}
	settings := f.clerk.Settings()
	settings.CustomScopes = append(settings.CustomScopes, scopeWrite)
	settings.DefaultScopes = append(settings.DefaultScopes, scopeWrite)
	if err := f.clerk.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	provider := f.clerk.Provider()
	provider.NoRoles = false
	provider.Claims.Roles = []gatehouse.ClaimPath{{"roles"}}
	f.url = gatehousetest.Serve(t, func(origin string) http.Handler {
		var err error
		f.guard, err = gatehouse.New(gatehouse.Config{
			Resource: origin + "/mcp",
			Provider: provider,
			Logger:   slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		adapter := mcpgo.Attach(f.mcpServer, f.guard)
		register(f.mcpServer, adapter)
		mux := http.NewServeMux()
		f.guard.Mount(mux, adapter.Handler(options...))
		return mux
	}) + "/mcp"
	return f
}

func newMCPServer() *server.MCPServer {
	return server.NewMCPServer("fixture", "1.0.0",
		server.WithResourceCapabilities(true, false),
		server.WithTaskCapabilities(true, true, true),
		server.WithCompletions(),
		server.WithCacheHints(60_000, mcp.CacheScopePublic),
	)
}

// register adds what the comment of fixture describes.
func register(s *server.MCPServer, adapter *mcpgo.Adapter) {
	admin := gatehouse.Require{Roles: []string{"admin"}}
	write := gatehouse.Require{Scopes: []string{scopeWrite}}
	s.AddTool(mcp.NewTool("whoami"), whoami)
	s.AddTool(adapter.ProtectTool(mcp.NewTool("delete"), write), whoami)
	s.AddTool(adapter.ProtectTool(mcp.NewTool("admin"), admin), whoami)

	taskTool := mcp.NewTool("admin_task", mcp.WithTaskSupport(mcp.TaskSupportOptional))
	s.AddTaskTool(adapter.ProtectTool(taskTool, admin), func(context.Context, mcp.CallToolRequest) (*mcp.CreateTaskResult, error) {
		return &mcp.CreateTaskResult{}, nil
	})

	prompt := func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{}, nil
	}
	s.AddPrompt(mcp.NewPrompt("draft"), prompt)
	s.AddPrompt(adapter.ProtectPrompt(mcp.NewPrompt("admin"), admin), prompt)

	read := func(_ context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: req.Params.URI, Text: "a note"}}, nil
	}
	s.AddResource(mcp.NewResource("notes://all", "all"), read)
	s.AddResource(adapter.ProtectResource(mcp.NewResource("notes://admin", "admin"), admin), read)
	s.AddResourceTemplate(mcp.NewResourceTemplate("notes://of/{name}", "of"), read)
	s.AddResourceTemplate(adapter.ProtectResourceTemplate(mcp.NewResourceTemplate("notes://admin/{name}", "admin"), admin), read)
}

// caller is the answer of the tool whoami.
type caller struct {
	Subject string   `json:"subject"`
	Scopes  []string `json:"scopes"`
}

func whoami(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	id, ok := mcpgo.IdentityOf(ctx)
	if !ok {
		return mcp.NewToolResultText("no one"), nil
	}
	text, err := json.Marshal(caller{id.Subject, id.Scopes})
	return mcp.NewToolResultText(string(text)), err
}

// callerIn returns the caller in the text of a result.
func callerIn(t *testing.T, text string) (c caller) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Errorf("the tool answered %q: %v", text, err)
	}
	return c
}

// token returns a token of the user with the roles and scopes. Nil scopes mean profile and email.
func (f *fixture) token(t *testing.T, user string, roles, scopes []string) string {
	t.Helper()
	token, err := f.clerk.IssueToken(localclerk.Token{
		User:     user,
		Scopes:   scopes,
		Resource: f.guard.Resource(),
		Claims:   map[string]any{"roles": roles},
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// answer is the answer to one POST.
type answer struct {
	status    int
	challenge string
	session   string
	body      string
}

// post sends a message. session may be empty. header are names and values of further headers.
func (f *fixture) post(t *testing.T, token, session, message string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url, strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if session != "" {
		req.Header.Set("Mcp-Session-Id", session)
	}
	for pair := range slices.Chunk(header, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("WWW-Authenticate"), resp.Header.Get("Mcp-Session-Id"), string(body)}
}

// textOf returns the text of the first content in a JSON-RPC answer to tools/call.
func textOf(t *testing.T, body string) string {
	t.Helper()
	var message struct {
		Result struct {
			Content []struct {
				Text string `json:"text"`
			} `json:"content"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(body), &message); err != nil || len(message.Result.Content) == 0 {
		t.Errorf("got answer %s, want a result with text: %v", body, err)
		return ""
	}
	return message.Result.Content[0].Text
}

// call returns a message that calls the tool.
func call(tool string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `"}}`
}
