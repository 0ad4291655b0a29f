package gatehouse_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// wantSignIn checks that resp asks to sign in.
func wantSignIn(t *testing.T, what string, resp *http.Response) {
	t.Helper()
	text := body(t, resp)
	if c := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized ||
		!strings.HasPrefix(c, "Bearer resource_metadata=") || !strings.Contains(text, `"reason":"no_credentials"`) {
		t.Errorf("%s: got status %d, challenge %q, %s; want 401 with a challenge", what, resp.StatusCode, c, text)
	}
}

// wantOK checks that the handler answered.
func wantOK(t *testing.T, what string, resp *http.Response) {
	t.Helper()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s: got status %d %s, want 200", what, resp.StatusCode, body(t, resp))
	}
}

// What is not a message of MCP that a client sends, is too much, or asks for more than a public
// result, needs a token. With one, the handler gets it.
func TestMessagesThatNeedAToken(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is, publicRequirements).Wrap(behind)
	repeat := func(n int, text string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(text+",", n), ",") + "]"
	}
	listen := func(n int) string {
		return rpc("subscriptions/listen", `"notifications":{"resourceSubscriptions":`+repeat(n, `"notes://open"`)+`}`)
	}
	padded := func(size int) string { return strings.Repeat(" ", size-len(call("open"))) + call("open") }
	for _, test := range []struct{ name, body, control string }{
		{"an object without members", `{}`, pingBody},
		{"an empty batch", `[]`, "[" + pingBody + "]"},
		{"neither method nor result", `{"jsonrpc":"2.0","id":1}`, `{"jsonrpc":"2.0","id":1,"result":{}}`},
		{"a result without an ID", `{"jsonrpc":"2.0","result":{}}`, `{"jsonrpc":"2.0","id":1,"error":{}}`},
		{"a notification that MCP does not have", `{"jsonrpc":"2.0","method":"notifications/acme"}`, `{"jsonrpc":"2.0","method":"notifications/cancelled"}`},
		{"a call as a task", rpc("tools/call", `"name":"open","task":{}`), rpc("tools/call", `"name":"open","task":null`)},
		{"a call as a task, in another case", rpc("tools/call", `"name":"open","Task":{}`), rpc("tools/call", `"name":"open","asks":{}`)},
		{"33 messages", repeat(33, pingBody), repeat(32, pingBody)},
		{"33 resources", listen(33), listen(32)},
		{"more than 256 KiB", padded(256<<10 + 1), padded(256 << 10)},
	} {
		wantSignIn(t, test.name, send(handler, request{body: test.body}))
		wantOK(t, test.name+": control", send(handler, request{body: test.control}))
		wantOK(t, test.name+": with a token", send(handler, request{body: test.body, header: bearer(is.token(resource))}))
	}
	empty := request{}.make()
	empty.Body = http.NoBody // as net/http has it
	wantSignIn(t, "no body", sendRaw(handler, empty))
}

// Of a body without a token, at most 256 KiB are read, and nothing if its length says that it is
// larger.
func TestBodiesWithoutATokenAreNotReadWhole(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is, publicRequirements).Wrap(behind)
	for name, test := range map[string]struct {
		length int64
		want   int
	}{"announced": {3 << 20, 0}, "chunked": {-1, 256<<10 + 1}} {
		r := request{body: call("open")}.make()
		read := &countedBody{Reader: strings.NewReader(strings.Repeat(" ", 3<<20))}
		r.Body, r.ContentLength = read, test.length
		wantSignIn(t, name, sendRaw(handler, r))
		if read.read != test.want {
			t.Errorf("%s: %d bytes were read, want %d", name, read.read, test.want)
		}
	}
}

// A public template opens what it names, and not what a program reads in its URIs: that may be a
// resource without a requirement, which needs a token.
func TestSpellingsOfPublicResources(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is, func(cfg *gatehouse.Config) {
		for _, template := range []string{"files:///public/{+path}", "notes://pages/{name}", "notes://dir/{name}/", "list://all{?page}", "urn:isbn:{id}"} {
			cfg.Requirements = append(cfg.Requirements, gatehouse.Requirement{
				ResourceTemplate: template, Require: gatehouse.Require{Public: true},
			})
		}
	}).Wrap(behind)
	read := func(uri string) request { return request{body: rpc("resources/read", `"uri":"`+uri+`"`)} }
	for _, uri := range []string{
		"files:///public/../secret", "files:///public/%2e%2e/secret", "files:///public/%252e%252e/secret", "files:///public/a/../../secret",
		"files:///public/..", `files:///public/..\\secret`, "files:///public/..%5csecret", "files:///public/..%00/../secret",
		"notes://pages/..%2fsecret", "notes://pages/%2e%2e", "notes://pages/a%2Fb",
	} {
		if resp := send(handler, read(uri)); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: got status %d, want 401", uri, resp.StatusCode)
		}
		wantOK(t, uri+" with a token", send(handler, request{body: read(uri).body, header: bearer(is.token(resource))}))
	}
	for _, uri := range []string{
		"files:///public/a", "files:///public/a/b.txt", "files:///public/a%20b", "files:///public/a/../b", "files:///public/a//b", "files:///public/a/",
		"notes://pages/a", "notes://pages/a%20b", "notes://pages/%C3%A9", "notes://dir/a/", "notes://dir/a%20b/", "list://all?page=2", "list://all",
		"urn:isbn:1", "urn:isbn:a%20b",
		"notes://pages/{name}", // in completions
	} {
		wantOK(t, uri, send(handler, read(uri)))
	}
}

// The handler gets no Authorization header from a caller without a token, not even an empty one.
func TestAnEmptyAuthorizationHeader(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is, publicRequirements).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got, ok := r.Header["Authorization"]; ok {
			t.Errorf("the handler got Authorization %q", got)
		}
	}))
	empty := http.Header{"Authorization": {""}}
	wantOK(t, "public", send(handler, request{body: call("open"), header: empty}))
	wantSignIn(t, "protected", send(handler, request{body: call("write"), header: empty}))
	for _, values := range [][]string{{"Bearer"}, {"Bearer "}, {"", ""}, {"Bearer a", ""}} {
		if resp := send(handler, request{body: call("open"), header: http.Header{"Authorization": values}}); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: got status %d, want 400", values, resp.StatusCode)
		}
	}
}

// A rejection that a token would not fix has no challenge.
func TestSpellingWithoutATokenHasNoChallenge(t *testing.T) {
	is := newIssuer(t)
	resp := send(newGuard(t, is, publicRequirements).Wrap(behind), request{body: rpc("resources/read", `"uri":"notes://%6fpen"`)})
	if c := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusBadRequest || c != "" {
		t.Errorf("got status %d and challenge %q, want 400 without one", resp.StatusCode, c)
	}
}

// sessionUser asks in a session of a handler, with a token or without one.
type sessionUser struct {
	handler http.Handler
	session string
}

func (u sessionUser) ask(token string) *http.Response {
	header := http.Header{"Mcp-Session-Id": {u.session}}
	if token != "" {
		header["Authorization"] = bearer(token)["Authorization"]
	}
	return send(u.handler, request{header: header, body: pingBody})
}

// openWithoutToken opens a session without a token.
func openWithoutToken(t *testing.T, handler http.Handler) sessionUser {
	t.Helper()
	resp := send(handler, request{body: initializeBody})
	wantOK(t, "initialize", resp)
	return sessionUser{handler, resp.Header.Get("Mcp-Session-Id")}
}

// Only the process that has a session that was opened without a token knows to whom it belongs. In
// all others it is unknown, with and without a token, although the key is the same: another
// replica, the same one after a restart, another guard on the host.
func TestSessionsWithoutATokenAreKnownToOneProcess(t *testing.T) {
	is := newIssuer(t)
	key := func(cfg *gatehouse.Config) { cfg.SessionKey = []byte(strings.Repeat("k", 32)) }
	inner := &sessionHandler{}
	first, second := newGuard(t, is, publicRequirements, key).Wrap(inner), newGuard(t, is, publicRequirements, key).Wrap(inner)
	ada := is.token(resource, testissuer.Claim("sub", "ada"))
	for _, taken := range []bool{false, true} {
		here := openWithoutToken(t, first)
		if taken {
			wantOK(t, "the sign-in", here.ask(ada))
		} else {
			wantOK(t, "without a token", here.ask(""))
		}
		there := sessionUser{second, here.session}
		wantUnknownSession(t, "there, without a token", there.ask(""))
		wantUnknownSession(t, "there, with one", there.ask(ada))
	}
	// The control: a session that was opened with a token.
	wantOK(t, "a session of ada", sessionUser{second, openSession(t, first, ada)}.ask(ada))
}

// A session that was opened without a token and then belongs to a user is never given back:
// neither when it was idle for too long, nor when the table is full of others.
func TestTakenOverSessionsAreNotForgotten(t *testing.T) {
	is := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		guard, err := gatehouse.New(gatehouse.Config{
			Resource:           resource,
			Provider:           gatehouse.Provider{Name: "none", Issuer: is.URL(), DangerouslySkipVerification: true},
			Requirements:       []gatehouse.Requirement{{Tool: "open", Require: gatehouse.Require{Public: true}}},
			MaxSessions:        10,
			MaxSessionsPerUser: 4,
			Logger:             quiet(),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer guard.Close()
		handler := guard.Wrap(&sessionHandler{})
		user := func(name string) string { return is.token(resource, testissuer.Claim("sub", name)) }
		victim := openWithoutToken(t, handler)
		wantOK(t, "the sign-in", victim.ask(user("ada")))
		// Others open all sessions that they may, and use them.
		var others []sessionUser
		for i := range 5 {
			others = append(others, openWithoutToken(t, handler))
			if i < 4 {
				openSession(t, handler, user("eve"))
			}
		}
		wantSignIn(t, "one more without a token", send(handler, request{body: initializeBody}))
		for _, other := range others {
			wantOK(t, "others", other.ask(""))
		}
		wantUnknownSession(t, "without a token", victim.ask(""))
		wantUnknownSession(t, "with the token of another", victim.ask(user("bob")))
		wantOK(t, "ada", victim.ask(user("ada")))

		time.Sleep(2 * time.Hour)
		openSession(t, handler, user("eve")) // which removes rows that are idle
		wantUnknownSession(t, "without a token, after two hours", victim.ask(""))
		wantUnknownSession(t, "with the token of another, after two hours", victim.ask(user("bob")))
	})
}

// A user who signs in in sessions that were opened without a token has no more of them than others.
func TestTakenOverSessionsAreBounded(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, publicRequirements, func(cfg *gatehouse.Config) { cfg.MaxSessions, cfg.MaxSessionsPerUser = 10, 2 })
	handler := guard.Wrap(&sessionHandler{})
	ada, bob := is.token(resource, testissuer.Claim("sub", "ada")), is.token(resource, testissuer.Claim("sub", "bob"))
	for i := range 5 {
		resp := openWithoutToken(t, handler).ask(ada)
		if i < 2 {
			wantOK(t, fmt.Sprint("session ", i), resp)
		} else {
			wantTooMany(t, fmt.Sprint("session ", i), resp)
		}
	}
	wantOK(t, "another user", openWithoutToken(t, handler).ask(bob))
}

// Those who open all sessions and streams that callers without a token may have do not keep others
// from the challenge: the server is then like one where nothing is public.
func TestFloodsWithoutATokenDoNotLockOut(t *testing.T) {
	is := newIssuer(t)
	for max, share := range map[int]int{1: 0, 10: 5} {
		guard := newGuard(t, is, publicRequirements, func(cfg *gatehouse.Config) { cfg.MaxSessions = max })
		running, started := make(chan struct{}, share), 0
		sessions := &sessionHandler{}
		handler := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if text, _ := io.ReadAll(r.Body); strings.Contains(string(text), "subscriptions/listen") {
				if started++; started <= share {
					running <- struct{}{}
					<-r.Context().Done()
				}
				return
			}
			r.Body = io.NopCloser(strings.NewReader(initializeBody))
			sessions.ServeHTTP(w, r)
		}))
		ctx, leave := context.WithCancel(t.Context())
		for range share {
			openWithoutToken(t, handler)
			go sendRaw(handler, request{body: rpc("subscriptions/listen", "")}.make().WithContext(ctx))
			<-running
		}
		wantSignIn(t, "a session", send(handler, request{body: initializeBody}))
		wantSignIn(t, "a stream", send(handler, request{body: rpc("subscriptions/listen", "")}))
		openSession(t, handler, is.token(resource)) // a user can sign in
		leave()
	}
}

// A sign-in ends the streams of callers without a token in the session. They would get what the
// server sends to the user, and keep the user from opening a stream.
func TestSignInEndsStreamsOfTheSession(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, publicRequirements)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	server.AddReceivingMiddleware(guard.Middleware())
	inner := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{DisableLocalhostProtection: true})
	web := httptest.NewServer(guard.Wrap(inner))
	defer web.Close()
	do := func(method, session, token, text string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, web.URL+"/mcp", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"}}
		if session != "" {
			r.Header["Mcp-Session-Id"], r.Header["Mcp-Protocol-Version"] = []string{session}, []string{"2025-11-25"}
		}
		resp, err := (&http.Client{Transport: &tokenTransport{token: token}}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	open := func() string {
		resp := do(http.MethodPost, "", "", rpc("initialize", `"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}`))
		resp.Body.Close()
		return resp.Header.Get("Mcp-Session-Id")
	}
	taken, other := open(), open()
	stream, control := do(http.MethodGet, taken, "", ""), do(http.MethodGet, other, "", "")
	defer control.Body.Close()
	wantOK(t, "the stream", stream)
	if n := guard.Stats().Streams; n != 2 {
		t.Fatalf("got %d streams, want 2", n)
	}
	token := is.token(resource)
	resp := do(http.MethodPost, taken, token, pingBody)
	wantOK(t, "the sign-in", resp)
	io.Copy(io.Discard, stream.Body) // until it ends
	if n := guard.Stats().Streams; n != 1 {
		t.Errorf("got %d streams, want that of the other session", n)
	}
	own := do(http.MethodGet, taken, token, "")
	defer own.Body.Close()
	wantOK(t, "the stream of the user", own)
	if resp := do(http.MethodGet, taken, "", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a stream without a token: got status %d, want 404", resp.StatusCode)
	}
}

// Public calls have as many audit events as failed sign-ins, and do not hide those.
func TestAuditRateOfPublicOperations(t *testing.T) {
	is := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		var log auditLog
		guard, err := gatehouse.New(gatehouse.Config{
			Resource:     resource,
			Provider:     gatehouse.Provider{Name: "none", Issuer: is.URL(), DangerouslySkipVerification: true},
			Requirements: []gatehouse.Requirement{{Tool: "open", Require: gatehouse.Require{Public: true}}},
			Audit:        func(_ context.Context, e gatehouse.AuditEvent) { log.events = append(log.events, e) },
			Logger:       quiet(),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer guard.Close()
		handler := guard.Wrap(behind)
		count := func(rq request) int {
			log.events = nil
			for range 150 {
				send(handler, rq)
			}
			return len(log.events)
		}
		public := request{body: call("open")}
		if n := count(public); n != 100 || guard.Stats().AuditDropped != 50 || guard.Stats().Accepted != 150 {
			t.Errorf("public: got %d events and %+v, want 100 and 50 dropped", n, guard.Stats())
		}
		if n := count(request{body: call("other")}); n != 100 || log.events[0].Dropped != 50 {
			t.Errorf("rejected: got %d events, want 100, of which the first reports those that were dropped", n)
		}
		if n := count(request{body: call("open"), header: bearer(is.token(resource))}); n != 150 {
			t.Errorf("with a token: got %d events, want 150", n)
		}
		time.Sleep(time.Second)
		if n := count(public); n != 100 {
			t.Errorf("in the next second: got %d events, want 100", n)
		}
	})
}

// To list resources costs no more for each template that a requirement names: the templates are
// compiled once.
func TestListsCompileNoTemplates(t *testing.T) {
	is := newIssuer(t)
	allocations := func(templates int) float64 {
		guard := newGuard(t, is, func(cfg *gatehouse.Config) {
			for i := range templates {
				cfg.Requirements = append(cfg.Requirements, gatehouse.Requirement{
					ResourceTemplate: fmt.Sprintf("notes://%d/{name}", i), Require: gatehouse.Require{SignedIn: true},
				})
			}
		})
		return testing.AllocsPerRun(5, func() { guard.NoteListed("resources/list", []string{"notes://a", "notes://b"}, true) })
	}
	if one, many := allocations(1), allocations(50); many > one+50 {
		t.Errorf("got %v allocations for 50 templates, and %v for one", many, one)
	}
}

// A caller that one guard let in without a token is not let in by another, whether they are next to
// each other or one around the other. What each of them says about the caller is checked by the
// functions for adapters, too.
func TestSeveralGuardsOfWhichOneIsPublic(t *testing.T) {
	is := newIssuer(t)
	key := func(cfg *gatehouse.Config) { cfg.SessionKey = []byte(strings.Repeat("k", 32)) }
	public, closed := newGuard(t, is, publicRequirements, key), newGuard(t, is, requirements, key)
	inner := &sessionHandler{}
	mux := http.NewServeMux()
	mux.Handle("/public", public.Wrap(inner))
	mux.Handle("/closed", closed.Wrap(inner))
	mux.Handle("/inside", public.Wrap(closed.Wrap(inner)))
	mux.Handle("/around", closed.Wrap(public.Wrap(inner)))
	session := openWithoutToken(t, public.Wrap(inner)).session
	for path, allowed := range map[string]bool{"/public": true, "/closed": false, "/inside": false, "/around": false} {
		for name, rq := range map[string]request{
			"a call":                 {target: path, body: call("open")},
			"a session":              {target: path, body: initializeBody},
			"a session of the first": {target: path, body: pingBody, header: http.Header{"Mcp-Session-Id": {session}}},
		} {
			if allowed {
				wantOK(t, path+", "+name, send(mux, rq))
			} else {
				wantSignIn(t, path+", "+name, send(mux, rq))
			}
		}
	}
	called := false
	handler := public.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		called = true
		for name, want := range map[string]struct{ public, publicLists, closed, closedLists bool }{
			"open":  {true, true, true, true}, // the other guard has no requirement for it
			"other": {false, true, true, true},
			"write": {false, true, false, true},
			"purge": {false, false, false, false},
		} {
			op := gatehouse.ToolOperation(name)
			got := struct{ public, publicLists, closed, closedLists bool }{
				public.Authorize(r, op) == nil, public.Lists(r, op), closed.Authorize(r, op) == nil, closed.Lists(r, op),
			}
			if got != want {
				t.Errorf("%s: got %+v, want %+v", name, got, want)
			}
		}
		if err := public.Authorize(r, gatehouse.ToolOperation("open"), gatehouse.ToolOperation("write")); err == nil {
			t.Error("a public tool and another one were allowed")
		}
		if err := public.Authorize(r, gatehouse.Operation{}); err == nil {
			t.Error("the zero value was allowed")
		}
	}))
	wantOK(t, "the call", send(handler, request{body: call("open")}))
	if !called {
		t.Error("the handler was not called")
	}
}

// A denial and Config.Revoked are about tokens, so they do not match callers without one.
func TestDenialsAndCallersWithoutAToken(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, publicRequirements, func(cfg *gatehouse.Config) {
		cfg.Revoked = func(id gatehouse.Identity) bool { return id.Subject == "" || id.Subject == "eve" }
	})
	for _, d := range []gatehouse.Denial{{Subject: "user_1"}, {ClientID: "c"}, {TokenID: "t"}, {SessionID: "s"}} {
		d.Until = time.Now().Add(time.Hour)
		if err := guard.Deny(d); err != nil {
			t.Fatal(err)
		}
	}
	handler := guard.Wrap(behind)
	wantOK(t, "without a token", send(handler, request{body: call("open")}))
	for _, subject := range []string{"user_1", "eve"} {
		resp := send(handler, request{body: call("open"), header: bearer(is.token(resource, testissuer.Claim("sub", subject)))})
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: got status %d, want 401", subject, resp.StatusCode)
		}
	}
}

// Functions about the caller say that there is none.
func TestFunctionsAboutACallerWithoutAToken(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, publicRequirements)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	called := false
	mcp.AddTool(server, &mcp.Tool{Name: "open"}, func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		called = true
		if id, ok := gatehouse.IdentityOf(req); ok {
			t.Errorf("got identity %v", id)
		}
		if p, ok := gatehouse.ProviderOf(req); ok {
			t.Errorf("got provider %s", p.Name)
		}
		if client, ok := gatehouse.IssuerClient(req); ok {
			t.Errorf("got client %v", client)
		}
		return &mcp.CallToolResult{}, nil, nil
	})
	server.AddReceivingMiddleware(guard.Middleware())
	handler := guard.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true, DisableLocalhostProtection: true}))
	resp := send(handler, request{body: call("open"), header: http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Mcp-Protocol-Version": {"2025-11-25"},
	}})
	if text := body(t, resp); resp.StatusCode != http.StatusOK || !called {
		t.Errorf("got status %d %s, called: %t", resp.StatusCode, text, called)
	}
}

// A stream without a token that is opened while a user signs in in the session is rejected, too.
func TestStreamThatIsOpenedDuringTheSignIn(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, publicRequirements)
	handler := guard.Wrap(&sessionHandler{})
	for principal, want := range map[string]gatehouse.Reason{"": "", "https://issuer.example.com|ada": "session_of_another_user"} {
		r := request{method: http.MethodGet}.make()
		if got := guard.OpenLate(r, openWithoutToken(t, handler).session, principal); got != want {
			t.Errorf("%q: got %q, want %q", principal, got, want)
		}
		if n := guard.Stats().Streams; n != 0 {
			t.Errorf("%q: %d streams are open", principal, n)
		}
	}
}
