package gatehouse_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// publicRequirements declares a public tool, prompt, resource and template next to protected ones.
func publicRequirements(cfg *gatehouse.Config) {
	withRoles(cfg)
	public, scoped := gatehouse.Require{Public: true}, gatehouse.Require{Scopes: []string{"notes:write"}}
	cfg.Requirements = []gatehouse.Requirement{
		{Tool: "open", Require: public},
		{Tool: "both", Require: public},
		{Tool: "both", Require: scoped},
		{Tool: "write", Require: scoped},
		{Tool: "purge", Require: gatehouse.Require{Roles: []string{"admin"}}},
		{Tool: "signed_in", Require: gatehouse.Require{SignedIn: true}},
		{Prompt: "open", Require: public},
		{Resource: "notes://open", Require: public},
		{ResourceTemplate: "notes://pages/{name}", Require: public},
		{ResourceTemplate: "notes://pages/secret{/rest*}", Require: scoped},
	}
}

func rpc(method, params string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params + `}}`
}

// Without a token, what is public can be used, and lists; everything else asks to sign in.
func TestPublicOperations(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, publicRequirements)
	handler := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := gatehouse.IdentityOfHTTP(r); ok {
			t.Errorf("got identity %v, want none", id)
		}
		if info := auth.TokenInfoFromContext(r.Context()); info != nil {
			t.Errorf("got TokenInfo %v, want none", info)
		}
		if got := r.Header["Authorization"]; got != nil {
			t.Errorf("got Authorization %q, want none", got)
		}
	}))
	for _, test := range []struct {
		name string
		rq   request
		want gatehouse.Reason // empty means that the handler is called
	}{
		{"the public tool", request{body: call("open")}, ""},
		{"the public prompt", request{body: rpc("prompts/get", `"name":"open"`)}, ""},
		{"the public resource", request{body: rpc("resources/read", `"uri":"notes://open"`)}, ""},
		{"the public template", request{body: rpc("resources/read", `"uri":"notes://pages/a"`)}, ""},
		{"completion for the public prompt", request{body: rpc("completion/complete", `"ref":{"type":"ref/prompt","name":"open"}`)}, ""},
		{"subscription to the public resource", request{body: rpc("resources/subscribe", `"uri":"notes://open"`)}, ""},
		{"initialize", request{body: initializeBody}, ""},
		{"ping", request{body: pingBody}, ""},
		{"tools/list", request{body: rpc("tools/list", "")}, ""},
		{"notification", request{body: `{"jsonrpc":"2.0","method":"notifications/initialized"}`}, ""},
		{"response to the server", request{body: `{"jsonrpc":"2.0","id":1,"result":{}}`}, ""},
		{"batch of public ones", request{body: "[" + call("open") + "," + pingBody + "]"}, ""},

		{"a tool with a scope", request{body: call("write")}, "no_credentials"},
		{"a tool with a role", request{body: call("purge")}, "no_credentials"},
		{"a tool for those who signed in", request{body: call("signed_in")}, "no_credentials"},
		{"a tool without a requirement", request{body: call("other")}, "no_credentials"},
		{"a tool that has a second requirement", request{body: call("both")}, "no_credentials"},
		{"a tool with the name of the public prompt", request{body: rpc("prompts/get", `"name":"write"`)}, "no_credentials"},
		{"another case", request{body: call("Open")}, "no_credentials"},
		{"another prompt", request{body: rpc("prompts/get", `"name":"other"`)}, "no_credentials"},
		{"another resource", request{body: rpc("resources/read", `"uri":"notes://other"`)}, "no_credentials"},
		{"a template in a template", request{body: rpc("resources/read", `"uri":"notes://pages/secret"`)}, "no_credentials"},
		{"another spelling", request{body: rpc("resources/read", `"uri":"notes://%6fpen"`)}, "resource_spelling"},
		{"completion for another prompt", request{body: rpc("completion/complete", `"ref":{"type":"ref/prompt","name":"x"}`)}, "no_credentials"},
		{"subscription to another resource", request{body: rpc("resources/subscribe", `"uri":"notes://other"`)}, "no_credentials"},
		{"stream with another resource", request{
			body: rpc("subscriptions/listen", `"notifications":{"resourceSubscriptions":["notes://open","notes://other"]}`),
		}, "no_credentials"},
		{"the result of a task", request{body: rpc("tasks/result", `"taskId":"1"`)}, "no_credentials"},
		{"an unknown method", request{body: rpc("x/y", "")}, "no_credentials"},
		{"batch with one more", request{body: "[" + call("open") + "," + call("write") + "]"}, "no_credentials"},
		{"a name that appears twice", request{body: rpc("tools/call", `"name":"open","name":"write"`)}, "no_credentials"},
		{"text", request{body: "open"}, "no_credentials"},
		{"nothing", request{}, "no_credentials"},
		{"PUT", request{method: http.MethodPut, body: call("open")}, "no_credentials"},
		{"GET without a session", request{method: http.MethodGet}, "no_credentials"},
		{"DELETE without a session", request{method: http.MethodDelete}, "no_credentials"},
		{"HEAD", request{method: http.MethodHead}, "no_credentials"},
		{"compressed", request{body: call("open"), header: http.Header{"Content-Encoding": {"gzip"}}}, "no_credentials"},
		{"another scheme", request{body: call("open"), header: http.Header{"Authorization": {"Basic YTpi"}}}, "wrong_scheme"},
		{"an invalid token", request{body: call("open"), header: bearer(is.token("https://other.example/mcp"))}, "wrong_audience"},
		{"a token in the query", request{body: call("open"), target: "/mcp?access_token=x"}, "token_in_query"},
		{"a page of another origin", request{body: call("open"), header: http.Header{"Origin": {"https://evil.example"}}}, "forbidden_origin"},
		{"a host of another machine", request{body: call("open"), host: "evil.example"}, "forbidden_host"},
	} {
		resp := send(handler, test.rq)
		text := body(t, resp)
		if test.want == "" {
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: got status %d %s, want 200", test.name, resp.StatusCode, text)
			}
			continue
		}
		info := infoOf(test.want)
		if resp.StatusCode != info.Status || test.rq.method != http.MethodHead && !strings.Contains(text, string(test.want)) {
			t.Errorf("%s: got status %d %s, want %d %s", test.name, resp.StatusCode, text, info.Status, test.want)
		}
		if c := resp.Header.Get("WWW-Authenticate"); test.want == "no_credentials" && !strings.HasPrefix(c, "Bearer resource_metadata=") {
			t.Errorf("%s: got challenge %q", test.name, c)
		}
	}
	// The same requests with a valid token: the identity is there, and scopes count.
	for name, want := range map[string]gatehouse.Reason{"open": "", "other": "", "write": "insufficient_scope"} {
		wantAnswer(t, name, guard, is.token(resource), call(name), want, "")
	}
}

// Without a public operation, a request without a token is rejected, whatever it asks for.
func TestNothingIsPublic(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, requirements)
	handler := guard.Wrap(behind)
	for _, text := range []string{initializeBody, pingBody, call("open")} {
		if resp := send(handler, request{body: text}); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: got status %d, want 401", text, resp.StatusCode)
		}
	}
	guard.ProtectTool(&mcp.Tool{Name: "open"}, gatehouse.Require{Public: true})
	if resp := send(handler, request{body: call("open")}); resp.StatusCode != http.StatusOK {
		t.Errorf("after the declaration: got status %d, want 200", resp.StatusCode)
	}
}

// While verification is disabled, callers without a token must come from this machine too.
func TestPublicWithoutVerification(t *testing.T) {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:     resource,
		Provider:     gatehouse.Provider{Name: "none", Issuer: "https://issuer.example.com", DangerouslySkipVerification: true},
		Requirements: []gatehouse.Requirement{{Tool: "open", Require: gatehouse.Require{Public: true}}},
		Logger:       quiet(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for local, want := range map[string]int{"127.0.0.1:3000": http.StatusOK, "192.0.2.1:3000": http.StatusForbidden} {
		if resp := send(guard.Wrap(behind), request{body: call("open"), local: local}); resp.StatusCode != want {
			t.Errorf("%s: got status %d, want %d", local, resp.StatusCode, want)
		}
	}
}

func TestPublicFaults(t *testing.T) {
	is := newIssuer(t)
	for name, test := range map[string]struct {
		configure func(*gatehouse.Config)
		want      string // empty means that it is valid
	}{
		"control": {publicRequirements, ""},
		"default": {func(cfg *gatehouse.Config) { cfg.Default.Public = true }, "Default.Public would let callers without a token use everything"},
		"with a scope": {func(cfg *gatehouse.Config) {
			cfg.Requirements = []gatehouse.Requirement{{Tool: "a", Require: gatehouse.Require{Public: true, Scopes: []string{"s"}}}}
		}, "Requirements[0].Public is set in addition to other fields"},
		"with SignedIn": {func(cfg *gatehouse.Config) {
			cfg.Requirements = []gatehouse.Requirement{{Tool: "a", Require: gatehouse.Require{Public: true, SignedIn: true}}}
		}, "Requirements[0].Public is set in addition to other fields"},
		"in an alternative": {func(cfg *gatehouse.Config) {
			cfg.Requirements = []gatehouse.Requirement{{Tool: "a", Require: gatehouse.Require{
				AnyOf: []gatehouse.Require{{Public: true}, {Scopes: []string{"s"}}},
			}}}
		}, "Requirements[0].AnyOf[0] requires nothing"},
	} {
		cfg := gatehouse.Config{Resource: resource, Provider: is.provider(), Logger: quiet()}
		test.configure(&cfg)
		_, err := gatehouse.New(cfg)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// A session that was opened without a token goes on after the sign-in, and then belongs to the
// user who signed in.
func TestSessionThatWasOpenedWithoutAToken(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, publicRequirements)
	inner := &sessionHandler{}
	handler := guard.Wrap(inner)
	ask := func(token, session string) *http.Response {
		header := http.Header{"Mcp-Session-Id": {session}}
		if token != "" {
			header["Authorization"] = bearer(token)["Authorization"]
		}
		return send(handler, request{header: header, body: pingBody})
	}
	wantStatus := func(what string, resp *http.Response, want int) {
		t.Helper()
		if resp.StatusCode != want {
			t.Errorf("%s: got status %d, want %d", what, resp.StatusCode, want)
		}
	}
	ada, bob := is.token(resource, testissuer.Claim("sub", "ada")), is.token(resource, testissuer.Claim("sub", "bob"))
	session := send(handler, request{body: initializeBody}).Header.Get("Mcp-Session-Id")
	wantStatus("before the sign-in", ask("", session), http.StatusOK)
	wantStatus("ada", ask(ada, session), http.StatusOK)
	wantStatus("ada again", ask(ada, session), http.StatusOK)
	wantUnknownSession(t, "bob", ask(bob, session))
	wantUnknownSession(t, "without a token again", ask("", session))
	wantUnknownSession(t, "forged", ask(ada, "session-1.AAAAAAAAAAAAAAAAAAAAAA"))
	wantUnknownSession(t, "without a token in a session of ada", ask("", openSession(t, handler, ada)))
	for _, id := range inner.seen {
		if strings.Contains(id, ".") {
			t.Errorf("the handler got session %q", id)
		}
	}
	// The control: without public operations, there are no sessions to take over.
	other := newGuard(t, is, requirements, func(cfg *gatehouse.Config) { cfg.SessionKey = make([]byte, 32) })
	if got := send(other.Wrap(inner), request{body: initializeBody}).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("got status %d, want 401", got)
	}
}

// Callers without a token share half of the sessions, so that users can still open theirs.
func TestSessionsWithoutATokenAreBounded(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, publicRequirements, func(cfg *gatehouse.Config) { cfg.MaxSessions, cfg.MaxSessionsPerUser = 10, 2 })
	handler := guard.Wrap(&sessionHandler{})
	for i := range 5 {
		if resp := send(handler, request{body: initializeBody}); resp.StatusCode != http.StatusOK {
			t.Fatalf("session %d: got status %d", i, resp.StatusCode)
		}
	}
	resp := send(handler, request{body: initializeBody})
	if c := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(c, "Bearer resource_metadata=") {
		t.Errorf("one more: got status %d and challenge %q, want 401 with one", resp.StatusCode, c)
	}
	openSession(t, handler, is.token(resource))
}

// A stream without a token ends after an hour.
func TestStreamWithoutATokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard, err := gatehouse.New(gatehouse.Config{
			Resource:     resource,
			Provider:     gatehouse.Provider{Name: "none", Issuer: "https://issuer.example.com", DangerouslySkipVerification: true},
			Requirements: []gatehouse.Requirement{{Tool: "open", Require: gatehouse.Require{Public: true}}},
			Revoked:      func(id gatehouse.Identity) bool { panic("called without a token") },
			Logger:       quiet(),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer guard.Close()
		began := time.Now()
		send(guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })),
			request{body: rpc("subscriptions/listen", "")})
		if took := time.Since(began); took < time.Hour || took > time.Hour+5*time.Minute {
			t.Errorf("the stream was open for %s, want about an hour", took)
		}
	})
}

// publicServer is an MCP server with the tools of publicRequirements, behind the guard.
func publicServer(t *testing.T, guard *gatehouse.Guard, stateless bool) *httptest.Server {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	for _, name := range []string{"open", "both", "write", "purge", "signed_in", "other"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			id, ok := gatehouse.IdentityOf(req)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprint(id.Subject, ok)}}}, nil, nil
		})
	}
	server.AddReceivingMiddleware(guard.Middleware())
	web := httptest.NewServer(nil)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: stateless})
	web.Config.Handler = guard.Wrap(handler)
	t.Cleanup(web.Close)
	return web
}

// tokenTransport adds the token to requests, if there is one, and names the host of resource.
type tokenTransport struct{ token string }

func (tr *tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = "localhost:3000"
	if tr.token != "" {
		r.Header.Set("Authorization", "Bearer "+tr.token)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// A client of go-sdk lists and calls without a token, and then signs in within the session.
func TestPublicToolsWithAClient(t *testing.T) {
	is := newIssuer(t)
	for name, stateless := range map[string]bool{"with sessions": false, "stateless": true} {
		t.Run(name, func(t *testing.T) {
			web := publicServer(t, newGuard(t, is, publicRequirements), stateless)
			transport := &tokenTransport{}
			session, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(),
				&mcp.StreamableClientTransport{Endpoint: web.URL, HTTPClient: &http.Client{Transport: transport}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			names, _ := toolNames(t, session)
			if got := strings.Join(names, " "); got != "both open other signed_in write" {
				t.Errorf("got tools %s", got)
			}
			ask := func(tool string) (string, error) {
				result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
				if err != nil {
					return "", err
				}
				return result.Content[0].(*mcp.TextContent).Text, nil
			}
			if got, err := ask("open"); err != nil || got != "false" {
				t.Errorf("without a token: got %q, %v", got, err)
			}
			transport.token = is.token(resource, testissuer.Claim("scope", "notes:write"))
			for _, tool := range []string{"open", "write", "other"} {
				if got, err := ask(tool); err != nil || got != "user_1true" {
					t.Errorf("%s with a token: got %q, %v", tool, got, err)
				}
			}
		})
	}
}

// The middleware checks again what arrives by HTTP without a token, whatever a guard in front let
// in. What arrives in memory has no guard, and may do what has no requirement.
func TestMiddlewareChecksPublicOperations(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, publicRequirements)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	for _, name := range []string{"open", "both", "write", "other"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{}, nil, nil
		})
	}
	server.AddReceivingMiddleware(guard.Middleware())
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})
	web := httptest.NewServer(handler) // without the guard
	defer web.Close()
	http1, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(),
		&mcp.StreamableClientTransport{Endpoint: web.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer http1.Close()
	memory := connectTo(t, server)
	for name, want := range map[string]struct{ http, memory bool }{
		"open": {true, true}, "both": {false, false}, "write": {false, false}, "other": {false, true},
	} {
		for way, session := range map[string]*mcp.ClientSession{"http": http1, "memory": memory} {
			_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name})
			if allowed := map[string]bool{"http": want.http, "memory": want.memory}[way]; allowed != (err == nil) {
				t.Errorf("%s by %s: got %v, want allowed: %t", name, way, err, allowed)
			}
		}
	}
}

func TestAuditOfPublicOperations(t *testing.T) {
	is := newIssuer(t)
	e := auditOf(t, is, request{body: call("open")}, publicRequirements)
	if e.Decision != gatehouse.AuditAllow || e.Kind != "anonymous" || e.Issuer != "" || e.SubjectHash != "" {
		t.Errorf("got %+v", e)
	}
	e = auditOf(t, is, request{body: call("write")}, publicRequirements)
	if e.Decision != gatehouse.AuditDeny || e.Reason != "no_credentials" || e.Kind != "" {
		t.Errorf("got %+v", e)
	}
}
