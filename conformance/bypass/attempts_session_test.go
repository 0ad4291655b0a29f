package bypass

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// inSession returns a sender that opens a session with one token and calls the tool in it with
// another.
func inSession(open, use func(*world) string) sender {
	return func(t *testing.T, w *world, era string) answer {
		id := w.open(t, open(w), stateful)
		return w.send(t, w.call(t, era, use(w), "delete").with("Mcp-Session-Id", id))
	}
}

// another returns the token of another user, without the scope.
func another(w *world) string { return w.token(testissuer.Claim("sub", "user_grace")) }

// anotherStrong is another with the scope.
func anotherStrong(w *world) string {
	return w.token(testissuer.Claim("sub", "user_grace"), testissuer.Claim("scope", scope))
}

// protectLate declares a requirement for the tool "late", which was open until then.
func protectLate(w *world) {
	w.guard.ProtectTool(&mcp.Tool{Name: "late"}, gatehouse.Require{Scopes: []string{scope}})
}

var sessionAttempts = []attempt{
	{
		group: "Sessions and changes", name: "a second session", want: lacksScope, eras: []string{stateful},
		send: inSession(weak, weak), control: inSession(weak, strong), controlRuns: "tool delete",
	},
	{
		group: "Sessions and changes", name: "a session that was opened with a token that has the scope", want: lacksScope, eras: []string{stateful},
		send: inSession(strong, weak), control: inSession(strong, strong), controlRuns: "tool delete",
	},
	{
		group: "Sessions and changes", name: "the session of another user, who has the scope", want: lacksScope, eras: []string{stateful},
		send: inSession(anotherStrong, weak), control: inSession(anotherStrong, anotherStrong), controlRuns: "tool delete",
	},
	{
		group: "Sessions and changes", name: "one's own scope in the session of another user", want: "404 session_of_another_user", eras: []string{stateful},
		send: inSession(another, strong), control: inSession(strong, strong), controlRuns: "tool delete",
	},
	{
		group: "Sessions and changes", name: "the newest revision in the header of a request with a session", want: lacksScope, eras: []string{stateful},
		send:    call("delete", weak, with("Mcp-Protocol-Version", stateless)),
		control: call("delete", strong), controlRuns: "tool delete",
	},
	likeDelete("Sessions and changes", "a revision that does not exist", lacksScope, with("Mcp-Protocol-Version", "2030-01-01")),
	likeDelete("Sessions and changes", "no revision", lacksScope, with("Mcp-Protocol-Version")),
	{
		group: "Sessions and changes", name: "a session that was opened before the requirement was declared", want: lacksScope,
		in: []style{protect, byName},
		before: func(t *testing.T, w *world, era string) {
			w.addTool(&mcp.Tool{Name: "late"})
			if a := call("late", weak)(t, w, era); a.status != 200 {
				t.Errorf("before the declaration: %s", a)
			}
			protectLate(w)
		},
		send: call("late", weak), control: call("late", strong), controlRuns: "tool late",
	},
	{
		group: "Sessions and changes", name: "a requirement that is declared while requests run, after its declaration has returned", want: lacksScope,
		in: []style{protect, byName}, before: declareUnderLoad,
		send: call("late", weak), control: call("late", strong), controlRuns: "tool late",
	},
	{
		group: "Sessions and changes", name: "a tool that was added at run time without a declaration", want: lacksPermission,
		by: map[style]string{byDefault: lacksScope}, in: []style{denying, byDefault},
		before: func(_ *testing.T, w *world, _ string) { w.addTool(&mcp.Tool{Name: "late"}) },
		send:   call("late", weak),
		control: func(t *testing.T, w *world, era string) answer {
			protectLate(w)
			return call("late", strong)(t, w, era)
		}, controlRuns: "tool late",
	},
	{
		group: "Sessions and changes", name: "a tool that was renamed at run time", want: lacksPermission,
		by: map[style]string{byDefault: lacksScope}, in: []style{denying, byDefault},
		before: func(_ *testing.T, w *world, _ string) {
			w.mcp.RemoveTools("delete")
			w.addTool(&mcp.Tool{Name: "late"})
		},
		send: call("late", weak),
		control: func(t *testing.T, w *world, era string) answer {
			protectLate(w)
			return call("late", strong)(t, w, era)
		}, controlRuns: "tool late",
	},
	{
		group: "Sessions and changes", name: "a list of scopes that the program empties after the declaration", want: lacksScope,
		in: []style{protect, byName},
		before: func(_ *testing.T, w *world, _ string) {
			scopes := []string{scope}
			w.addTool(w.guard.ProtectTool(&mcp.Tool{Name: "late"}, gatehouse.Require{Scopes: scopes}))
			scopes[0] = "profile"
		},
		send: call("late", weak), control: call("late", strong), controlRuns: "tool late",
	},
	{
		group: "Sessions and changes", name: "`Guard.Middleware` was forgotten", want: lacksScope, options: &options{withoutMiddleware: true},
		send: call("delete", weak), control: call("delete", strong), controlRuns: "tool delete",
	},
	{
		group: "Sessions and changes", name: "`Guard.Wrap` was forgotten, so that no request has a caller", want: "error -32040",
		options: &options{withoutWrap: true},
		send:    call("delete", strong), control: rpc("tools/list", object{}, strong),
	},
}

// declareUnderLoad declares requirements while requests run. The race detector watches.
func declareUnderLoad(t *testing.T, w *world, era string) {
	w.addTool(&mcp.Tool{Name: "late"})
	q := w.call(t, era, w.weak(), "late")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 20 {
				if a := w.send(t, q); a.String() != "200" && a.String() != lacksScope {
					t.Errorf("meanwhile: %s", a)
				}
			}
		})
	}
	for range 20 {
		protectLate(w)
		w.guard.ProtectTool(&mcp.Tool{Name: "later"}, gatehouse.Require{Scopes: []string{scope}})
	}
	group.Wait()
}

// customMethodAttempt calls a method that the program added to the server.
var customMethodAttempt = attempt{
	group: "Other operations", name: "a method that the program added (`AddReceivingCustomMethod`)", want: lacksScope,
	in: []style{byDefault},
	before: func(t *testing.T, w *world, _ string) {
		if err := mcp.AddReceivingCustomMethod(w.mcp, "acme/delete",
			func(context.Context, *mcp.ServerSession, *mcp.ListToolsParams) (*mcp.ListToolsResult, error) {
				w.reach("acme/delete")
				return &mcp.ListToolsResult{Tools: []*mcp.Tool{}}, nil
			}); err != nil {
			t.Fatal(err)
		}
	},
	send: rpc("acme/delete", object{}, weak), control: rpc("acme/delete", object{}, strong), controlRuns: "acme/delete",
}

// listAttempt reads all pages of the list of tools, and looks for one that the caller can never
// call.
var listAttempt = attempt{
	group: "Other operations", name: "the last page of `tools/list`, for a tool that needs a role", want: "200",
	send:    pages(weak, false),
	control: pages(admin, true),
}

func admin(w *world) string { return w.token(testissuer.Claim("roles", []string{"admin"})) }

// pages returns a sender that reads all pages of the list of tools, and reports an error if the
// tool "admin" is not listed as wanted.
func pages(token func(*world) string, listed bool) sender {
	return func(t *testing.T, w *world, era string) (last answer) {
		params := object{}
		var names []string
		for {
			last = rpc("tools/list", params, token)(t, w, era)
			messages := last.messages()
			if len(messages) == 0 {
				t.Fatalf("no list: %s", last.body)
			}
			result, _ := messages[len(messages)-1]["result"].(object)
			tools, _ := result["tools"].([]any)
			for _, tool := range tools {
				names = append(names, tool.(object)["name"].(string))
			}
			if result["cacheScope"] != nil && result["cacheScope"] != "private" {
				t.Errorf("cacheScope %v, want private", result["cacheScope"])
			}
			cursor, more := result["nextCursor"].(string)
			if !more {
				break
			}
			params = object{"cursor": cursor}
		}
		text := " " + strings.Join(names, " ") + " "
		if got := strings.Contains(text, " admin "); got != listed || !strings.Contains(text, " open ") || !strings.Contains(text, " delete ") {
			t.Errorf("listed%s; admin listed: %v, want %v", text, got, listed)
		}
		return last
	}
}
