package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/teststream"
)

// lists are the answers of a backend to each list.
var lists = map[string]string{
	"tools/list": `{"tools":[{"name":"open","inputSchema":{"type":"object","properties":{"a":{"const":"<&>"}}}},{"name":"admin"},{"name":"write"}],` +
		`"nextCursor":"2","cacheScope":"public"}`,
	"prompts/list":             `{"prompts":[{"name":"open"},{"name":"admin"}]}`,
	"resources/list":           `{"resources":[{"uri":"notes://open","name":"x"},{"uri":"notes://admin","name":"x"}]}`,
	"resources/templates/list": `{"resourceTemplates":[{"uriTemplate":"notes://open/{n}","name":"x"},{"uriTemplate":"notes://admin/{n}","name":"x"}]}`,
}

// withRequirements gives everything that is called admin a role, and write a scope.
func withRequirements(_ *fixture, e *gateway.Endpoint) {
	admin := gatehouse.Require{Roles: []string{"admin"}}
	e.Guard.Requirements = []gatehouse.Requirement{
		{Tool: "admin", Require: admin}, {Prompt: "admin", Require: admin}, {Resource: "notes://admin", Require: admin},
		{ResourceTemplate: "notes://admin/{n}", Require: admin}, {Tool: "write", Require: gatehouse.Require{Scopes: []string{"notes:write"}}},
	}
}

// listing makes the backend answer lists, as JSON or as an event stream.
func (b *backend) listing(stream bool, answers map[string]string) {
	b.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
		var m struct{ Method string }
		json.Unmarshal([]byte(body), &m)
		text := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":%s}`, answers[m.Method])
		if !stream {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, text)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, ": comment\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n")
		io.WriteString(w, "event: message\r\nid: 7\r\ndata: "+text+"\r\n\r\n")
	}
}

// listed returns the names in the answer to a list, and the whole result.
func listed(t *testing.T, text string) (names []string, result map[string]any) {
	t.Helper()
	var message struct {
		Result map[string]any `json:"result"`
	}
	if err := json.Unmarshal([]byte(text), &message); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	for _, list := range message.Result {
		items, _ := list.([]any)
		for _, item := range items {
			members := item.(map[string]any)
			for _, name := range []string{"uriTemplate", "uri", "name"} {
				if members[name] != nil {
					names = append(names, members[name].(string))
					break
				}
			}
		}
	}
	return names, message.Result
}

func TestListsAreFiltered(t *testing.T) {
	want := map[string][2][]string{ // by method: for a user, for an admin
		"tools/list":               {{"open", "write"}, {"open", "admin", "write"}},
		"prompts/list":             {{"open"}, {"open", "admin"}},
		"resources/list":           {{"notes://open"}, {"notes://open", "notes://admin"}},
		"resources/templates/list": {{"notes://open/{n}"}, {"notes://open/{n}", "notes://admin/{n}"}},
	}
	f := newFixture(t, withRequirements)
	for _, stream := range []bool{false, true} {
		f.backend.listing(stream, lists)
		for method, names := range want {
			for i, roles := range [][]string{{"user"}, {"admin"}} {
				body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q}`, method)
				got := f.do(t, http.MethodPost, body, "Authorization", "Bearer "+f.token(testissuer.Claim("roles", roles)), "Accept-Encoding", "gzip")
				wantOK(t, got)
				text := got.body
				if stream {
					text = lastEvent(t, got.body)
				}
				list, result := listed(t, text)
				if !slices.Equal(list, names[i]) {
					t.Errorf("%s, stream %v, roles %q: got %q, want %q", method, stream, roles, list, names[i])
				}
				if method != "tools/list" {
					continue
				}
				if result["cacheScope"] != "private" || result["nextCursor"] != "2" || !strings.Contains(text, `"const":"<&>"`) {
					t.Errorf("the list is %s, want it private for caches and otherwise unchanged", text)
				}
			}
		}
	}
}

func lastEvent(t *testing.T, text string) string {
	t.Helper()
	reader := teststream.NewReader(strings.NewReader(text))
	var last teststream.Event
	count := 0
	for {
		event, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		last = event
		count++
	}
	if count != 2 || last.ID != "7" || last.Name != "message" || !strings.HasPrefix(text, ": comment\n") {
		t.Errorf("got %d events, the last with ID %q and name %q, want 2, 7 and message after the comment: %q", count, last.ID, last.Name, text)
	}
	return last.Data
}

// In revision 2026-07-28 every list and every resource that depends on the caller is private.
func TestCacheScope(t *testing.T) {
	f := newFixture(t, withRequirements)
	f.backend.listing(false, map[string]string{
		"prompts/list": lists["prompts/list"], "resources/read": `{"contents":[],"cacheScope":"public"}`, "tools/call": `{"content":[],"tools":[{"x":1}]}`,
	})
	for _, test := range []struct {
		method, name, version, params string
		private                       bool
	}{
		{"prompts/list", "", "2026-07-28", "{}", true},
		{"prompts/list", "", "2025-11-25", "{}", false},
		{"resources/read", "notes://open", "2026-07-28", `{"uri":"notes://open"}`, true},
		{"tools/call", "open", "2026-07-28", `{"name":"open"}`, false},
	} {
		header := []string{"MCP-Protocol-Version", test.version}
		if test.version == "2026-07-28" {
			header = append(header, "Mcp-Method", test.method)
			if test.name != "" {
				header = append(header, "Mcp-Name", test.name)
			}
		}
		got := f.post(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, test.method, test.params), header...)
		wantOK(t, got)
		if private := strings.Contains(got.body, `"cacheScope":"private"`); private != test.private {
			t.Errorf("%s in %s: private is %v (%s), want %v", test.method, test.version, private, got.body, test.private)
		}
	}
}

// A list that cannot be read might show what the caller must not see.
func TestUnreadableLists(t *testing.T) {
	f := newFixture(t, withRequirements, func(_ *fixture, e *gateway.Endpoint) { e.MaxListBytes = 2000 })
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	padding := strings.Repeat(" ", 2000)
	for _, test := range []struct {
		name, answer, encoding string
		valid                  bool
	}{
		{"valid", `{"tools":[{"name":"admin"}]}`, "", true},
		{"empty", `{"tools":[]}`, "", true},
		{"not JSON", `{"tools":[{"name":"admin"`, "", false},
		{"an item without a name", `{"tools":[{"title":"admin"}]}`, "", false},
		{"an item that is a text", `{"tools":["admin"]}`, "", false},
		{"a name that is a number", `{"tools":[{"name":1}]}`, "", false},
		{"an object", `{"tools":{"name":"admin"}}`, "", false},
		{"two lists", `{"tools":[],"tools":[{"name":"admin"}]}`, "", false},
		{"two names", `{"tools":[{"name":"open","name":"admin"}]}`, "", false},
		{"too long", `{"tools":[{"name":"admin"}]}` + padding, "", false},
		{"compressed", `{"tools":[{"name":"admin"}]}`, "gzip", false},
	} {
		for _, stream := range []bool{false, true} {
			f.backend.answer = func(w http.ResponseWriter, _ *http.Request, _ string) {
				text := `{"jsonrpc":"2.0","id":1,"result":` + test.answer + `}`
				w.Header().Set("Content-Type", "application/json")
				if stream {
					w.Header().Set("Content-Type", "text/event-stream")
					text = "data: " + text + "\n\n"
				}
				if test.encoding != "" {
					w.Header().Set("Content-Encoding", test.encoding)
				}
				io.WriteString(w, text)
			}
			got := f.do(t, http.MethodPost, list, "Authorization", "Bearer "+f.token(testissuer.Claim("roles", []string{"user"})))
			if strings.Contains(got.body, "admin") {
				t.Errorf("%s, stream %v: the client got %s", test.name, stream, got.body)
			}
			unreadable := strings.Contains(got.body, "upstream_list_unreadable") && strings.Contains(got.body, `"id":1`)
			if unreadable == test.valid {
				t.Errorf("%s, stream %v: got %d %s, want valid: %v", test.name, stream, got.status, got.body, test.valid)
			}
			if !stream && !test.valid {
				wantReason(t, got, http.StatusBadGateway, "upstream_list_unreadable")
			}
		}
	}
}

// A stream that is resumed may deliver an earlier list again.
func TestListsInResumedStreams(t *testing.T) {
	f := newFixture(t, withRequirements)
	f.backend.listing(true, map[string]string{"": lists["prompts/list"]})
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	f.backend.listing(false, lists)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} { // a backend may read the body of any
		got := f.do(t, method, body, "Authorization", "Bearer "+f.token(testissuer.Claim("roles", []string{"user"})))
		if names, _ := listed(t, got.body); slices.Contains(names, "admin") {
			t.Errorf("%s with a message: got %q", method, names)
		}
	}
	f.backend.listing(true, map[string]string{"": lists["prompts/list"]})
	for _, roles := range [][]string{{"user"}, {"admin"}} {
		got := f.do(t, http.MethodGet, "", "Authorization", "Bearer "+f.token(testissuer.Claim("roles", roles)), "Last-Event-ID", "6")
		names, _ := listed(t, lastEvent(t, got.body))
		if slices.Contains(names, "admin") != slices.Contains(roles, "admin") {
			t.Errorf("roles %q: got %q", roles, names)
		}
	}
}

// With ShowLocked, nothing is removed and nothing is changed.
func TestShowLocked(t *testing.T) {
	f := newFixture(t, withRequirements, func(_ *fixture, e *gateway.Endpoint) { e.Guard.ShowLocked = true })
	f.backend.listing(false, lists)
	for range 2 {
		got := f.post(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		if want := `{"jsonrpc":"2.0","id":1,"result":` + lists["tools/list"] + `}`; got.body != want {
			t.Errorf("got %s, want the answer of the backend", got.body)
		}
	}
}

// A requirement whose name the backend does not list is reported once.
func TestUnlistedNamesAreReported(t *testing.T) {
	f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) {
		scopes := gatehouse.Require{Scopes: []string{"x"}}
		e.Guard.Requirements = []gatehouse.Requirement{
			{Tool: "wriet", Require: scopes}, {Tool: "write", Require: scopes}, {Prompt: "opne", Require: scopes},
			{Resource: "notes://nothing", Require: scopes}, {ResourceTemplate: "notes://open/{n}", Require: scopes},
		}
	})
	complete := map[string]string{
		"tools/list": `{"tools":[{"name":"write"}]}`, "prompts/list": lists["prompts/list"],
		"resources/list": lists["resources/list"], "resources/templates/list": lists["resources/templates/list"],
	}
	ask := func(method string) {
		wantOK(t, f.post(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q}`, method)))
	}
	f.backend.listing(false, map[string]string{"tools/list": `{"tools":[{"name":"read"}],"nextCursor":"2"}`})
	ask("tools/list")
	if n := len(f.gateway.Guards()[0].UnlistedRequirements()); n != 0 {
		t.Errorf("%d names are reported after the first page of a list, want none", n)
	}
	f.backend.listing(false, complete)
	for range 2 {
		for method := range complete {
			ask(method)
		}
	}
	want := []string{`Requirements[0]: tool "wriet"`, `Requirements[2]: prompt "opne"`, `Requirements[3]: resource "notes://nothing"`}
	got := f.gateway.Guards()[0].UnlistedRequirements()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := strings.Count(f.log.String(), "a requirement protects nothing"); n != 3 || !strings.Contains(f.log.String(), `"nearest":"write"`) {
		t.Errorf("the log has %d lines, want 3, one with the nearest name:\n%s", n, f.log)
	}
}

// The requirements of the file hold for calls.
func TestRequirements(t *testing.T) {
	f := newFixture(t, withRequirements)
	of := func(tool string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q}}`, tool)
	}
	as := func(tool string, changes ...testissuer.Change) answer {
		return f.do(t, http.MethodPost, of(tool), "Authorization", "Bearer "+f.token(changes...))
	}
	wantOK(t, as("open"))
	wantReason(t, as("admin"), http.StatusForbidden, "insufficient_permission")
	wantOK(t, as("admin", testissuer.Claim("roles", []string{"admin"})))
	got := as("write")
	wantReason(t, got, http.StatusForbidden, "insufficient_scope")
	if !strings.Contains(got.header.Get("WWW-Authenticate"), "notes:write") {
		t.Errorf("the challenge is %q, want it to name notes:write", got.header.Get("WWW-Authenticate"))
	}
	wantOK(t, as("write", testissuer.Claim("scope", "notes:write")))

	closed := newFixture(t, withRequirements, func(_ *fixture, e *gateway.Endpoint) { e.Guard.DenyUndeclared = true })
	f = closed
	wantReason(t, as("open"), http.StatusForbidden, "insufficient_permission")
	wantOK(t, as("write", testissuer.Claim("scope", "notes:write")))
}

// A caller without a token reaches what is public, and the backend gets no identity.
func TestPublicOperations(t *testing.T) {
	f := newFixture(t, withRequirements, func(_ *fixture, e *gateway.Endpoint) {
		e.Guard.Requirements = append(e.Guard.Requirements, gatehouse.Requirement{Tool: "open", Require: gatehouse.Require{Public: true}})
	})
	wantOK(t, f.do(t, http.MethodPost, strings.Replace(call, "whoami", "open", 1), "X-Forwarded-User", "evil", "X-Gatehouse-Assertion", "evil"))
	for name := range f.backend.last(t).Header {
		if strings.HasPrefix(name, "X-Forwarded-User") || name == "X-Gatehouse-Assertion" {
			t.Errorf("the backend got %s of a caller without a token", name)
		}
	}
	wantReason(t, f.do(t, http.MethodPost, call), http.StatusUnauthorized, "no_credentials")
	wantOK(t, f.post(t, strings.Replace(call, "whoami", "open", 1)))
	if got := f.backend.last(t).Header.Get("X-Forwarded-User"); got != "user_ada" {
		t.Errorf("X-Forwarded-User of a caller with a token is %q, want user_ada", got)
	}
	f.backend.listing(false, lists)
	got := f.do(t, http.MethodPost, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	if names, _ := listed(t, got.body); slices.Contains(names, "admin") {
		t.Errorf("a caller without a token sees %q, want no tool of admins", names)
	}
}
