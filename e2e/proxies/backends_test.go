//go:build proxies && unix

package proxies

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// backends are the MCP servers of examples/gateway, in three languages. Each verifies the assertion
// of the gateway with the code that docs/gateway.md shows.
var backends = []struct {
	name  string
	start func(t testing.TB, env []string) *process
}{
	{"Go", func(t testing.TB, env []string) *process {
		program := filepath.Join(t.TempDir(), "backend")
		folder := filepath.Join(repository, "examples/gateway")
		run(t, []string{"GOWORK=off"}, "go", "build", "-C", folder, "-o", program, ".")
		return start(t, folder, env, program)
	}},
	{"Python", func(t testing.TB, env []string) *process {
		requirements := filepath.Join(repository, "e2e/proxies/requirements-backend.txt")
		python := cached(t, "backend-"+hashOf(t, requirements), "bin/fastmcp", func(folder string) {
			run(t, nil, "python3", "-m", "venv", folder)
			run(t, nil, filepath.Join(folder, "bin/pip"), "install", "-q", "--require-hashes", "--only-binary=:all:", "-r", requirements)
		})
		return start(t, filepath.Join(repository, "examples/gateway"), env, filepath.Join(filepath.Dir(python), "python"), "server.py")
	}},
	{"TypeScript", func(t testing.TB, env []string) *process {
		folder := filepath.Join(repository, "examples/gateway")
		if _, err := os.Stat(filepath.Join(folder, "node_modules", ".package-lock.json")); err != nil {
			run(t, nil, "npm", "--prefix", folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		}
		return start(t, folder, env, "node", "server.mjs")
	}},
}

// hashOf returns the beginning of the SHA-256 of a file.
func hashOf(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// whoami calls the tool whoami of a server.
func whoami(t testing.TB, endpoint string, headers http.Header) (text string, isError bool) {
	t.Helper()
	ctx := within(t, stepTime)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: &http.Client{Transport: withHeaders{headers}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		return err.Error(), true
	}
	content, ok := result.Content[0].(*mcp.TextContent)
	if !ok {
		t.Fatalf("got %T, want text", result.Content[0])
	}
	return content.Text, result.IsError
}

// withHeaders adds headers to each request.
type withHeaders struct{ header http.Header }

func (w withHeaders) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range w.header {
		r.Header[name] = values
	}
	return http.DefaultTransport.RoundTrip(r)
}

// recordingProxy forwards requests to an MCP server, and keeps the last assertion.
type recordingProxy struct {
	*httputil.ReverseProxy
	assertion atomic.Pointer[string]
}

func (p *recordingProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	assertion := r.Header.Get("X-Gatehouse-Assertion")
	p.assertion.Store(&assertion)
	p.ReverseProxy.ServeHTTP(w, r)
}

// newRecordingProxy returns the proxy and its URL.
func newRecordingProxy(t testing.TB, backend string) (*recordingProxy, string) {
	t.Helper()
	target, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	p := &recordingProxy{ReverseProxy: httputil.NewSingleHostReverseProxy(target)}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return p, server.URL
}

// startGateway starts a gateway in front of an MCP server, and returns its origin.
func startGateway(t testing.TB, issuer, upstream string) string {
	t.Helper()
	origin := "http://localhost:" + freePort(t)
	gateway := start(t, t.TempDir(), nil, gatehouseProgram(t), "gateway", "--provider", "oidc", "--issuer", issuer,
		"--listen", strings.TrimPrefix(origin, "http://"), "--upstream", upstream+"/mcp")
	gateway.await(t, func(ctx context.Context) error { return getStatus(ctx, http.DefaultClient, origin+"/healthz") })
	return origin
}

// A server in each language learns from the assertion who calls, and accepts no other assertion.
func TestBackends(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			issuer := testissuer.Start(t)
			direct := "http://127.0.0.1:" + freePort(t)
			proxy, upstream := newRecordingProxy(t, direct)
			origin := startGateway(t, issuer.URL(), upstream)
			backend := b.start(t, []string{"PORT=" + strings.TrimPrefix(direct, "http://127.0.0.1:"), "MCP_URL=" + origin + "/mcp"})
			backend.await(t, func(ctx context.Context) error {
				resp, err := http.DefaultClient.Do(request{method: "GET", url: direct}.newRequest(t, ctx))
				if err == nil {
					resp.Body.Close()
				}
				return err
			})

			ada := http.Header{"Authorization": {"Bearer " + issuer.Token(origin+"/mcp")}}
			if text, isError := whoami(t, origin+"/mcp", ada); isError || text != "user_ada" {
				t.Fatalf("got %q, error %v, want user_ada", text, isError)
			}
			own := *proxy.assertion.Load()
			other := startGateway(t, issuer.URL(), upstream)
			whoami(t, other+"/mcp", http.Header{"Authorization": {"Bearer " + issuer.Token(other+"/mcp")}})
			for _, test := range []struct {
				name, assertion string
				valid           bool
			}{
				{"that of the gateway", own, true}, {"none", "", false}, {"no JWT", "x", false}, {"changed", own[:len(own)-8] + "AAAAAAAA", false},
				{"an access token", issuer.Token(origin + "/mcp"), false}, {"that of another gateway", *proxy.assertion.Load(), false},
			} {
				text, isError := whoami(t, direct+"/mcp", http.Header{"X-Gatehouse-Assertion": {test.assertion}})
				if test.valid && (isError || text != "user_ada") || !test.valid && !isError {
					t.Errorf("%s: got %q, error %v, want an error: %v", test.name, text, isError, !test.valid)
				}
			}
		})
	}
}
