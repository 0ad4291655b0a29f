package mcpgo_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// addWait adds the tool wait, which says how it ended.
func (f *fixture) addWait() (started, release chan struct{}) {
	started, release = make(chan struct{}), make(chan struct{})
	f.mcpServer.AddTool(mcp.NewTool("wait"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		close(started)
		select {
		case <-ctx.Done():
		case <-release:
		}
		if ctx.Err() != nil {
			return mcp.NewToolResultText("cancelled"), nil
		}
		return mcp.NewToolResultText("done"), nil
	})
	return started, release
}

// Users number their requests from 1, so one could cancel the calls of all others.
func TestCancellationIsOfOneUser(t *testing.T) {
	const cancelled = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`
	for name, test := range map[string]struct {
		options []server.StreamableHTTPOption
		session bool // whether both users have one
		sender  string
		want    string
	}{
		"another user, without a session": {[]server.StreamableHTTPOption{server.WithStateLess(true)}, false, "grace", "done"},
		"another user, with a session":    {[]server.StreamableHTTPOption{server.WithStateful(true)}, true, "grace", "done"},
		"the user, with a session":        {[]server.StreamableHTTPOption{server.WithStateful(true)}, true, "ada", "cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, test.options...)
			started, release := f.addWait()
			tokens := map[string]string{"ada": f.token(t, "ada", nil, nil), "grace": f.token(t, "grace", nil, nil)}
			sessions := make(map[string]string)
			if test.session {
				for user, token := range tokens {
					sessions[user] = f.open(t, token)
				}
			}
			result := make(chan answer, 1)
			go func() { result <- f.post(t, tokens["ada"], sessions["ada"], call("wait")) }()
			<-started
			if got := f.post(t, tokens[test.sender], sessions[test.sender], cancelled); got.status != http.StatusAccepted {
				t.Errorf("the cancellation got status %d and %s, want 202", got.status, got.body)
			}
			close(release)
			got := <-result
			if text := textOf(t, got.body); text != test.want {
				t.Errorf("the call ended with %q, want %q", text, test.want)
			}
		})
	}
}

// Revision 2026-07-28 has no sessions, and mcp-go ignores the ID of one.
func TestCancellationOfTheNewestRevision(t *testing.T) {
	const newest = "2026-07-28"
	f := newFixture(t, server.WithStateful(true))
	started, release := f.addWait()
	ada := f.connect(t, "ada", "profile")
	result := make(chan string, 1)
	go func() {
		text, err := callTool(t.Context(), ada, "wait")
		if err != nil {
			t.Error(err)
		}
		result <- text
	}()
	<-started
	grace := f.token(t, "grace", nil, nil)
	session := f.open(t, grace)
	for id := range 20 {
		cancelled := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d,`+
			`"_meta":{"io.modelcontextprotocol/protocolVersion":%q}}}`, id, newest)
		got := f.post(t, grace, session, cancelled, mcp.HeaderProtocolVersion, newest, "Mcp-Method", "notifications/cancelled")
		if got.status != http.StatusAccepted {
			t.Fatalf("got status %d and %s, want 202", got.status, got.body)
		}
	}
	close(release)
	if text := <-result; text != "done" {
		t.Errorf("the call ended with %q, want %q", text, "done")
	}
}
