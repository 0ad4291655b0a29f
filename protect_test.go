package gatehouse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// withRoles makes a provider read roles and an organization from the tokens.
func withRoles(cfg *gatehouse.Config) {
	cfg.Provider.Claims = gatehouse.ClaimNames{
		Roles:        []gatehouse.ClaimPath{{"roles"}},
		Permissions:  []gatehouse.ClaimPath{{"permissions"}},
		Organization: gatehouse.ClaimPath{"org_id"},
	}
}

func scopeClaim(scope string) testissuer.Change { return testissuer.Claim("scope", scope) }

// wantAnswer sends body with a token that has the changes, and checks the reason of the answer and
// a part of its challenge.
func wantAnswer(t *testing.T, name string, guard *gatehouse.Guard, token, body string, want gatehouse.Reason, challenge string) {
	t.Helper()
	resp := send(guard.Wrap(behind), request{body: body, header: bearer(token)})
	if info := infoOf(want); resp.StatusCode != info.Status {
		t.Errorf("%s: got status %d, want %d (%s)", name, resp.StatusCode, info.Status, want)
	}
	if got := resp.Header.Get("WWW-Authenticate"); !strings.Contains(got, challenge) {
		t.Errorf("%s: got challenge %s, want %q in it", name, got, challenge)
	}
}

// A requirement that is declared with a tool, prompt, resource or template holds for it, and the
// others stay open.
func TestProtect(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is)
	write := gatehouse.Require{Scopes: []string{"notes:write"}}
	tool := &mcp.Tool{Name: "delete_document"}
	if got := guard.ProtectTool(tool, write); got != tool {
		t.Errorf("ProtectTool returns %v, want the tool", got)
	}
	guard.ProtectPrompt(&mcp.Prompt{Name: "draft"}, write)
	guard.ProtectResource(&mcp.Resource{URI: "notes://secret"}, write)
	guard.ProtectResourceTemplate(&mcp.ResourceTemplate{URITemplate: "notes://team/{name}"}, write)
	read := func(uri string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"` + uri + `"}}`
	}
	prompt := func(name string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"` + name + `"}}`
	}
	for _, test := range []struct {
		body string
		want gatehouse.Reason
	}{
		{call("delete_document"), "insufficient_scope"},
		{call("read_document"), ""},
		{prompt("draft"), "insufficient_scope"},
		{prompt("other"), ""},
		{read("notes://secret"), "insufficient_scope"},
		{read("notes://team/a"), "insufficient_scope"},
		{read("notes://public"), ""},
		{read("notes://s%65cret"), "resource_spelling"},
	} {
		wantAnswer(t, test.body, guard, is.token(resource), test.body, test.want, "")
		wantAnswer(t, test.body+" with the scope", guard, is.token(resource, scopeClaim("notes:write")), test.body,
			map[bool]gatehouse.Reason{true: test.want}[test.want == "resource_spelling"], "")
	}
}

// A declaration that can never take effect panics with the fault.
func TestProtectFaults(t *testing.T) {
	is := newIssuer(t)
	for _, test := range []struct {
		name    string
		declare func(*gatehouse.Guard)
		want    string // empty means that it is valid
	}{
		{"control", func(g *gatehouse.Guard) { g.ProtectTool(&mcp.Tool{Name: "a"}, gatehouse.Require{Person: true}) }, ""},
		{"signed in", func(g *gatehouse.Guard) { g.ProtectTool(&mcp.Tool{Name: "a"}, gatehouse.Require{SignedIn: true}) }, ""},
		{"no name", func(g *gatehouse.Guard) { g.ProtectTool(&mcp.Tool{}, gatehouse.Require{Person: true}) }, "ProtectTool names no operation"},
		{"nothing", func(g *gatehouse.Guard) { g.ProtectTool(&mcp.Tool{Name: "a"}, gatehouse.Require{}) }, `ProtectTool requires nothing for tool "a"`},
		{"scope", func(g *gatehouse.Guard) {
			g.ProtectPrompt(&mcp.Prompt{Name: "a"}, gatehouse.Require{Scopes: []string{"a b"}})
		}, `ProtectPrompt.Scopes "a b" is not a scope`},
		{"role that no token has", func(g *gatehouse.Guard) {
			g.ProtectTool(&mcp.Tool{Name: "a"}, gatehouse.Require{Roles: []string{"admin"}})
		}, "ProtectTool.Roles requires roles, which the access tokens of"},
		{"role in an alternative", func(g *gatehouse.Guard) {
			g.ProtectTool(&mcp.Tool{Name: "a"}, gatehouse.Require{AnyOf: []gatehouse.Require{{Scopes: []string{"s"}}, {Roles: []string{"admin"}}}})
		}, "ProtectTool.AnyOf[1].Roles requires roles"},
		{"empty alternative", func(g *gatehouse.Guard) {
			g.ProtectTool(&mcp.Tool{Name: "a"}, gatehouse.Require{AnyOf: []gatehouse.Require{{Scopes: []string{"s"}}, {}}})
		}, "ProtectTool.AnyOf[1] requires nothing, so that everyone meets it"},
		{"alternatives in an alternative", func(g *gatehouse.Guard) {
			g.ProtectTool(&mcp.Tool{Name: "a"}, gatehouse.Require{AnyOf: []gatehouse.Require{{AnyOf: []gatehouse.Require{{Person: true}}}}})
		}, "ProtectTool.AnyOf[0].AnyOf is in an alternative"},
		{"no alternatives", func(g *gatehouse.Guard) {
			g.ProtectTool(&mcp.Tool{Name: "a"}, gatehouse.Require{Scopes: []string{"s"}, AnyOf: []gatehouse.Require{}})
		}, "ProtectTool.AnyOf has no alternatives, so that no one meets it"},
		{"signed in and more", func(g *gatehouse.Guard) {
			g.ProtectTool(&mcp.Tool{Name: "a"}, gatehouse.Require{SignedIn: true, Scopes: []string{"s"}})
		}, "ProtectTool.SignedIn is set in addition to other fields"},
		{"template for a resource", func(g *gatehouse.Guard) {
			g.ProtectResource(&mcp.Resource{URI: "notes://{name}"}, gatehouse.Require{Person: true})
		}, `ProtectResource.Resource "notes://{name}" is a URI template`},
	} {
		var fault error
		func() {
			defer func() {
				if p := recover(); p != nil {
					fault = p.(error)
				}
			}()
			test.declare(newGuard(t, is))
		}()
		switch {
		case test.want == "" && fault != nil:
			t.Errorf("%s: %v", test.name, fault)
		case test.want != "" && (fault == nil || !strings.HasPrefix(fault.Error(), "gatehouse: "+test.want)):
			t.Errorf("%s:\n got %v\nwant gatehouse: %s…", test.name, fault, test.want)
		}
	}
}

// TestUndeclared checks what holds for operations without a requirement.
func TestUndeclared(t *testing.T) {
	is := newIssuer(t)
	closed := func(cfg *gatehouse.Config) { cfg.DenyUndeclared = true }
	byDefault := func(cfg *gatehouse.Config) { cfg.Default = gatehouse.Require{Scopes: []string{"admin"}} }
	admin := is.token(resource, scopeClaim("admin notes:write"))
	user := is.token(resource)
	for _, test := range []struct {
		name       string
		configure  func(*gatehouse.Config)
		token      string
		body       string
		wantReason gatehouse.Reason
	}{
		{"open server", func(*gatehouse.Config) {}, user, call("new"), ""},
		{"default met", byDefault, admin, call("new"), ""},
		{"default not met", byDefault, user, call("new"), "insufficient_scope"},
		{"default, prompt", byDefault, user, `{"method":"prompts/get","params":{"name":"new"}}`, "insufficient_scope"},
		{"default, resource", byDefault, user, `{"method":"resources/read","params":{"uri":"notes://new"}}`, "insufficient_scope"},
		{"default, subscription", byDefault, user, `{"method":"resources/subscribe","params":{"uri":"notes://new"}}`, "insufficient_scope"},
		{"default, completion", byDefault, user, `{"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"new"}}}`, "insufficient_scope"},
		{"default, listing", byDefault, user, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, ""},
		{"default, declared", byDefault, user, call("open"), ""},
		{"default, batch with one undeclared", byDefault, user, "[" + call("open") + "," + call("new") + "]", "insufficient_scope"},
		{"denied", closed, admin, call("new"), "insufficient_permission"},
		{"denied, resource", closed, admin, `{"method":"resources/read","params":{"uri":"notes://new"}}`, "insufficient_permission"},
		{"denied, declared", closed, user, call("open"), ""},
		{"denied, declared with a scope", closed, user, call("write"), "insufficient_scope"},
		{"denied, name in another case", closed, admin, call("Open"), "insufficient_permission"},
		{"default, unknown method", byDefault, user, `{"method":"acme/delete"}`, "insufficient_scope"},
		{"default met, unknown method", byDefault, admin, `{"method":"acme/delete"}`, ""},
		{"default, result of a task", byDefault, user, `{"method":"tasks/result","params":{"taskId":"1"}}`, "insufficient_scope"},
		{"default, unknown notification", byDefault, user, `{"method":"notifications/acme"}`, ""},
		{"default, unknown kind of reference", byDefault, user, `{"method":"completion/complete","params":{"ref":{"type":"ref/x","uri":"notes://new"}}}`, "insufficient_scope"},
		{"open server, unknown method", func(*gatehouse.Config) {}, user, `{"method":"acme/delete"}`, ""},
		{"denied, unknown method", closed, admin, `{"method":"acme/delete"}`, "insufficient_permission"},
		{"denied, listing", closed, user, `{"method":"tools/list"}`, ""},
		{"denied, body that is not JSON", closed, admin, "x", "body_malformed"},
	} {
		guard := newGuard(t, is, test.configure)
		guard.ProtectTool(&mcp.Tool{Name: "open"}, gatehouse.Require{SignedIn: true})
		guard.ProtectTool(&mcp.Tool{Name: "write"}, gatehouse.Require{Scopes: []string{"notes:write"}})
		wantAnswer(t, test.name, guard, test.token, test.body, test.wantReason, "")
	}
	_, err := gatehouse.New(gatehouse.Config{
		Resource: resource, Provider: is.provider(), DenyUndeclared: true, Default: gatehouse.Require{Person: true},
	})
	if err == nil || !strings.Contains(err.Error(), "Default has no effect, because DenyUndeclared rejects what it is for") {
		t.Errorf("both settings: got %v", err)
	}
}

// TestAnyOf checks the alternatives of a requirement.
func TestAnyOf(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, withRoles)
	guard.ProtectTool(&mcp.Tool{Name: "publish"}, gatehouse.Require{
		Scopes: []string{"notes:write"},
		AnyOf: []gatehouse.Require{
			{Roles: []string{"admin"}},
			{Scopes: []string{"notes:publish"}},
			{Roles: []string{"editor"}, Scopes: []string{"notes:edit"}},
		},
	})
	guard.ProtectTool(&mcp.Tool{Name: "purge"}, gatehouse.Require{
		AnyOf: []gatehouse.Require{{Roles: []string{"admin"}}, {Permissions: []string{"purge"}}},
	})
	role := func(name string) testissuer.Change { return testissuer.Claim("roles", []string{name}) }
	for _, test := range []struct {
		name, tool string
		changes    []testissuer.Change
		want       gatehouse.Reason
		challenge  string
	}{
		{"first alternative", "publish", []testissuer.Change{scopeClaim("notes:write"), role("admin")}, "", ""},
		{"second alternative", "publish", []testissuer.Change{scopeClaim("notes:write notes:publish")}, "", ""},
		{"third alternative", "publish", []testissuer.Change{scopeClaim("notes:write notes:edit"), role("editor")}, "", ""},
		{"alternative without the rest", "publish", []testissuer.Change{scopeClaim("notes:publish")}, "insufficient_scope", `scope="profile email notes:publish notes:write"`},
		{"a scope would help", "publish", []testissuer.Change{scopeClaim("notes:write")}, "insufficient_scope", `scope="profile email notes:write notes:publish"`},
		{"half of the third", "publish", []testissuer.Change{scopeClaim("notes:write notes:edit")}, "insufficient_scope", `notes:publish"`},
		{"no scope would help", "purge", nil, "insufficient_permission", ""},
		{"permission", "purge", []testissuer.Change{testissuer.Claim("permissions", []string{"purge"})}, "", ""},
	} {
		wantAnswer(t, test.name, guard, is.token(resource, test.changes...), call(test.tool), test.want, test.challenge)
	}
}

// busy is an error of a Check that could not decide.
type busy struct{}

func (busy) Error() string             { return "the database is busy" }
func (busy) RetryAfter() time.Duration { return 7 * time.Second }

// TestCheck checks the function of a requirement: it decides last, and everything that is not nil
// rejects.
func TestCheck(t *testing.T) {
	is := newIssuer(t)
	calls := 0
	for _, test := range []struct {
		name      string
		check     func(context.Context, gatehouse.Identity) error
		scope     string
		want      gatehouse.Reason
		wantCalls int
	}{
		{"allows", func(context.Context, gatehouse.Identity) error { return nil }, "s", "", 1},
		{"rejects", func(context.Context, gatehouse.Identity) error { return errors.New("no") }, "s", "insufficient_permission", 1},
		{"cannot decide", func(context.Context, gatehouse.Identity) error { return fmt.Errorf("asking: %w", busy{}) }, "s", "provider_unavailable", 1},
		{"panics", func(context.Context, gatehouse.Identity) error { panic("x") }, "s", "insufficient_permission", 1},
		{"is not asked without the scope", func(context.Context, gatehouse.Identity) error { return nil }, "", "insufficient_scope", 0},
		{"sees the caller", func(_ context.Context, id gatehouse.Identity) error {
			if id.Subject != "user_1" {
				return errors.New("another caller")
			}
			return nil
		}, "s", "", 1},
	} {
		calls = 0
		guard := newGuard(t, is)
		guard.ProtectTool(&mcp.Tool{Name: "a"}, gatehouse.Require{Scopes: []string{"s"}, Check: func(ctx context.Context, id gatehouse.Identity) error {
			calls++
			return test.check(ctx, id)
		}})
		wantAnswer(t, test.name, guard, is.token(resource, scopeClaim(test.scope)), call("a"), test.want, "")
		if calls != test.wantCalls {
			t.Errorf("%s: Check was called %d times, want %d", test.name, calls, test.wantCalls)
		}
	}
}

// TestChallengeScopes checks which scopes the answer to a missing one names.
func TestChallengeScopes(t *testing.T) {
	is := newIssuer(t)
	token := is.token(resource, scopeClaim("profile custom"))
	for name, test := range map[string]struct {
		only bool
		want string
	}{
		"default":               {false, `scope="profile email custom notes:write"`},
		"operation scopes only": {true, `scope="notes:write"`},
	} {
		guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.OperationScopesOnly = test.only })
		guard.ProtectTool(&mcp.Tool{Name: "write"}, gatehouse.Require{Scopes: []string{"notes:write"}})
		wantAnswer(t, name, guard, token, call("write"), "insufficient_scope", test.want)
	}
}

// With a provider whose clients keep the scopes that they register with, a declared scope is in
// the first challenge and in the metadata, also if it is declared later.
func TestProtectedScopesOfClerk(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.Provider.ScopesFixedAtRegistration = true })
	first := func() string { return send(guard.Wrap(behind), request{}).Header.Get("WWW-Authenticate") }
	metadata := func() string {
		return body(t, send(guard.MetadataHandler(), request{method: http.MethodGet, target: "/.well-known/oauth-protected-resource/mcp"}))
	}
	if got := first() + metadata(); strings.Contains(got, "notes:write") {
		t.Errorf("before the declaration: %s", got)
	}
	guard.ProtectTool(&mcp.Tool{Name: "write"}, gatehouse.Require{AnyOf: []gatehouse.Require{{Scopes: []string{"notes:write"}}, {Person: true}}})
	if got := first(); !strings.Contains(got, `scope="profile email notes:write"`) {
		t.Errorf("challenge: %s", got)
	}
	if got := metadata(); !strings.Contains(got, `"scopes_supported":["profile","email","notes:write"]`) {
		t.Errorf("metadata: %s", got)
	}
	if got := strings.Join(guard.Warnings(), "\n"); !strings.Contains(got, "notes:write") {
		t.Errorf("warnings: %s", got)
	}
}

// TestChallengeInResult checks the dialect of ChatGPT.
func TestChallengeInResult(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.ChallengeInResult = true })
	guard.ProtectTool(&mcp.Tool{Name: "write"}, gatehouse.Require{Scopes: []string{"notes:write"}})
	guard.ProtectPrompt(&mcp.Prompt{Name: "draft"}, gatehouse.Require{Scopes: []string{"notes:write"}})
	handler := guard.Wrap(behind)
	token := is.token(resource)
	for _, id := range []string{`1`, `"a\u0022b"`, `1.5`} {
		resp := send(handler, request{body: strings.Replace(call("write"), `"id":1`, `"id":`+id, 1), header: bearer(token)})
		var answer struct {
			ID     json.RawMessage
			Result struct {
				ResultType string
				IsError    bool
				Meta       map[string][]string `json:"_meta"`
			}
		}
		text := body(t, resp)
		if err := json.Unmarshal([]byte(text), &answer); err != nil || resp.StatusCode != 200 || resp.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("id %s: got status %d, %s, %v", id, resp.StatusCode, text, err)
		}
		challenges := answer.Result.Meta["mcp/www_authenticate"]
		if string(answer.ID) != id || !answer.Result.IsError || answer.Result.ResultType != "complete" || len(challenges) != 1 ||
			!strings.Contains(challenges[0], `error="insufficient_scope"`) || !strings.Contains(challenges[0], "notes:write") {
			t.Errorf("id %s: got %s", id, text)
		}
	}
	for name, body := range map[string]string{
		"batch":        "[" + call("write") + "]",
		"prompt":       `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"draft"}}`,
		"notification": `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"write"}}`,
		"id null":      `{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"write"}}`,
	} {
		if resp := send(handler, request{body: body, header: bearer(token)}); resp.StatusCode != 403 || resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: got status %d", name, resp.StatusCode)
		}
	}
	if resp := send(handler, request{body: call("write")}); resp.StatusCode != 401 {
		t.Errorf("without a token: got status %d, want 401", resp.StatusCode)
	}
}

// TestBodyOfEveryMethod checks that a body is authorized with every HTTP method, since a handler
// may read it, and that a request without one is not.
func TestBodyOfEveryMethod(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is)
	guard.ProtectTool(&mcp.Tool{Name: "write"}, gatehouse.Require{Scopes: []string{"notes:write"}})
	handler := guard.Wrap(behind)
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete, "QUERY"} {
		for body, want := range map[string]int{call("write"): 403, call("read"): 200, "x": 400} {
			if resp := send(handler, request{method: method, body: body, header: bearer(is.token(resource))}); resp.StatusCode != want {
				t.Errorf("%s with body %s: got status %d, want %d", method, body, resp.StatusCode, want)
			}
		}
		if resp := send(handler, request{method: method, header: bearer(is.token(resource))}); method != http.MethodPost && resp.StatusCode != 200 {
			t.Errorf("%s without a body: got status %d, want 200", method, resp.StatusCode)
		}
	}
}

// TestBodyEncoding checks that a body is rejected that a server may decode into another message.
func TestBodyEncoding(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is)
	open := newGuard(t, is)
	guard.ProtectTool(&mcp.Tool{Name: "write"}, gatehouse.Require{Scopes: []string{"notes:write"}})
	for _, test := range []struct {
		name, value string
		want        int
	}{
		{"Content-Type", "application/json", 200},
		{"Content-Type", "application/json; charset=UTF-8", 200},
		{"Content-Type", "application/json; charset=\"utf-8\"", 200},
		{"Content-Type", "application/json; charset=utf-7", 400},
		{"Content-Type", "application/json; charset=utf-8; charset=utf-7", 400},
		{"Content-Type", "application/json; charset", 400},
		{"Content-Encoding", "identity", 200},
		{"Content-Encoding", "gzip", 400},
		{"Content-Encoding", "identity, br", 400},
	} {
		header := bearer(is.token(resource))
		header.Set(test.name, test.value)
		if resp := send(guard.Wrap(behind), request{body: call("read"), header: header}); resp.StatusCode != test.want {
			t.Errorf("%s %s: got status %d, want %d", test.name, test.value, resp.StatusCode, test.want)
		}
		if resp := send(open.Wrap(behind), request{body: call("read"), header: header}); resp.StatusCode != 200 {
			t.Errorf("%s %s without requirements: got status %d, want 200", test.name, test.value, resp.StatusCode)
		}
	}
}

// A list that changes after it was passed to the guard changes no requirement.
func TestRequirementsAreCopied(t *testing.T) {
	is := newIssuer(t)
	lists := [][]string{{"s"}, {"s"}, {"s"}, {"s"}}
	alternatives := []gatehouse.Require{{Scopes: lists[1]}}
	guard := newGuard(t, is, func(cfg *gatehouse.Config) {
		cfg.Requirements = []gatehouse.Requirement{{Tool: "named", Require: gatehouse.Require{Scopes: lists[2]}}}
		cfg.Default = gatehouse.Require{Scopes: lists[3]}
	})
	guard.ProtectTool(&mcp.Tool{Name: "all"}, gatehouse.Require{Scopes: lists[0]})
	guard.ProtectTool(&mcp.Tool{Name: "any"}, gatehouse.Require{AnyOf: alternatives})
	for _, list := range lists {
		list[0] = "profile"
	}
	alternatives[0] = gatehouse.Require{Person: true}
	for _, tool := range []string{"all", "any", "named", "other"} {
		wantAnswer(t, tool, guard, is.token(resource), call(tool), "insufficient_scope", "")
		wantAnswer(t, tool+" with the scope", guard, is.token(resource, scopeClaim("s")), call(tool), "", "")
	}
}

// The text of a template, which completions name, is not another spelling of a template that
// overlaps with it, and what both require applies.
func TestCompletionOfOverlappingTemplates(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is)
	guard.ProtectResourceTemplate(&mcp.ResourceTemplate{URITemplate: "notes://team/{name}"}, gatehouse.Require{Scopes: []string{"team"}})
	guard.ProtectResourceTemplate(&mcp.ResourceTemplate{URITemplate: "notes://{+path}"}, gatehouse.Require{Scopes: []string{"notes"}})
	body := `{"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"notes://team/{name}"}}}`
	for scopes, want := range map[string]gatehouse.Reason{
		"": "insufficient_scope", "team": "insufficient_scope", "notes": "insufficient_scope", "team notes": "",
	} {
		wantAnswer(t, "with "+scopes, guard, is.token(resource, scopeClaim(scopes)), body, want, "")
	}
	other := strings.Replace(body, "{name}", "{NAME}", 1)
	wantAnswer(t, "another template", guard, is.token(resource, scopeClaim("team notes")), other, "resource_spelling", "")
}

// A caller without an organization is rejected, also if a scope of the token implies the one with
// which a user chooses an organization.
func TestOrganizationWithImpliedScope(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, withRoles, func(cfg *gatehouse.Config) {
		cfg.Provider.OrganizationScope = "org:read"
		cfg.ImpliedScopes = map[string][]string{"admin": {"org:read"}}
	})
	organization := gatehouse.Require{Organization: true}
	guard.ProtectTool(&mcp.Tool{Name: "team"}, organization)
	guard.ProtectTool(&mcp.Tool{Name: "either"}, gatehouse.Require{AnyOf: []gatehouse.Require{organization}})
	member := testissuer.Claim("org_id", "org_1")
	for _, tool := range []string{"team", "either"} {
		wantAnswer(t, tool+", member", guard, is.token(resource, scopeClaim("admin"), member), call(tool), "", "")
		wantAnswer(t, tool+", no scope", guard, is.token(resource, scopeClaim("profile")), call(tool), "insufficient_scope", "org:read")
		wantAnswer(t, tool+", scope", guard, is.token(resource, scopeClaim("org:read")), call(tool), "no_organization", "")
		wantAnswer(t, tool+", implied scope", guard, is.token(resource, scopeClaim("admin")), call(tool), "no_organization", "")
	}
}
