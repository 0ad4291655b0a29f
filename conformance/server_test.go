package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Tools of every server under test. What each of them requires is in requirements.
const (
	openTool    = "whoami"  // any signed-in user
	notesTool   = "notes"   // scope notes:write
	bothTool    = "both"    // scopes notes:write and notes:share
	billingTool = "billing" // permission org:billing:manage
)

var tools = []string{openTool, notesTool, bothTool, billingTool}

var requirements = []gatehouse.Requirement{
	{Tool: notesTool, Require: gatehouse.Require{Scopes: []string{"notes:write"}}},
	{Tool: bothTool, Require: gatehouse.Require{Scopes: []string{"notes:write", "notes:share"}}},
	{Tool: billingTool, Require: gatehouse.Require{Permissions: []string{"org:billing:manage"}}},
}

// Changes of a valid token.
var (
	claim           = testissuer.Claim
	headerParameter = testissuer.Header

	withNotes   = claim("scope", "profile email notes:write")
	withBilling = claim("org_permissions", []string{"org:billing:manage"})
)

// server is a server under test: package serve with the token rules of Clerk, on a free
// port.
type server struct {
	*serve.Server
	issuer *testissuer.Issuer
	base   string // origin
	host   string // host and port
	log    testlog.Buffer

	mu        sync.Mutex
	toolCalls map[string]int // calls that reached each tool
}

// start runs a server with a fake issuer. Tokens must name the server as their audience,
// unless configure changes that.
func start(t *testing.T, configure ...func(*serve.Config)) *server {
	t.Helper()
	is := testissuer.Start(t)
	s := startWith(t, strictClerk(is), configure...)
	s.issuer = is
	return s
}

// startInOutage is start while the issuer is unavailable.
func startInOutage(t *testing.T) *server {
	t.Helper()
	is := testissuer.Start(t)
	is.SetDown(true)
	s := startWith(t, strictClerk(is))
	s.issuer = is
	return s
}

// strictClerk returns the provider of a Clerk instance that binds tokens to a resource.
// Unlike Clerk, the issuer of the tests adds permissions to its tokens, and its clients may
// ask for more scopes later.
func strictClerk(is *testissuer.Issuer) gatehouse.Provider {
	p := clerk.New(clerk.Config{FrontendAPIURL: is.URL(), RequireAudience: true})
	p.NoPermissions, p.ScopesFixedAtRegistration = false, false
	return p
}

// startWith runs a server with a provider.
func startWith(t *testing.T, provider gatehouse.Provider, configure ...func(*serve.Config)) *server {
	t.Helper()
	listeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{host: fmt.Sprintf("localhost:%d", listen.Port(listeners[0])), toolCalls: make(map[string]int)}
	s.base = "http://" + s.host
	cfg := serve.Config{
		Name:         "conformance",
		Version:      "1.0.0",
		Provider:     provider,
		Requirements: requirements,
		Host:         listen.Localhost,
		Port:         listen.Port(listeners[0]),
		Logger:       s.log.Logger(),

		SkipSelfCheck: true, // tests count the requests to the issuer
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

// toolCaller is what a tool finds out about the caller.
type toolCaller struct {
	Subject       string
	Authorization []string
}

func (s *server) tool(name string) mcp.ToolHandlerFor[struct{}, any] {
	return func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		s.mu.Lock()
		s.toolCalls[name]++
		s.mu.Unlock()
		id, _ := gatehouse.IdentityOf(req)
		out := toolCaller{Subject: id.Subject}
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
	return s.toolCalls[name]
}

// token returns a valid access token for the server, with changes.
func (s *server) token(changes ...testissuer.Change) string {
	return s.issuer.Token(s.URL(), changes...)
}

func (s *server) send(t *testing.T, q request) answer {
	t.Helper()
	return send(t, s.base, q)
}

// wantAccepted sends q and returns the answer, whose status must be 2xx.
func (s *server) wantAccepted(t *testing.T, q request) answer {
	t.Helper()
	a := s.send(t, q)
	if a.status/100 != 2 {
		t.Errorf("%s %s: status %d, want 2xx; body %s", q.method, q.target, a.status, a.body)
	}
	return a
}

// wantCall sends q, a call of a tool that must succeed, and returns the caller that the
// tool saw.
func (s *server) wantCall(t *testing.T, q request) toolCaller {
	t.Helper()
	r := s.wantAccepted(t, q).rpc(t)
	var result struct {
		IsError           bool       `json:"isError"`
		StructuredContent toolCaller `json:"structuredContent"`
	}
	if err := json.Unmarshal(r.Result, &result); r.Error != nil || err != nil || result.IsError {
		t.Errorf("tool answered %s, error %+v (%v)", r.Result, r.Error, err)
	}
	return result.StructuredContent
}

// open opens a session of the stateful revisions and returns its id.
func (s *server) open(t *testing.T, token string) string {
	t.Helper()
	a := s.wantAccepted(t, initialize().bearer(token))
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
