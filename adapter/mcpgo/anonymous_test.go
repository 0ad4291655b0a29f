package mcpgo_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// withoutToken sends a message without a token.
func (f *fixture) withoutToken(t *testing.T, session, message string) answer {
	t.Helper()
	return f.post(t, "", session, message, "Authorization", "")
}

// A caller without a token can call what is public, and nothing else, however the message is
// written: mcp-go ignores the case of member names.
func TestCallersWithoutAToken(t *testing.T) {
	f := newFixture(t, server.WithStateLess(true))
	public := gatehouse.Require{Public: true}
	tasks := 0
	f.mcpServer.AddTool(mcp.NewTool("public"), whoami)
	f.mcpServer.AddTaskTool(mcp.NewTool("public_task", mcp.WithTaskSupport(mcp.TaskSupportOptional)),
		func(context.Context, mcp.CallToolRequest) (*mcp.CreateTaskResult, error) {
			tasks++
			return &mcp.CreateTaskResult{}, nil
		})
	if got := f.withoutToken(t, "", call("public")); got.status != http.StatusUnauthorized {
		t.Errorf("before the declaration: got status %d, want 401", got.status)
	}
	for _, name := range []string{"public", "public_task"} {
		f.guard.Protect(gatehouse.Requirement{Tool: name, Require: public})
	}
	if got := f.withoutToken(t, "", call("public")); got.status != http.StatusOK || !strings.Contains(got.body, "no one") {
		t.Errorf("public: got status %d and %s", got.status, got.body)
	}
	closed := map[string]string{
		"undeclared tool":     call("whoami"),
		"undeclared prompt":   message("prompts/get", `{"name":"draft"}`),
		"undeclared resource": message("resources/read", `{"uri":"notes://all"}`),
		"undeclared template": message("resources/read", `{"uri":"notes://of/ada"}`),
		"public, then admin":  message("tools/call", `{"name":"public","NAME":"admin"}`),
		"call as a task":      message("tools/call", `{"name":"public_task","task":{}}`),
		"call as a Task":      message("tools/call", `{"name":"public_task","Task":{}}`),
		"tasks":               message("tasks/list", `{}`),
		"result of a task":    message("tasks/result", `{"taskId":"1"}`),
		"Tasks":               `{"jsonrpc":"2.0","id":1,"Method":"tasks/list"}`,
	}
	for name, text := range protectedMessages {
		closed[name] = text
	}
	for name, text := range closed {
		if got := f.withoutToken(t, "", text); got.status != http.StatusUnauthorized && got.status != http.StatusBadRequest {
			t.Errorf("%s: got status %d and %s, want 401 or 400", name, got.status, got.body)
		}
	}
	if tasks != 0 {
		t.Errorf("%d tasks were started", tasks)
	}
	lists := f.withoutToken(t, "", message("tools/list", "{}"))
	if !strings.Contains(lists.body, `"public"`) || strings.Contains(lists.body, `"admin"`) {
		t.Errorf("got the list %s", lists.body)
	}
	if got := f.listedNames(t, f.token(t, "ada", []string{"admin"}, nil), "tools/list"); !slices.Contains(got, "admin") {
		t.Errorf("the control got the list %q", got)
	}
}

// A session that was opened without a token belongs to the user who signs in in it.
func TestSessionWithoutAToken(t *testing.T) {
	f := newFixture(t)
	f.mcpServer.AddTool(mcp.NewTool("public"), whoami)
	f.guard.Protect(gatehouse.Requirement{Tool: "public", Require: gatehouse.Require{Public: true}})
	session := f.withoutToken(t, "", message("initialize",
		`{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}`)).session
	ada, bob := f.token(t, "ada", nil, nil), f.token(t, "grace", nil, nil)
	for _, step := range []struct {
		name, token string
		want        int
	}{{"no one", "", 200}, {"ada", ada, 200}, {"another user", bob, 404}, {"no one again", "", 404}, {"ada again", ada, 200}} {
		got := f.post(t, step.token, session, call("public"))
		if step.token == "" {
			got = f.withoutToken(t, session, call("public"))
		}
		if got.status != step.want {
			t.Errorf("%s: got status %d and %s, want %d", step.name, got.status, got.body, step.want)
		}
	}
}
