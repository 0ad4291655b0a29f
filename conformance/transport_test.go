package conformance

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const toolAuthorsTask = "This is up to the author of the tool: the guard supplies the verified principal of each call to bind to, and creates no such value itself."

var transportRows = []row{
	{
		id:          "E1",
		level:       "MUST",
		requirement: "Origin is validated on every request; a request without Origin is accepted",
		revisions:   all,
		test:        testOrigin,
	},
	{
		id:          "E2",
		level:       "SHOULD",
		requirement: "A local server listens on loopback only",
		revisions:   all,
		test:        testListensOnLoopback,
	},
	{
		id:          "E3",
		requirement: "A local server validates Host as well, against DNS rebinding",
		revisions:   all,
		test:        testHost,
	},
	{
		id:          "E4",
		requirement: "Pages of allowed origins can read every response, rejections and metadata included, and a preflight needs no token",
		revisions:   all,
		test:        testCORS,
	},
	{
		id:          "E5",
		level:       "MUST NOT",
		requirement: "A session is not authentication: every request is verified, and session IDs are random and bound to the user who opened the session",
		revisions:   "until 2025-11-25",
		test:        testSessions,
	},
	{
		id:            "E6",
		level:         "MUST NOT",
		requirement:   "Possession of a state handle is not authentication",
		revisions:     stateless,
		notApplicable: toolAuthorsTask,
	},
	{
		id:            "E7",
		level:         "MUST",
		requirement:   "requestState is protected against modification where it affects access",
		revisions:     stateless,
		notApplicable: toolAuthorsTask,
	},
	{
		id:            "E8",
		level:         "MUST",
		requirement:   "A URL elicitation is bound to the user who started it",
		revisions:     since2511,
		notApplicable: toolAuthorsTask,
	},
	{
		id:          "E9",
		level:       "MUST",
		requirement: "A list that depends on the caller has cacheScope private on every page, and hiding a tool is not the only protection",
		revisions:   stateless,
		test:        testLists,
	},
	{
		id:          "E10",
		level:       "MUST",
		requirement: "Headers that repeat the body must equal it; the access decision uses the body",
		revisions:   stateless,
		test:        testHeadersAndBody,
	},
	{
		id:          "E11",
		level:       "MUST",
		requirement: "The public URL comes from the configuration, never from Host or a forwarded header",
		revisions:   "RFC 9700 §4.13",
		test:        testPublicURL,
	},
	{
		id:          "E12",
		level:       "MAY",
		requirement: "Stateless and stateful revisions work at one endpoint",
		revisions:   stateless,
		test:        testBothKindsOfRevision,
	},
	{
		id:            "E13",
		level:         "SHOULD NOT",
		requirement:   "Sensitive parameters of a tool are not marked x-mcp-header",
		revisions:     stateless,
		notApplicable: "This is up to the author of the tool: tool schemas are passed on unchanged.",
	},
	{
		id:          "E14",
		level:       "SHOULD",
		requirement: "Event streams have X-Accel-Buffering: no, so that a proxy sends each event on at once (basic/transports)",
		revisions:   stateless,
		test:        testEventStreamsAreNotBuffered,
	},
	{
		id:          "E15",
		level:       "MUST",
		requirement: "A request of a session that has ended or does not exist gets 404, and a new initialize opens another one (basic/transports, session management 3 and 4)",
		revisions:   "until 2025-11-25",
		test:        testUnknownSession,
	},
	{
		id:          "E16",
		requirement: "An idle stream without an end of its own gets a comment now and then, so that no proxy closes it (basic/transports)",
		revisions:   all,
		test:        testIdleStream,
	},
}

func testOrigin(t *testing.T) {
	s := start(t, func(cfg *serve.Config) { cfg.AllowedOrigins = []string{"https://app.example.com"} })
	_, port, _ := strings.Cut(s.host, ":")
	for _, origin := range []string{
		s.base,
		"http://127.0.0.1:" + port,
		"http://[::1]:6274",
		"http://localhost:6274",
		"https://app.example.com",
	} {
		s.wantCall(t, callTool(openTool).with("Origin", origin).bearer(s.token()))
	}
	s.wantCall(t, callTool(openTool).bearer(s.token()))
	session := s.open(t, s.token())
	for _, origin := range []string{
		"https://evil.example.com",
		"https://app.example.com.evil.example.com",
		"https://app.example.com:444",
		"http://app.example.com",
		"http://localhost.evil.example.com",
		"null",
		"https://app.example.com/",
		"localhost",
	} {
		for _, q := range []request{
			callTool(openTool),
			initialize(),
			callToolIn(session, openTool),
			endpointRequest(http.MethodGet),
			endpointRequest(http.MethodDelete),
		} {
			s.wantRejected(t, q.with("Origin", origin), forbiddenOrigin)
			s.wantRejected(t, q.with("Origin", origin).bearer(s.token()), forbiddenOrigin)
		}
	}
	public := start(t, func(cfg *serve.Config) { cfg.URL = "https://mcp.example.com" })
	const resource = "https://mcp.example.com/mcp"
	call := callTool(openTool).withHost("mcp.example.com").bearer(public.issuer.Token(resource))
	public.wantCall(t, call.with("Origin", "https://mcp.example.com"))
	public.wantRejected(t, call.with("Origin", "http://localhost:6274"), forbiddenOrigin)
}

func testListensOnLoopback(t *testing.T) {
	is := testissuer.Start(t)
	cfg := serve.Config{Name: "conformance", Version: "1.0.0", Provider: strictClerk(is)}
	s, err := serve.New(cfg)
	if err != nil {
		t.Fatalf("New without a host: %v", err)
	}
	if u := strings.TrimPrefix(s.URL(), "http://"); !wellknown.IsLoopback(strings.TrimSuffix(u, "/mcp")) {
		t.Errorf("URL %q without a host, want loopback", s.URL())
	}
	listeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range listeners {
		if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			t.Errorf("the default host listens on %s", l.Addr())
		}
		l.Close()
	}
	for _, host := range []string{"0.0.0.0", "::", "192.0.2.1"} {
		cfg.Host = host
		if _, err := serve.New(cfg); !slices.Equal(faultyFields(err), []string{"MCP_URL"}) {
			t.Errorf("New on %s without a URL: %v, want an error about MCP_URL", host, err)
		}
	}
	wide, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Serve(stopped, wide); !slices.Equal(faultyFields(err), []string{"MCP_URL"}) {
		t.Errorf("Serve on %s: %v, want an error about MCP_URL", wide.Addr(), err)
	}
}

func testHost(t *testing.T) {
	s := start(t)
	_, port, _ := strings.Cut(s.host, ":")
	for _, host := range []string{
		"evil.example.com",
		"localhost.evil.example.com:" + port,
		"127.0.0.1.evil.example.com",
		"0.0.0.0:" + port,
		"192.0.2.1",
	} {
		for _, q := range []request{discover(), initialize(), endpointRequest(http.MethodGet), endpointRequest(http.MethodOptions)} {
			s.wantRejected(t, q.withHost(host), forbiddenHost)
			s.wantRejected(t, q.withHost(host).bearer(s.token()), forbiddenHost)
			s.wantRejected(t, q.withHost(host).with("Origin", "http://"+host).bearer(s.token()), forbiddenHost)
		}
	}
	s.wantCall(t, callTool(openTool).with("Origin", s.base).bearer(s.token()))
	s.wantCall(t, callTool(openTool).withHost("127.0.0.1:"+port).bearer(s.token()))
}

func testCORS(t *testing.T) {
	s := start(t)
	outage := startInOutage(t)
	token := s.token()
	session := s.open(t, token)
	for name, a := range map[string]answer{
		"stateless call":     s.send(t, callTool(openTool).with("Origin", s.base).bearer(token)),
		"stateful call":      s.send(t, callToolIn(session, openTool).with("Origin", s.base).bearer(token)),
		"no credentials":     s.send(t, discover().with("Origin", s.base)),
		"malformed":          s.send(t, discover().with("Origin", s.base).with("Authorization", "Bearer")),
		"expired token":      s.send(t, discover().with("Origin", s.base).bearer(s.token(claim("exp", 1)))),
		"insufficient scope": s.send(t, callTool(notesTool).with("Origin", s.base).bearer(token)),
		"not allowed":        s.send(t, callTool(billingTool).with("Origin", s.base).bearer(token)),
		"unknown session":    s.send(t, callToolIn("unknown", openTool).with("Origin", s.base).bearer(token)),
		"unavailable":        outage.send(t, discover().with("Origin", s.base).bearer(outage.token())),
		"preflight":          s.send(t, preflight(s.base)),
	} {
		if got := a.header.Values("Access-Control-Allow-Origin"); !slices.Equal(got, []string{s.base}) {
			t.Errorf("%s: Access-Control-Allow-Origin %q, want %q", name, got, s.base)
		}
		const exposed = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After"
		if got := a.header.Get("Access-Control-Expose-Headers"); got != exposed {
			t.Errorf("%s: Access-Control-Expose-Headers %q", name, got)
		}
		if got := a.header.Values("Vary"); !slices.Contains(got, "Origin") {
			t.Errorf("%s: Vary %q lacks Origin", name, got)
		}
		if got := a.header.Get("Access-Control-Allow-Credentials"); got != "" {
			t.Errorf("%s: Access-Control-Allow-Credentials %q", name, got)
		}
	}
	for _, path := range []string{insertedPath, rootPath, oauthPath, openIDPath, "/.well-known/other", "/elsewhere"} {
		if got := s.send(t, get(path).with("Origin", "https://any.example.com")).header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s: Access-Control-Allow-Origin %q, want *", path, got)
		}
	}
	testPreflight(t, s)
	evil := s.wantRejected(t, preflight("https://evil.example.com"), forbiddenOrigin)
	if got := evil.header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("a foreign origin gets Access-Control-Allow-Origin %q", got)
	}
}

// preflight returns the request that a browser sends before a page may call the endpoint.
func preflight(origin string) request {
	return request{method: http.MethodOptions, target: "/mcp"}.
		with("Origin", origin).
		with("Access-Control-Request-Method", "POST").
		with("Access-Control-Request-Headers", "authorization,content-type,mcp-param-region,x-evil")
}

func testPreflight(t *testing.T, s *server) {
	t.Helper()
	a := s.send(t, preflight(s.base))
	if a.status != http.StatusNoContent || a.body != "" {
		t.Errorf("preflight: status %d, body %q; want 204 and no body", a.status, a.body)
	}
	if got := a.header.Get("Access-Control-Allow-Methods"); got != "GET, POST, DELETE, OPTIONS" {
		t.Errorf("preflight: Access-Control-Allow-Methods %q", got)
	}
	want := "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, Last-Event-ID, " +
		"traceparent, tracestate, baggage, mcp-param-region"
	if got := a.header.Get("Access-Control-Allow-Headers"); got != want {
		t.Errorf("preflight: Access-Control-Allow-Headers\n got %s\nwant %s", got, want)
	}
	for _, path := range []string{insertedPath, rootPath, oauthPath} {
		a := s.send(t, preflight("https://any.example.com").withTarget(path))
		got := a.header.Get("Access-Control-Allow-Headers")
		if a.status != http.StatusNoContent || !strings.Contains(got, "MCP-Protocol-Version") {
			t.Errorf("preflight of %s: status %d, Access-Control-Allow-Headers %q", path, a.status, got)
		}
	}
}

func testSessions(t *testing.T) {
	s := start(t)
	ids := map[string]bool{}
	for range 3 {
		id := s.open(t, s.token())
		if len(id) < 22 { // 128 bits in base64
			t.Errorf("session ID %q is short", id)
		}
		ids[id] = true
	}
	if len(ids) != 3 {
		t.Errorf("session IDs repeat: %v", ids)
	}
	info, err := s.Guard().Verify(t.Context(), s.token(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := s.issuer.URL() + "|user_ada"; info.UserID != want {
		t.Errorf("sessions are bound to %q, want issuer and subject: %q", info.UserID, want)
	}
	testSessionTheft(t)
}

// list is one page of the result of tools/list.
type list struct {
	Tools []struct {
		Name string `json:"name"`
	} `json:"tools"`
	CacheScope string `json:"cacheScope"`
	NextCursor string `json:"nextCursor"`
}

// listTools returns the names of all tools that tools/list shows to the token. page returns
// the request for the page at a cursor, which is empty for the first one.
func (s *server) listTools(t *testing.T, token string, page func(cursor string) request) []string {
	t.Helper()
	var names []string
	for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
		var l list
		if r := s.wantAccepted(t, page(cursor).bearer(token)).rpc(t); json.Unmarshal(r.Result, &l) != nil || r.Error != nil {
			t.Fatalf("tools/list: %s, error %+v", r.Result, r.Error)
		}
		if l.CacheScope != "private" {
			t.Errorf("page %d: cacheScope %q, want private", pages, l.CacheScope)
		}
		for _, tool := range l.Tools {
			names = append(names, tool.Name)
		}
		if cursor = l.NextCursor; pages > len(tools) {
			t.Fatal("tools/list does not stop returning cursors")
		}
	}
	slices.Sort(names)
	return names
}

func testLists(t *testing.T) {
	s := start(t, func(cfg *serve.Config) { cfg.ServerOptions = &mcp.ServerOptions{PageSize: 1} })
	session := s.open(t, s.token())
	params := func(cursor string) map[string]any {
		if cursor == "" {
			return nil
		}
		return map[string]any{"cursor": cursor}
	}
	for revision, page := range map[string]func(string) request{
		stateless: func(cursor string) request { return statelessRequest("tools/list", "", params(cursor)) },
		stateful: func(cursor string) request {
			return post(message("tools/list", params(cursor))).with("MCP-Protocol-Version", stateful).with("Mcp-Session-Id", session)
		},
	} {
		// A tool that a further scope would allow stays visible, so that clients can
		// request the scope.
		if diff := cmp.Diff([]string{bothTool, notesTool, openTool}, s.listTools(t, s.token(), page)); diff != "" {
			t.Errorf("%s: tools without the permission (-want +got):\n%s", revision, diff)
		}
		all := []string{billingTool, bothTool, notesTool, openTool}
		if diff := cmp.Diff(all, s.listTools(t, s.token(withBilling), page)); diff != "" {
			t.Errorf("%s: tools with the permission (-want +got):\n%s", revision, diff)
		}
	}
	s.wantRejected(t, callTool(billingTool).bearer(s.token()), insufficientPermission)
}

func testHeadersAndBody(t *testing.T) {
	s := start(t)
	token, notes := s.token(), s.token(withNotes)
	session := s.open(t, token)
	notesSession := s.open(t, notes)

	for name, q := range map[string]request{
		"Mcp-Name":        callTool(notesTool).with("Mcp-Name", openTool),
		"Mcp-Method":      callTool(notesTool).with("Mcp-Method", "ping"),
		"no Mcp-Name":     callTool(notesTool).without("Mcp-Name"),
		"no Mcp-Method":   callTool(notesTool).without("Mcp-Method"),
		"no version":      callTool(notesTool).without("MCP-Protocol-Version"),
		"unknown version": callTool(notesTool).with("MCP-Protocol-Version", "2026-07-29"),
	} {
		s.wantRejected(t, q.bearer(token), insufficientScope("profile email notes:write"))
		a := s.send(t, q.bearer(notes))
		r := a.rpc(t)
		if a.status != http.StatusBadRequest || r.Error == nil || name != "unknown version" && r.Error.Code != -32020 {
			t.Errorf("%s: status %d, error %+v; want 400 and -32020", name, a.status, r.Error)
		}
	}
	if n := s.calls(notesTool); n != 0 {
		t.Errorf("the tool ran %d times on headers that do not match", n)
	}

	contradicting := func(session string) request {
		return callToolIn(session, notesTool).with("Mcp-Method", "ping").with("Mcp-Name", openTool)
	}
	s.wantRejected(t, contradicting(session).bearer(token), insufficientScope("profile email notes:write"))
	s.wantCall(t, contradicting(notesSession).bearer(notes))
	s.wantCall(t, callTool(notesTool).bearer(notes))
	testAmbiguousBodies(t, s, session, token)
}

// testAmbiguousBodies calls a tool that the token may not call, with bodies that two
// parsers could read differently. The tool must never run.
func testAmbiguousBodies(t *testing.T, s *server, session, token string) {
	t.Helper()
	before := s.calls(notesTool)
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"notes","Name":"whoami","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"whoami","name":"notes","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","name":"notes","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"notes","name":"whoami","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"notes","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"ping","params":{"name":"notes","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","METHOD":"ping","params":{"name":"notes","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"notes","arguments":{}},"Params":{"name":"whoami"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"notes","arguments":{}},"params":{"uri":"x"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"notes","uri":"x","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n\u006ftes","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{"name":"notes","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"uri":3,"name":"notes","arguments":{}}}`,
		"\xef\xbb\xbf" + toolCall(notesTool),
		toolCall(openTool) + toolCall(notesTool),
	} {
		s.send(t, post(body).with("MCP-Protocol-Version", stateful).with("Mcp-Session-Id", session).bearer(token))
		if n := s.calls(notesTool); n != before {
			t.Errorf("the tool ran without its scope: %s", body)
			before = n
		}
	}
}

func testPublicURL(t *testing.T) {
	const resource, document = "https://mcp.example.com/mcp", "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
	s := start(t, func(cfg *serve.Config) { cfg.URL = "https://mcp.example.com" })
	if s.URL() != resource {
		t.Fatalf("URL %q, want %q", s.URL(), resource)
	}
	forged := func(q request) request {
		return q.with("X-Forwarded-Host", "evil.example.com").with("X-Forwarded-Proto", "http").
			with("X-Original-Host", "evil.example.com").with("Forwarded", "host=evil.example.com;proto=http")
	}
	for _, host := range []string{"mcp.example.com", "MCP.example.com", s.host} {
		for _, q := range []request{discover().withHost(host), forged(discover()).withHost(host)} {
			if got := parameters(t, s.send(t, q))["resource_metadata"]; got != document {
				t.Errorf("Host %s: resource_metadata %q, want %q", host, got, document)
			}
		}
	}
	for _, host := range []string{"mcp.example.com", "evil.example.com", s.host} {
		s.wantDocument(t, forged(get(insertedPath)).withHost(host), resource)
		s.wantDocument(t, forged(get(rootPath)).withHost(host), resource)
	}
	s.wantRejected(t, discover().withHost("evil.example.com"), forbiddenHost)
	call := callTool(openTool).withHost("mcp.example.com")
	s.wantCall(t, call.bearer(s.issuer.Token(resource)))
	for _, audience := range []string{"https://evil.example.com/mcp", s.base + "/mcp", "http://mcp.example.com/mcp"} {
		a := s.send(t, forged(call).bearer(s.issuer.Token(audience)))
		if a.status != http.StatusUnauthorized || parameters(t, a)["error"] != "invalid_token" {
			t.Errorf("audience %s: status %d, body %s; want 401", audience, a.status, a.body)
		}
	}
}

func testBothKindsOfRevision(t *testing.T) {
	s := start(t)
	token := s.token()
	var discovered struct {
		SupportedVersions []string `json:"supportedVersions"`
	}
	r := s.wantAccepted(t, discover().bearer(token)).rpc(t)
	if err := json.Unmarshal(r.Result, &discovered); err != nil || !slices.Contains(discovered.SupportedVersions, stateless) {
		t.Errorf("server/discover: %s, error %+v; want %s among the versions", r.Result, r.Error, stateless)
	}
	session := s.open(t, token)
	for range 2 {
		for name, q := range map[string]request{stateless: callTool(openTool), stateful: callToolIn(session, openTool)} {
			if got := s.wantCall(t, q.bearer(token)); got.Subject != "user_ada" {
				t.Errorf("%s: the tool saw %q, want user_ada", name, got.Subject)
			}
		}
	}
	a := s.send(t, callTool(openTool).bearer(token))
	if got := a.header["Mcp-Session-Id"]; got != nil {
		t.Errorf("the stateless revision got session %q", got)
	}
}

// listenRequest opens the stream of the stateless revision. It has no end of its own.
func listenRequest() request {
	q := statelessRequest("subscriptions/listen", "", map[string]any{"notifications": map[string]any{"toolsListChanged": true}})
	q.stream = true
	return q
}

func testEventStreamsAreNotBuffered(t *testing.T) {
	s := start(t)
	token := s.token()
	session := s.open(t, token)
	get := endpointRequest(http.MethodGet).with("MCP-Protocol-Version", stateful).with("Mcp-Session-Id", session)
	get.stream = true
	for name, q := range map[string]request{
		"subscriptions/listen": listenRequest(),
		"GET":                  get,
		"stateless call":       callTool(openTool),
		"stateful call":        callToolIn(session, openTool),
	} {
		a := s.send(t, q.bearer(token))
		if got := a.header.Get("Content-Type"); a.status != http.StatusOK || got != "text/event-stream" {
			t.Errorf("%s: status %d, Content-Type %q; want an event stream", name, a.status, got)
		}
		if got := a.header.Get("X-Accel-Buffering"); got != "no" {
			t.Errorf("%s: X-Accel-Buffering %q, want no", name, got)
		}
	}
	if got := s.send(t, discover()).header.Get("X-Accel-Buffering"); got != "" {
		t.Errorf("a rejection has X-Accel-Buffering %q", got)
	}
}

func testUnknownSession(t *testing.T) {
	s := start(t)
	ada, bob := s.token(), s.token(claim("sub", "user_bob"))
	session, ended := s.open(t, ada), s.open(t, ada)
	in := func(method, session string) request {
		return endpointRequest(method).with("MCP-Protocol-Version", stateful).with("Mcp-Session-Id", session)
	}
	s.wantAccepted(t, in(http.MethodDelete, ended).bearer(ada))
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		for name, q := range map[string]request{
			"unknown session":         in(method, "unknown").bearer(ada),
			"session without a seal":  in(method, strings.Split(session, ".")[0]).bearer(ada),
			"two sessions":            in(method, session).with("Mcp-Session-Id", session, session).bearer(ada),
			"session of another user": in(method, session).bearer(bob),
		} {
			t.Log(method, name)
			s.wantRejected(t, q, sessionOfAnotherUser)
		}
		if a := s.send(t, in(method, ended).bearer(ada)); a.status != http.StatusNotFound {
			t.Errorf("%s of a session that has ended: status %d, want 404", method, a.status)
		}
	}
	// A client that is now another user's forgets the session after the 404.
	s.wantRejected(t, initialize().with("Mcp-Session-Id", session).bearer(bob), sessionOfAnotherUser)
	s.open(t, bob)
	s.wantCall(t, callToolIn(session, openTool).bearer(ada))
}

func testIdleStream(t *testing.T) {
	for name, q := range map[string]request{"GET": endpointRequest(http.MethodGet), "subscriptions/listen": listenRequest()} {
		synctest.Test(t, func(t *testing.T) {
			p := startInProcess(t)
			p.endpoint = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}
			// The stream ends with its token, after an hour and the leeway of 30 seconds.
			a := p.send(t, q.bearer(p.token()))
			if got := strings.Count(a.body, ": keep-alive\n\n"); got < 60 || got > 200 || len(a.body) != got*len(": keep-alive\n\n") {
				t.Errorf("%s: %d comments in an hour, want one every minute at least and nothing else", name, got)
			}
		})
	}
}
