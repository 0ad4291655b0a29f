package gatehouse_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
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
			body:       `{"method":"tools/call","params":{"name":"read","arguments":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}`,
			wantReason: "body_malformed",
		},
		{
			name: "nested a little",
			body: `{"method":"tools/call","params":{"name":"read","arguments":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}}`,
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
			body:       `{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["notes://one",null,"notes://all"]}}}`,
			wantReason: "insufficient_scope",
			wantScope:  "profile email notes:read",
		},
		{
			name: "listening to other resources",
			body: `{"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["notes://one"]}}}`,
		},
		{
			name: "listening to nothing",
			body: `{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":null}}}`,
		},
		{
			name:       "listening twice",
			body:       `{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["notes://all"],"resourceSubscriptions":null}}}`,
			wantReason: "body_malformed",
		},
		{
			name:       "listening, no list",
			body:       `{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":"notes://all"}}}`,
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
				want = `Bearer resource_metadata="` + metadataURL + `", scope="` + test.wantScope + `", error="insufficient_scope", error_description="` + row.Phrase + `"`
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
		cfg.ImpliedScopes = map[string][]string{"notes:admin": {"notes:write"}, "notes:write": {"notes:read"}, "loop": {"pool"}, "pool": {"loop"}}
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
		if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != want || test.wantScope != "" && !strings.Contains(got, `scope="`+test.wantScope+`"`) {
			t.Errorf("%q, %s: status %d, challenge %s; want %d and scope %q", test.scopes, test.body, resp.StatusCode, got, want, test.wantScope)
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
		if resp := send(handler, request{method: method, header: bearer(is.token(resource, change{"claims", "scope", "notes"}))}); resp.StatusCode != 200 {
			t.Errorf("%s with it: status %d, want 200", method, resp.StatusCode)
		}
	}
}

func TestBodyIsBoundedAndWhole(t *testing.T) {
	is := newIssuer(t)
	var got int
	handler := newGuard(t, is, requirements).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 8<<20)
		for {
			n, err := r.Body.Read(buf)
			got += n
			if err != nil {
				return
			}
		}
	}))
	header := bearer(is.token(resource))
	text := `{"method":"tools/call","params":{"name":"read","arguments":"` + strings.Repeat("x", 1<<20) + `"}}`
	if resp := send(handler, request{body: text, header: header}); resp.StatusCode != 200 || got != len(text) {
		t.Errorf("status %d, handler read %d bytes; want 200 and %d", resp.StatusCode, got, len(text))
	}
	if resp := send(handler, request{body: strings.Repeat("x", 4<<20+1), header: header}); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over the limit: status %d, want 413", resp.StatusCode)
	}
}

// deadlines records the read deadlines that are set on a connection.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// TestBodyDeadline: the deadline of a body is removed at its end, and a request without a
// body has none, since it would also end the answer, which may be a stream.
func TestBodyDeadline(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	}))
	for text, want := range map[string]int{`{"jsonrpc":"2.0"}`: 2, "": 0} {
		r := request{body: text, header: bearer(is.token(resource))}.make()
		if text == "" {
			r.Body = http.NoBody
		}
		w := &deadlines{ResponseWriter: httptest.NewRecorder()}
		handler.ServeHTTP(w, r)
		if len(w.set) != want || want == 2 && (w.set[0].IsZero() || !w.set[1].IsZero()) {
			t.Errorf("body %q: deadlines %v, want %d of which the last is zero", text, w.set, want)
		}
	}
}

// TestMiddlewareEnforcesRequirements calls the server directly, as if the check of the HTTP
// request had read another operation.
func TestMiddlewareEnforcesRequirements(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, requirements)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	for _, name := range []string{"read", "write", "purge", "team"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{}, nil, nil
		})
	}
	var info *auth.TokenInfo // of the caller; nil as on stdio
	server.AddReceivingMiddleware(guard.Middleware())
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			switch r := req.(type) {
			case *mcp.CallToolRequest:
				r.Extra = &mcp.RequestExtra{TokenInfo: info}
			case *mcp.ListToolsRequest:
				r.Extra = &mcp.RequestExtra{TokenInfo: info}
			}
			return next(ctx, method, req)
		}
	})
	here, there := mcp.NewInMemoryTransports()
	if _, err := server.Connect(t.Context(), there, nil); err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(), here, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()

	sign := func(changes ...change) *auth.TokenInfo {
		info, err := guard.Verify(t.Context(), is.token(resource, changes...), nil)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	tests := []struct {
		name      string
		info      *auth.TokenInfo
		allowed   []string
		listed    []string
		wantError int64
	}{
		{"no caller", nil, []string{"read"}, []string{"read", "team", "write"}, -32040},
		{"without scopes", sign(), []string{"read"}, []string{"read", "team", "write"}, -32040},
		{"with the scope", sign(change{"claims", "scope", "notes:write"}), []string{"read", "write"}, []string{"read", "team", "write"}, -32040},
		{"an admin in a team", sign(change{"claims", "scope", "notes:write"}, change{"claims", "roles", []string{"admin"}}, change{"claims", "org_id", "org_1"}),
			[]string{"purge", "read", "team", "write"}, []string{"purge", "read", "team", "write"}, 0},
	}
	for _, test := range tests {
		info = test.info
		for _, tool := range []string{"purge", "read", "team", "write"} {
			_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
			var rejected *jsonrpc.Error
			switch {
			case slices.Contains(test.allowed, tool) && err != nil:
				t.Errorf("%s: %s: %v", test.name, tool, err)
			case !slices.Contains(test.allowed, tool) && (!errors.As(err, &rejected) || rejected.Code != test.wantError):
				t.Errorf("%s: %s: got %v, want code %d", test.name, tool, err, test.wantError)
			}
		}
		list, err := session.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tool := range list.Tools {
			names = append(names, tool.Name)
		}
		slices.Sort(names)
		if !slices.Equal(names, test.listed) || list.CacheScope != "private" {
			t.Errorf("%s: list %q with scope %q, want %q and private", test.name, names, list.CacheScope, test.listed)
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

// TestMiddlewareProtectsEveryUseOfAResource: a caller who may not read a resource may
// neither subscribe to it nor complete its arguments. The guard of the HTTP request has no
// requirements, so that the middleware alone rejects.
func TestMiddlewareProtectsEveryUseOfAResource(t *testing.T) {
	is := newIssuer(t)
	open, strict := newGuard(t, is), newGuard(t, is, requirements)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{}}}, nil
		},
	})
	server.AddResource(&mcp.Resource{URI: "notes://all", Name: "all"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "notes://all", Text: "x"}}}, nil
	})
	server.AddReceivingMiddleware(strict.Middleware())
	web := httptest.NewServer(open.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})))
	defer web.Close()

	// first returns the first message of the answer.
	first := func(method, name, params string, changes ...change) string {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		body := `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params +
			`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, web.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.Header = "localhost:3000", bearer(is.token(resource, changes...))
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
			"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": name,
		} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if strings.Contains(lines.Text(), "{") {
				return lines.Text()
			}
		}
		t.Fatalf("%s: status %d without a message", method, resp.StatusCode)
		return ""
	}
	const rejected = "-32040"
	for _, way := range []struct{ method, name, params string }{
		{"resources/read", "notes://all", `"uri":"notes://all"`},
		{"subscriptions/listen", "", `"notifications":{"resourceSubscriptions":["notes://all"]}`},
		{"completion/complete", "", `"ref":{"type":"ref/resource","uri":"notes://all"},"argument":{"name":"a","value":""}`},
	} {
		if got := first(way.method, way.name, way.params); !strings.Contains(got, rejected) {
			t.Errorf("%s without the scope: %s, want code %s", way.method, got, rejected)
		}
		if got := first(way.method, way.name, way.params, change{"claims", "scope", "notes:read"}); strings.Contains(got, `"error"`) {
			t.Errorf("%s with the scope: %s", way.method, got)
		}
	}
}
