package mcpgo_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/adapter/mcpgo"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/mark3labs/mcp-go/server"
)

const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25",` +
	`"capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`

// open opens a session and returns its ID.
func (f *fixture) open(t *testing.T, token string) string {
	t.Helper()
	got := f.post(t, token, "", initialize)
	if got.status != http.StatusOK || got.session == "" {
		t.Fatalf("initialize: got status %d, session %q and %s", got.status, got.session, got.body)
	}
	return got.session
}

// In one session, each message has the caller of its own HTTP request.
func TestIdentityIsOfTheMessage(t *testing.T) {
	f := newFixture(t, server.WithStateful(true))
	session := f.open(t, f.token(t, "ada", nil, []string{"profile", scopeWrite}))
	for _, scopes := range [][]string{{"email"}, {"profile"}, {"profile", scopeWrite}} {
		got := callerIn(t, textOf(t, f.post(t, f.token(t, "ada", nil, scopes), session, call("whoami")).body))
		if !slices.Equal(got.Scopes, scopes) {
			t.Errorf("the caller has scopes %q, want those of the message, %q", got.Scopes, scopes)
		}
	}
	if got := f.post(t, f.token(t, "ada", nil, []string{"profile"}), session, call("delete")); got.status != http.StatusForbidden {
		t.Errorf("got status %d for a token without the scope in a session that was opened with it, want 403", got.status)
	}
	if got := f.post(t, f.token(t, "grace", nil, nil), session, call("whoami")); got.status != http.StatusNotFound {
		t.Errorf("got status %d for the session of another user, want 404", got.status)
	}
}

// Users who call at the same time never get each other's identity.
func TestUsersDoNotMix(t *testing.T) {
	const callsPerUser = 50
	for name, options := range transports {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options...)
			var running sync.WaitGroup
			for _, user := range []string{"ada", "grace", "alan"} {
				token, want := f.token(t, user, nil, nil), f.userID(user)
				session := f.post(t, token, "", initialize).session
				for range 2 {
					running.Go(func() {
						for range callsPerUser {
							got := f.post(t, token, session, call("whoami"))
							if c := callerIn(t, textOf(t, got.body)); c.Subject != want {
								t.Errorf("%s is %q, want %q", user, c.Subject, want)
							}
						}
					})
				}
			}
			running.Wait()
		})
	}
}

// Two clients of mcp-go in one process.
func TestClientsDoNotMix(t *testing.T) {
	f := newFixture(t)
	var running sync.WaitGroup
	for _, user := range []string{"ada", "grace"} {
		c := f.connect(t, user, "profile", "email")
		running.Go(func() {
			for range 20 {
				text, err := callTool(t.Context(), c, "whoami")
				if err != nil {
					t.Error(err)
					return
				}
				if got := callerIn(t, text); got.Subject != f.userID(user) {
					t.Errorf("%s is %q", user, got.Subject)
				}
			}
		})
	}
	running.Wait()
}

func TestNoIdentityWithoutGuard(t *testing.T) {
	if id, ok := mcpgo.IdentityOf(t.Context()); ok || id.Subject != "" {
		t.Errorf("got %v, %v without a guard, want none", id, ok)
	}
	if user, ok := clerk.UserOf(mcpgo.RequestOf(t.Context())); ok || user.ID != "" {
		t.Errorf("got %v, %v without a guard, want none", user, ok)
	}
}
