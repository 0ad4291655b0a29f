package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// longAgo is a time at which every token has expired.
var longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

var discardLog = log.New(io.Discard, "", 0)

// fixture is a local Clerk and an MCP server whose users sign in there. Every test of a
// failure changes one thing of it.
type fixture struct {
	clerk    *localclerk.Server
	clerkURL string
	mcpURL   string
	config   string // the configuration directory

	// browse is what the user does with the link. Nil means that ada signs in.
	browse func(link string) error
	// pages receives the page that the browser shows at the end.
	pages chan string

	// interceptClerk and interceptMCP, if set, handle a request first. They report
	// whether they answered it.
	interceptClerk, interceptMCP func(w http.ResponseWriter, req *http.Request) bool
	// editJSON, if set, changes the JSON documents of the local Clerk.
	editJSON func(path string, document map[string]any)

	// stateful makes the MCP server use sessions, as before the 2026-07-28 revision.
	stateful bool

	stdin  string
	env    map[string]string
	stderr io.Writer // receives a copy of standard error, if set

	// metadata is the protected resource metadata; nil means 404.
	metadata *oauthex.ProtectedResourceMetadata
	// noMetadataURL leaves resource_metadata out of the challenge.
	noMetadataURL bool

	mu       sync.Mutex
	opened   int          // how often the browser was opened
	requests []string     // METHOD path of each request to the local Clerk
	tokens   []url.Values // form of each token request
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{config: t.TempDir(), pages: make(chan string, 10)}

	issuer := httptest.NewUnstartedServer(http.HandlerFunc(f.serveClerk))
	f.clerkURL = "http://" + issuer.Listener.Addr().String()
	f.restartClerk(t, nil)
	server := httptest.NewUnstartedServer(f.mcpHandler())
	f.mcpURL = "http://" + server.Listener.Addr().String() + "/mcp"
	f.metadata = &oauthex.ProtectedResourceMetadata{
		Resource:             f.mcpURL,
		AuthorizationServers: []string{f.clerkURL},
		ScopesSupported:      []string{"profile", "email"},
	}
	issuer.Start()
	t.Cleanup(issuer.Close)
	server.Start()
	t.Cleanup(server.Close)
	return f
}

// restartClerk replaces the local Clerk with a new one, which has no clients and tokens.
func (f *fixture) restartClerk(t testing.TB, settings *localclerk.Settings) {
	t.Helper()
	clerk, err := localclerk.New(localclerk.Config{Issuer: f.clerkURL, Settings: settings, SigningKey: testissuer.RSAKey("clerk")})
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clerk = clerk
}

// rejectRegistration makes the local Clerk reject every registration.
func (f *fixture) rejectRegistration(status int, code, description string) {
	f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path != "/oauth/register" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": description})
		return true
	}
}

func (f *fixture) serveClerk(w http.ResponseWriter, req *http.Request) {
	f.mu.Lock()
	clerk := f.clerk
	f.requests = append(f.requests, req.Method+" "+req.URL.Path)
	f.mu.Unlock()
	if req.URL.Path == "/oauth/token" {
		f.recordToken(req)
	}
	if f.interceptClerk != nil && f.interceptClerk(w, req) {
		return
	}
	if f.editJSON == nil {
		clerk.ServeHTTP(w, req)
		return
	}
	rec := httptest.NewRecorder()
	clerk.ServeHTTP(rec, req)
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
	var document map[string]any
	if json.Unmarshal(rec.Body.Bytes(), &document) == nil {
		f.editJSON(req.URL.Path, document)
		w.Header().Del("Content-Length")
		w.WriteHeader(rec.Code)
		json.NewEncoder(w).Encode(document)
		return
	}
	w.WriteHeader(rec.Code)
	w.Write(rec.Body.Bytes())
}

func (f *fixture) recordToken(req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	req.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens = append(f.tokens, form)
}

// count returns how often the local Clerk received a request, given as "METHOD /path".
func (f *fixture) count(request string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, got := range f.requests {
		if got == request {
			n++
		}
	}
	return n
}

// resetCounts forgets the requests so far.
func (f *fixture) resetCounts() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened, f.requests, f.tokens = 0, nil, nil
}

func (f *fixture) mcpHandler() http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "fixture", Version: "1"}, nil)
	type city struct {
		City string `json:"city" jsonschema:"where"`
		Days int    `json:"days,omitempty"`
	}
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Returns the signed-in user"},
		func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			return nil, map[string]any{"userId": req.Extra.TokenInfo.UserID, "org": req.Extra.TokenInfo.Extra["org_id"]}, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "forecast", Description: "Returns the weather forecast"},
		func(_ context.Context, _ *mcp.CallToolRequest, in city) (*mcp.CallToolResult, any, error) {
			text := fmt.Sprintf("sun in %s for %d days", in.City, in.Days)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "fall"},
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return nil, nil, errors.New("the floor is wet")
		})
	servers := func(*http.Request) *mcp.Server { return server }
	stateless := mcp.NewStreamableHTTPHandler(servers, &mcp.StreamableHTTPOptions{Stateless: true})
	stateful := mcp.NewStreamableHTTPHandler(servers, nil)

	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-protected-resource/mcp", func(w http.ResponseWriter, req *http.Request) {
		if f.metadata == nil {
			http.NotFound(w, req)
			return
		}
		auth.ProtectedResourceMetadataHandler(f.metadata).ServeHTTP(w, req)
	})
	mux.HandleFunc("/", f.serveClerk) // in the 2025-03-26 revision, the MCP server is its own authorization server
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, req *http.Request) {
		if f.interceptMCP != nil && f.interceptMCP(w, req) {
			return
		}
		options := &auth.RequireBearerTokenOptions{
			ResourceMetadataURL: f.mcpOrigin() + "/.well-known/oauth-protected-resource/mcp",
		}
		if f.noMetadataURL {
			options.ResourceMetadataURL = ""
		}
		endpoint := stateless
		if f.stateful {
			endpoint = stateful
		}
		auth.RequireBearerToken(f.verify, options)(endpoint).ServeHTTP(w, req)
	})
	return mux
}

func (f *fixture) mcpOrigin() string { return f.mcpURL[:strings.LastIndex(f.mcpURL, "/mcp")] }

// verify asks the local Clerk for the user of a token.
func (f *fixture) verify(ctx context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.clerkURL+"/oauth/userinfo", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	req.RemoteAddr, req.Host = "127.0.0.1:1", strings.TrimPrefix(f.clerkURL, "http://")
	f.mu.Lock()
	clerk := f.clerk
	f.mu.Unlock()
	clerk.ServeHTTP(rec, req)
	var claims struct {
		Sub   string `json:"sub"`
		Scope string `json:"scope"`
		Org   string `json:"org_id"`
	}
	parts := strings.Split(token, ".")
	if rec.Code != http.StatusOK || len(parts) != 3 {
		return nil, fmt.Errorf("%w: status %d", auth.ErrInvalidToken, rec.Code)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, err
	}
	return &auth.TokenInfo{
		UserID:     claims.Sub,
		Scopes:     strings.Fields(claims.Scope),
		Expiration: time.Now().Add(time.Hour),
		Extra:      map[string]any{"org_id": claims.Org},
	}, nil
}

// editResponse signs ada in, and changes the query of the redirect to the program: the
// authorization response.
func (f *fixture) editResponse(edit func(q url.Values)) {
	f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path != "/oauth/authorize" {
			return false
		}
		rec := httptest.NewRecorder()
		f.clerk.ServeHTTP(rec, req)
		location, err := url.Parse(rec.Header().Get("Location"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return true
		}
		query := location.Query()
		edit(query)
		location.RawQuery = query.Encode()
		http.Redirect(w, req, location.String(), http.StatusFound)
		return true
	}
}

// browser returns a browser that opens the link with the given headers. The page at the
// end is sent to pages.
func (f *fixture) browser(headers map[string]string) func(link string) error {
	return func(link string) error {
		go func() {
			req, err := http.NewRequest(http.MethodGet, link, nil)
			if err != nil {
				f.pages <- err.Error()
				return
			}
			for name, value := range headers {
				req.Header.Set(name, value)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				f.pages <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			f.pages <- string(body)
		}()
		return nil
	}
}

// jwtStart matches the header of a JWT. The dot tells it from a random code challenge in
// a link, which may contain "eyJ" too.
var jwtStart = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.`)

// outcome is the result of a run of the program.
type outcome struct {
	code           int
	stdout, stderr string
}

// call runs "gatehouse call" in this process.
func (f *fixture) call(t *testing.T, args ...string) outcome {
	t.Helper()
	return f.callContext(t, t.Context(), args...)
}

func (f *fixture) callContext(t *testing.T, ctx context.Context, args ...string) outcome {
	t.Helper()
	return f.run(t, ctx, append([]string{"call"}, args...)...)
}

// run runs the program.
func (f *fixture) run(t *testing.T, ctx context.Context, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	con := &console{
		stdin:     strings.NewReader(f.stdin),
		stdout:    &stdout,
		stderr:    &stderr,
		getenv:    func(name string) string { return f.env[name] },
		configDir: func() (string, error) { return f.config, nil },
	}
	browse := f.browse
	if browse == nil {
		browse = f.browser(map[string]string{localclerk.SignInHeader: "ada"})
	}
	con.browse = func(link string) error {
		f.mu.Lock()
		f.opened++
		f.mu.Unlock()
		return browse(link)
	}
	if f.stderr != nil {
		con.stderr = io.MultiWriter(&stderr, f.stderr)
	}
	code := run(ctx, con, args)
	return outcome{code, stdout.String(), stderr.String()}
}

// want fails the test unless the run ended with the exit status code, and standard error
// contains each of the texts and no secrets.
func (o outcome) want(t *testing.T, code int, stderr ...string) {
	t.Helper()
	if o.code != code {
		t.Fatalf("status %d, want %d\nstdout: %s\nstderr: %s", o.code, code, o.stdout, o.stderr)
	}
	for _, text := range stderr {
		if !strings.Contains(o.stderr, text) {
			t.Errorf("stderr has no %q:\n%s", text, o.stderr)
		}
	}
	if jwt := jwtStart.FindString(o.stderr); jwt != "" {
		t.Errorf("stderr has the beginning of a JWT, %q:\n%s", jwt, o.stderr)
	}
	for _, secret := range []string{"code=", "code_verifier", "client_secret"} {
		if strings.Contains(o.stderr, secret) {
			t.Errorf("stderr has %q:\n%s", secret, o.stderr)
		}
	}
}

// files returns the saved sign-ins by path.
func (f *fixture) files(t *testing.T) map[string]*savedsignin.SignIn {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(f.config, "gatehouse", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*savedsignin.SignIn{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		k, err := savedsignin.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		found[path] = k
	}
	return found
}

// edit changes the only saved sign-in.
func (f *fixture) edit(t *testing.T, change func(k *savedsignin.SignIn)) {
	t.Helper()
	files := f.files(t)
	if len(files) != 1 {
		t.Fatalf("%d sign-ins are saved, want 1", len(files))
	}
	for path, k := range files {
		change(k)
		data, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
