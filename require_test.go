package gatehouse_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// requirements configures one requirement of each kind.
func requirements(cfg *gatehouse.Config) {
	cfg.Provider.OrganizationScope = "org:read"
	cfg.Provider.Complete = func(id *gatehouse.Identity) error {
		var c struct {
			Roles []string `json:"roles"`
			Org   string   `json:"org_id"`
		}
		err := id.Claims(&c)
		id.Roles, id.Organization.ID = c.Roles, c.Org
		return err
	}
	cfg.Requirements = []gatehouse.Requirement{
		{Tool: "write", Require: gatehouse.Require{Scopes: []string{"notes:write"}}},
		{Tool: "purge", Require: gatehouse.Require{Scopes: []string{"notes:write"}, Roles: []string{"admin"}}},
		{Tool: "team", Require: gatehouse.Require{Organization: true}},
		{Prompt: "draft", Require: gatehouse.Require{Scopes: []string{"notes:draft"}}},
		{Resource: "notes://all", Require: gatehouse.Require{Scopes: []string{"notes:read"}}},
	}
}

// requirementTest is a message and the answer of check 8.
type requirementTest struct {
	name    string
	body    string
	changes []testissuer.Change
	reason  gatehouse.Reason // empty means that the request passes
	scope   string           // in the challenge, in addition to those of the guard
}

func allowed(name, body string, changes ...testissuer.Change) requirementTest {
	return requirementTest{name: name, body: body, changes: changes}
}

func rejected(name string, reason gatehouse.Reason, body string, changes ...testissuer.Change) requirementTest {
	return requirementTest{name: name, body: body, changes: changes, reason: reason}
}

func needsScopes(name, scope, body string, changes ...testissuer.Change) requirementTest {
	return requirementTest{name: name, body: body, changes: changes, reason: "insufficient_scope", scope: scope}
}

// runRequirementTests sends the messages to a guard with the requirements of the tests.
func runRequirementTests(t *testing.T, tests []requirementTest) {
	t.Helper()
	is := newIssuer(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			handler := newGuard(t, is, requirements).Wrap(behind)
			resp := send(handler, request{body: test.body, header: bearer(is.token(resource, test.changes...))})
			info := infoOf(test.reason)
			if resp.StatusCode != info.Status {
				t.Errorf("got status %d, want %d", resp.StatusCode, info.Status)
			}
			want := ""
			if test.scope != "" {
				want = `Bearer resource_metadata="` + metadataURL + `", scope="profile email ` + test.scope +
					`", error="insufficient_scope", error_description="` + info.Phrase + `"`
			}
			if got := resp.Header.Get("WWW-Authenticate"); got != want {
				t.Errorf("challenge\n got %s\nwant %s", got, want)
			}
		})
	}
}

// infoOf returns the description of reason, or one with status 200 if reason is empty.
func infoOf(reason gatehouse.Reason) gatehouse.ReasonInfo {
	for _, info := range gatehouse.Reasons() {
		if info.Reason == reason {
			return info
		}
	}
	return gatehouse.ReasonInfo{Status: http.StatusOK}
}

// call returns a message that calls the tool.
func call(tool string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
}

func TestRequirements(t *testing.T) {
	scope := func(s string) testissuer.Change { return testissuer.Claim("scope", s) }
	admin := testissuer.Claim("roles", []string{"admin"})
	runRequirementTests(t, []requirementTest{
		allowed("tool without requirements", call("read")),
		allowed("another method", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`),
		allowed("scope held", call("write"), scope("profile email notes:write")),
		needsScopes("scope missing", "notes:write", call("write")),
		needsScopes("scope missing, prompt", "notes:draft",
			`{"method":"prompts/get","params":{"name":"draft"}}`),
		needsScopes("scope missing, resource", "notes:read",
			`{"method":"resources/read","params":{"uri":"notes://all"}}`),
		needsScopes("one of two scopes held", "notes:write notes:draft",
			"["+call("write")+`,{"method":"prompts/get","params":{"name":"draft"}}]`, scope("notes:write")),
		allowed("role and scope held", call("purge"), scope("notes:write"), admin),
		rejected("role missing, a new scope would not help", "insufficient_permission", call("purge")),
		needsScopes("role held, scope missing", "notes:write", call("purge"), admin),
		allowed("organization held", call("team"), testissuer.Claim("org_id", "org_1")),
		needsScopes("organization missing, may ask for one", "org:read", call("team")),
		rejected("organization missing, asked already", "insufficient_permission", call("team"), scope("profile org:read")),
		needsScopes("batch with one scope missing", "notes:write", "["+call("read")+","+call("write")+"]"),
		needsScopes("batch, union of the missing", "notes:write notes:draft",
			"["+call("write")+`,{"method":"prompts/get","params":{"name":"draft"}}]`),
	})
}

func TestImpliedScopes(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is, func(cfg *gatehouse.Config) {
		cfg.RequiredScopes = []string{"notes:read"}
		cfg.Requirements = []gatehouse.Requirement{{Tool: "write", Require: gatehouse.Require{Scopes: []string{"notes:write"}}}}
		cfg.ImpliedScopes = map[string][]string{
			"notes:admin": {"notes:write"},
			"notes:write": {"notes:read"},
			"loop":        {"pool"},
			"pool":        {"loop"},
		}
	}).Wrap(behind)
	const write = `{"method":"tools/call","params":{"name":"write"}}`
	tests := []struct {
		scopes    string
		body      string
		wantScope string // in the challenge; empty means that the request passes
	}{
		{"notes:admin", write, ""},
		{"notes:write", write, ""},
		{"notes:write", "{}", ""},
		{"notes:read", "{}", ""},
		{"notes:read", write, "notes:read profile email notes:write"},
		{"profile", write, "notes:read profile email notes:write"}, // both at once
		{"loop", "{}", "notes:read profile email loop"},
		{"notes", "{}", "notes:read profile email notes"},
		{"notes:administrator", "{}", "notes:read profile email notes:administrator"},
	}
	for _, test := range tests {
		resp := send(handler, request{body: test.body, header: bearer(is.token(resource, testissuer.Claim("scope", test.scopes)))})
		want := 403
		if test.wantScope == "" {
			want = 200
		}
		got := resp.Header.Get("WWW-Authenticate")
		if resp.StatusCode != want || test.wantScope != "" && !strings.Contains(got, `scope="`+test.wantScope+`"`) {
			t.Errorf("%q, %s: status %d, challenge %s; want %d and scope %q",
				test.scopes, test.body, resp.StatusCode, got, want, test.wantScope)
		}
	}
}

func TestRequiredScopes(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.RequiredScopes = []string{"notes"} }).Wrap(behind)
	want := `Bearer resource_metadata="` + metadataURL + `", scope="notes profile email"`
	if got := send(handler, request{}).Header.Get("WWW-Authenticate"); got != want {
		t.Errorf("challenge %s, want %s", got, want)
	}
	for _, method := range []string{"GET", "POST", "DELETE"} {
		if resp := send(handler, request{method: method, header: bearer(is.token(resource))}); resp.StatusCode != 403 {
			t.Errorf("%s without the scope: status %d, want 403", method, resp.StatusCode)
		}
		withScope := is.token(resource, testissuer.Claim("scope", "notes"))
		if resp := send(handler, request{method: method, header: bearer(withScope)}); resp.StatusCode != 200 {
			t.Errorf("%s with it: status %d, want 200", method, resp.StatusCode)
		}
	}
}

// FuzzRequest sends random bodies and headers: the guard never panics, never answers 5xx,
// and never lets a call of a protected tool through.
func FuzzRequest(f *testing.F) {
	is := newIssuer(f)
	valid := is.token(resource)
	handler := newGuard(f, is, requirements).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	}))
	f.Add("Bearer "+valid, `{"method":"tools/call","params":{"name":"write"}}`, "http://localhost:1", "")
	f.Add("bearer x.y.z", `[{"method":1},[[[]]],null]`, "null", "access_token=1")
	f.Add("", "\x00\xff", "", "%zz")
	f.Fuzz(func(t *testing.T, authorization, body, origin, query string) {
		r := request{body: body}.make()
		r.URL.RawQuery = query
		for name, value := range map[string]string{"Authorization": authorization, "Origin": origin} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		resp := sendRaw(handler, r)
		through := resp.StatusCode == http.StatusTeapot
		if through && !strings.Contains(authorization, valid) {
			t.Errorf("let through with %q", authorization)
		}
		var m struct {
			Method string
			Params struct{ Name string }
		}
		if through && json.Unmarshal([]byte(body), &m) == nil && m.Method == "tools/call" && m.Params.Name == "write" {
			t.Errorf("let a protected tool through: %q", body)
		}
		if resp.StatusCode >= 500 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}
