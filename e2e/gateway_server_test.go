//go:build e2e && gateway && unix

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// gatewayBackend is an MCP server of the folder gateway/backends, which knows nothing of OAuth.
type gatewayBackend struct {
	name   string
	newest string // revision of MCP
	argv   func(t testing.TB) []string
	env    []string

	// noSessions reports that clients of the earlier revisions get no session, so that the
	// backend cannot ask them.
	noSessions bool
	noCancel   string // reason why the row is not run
}

var gatewayBackends = []gatewayBackend{
	{name: "go-sdk", newest: "2025-11-25", argv: goBackend},
	{name: "go-sdk stateless", newest: "2026-07-28", argv: goBackend, env: []string{"STATELESS=1"}, noSessions: true,
		noCancel: "the stateless server of go-sdk v1.8.0 does not notice that a client has left, also without a gateway"},
	{name: "FastMCP", newest: "2025-11-25", argv: func(t testing.TB) []string {
		return []string{python(t, installPythonV1), "-B", backendFile("fastmcp_server.py")}
	}},
	{name: "Python SDK", newest: "2026-07-28", argv: func(t testing.TB) []string {
		return []string{python(t, installPythonV2), "-B", backendFile("python_sdk.py")}
	}},
	{name: "TypeScript SDK", newest: "2025-11-25", argv: func(t testing.TB) []string {
		packages(t)
		return []string{node(t), backendFile("typescript.mjs")}
	}},
}

func goBackend(t testing.TB) []string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "backend")
	cmd := exec.CommandContext(within(t, buildTime), "go", "build", "-o", program, "./e2e/gateway/backends/gosdk")
	cmd.Dir = repository
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the backend: %v\n%s", err, out)
	}
	return []string{program}
}
func backendFile(name string) string {
	return filepath.Join(repository, "e2e", "gateway", "backends", name)
}

// gatewayServer is a gateway with a backend, and a local Clerk in this process.
type gatewayServer struct {
	url, origin string // of the endpoint
	local       *localclerk.Server
	recorder    *stepUpServer // of the requests to the local Clerk
	program     *program
	backend     *program
	argv, env   []string // of the backend
	port        int      // of the backend
}

// gatewayFile is the configuration of the gateway. The tool hidden is not in it.
const gatewayFile = `
listen: localhost:%[1]d
provider: {name: oidc, issuer: %[2]q, scopes_supported: [profile, email]}
endpoints:
  - url: http://localhost:%[1]d/mcp
    upstream: http://127.0.0.1:%[3]d/mcp
    deny_undeclared: true
    requirements:
      - {tool: [whoami, progress, ask, slow], signed_in: true}
      - {tool: purge, scopes: [%[4]q]}
`

// startGateway starts a backend, a local Clerk and a gateway.
func startGateway(t *testing.T, b gatewayBackend) *gatewayServer {
	t.Helper()
	g := &gatewayServer{argv: b.argv(t), env: b.env, port: freePort(t), recorder: &stepUpServer{}}
	cfg := stepUpConfig{rule: grantsScopes, aud: true}
	gatehousetest.Serve(t, func(origin string) http.Handler {
		g.local = newStepUpClerk(t, origin, cfg)
		return g.recorder.recordClerk(cfg.apply(g.local))
	})
	port := freePort(t)
	g.origin = "http://localhost:" + strconv.Itoa(port)
	g.url = g.origin + "/mcp"
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	text := fmt.Sprintf(gatewayFile, port, g.local.Issuer(), g.port, scopeWrite)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.program = launch(t, "gatehouse gateway", nil, nil, nil, gatehouseProgram, "gateway", "--config", file, "--log-requests")
	if _, err := g.program.await(within(t, stepTime), regexp.MustCompile("Ctrl-C stops the gateway")); err != nil {
		t.Fatal(err)
	}
	g.startBackend(t)
	return g
}

// startBackend starts the backend and waits until it listens.
func (g *gatewayServer) startBackend(t testing.TB) {
	t.Helper()
	env := append([]string{"PORT=" + strconv.Itoa(g.port), "GATEWAY=" + g.origin}, g.env...)
	g.backend = launch(t, "the backend", nil, nil, env, g.argv...)
	ctx := within(t, stepTime)
	for portIsFree(g.port, "127.0.0.1") {
		if pause(ctx); ctx.Err() != nil || g.backend.ended.Err() != nil {
			t.Fatal("the backend does not listen")
		}
	}
}

// killBackend ends the backend at once.
func (g *gatewayServer) killBackend() {
	g.backend.cmd.Process.Kill()
	<-g.backend.ended.Done()
}

// userID returns the ID of a user of the local Clerk.
func (g *gatewayServer) userID(t testing.TB, u user) string {
	t.Helper()
	for _, user := range g.local.Users() {
		if user.Username == u.username {
			return user.ID
		}
	}
	t.Fatalf("the local Clerk has no user %q", u.username)
	return ""
}

// tokens returns how many tokens the local Clerk has issued or refreshed.
func (g *gatewayServer) tokens() int {
	g.recorder.mu.Lock()
	defer g.recorder.mu.Unlock()
	n := 0
	for _, event := range g.recorder.events {
		if event == "token" {
			n++
		}
	}
	return n
}

// gate connects a client with the backend that it calls: the backend waits until the client has
// received an event.
type gate struct {
	url string

	mu     sync.Mutex
	events []string
	seen   map[string]chan struct{}
}

// newGate starts a gate. A POST request with the query parameter event says that the client has
// received the event, and a GET request with wait is answered when it has.
func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{seen: map[string]chan struct{}{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			g.record(r.URL.Query().Get("event"))
			return
		}
		select {
		case <-g.channel(r.URL.Query().Get("wait")):
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

func (g *gate) channel(event string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen[event] == nil {
		g.seen[event] = make(chan struct{})
	}
	return g.seen[event]
}

func (g *gate) record(event string) {
	close(g.channel(event))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events = append(g.events, event)
}

// take returns the events in the order in which the client received them.
func (g *gate) take() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.events
}

// postEvent says that a client in this process has received an event.
func postEvent(ctx context.Context, seen string, event int) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s?event=%d", seen, event), nil)
	if err != nil {
		return
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
	}
}
