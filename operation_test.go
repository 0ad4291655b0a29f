package gatehouse_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// admitted returns the request that a handler inside guard gets from a caller whose token has the
// changes.
func admitted(t *testing.T, is *testissuer.Issuer, guard *gatehouse.Guard, changes ...testissuer.Change) *http.Request {
	t.Helper()
	var got *http.Request
	handler := guard.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	send(handler, request{body: `{"jsonrpc":"2.0","id":1,"method":"ping"}`, header: bearer(is.Token(resource, changes...))})
	if got == nil {
		t.Fatal("the request did not pass the guard")
	}
	return got
}

// protectedByRole has a tool, a prompt, a resource and a template that need the role admin, and a
// tool that needs a scope.
func protectedByRole(guard *gatehouse.Guard) {
	admin := gatehouse.Require{Roles: []string{"admin"}}
	guard.Protect(gatehouse.Requirement{Tool: "purge", Require: admin})
	guard.Protect(gatehouse.Requirement{Prompt: "purge", Require: admin})
	guard.Protect(gatehouse.Requirement{Resource: "notes://purged", Require: admin})
	guard.Protect(gatehouse.Requirement{ResourceTemplate: "notes://purged/{name}", Require: admin})
	guard.Protect(gatehouse.Requirement{Tool: "write", Require: gatehouse.Require{Scopes: []string{"notes:write"}}})
}

func TestAuthorizeAndLists(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, withRoles)
	protectedByRole(guard)
	user := admitted(t, is.Issuer, guard, testissuer.Claim("roles", []string{"user"}))
	admin := admitted(t, is.Issuer, guard, testissuer.Claim("roles", []string{"admin"}), scopeClaim("profile notes:write"))
	other := newGuard(t, is, withRoles)
	foreign := admitted(t, is.Issuer, other, testissuer.Claim("roles", []string{"admin"}), scopeClaim("profile notes:write"))
	without := httptest.NewRequest(http.MethodPost, resource, nil)

	type decision struct{ may, listed bool }
	tests := []struct {
		name                          string
		op                            gatehouse.Operation
		user, admin, foreign, without decision
	}{
		{"open tool", gatehouse.ToolOperation("read"),
			decision{true, true}, decision{true, true}, decision{true, true}, decision{true, true}},
		{"tool with a scope", gatehouse.ToolOperation("write"),
			decision{false, true}, decision{true, true}, decision{false, true}, decision{false, true}},
		{"tool with a role", gatehouse.ToolOperation("purge"),
			decision{}, decision{true, true}, decision{}, decision{}},
		{"prompt with a role", gatehouse.PromptOperation("purge"),
			decision{}, decision{true, true}, decision{}, decision{}},
		{"resource with a role", gatehouse.ResourceOperation("notes://purged"),
			decision{}, decision{true, true}, decision{}, decision{}},
		{"resource in another spelling", gatehouse.ResourceOperation("NOTES://purged"),
			decision{false, true}, decision{false, true}, decision{false, true}, decision{false, true}},
		{"resource of a template", gatehouse.ResourceOperation("notes://purged/a"),
			decision{}, decision{true, true}, decision{}, decision{}},
		{"template", gatehouse.ResourceOperation("notes://purged/{name}"),
			decision{}, decision{true, true}, decision{}, decision{}},
		{"zero value", gatehouse.Operation{}, decision{}, decision{}, decision{}, decision{}},
	}
	for _, test := range tests {
		for _, caller := range []struct {
			name string
			r    *http.Request
			want decision
		}{
			{"a user", user, test.user},
			{"an admin", admin, test.admin},
			{"an admin of another guard", foreign, test.foreign},
			{"no caller", without, test.without},
		} {
			got := decision{guard.Authorize(caller.r, test.op) == nil, guard.Lists(caller.r, test.op)}
			if got != caller.want {
				t.Errorf("%s, %s: got %+v, want %+v", test.name, caller.name, got, caller.want)
			}
		}
	}
	if n := guard.Stats().Rejected["insufficient_permission"]; n != 5 {
		t.Errorf("Stats has %d rejections for a role, want 5", n)
	}
}

// The text of an error is for the client, and what it wraps is for the log.
func TestAuthorizeError(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, withRoles)
	protectedByRole(guard)
	err := guard.Authorize(admitted(t, is.Issuer, guard), gatehouse.ToolOperation("read"), gatehouse.ToolOperation("purge"))
	if err == nil {
		t.Fatal("got no error for two operations of which one is not allowed")
	}
	if want := infoOf("insufficient_permission").Phrase; err.Error() != want {
		t.Errorf("got text %q, want %q", err, want)
	}
	if detail := errors.Unwrap(err); detail == nil || detail.Error() != `tools/call "purge" requires role "admin"` {
		t.Errorf("got detail %v", detail)
	}
}

// RequiredScopes hold for a message of any method.
func TestAuthorizeWithoutOperations(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.RequiredScopes = []string{"profile"} })
	if err := guard.Authorize(admitted(t, is.Issuer, guard)); err != nil {
		t.Errorf("got %v with the scope", err)
	}
	if err := guard.Authorize(httptest.NewRequest(http.MethodPost, resource, nil)); err == nil {
		t.Error("got no error without a caller")
	}
}

func TestListsWithShowLocked(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, withRoles, func(cfg *gatehouse.Config) { cfg.ShowLocked = true })
	protectedByRole(guard)
	if !guard.Lists(admitted(t, is.Issuer, guard), gatehouse.ToolOperation("purge")) {
		t.Error("a locked tool is not listed although ShowLocked is set")
	}
}
