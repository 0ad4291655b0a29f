//go:build e2e && unix

package e2e

import (
	"context"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

// inspectorSession is one server in the page of the Inspector.
type inspectorSession struct{ *script }

// close does nothing: the next connect loads the page again, which disconnects the server.
func (inspectorSession) close(context.Context) error { return nil }

// reconnectServer uses the first sign-in after a failed one, which has disconnected the server.
func reconnectServer(t *testing.T, r steppingRun) {
	t.Helper()
	if err := r.session.(inspectorSession).command(within(t, stepTime), "reconnect", nil, nil); err != nil {
		t.Fatal(err)
	}
	r.call(t, openTool, stepUpResult{events: "open 200"})
}

// TestInspectorStepUp uses tools that need more in the page of the Inspector. The page asks its
// user before it requests a further scope, and does not repeat the call: the user executes the
// tool again. The page starts once for all servers, because that takes longer than anything else.
func TestInspectorStepUp(t *testing.T) {
	t.Parallel()
	s := startInspector(t, "")
	at := func(_ *testing.T, endpoint string) steppingSession {
		s.endpoint = endpoint
		return inspectorSession{s}
	}
	sc := scenario{t, inspectorName}
	sc.step("step-up", func(t *testing.T) {
		r := startSteppingSession(t, at, stepUpConfig{rule: grantsScopes})
		r.call(t, adminTool, stepUpResult{events: "admin 403", err: notPermitted})
		r.become(t, ada.denying())
		r.call(t, writeTool, stepUpResult{events: "write 403, authorize", err: "denied"})
		reconnectServer(t, r)
		u := ada
		u.organization = "Bombe Works" // not the first of hers
		r.become(t, u)
		got := r.call(t, organizationTool, stepUpResult{events: "organization 403, authorize, token, organization 200"})
		if want := r.server.organizationID(u.organization); got.Organization != want || want == "" {
			t.Errorf("got organization %q, want the one chosen on the consent page", got.Organization)
		}
		r.become(t, ada)
		got = r.call(t, writeTool, stepUpResult{events: steppedUp})
		wantScopes(t, got, "email", "profile", "user:org:read", scopeWrite)
	})
	sc.step("invalid_scope", func(t *testing.T) {
		r := startSteppingSession(t, at, stepUpConfig{rule: fixedScopes})
		r.call(t, writeTool, stepUpResult{events: "write 403, authorize", err: "is not allowed to request scope 'documents:write'"})
		reconnectServer(t, r)
	})
	sc.step("dropped", func(t *testing.T) {
		r := startSteppingSession(t, at, stepUpConfig{rule: dropsScopes})
		r.call(t, writeTool, stepUpResult{events: "write 403, authorize, token, write 403", err: "asks for more scopes again"})
	})
	sc.step("in result", func(t *testing.T) {
		r := startSteppingSession(t, at, stepUpConfig{rule: grantsScopes, guard: gatehouse.Config{ChallengeInResult: true}})
		r.call(t, writeTool, stepUpResult{events: "write 200", err: needsScope})
	})
}
