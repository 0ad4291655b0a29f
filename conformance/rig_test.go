package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Tools of every server under test. What each demands is in requirements.
const (
	openTool  = "whoami" // any signed-in user
	notesTool = "notes"  // scope notes:write
	bothTool  = "both"   // scopes notes:write and notes:share
	bossTool  = "boss"   // permission org:billing:manage
)

var tools = []string{openTool, notesTool, bothTool, bossTool}

var requirements = []gatehouse.Requirement{
	{Tool: notesTool, Scopes: []string{"notes:write"}},
	{Tool: bothTool, Scopes: []string{"notes:write", "notes:share"}},
	{Tool: bossTool, Permissions: []string{"org:billing:manage"}},
}

// Changes of a good token by which it meets the requirements.
var (
	withNotes = claim("scope", "profile email notes:write")
	asBoss    = claim("org_permissions", []string{"org:billing:manage"})
)

// journal collects log lines.
type journal struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// server is a server under test: serve with Clerk's rules, on a free port.
type server struct {
	*serve.Server
	issuer *issuer
	base   string // origin
	host   string // host and port
	log    *journal

	mu  sync.Mutex
	ran map[string]int // calls that reached each tool
}

// start runs a server with an issuer of its own. Tokens must name their audience
// unless configure says otherwise.
func start(t *testing.T, configure ...func(*serve.Config)) *server {
	t.Helper()
	is := serveIssuer(t)
	s := startWith(t, strictClerk(is), configure...)
	s.issuer = is
	return s
}

// startInOutage is start while the issuer is away.
func startInOutage(t *testing.T) *server {
	t.Helper()
	is := serveIssuer(t)
	is.down.Store(true)
	s := startWith(t, strictClerk(is))
	s.issuer = is
	return s
}

func strictClerk(is *issuer) gatehouse.Provider {
	return clerk.New(clerk.Config{FrontendAPIURL: is.url, RequireAudience: true})
}

// startWith runs a server with a provider.
func startWith(t *testing.T, provider gatehouse.Provider, configure ...func(*serve.Config)) *server {
	t.Helper()
	listeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{log: &journal{}, host: fmt.Sprintf("localhost:%d", listen.Port(listeners[0])), ran: make(map[string]int)}
	s.base = "http://" + s.host
	cfg := serve.Config{
		Name:         "conformance",
		Version:      "1.0.0",
		Provider:     provider,
		Requirements: requirements,
		Host:         listen.Localhost,
		Port:         listen.Port(listeners[0]),
		Logger:       slog.New(slog.NewJSONHandler(s.log, nil)),
	}
	for _, c := range configure {
		c(&cfg)
	}
	if s.Server, err = serve.New(cfg); err != nil {
		t.Fatal(err)
	}
	for _, name := range tools {
		mcp.AddTool(s.MCP, &mcp.Tool{Name: name}, s.tool(name))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, listeners...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	return s
}

// seen is what a tool knows about its call.
type seen struct {
	Subject       string
	Authorization []string
}

func (s *server) tool(name string) mcp.ToolHandlerFor[struct{}, any] {
	return func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		s.mu.Lock()
		s.ran[name]++
		s.mu.Unlock()
		id, _ := gatehouse.IdentityOf(req)
		out := seen{Subject: id.Subject}
		if extra := req.GetExtra(); extra != nil {
			out.Authorization = extra.Header["Authorization"]
		}
		return nil, out, nil
	}
}

// calls returns how many calls reached a tool.
func (s *server) calls(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ran[name]
}

// token is a good access token for the server, with changes.
func (s *server) token(changes ...change) string {
	return s.issuer.token(s.URL(), changes...)
}

func (s *server) send(t *testing.T, q request) answer {
	t.Helper()
	return send(t, s.base, q)
}

// accepted sends q and returns the answer, which must be a success.
func (s *server) accepted(t *testing.T, q request) answer {
	t.Helper()
	a := s.send(t, q)
	if a.status/100 != 2 {
		t.Errorf("%s %s: status %d, want a success; body %s", q.method, q.target, a.status, a.body)
	}
	return a
}

// called sends q, a call of a tool, and returns what the tool saw.
func (s *server) called(t *testing.T, q request) seen {
	t.Helper()
	r := s.accepted(t, q).rpc(t)
	var result struct {
		IsError           bool `json:"isError"`
		StructuredContent seen `json:"structuredContent"`
	}
	if err := json.Unmarshal(r.Result, &result); r.Error != nil || err != nil || result.IsError {
		t.Errorf("tool answered %s, error %+v (%v)", r.Result, r.Error, err)
	}
	return result.StructuredContent
}

// open opens a session of the older revisions and returns its id.
func (s *server) open(t *testing.T, token string) string {
	t.Helper()
	a := s.accepted(t, initialize().bearer(token))
	id := a.header.Get("Mcp-Session-Id")
	if id == "" {
		t.Fatalf("no session; body %s", a.body)
	}
	initialized := post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`).
		with("MCP-Protocol-Version", stateful).with("Mcp-Session-Id", id).bearer(token)
	if a := s.send(t, initialized); a.status != http.StatusAccepted {
		t.Fatalf("notifications/initialized: status %d, want 202", a.status)
	}
	return id
}

// metadata is the URL that a challenge for a request to host must name.
func metadata(host string) string {
	return "http://" + host + "/.well-known/oauth-protected-resource/mcp"
}

// refusal is the one way in which a request may be refused.
type refusal struct {
	status int
	code   string           // error, in the body and where RFC 6750 has it in the challenge
	reason gatehouse.Reason // for the operator
	scope  string           // of the challenge; empty means "profile email"
}

// Refusals of RFC 6750 that need no further word.
var (
	signIn     = refusal{status: 401, code: "missing_token", reason: "no_credentials"}
	otherWay   = refusal{status: 401, code: "missing_token", reason: "wrong_scheme"}
	malformed  = refusal{status: 400, code: "invalid_request", reason: "malformed_credentials"}
	inQuery    = refusal{status: 400, code: "invalid_request", reason: "token_in_query"}
	badOrigin  = refusal{status: 403, code: "forbidden", reason: "forbidden_origin"}
	badHost    = refusal{status: 403, code: "forbidden", reason: "forbidden_host"}
	notAllowed = refusal{status: 403, code: "forbidden", reason: "insufficient_permission"}
	notYours   = refusal{status: 403, code: "forbidden", reason: "session_of_another_user"}
)

func badToken(reason gatehouse.Reason) refusal {
	return refusal{status: 401, code: "invalid_token", reason: reason}
}

func lacks(scope string) refusal {
	return refusal{status: 403, code: "insufficient_scope", reason: "insufficient_scope", scope: scope}
}

// refused sends q and holds the whole answer to want: status, challenge, body and
// headers, and the reason that the operator is told.
func (s *server) refused(t *testing.T, q request, want refusal) answer {
	t.Helper()
	before := s.Guard().Stats().Rejected[want.reason]
	a := s.send(t, q)
	if got := s.Guard().Stats().Rejected[want.reason]; got != before+1 {
		t.Errorf("%s %s: reason %q counted %d times, want once", q.method, q.target, want.reason, got-before)
	}
	if a.status != want.status {
		t.Errorf("%s %s: status %d, want %d; body %s", q.method, q.target, a.status, want.status, a.body)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s %s: Cache-Control %q, want no-store", q.method, q.target, got)
	}
	if got := a.header["Mcp-Session-Id"]; got != nil {
		t.Errorf("%s %s: a refusal has Mcp-Session-Id %q", q.method, q.target, got)
	}
	if q.method != http.MethodHead {
		wantBody := map[string]any{"error": want.code, "error_description": phrase(want.reason), "reason": string(want.reason)}
		if diff := cmp.Diff(wantBody, a.object(t)); diff != "" {
			t.Errorf("%s %s: body (-want +got):\n%s", q.method, q.target, diff)
		}
	}
	if got, want := a.header.Values("WWW-Authenticate"), s.challenge(q, want); strings.Join(got, "\n") != want {
		t.Errorf("%s %s: challenge\n got %s\nwant %s", q.method, q.target, strings.Join(got, "\n"), want)
	}
	return a
}

// phrase is the error_description of a reason.
func phrase(reason gatehouse.Reason) string {
	for _, row := range gatehouse.Reasons() {
		if row.Reason == reason {
			return row.Phrase
		}
	}
	return "there is no reason " + string(reason)
}

// challenge is the WWW-Authenticate that a refusal must have, all of it.
func (s *server) challenge(q request, want refusal) string {
	host, scope := q.host, want.scope
	if host == "" {
		host = s.host
	}
	host = strings.ToLower(host)
	if scope == "" {
		scope = "profile email"
	}
	c := `Bearer resource_metadata="` + metadata(host) + `", scope="` + scope + `"`
	switch want.code {
	case "missing_token":
		return c
	case "invalid_request", "invalid_token", "insufficient_scope":
		return c + `, error="` + want.code + `", error_description="` + phrase(want.reason) + `"`
	}
	return ""
}
