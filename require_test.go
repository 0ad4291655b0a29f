package gatehouse_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
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
		{Tool: "write", Scopes: []string{"notes:write"}},
		{Tool: "purge", Scopes: []string{"notes:write"}, Roles: []string{"admin"}},
		{Tool: "team", Organization: true},
		{Prompt: "draft", Scopes: []string{"notes:draft"}},
		{Resource: "notes://all", Scopes: []string{"notes:read"}},
	}
}

// members returns the text of n further members of an object.
func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":null`, i)
	}
	return b.String()
}

func TestRequirements(t *testing.T) {
	is := newIssuer(t)
	nested := func(depth int) string {
		list := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		return `{"method":"tools/call","params":{"name":"read","arguments":` + list + `}}`
	}
	listen := func(notifications string) string {
		return `{"method":"subscriptions/listen","params":{"notifications":{` + notifications + `}}}`
	}
	call := func(tool string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
	}
	scope := func(s string) change { return change{"claims", "scope", s} }
	tests := []struct {
		name       string
		body       string
		changes    []change
		wantReason gatehouse.Reason
		wantScope  string // in the challenge
	}{
		{name: "tool without requirements", body: call("read")},
		{name: "another method", body: `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`},
		{name: "scope held", body: call("write"), changes: []change{scope("profile email notes:write")}},
		{
			name:       "scope missing",
			body:       call("write"),
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:write",
		},
		{
			name:       "scope missing, prompt",
			body:       `{"method":"prompts/get","params":{"name":"draft"}}`,
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:draft",
		},
		{
			name:       "scope missing, resource",
			body:       `{"method":"resources/read","params":{"uri":"notes://all"}}`,
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:read",
		},
		{
			name:       "one of two scopes held",
			body:       "[" + call("write") + `,{"method":"prompts/get","params":{"name":"draft"}}]`,
			changes:    []change{scope("notes:write")},
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:write notes:draft",
		},
		{
			name:    "role and scope held",
			body:    call("purge"),
			changes: []change{scope("notes:write"), {"claims", "roles", []string{"admin"}}},
		},
		{name: "role missing, a new scope would not help", body: call("purge"), wantReason: "insufficient_permission"},
		{
			name:       "role held, scope missing",
			body:       call("purge"),
			changes:    []change{{"claims", "roles", []string{"admin"}}},
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:write",
		},
		{name: "organization held", body: call("team"), changes: []change{{"claims", "org_id", "org_1"}}},
		{
			name:       "organization missing, may ask for one",
			body:       call("team"),
			wantReason: "insufficient_scope",
			wantScope:  "profile email org:read",
		},
		{
			name:       "organization missing, asked already",
			body:       call("team"),
			changes:    []change{scope("profile org:read")},
			wantReason: "insufficient_permission",
		},
		{
			name:       "member of another case",
			body:       `{"method":"tools/call","Method":"ping","params":{"name":"write"}}`,
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:write",
		},
		{
			name:       "params of another case",
			body:       `{"method":"tools/call","params":{"name":"write"},"Params":{"name":"read"}}`,
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:write",
		},
		{
			name:       "name of another case",
			body:       `{"method":"tools/call","params":{"name":"write","NAME":"read"}}`,
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:write",
		},
		{
			name:       "a URI next to the name",
			body:       `{"method":"tools/call","params":{"name":"write","uri":"x"}}`,
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:write",
		},
		{
			name:       "two names",
			body:       `{"method":"tools/call","params":{"name":"write","name":"read"}}`,
			wantReason: "body_malformed",
		},
		{
			name:       "two names, the last of them null",
			body:       `{"method":"tools/call","params":{"name":"write","name":null}}`,
			wantReason: "body_malformed",
		},
		{
			name:       "two names, one of them escaped",
			body:       `{"method":"tools/call","params":{"name":"write","n\u0061me":null}}`,
			wantReason: "body_malformed",
		},
		{
			name:       "two URIs",
			body:       `{"method":"resources/read","params":{"uri":"notes://all","uri":null}}`,
			wantReason: "body_malformed",
		},
		{
			name:       "two methods",
			body:       `{"method":"tools/call","method":null,"params":{"name":"write"}}`,
			wantReason: "body_malformed",
		},
		{
			name:       "params twice",
			body:       `{"method":"tools/call","params":{"name":"write"},"params":null}`,
			wantReason: "body_malformed",
		},
		{
			name:       "more members than allowed",
			body:       `{"method":"tools/list"` + members(128) + `}`,
			wantReason: "body_malformed",
		},
		{name: "many members", body: `{"method":"tools/list"` + members(127) + `}`},
		{
			name:       "params with more members than allowed",
			body:       `{"method":"tools/call","params":{"name":"read"` + members(128) + `}}`,
			wantReason: "body_malformed",
		},
		{name: "no name", body: `{"method":"tools/call","params":{"name":null}}`},
		{
			name:       "two arguments of one name",
			body:       `{"method":"tools/call","params":{"name":"read","arguments":{"a":1,"a":2}}}`,
			wantReason: "body_malformed",
		},
		{
			name:       "not UTF-8",
			body:       "{\"method\":\"tools/call\",\"params\":{\"name\":\"read\xff\"}}",
			wantReason: "body_malformed",
		},
		{
			name:       "nested deeply",
			body:       nested(1000),
			wantReason: "body_malformed",
		},
		{
			name: "nested a little",
			body: nested(20),
		},
		{name: "null", body: "null", wantReason: "body_malformed"},
		{name: "string", body: `"tools/call"`, wantReason: "body_malformed"},
		{name: "nothing", body: " ", wantReason: "body_malformed"},
		{
			name:       "escaped name",
			body:       `{"method":"tools/c\u0061ll","params":{"name":"wr\u0069te"}}`,
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:write",
		},
		{
			name:       "subscription to a resource",
			body:       `{"method":"resources/subscribe","params":{"uri":"notes://all"}}`,
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:read",
		},
		{
			name:       "listening to a resource",
			body:       listen(`"resourceSubscriptions":["notes://one",null,"notes://all"]`),
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:read",
		},
		{
			name: "listening to other resources",
			body: listen(`"toolsListChanged":true,"resourceSubscriptions":["notes://one"]`),
		},
		{
			name: "listening to nothing",
			body: listen(`"resourceSubscriptions":null`),
		},
		{
			name:       "listening twice",
			body:       listen(`"resourceSubscriptions":["notes://all"],"resourceSubscriptions":null`),
			wantReason: "body_malformed",
		},
		{
			name:       "listening, no list",
			body:       listen(`"resourceSubscriptions":"notes://all"`),
			wantReason: "body_malformed",
		},
		{
			name:       "completion for a prompt",
			body:       `{"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"draft"}}}`,
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:draft",
		},
		{
			name:       "completion for a resource",
			body:       `{"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"notes://all"}}}`,
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:read",
		},
		{
			name: "completion for others",
			body: `{"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"other","uri":"notes://all"}}}`,
		},
		{
			name:       "completion for a name that is not a string",
			body:       `{"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":["draft"]}}}`,
			wantReason: "body_malformed",
		},
		{name: "trailing bytes", body: call("write") + "x", wantReason: "body_malformed"},
		{name: "two messages", body: call("read") + call("write"), wantReason: "body_malformed"},
		{
			name:       "name that is not a string",
			body:       `{"method":"tools/call","params":{"name":["write"]}}`,
			wantReason: "body_malformed",
		},
		{name: "no params", body: `{"method":"tools/call"}`, wantReason: "body_malformed"},
		{name: "batch in a batch", body: "[[" + call("write") + "]]", wantReason: "body_malformed"},
		{name: "answer to the server", body: `{"jsonrpc":"2.0","id":1,"result":{}}`},
		{
			name:       "batch with one scope missing",
			body:       "[" + call("read") + "," + call("write") + "]",
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:write",
		},
		{
			name:       "batch, union of the missing",
			body:       "[" + call("write") + `,{"method":"prompts/get","params":{"name":"draft"}}]`,
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:write notes:draft",
		},
		{name: "batch that is allowed", body: "\n [" + call("read") + "," + call("read") + "]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			handler := newGuard(t, is, requirements).Wrap(behind)
			resp := send(handler, request{body: test.body, header: bearer(is.token(resource, test.changes...))})
			row := reasonRow(test.wantReason)
			if resp.StatusCode != row.Status {
				t.Errorf("status %d, want %d", resp.StatusCode, row.Status)
			}
			want := ""
			if test.wantScope != "" {
				want = `Bearer resource_metadata="` + metadataURL + `", scope="` + test.wantScope +
					`", error="insufficient_scope", error_description="` + row.Phrase + `"`
			}
			if got := resp.Header.Get("WWW-Authenticate"); got != want {
				t.Errorf("challenge\n got %s\nwant %s", got, want)
			}
		})
	}
}

// reasonRow returns the description of reason, or one with status 200 if reason is empty.
func reasonRow(reason gatehouse.Reason) gatehouse.ReasonInfo {
	for _, row := range gatehouse.Reasons() {
		if row.Reason == reason {
			return row
		}
	}
	return gatehouse.ReasonInfo{Status: 200}
}

func TestImpliedScopes(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is, func(cfg *gatehouse.Config) {
		cfg.RequiredScopes = []string{"notes:read"}
		cfg.Requirements = []gatehouse.Requirement{{Tool: "write", Scopes: []string{"notes:write"}}}
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
		{"loop", "{}", "notes:read profile email"},
		{"notes", "{}", "notes:read profile email"},
		{"notes:administrator", "{}", "notes:read profile email"},
	}
	for _, test := range tests {
		resp := send(handler, request{body: test.body, header: bearer(is.token(resource, change{"claims", "scope", test.scopes}))})
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
		withScope := is.token(resource, change{"claims", "scope", "notes"})
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
