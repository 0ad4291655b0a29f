package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// longAgo is before any token expires.
var longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

var quiet = log.New(io.Discard, "", 0)

// signingKey is one for all rigs: making it takes longer than most tests.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// rig is a local Clerk and an MCP server that has people sign in there. Every
// test of a failure changes one thing of it.
type rig struct {
	clerk    *localclerk.Server
	clerkURL string
	mcpURL   string
	config   string // where gatehouse keeps its sign-ins

	// browse is what a person does with the link. Nil means that ada signs in.
	browse func(link string) error
	// pages has what the browser shows in the end.
	pages chan string

	// clerkGate and mcpGate, if set, handle a request first. They report whether
	// they answered it.
	clerkGate, mcpGate func(w http.ResponseWriter, r *http.Request) bool
	// editJSON, if set, changes JSON documents of the local Clerk on their way.
	editJSON func(path string, document map[string]any)

	// stateful makes the MCP server one of the revisions before 2026-07-28.
	stateful bool

	stdin  string
	stderr io.Writer // gets a copy of standard error, if set

	// prm is the protected resource document, nil for none.
	prm *oauthex.ProtectedResourceMetadata
	// noHint leaves resource_metadata out of the challenge.
	noHint bool

	mu       sync.Mutex
	opened   int      // how often the browser was
	requests []string // METHOD path of everything the local Clerk was asked
	tokens   []url.Values
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{config: t.TempDir(), pages: make(chan string, 10)}

	issuer := httptest.NewUnstartedServer(http.HandlerFunc(r.serveClerk))
	r.clerkURL = "http://" + issuer.Listener.Addr().String()
	r.restartClerk(t, nil)
	server := httptest.NewUnstartedServer(r.mcpHandler())
	r.mcpURL = "http://" + server.Listener.Addr().String() + "/mcp"
	r.prm = &oauthex.ProtectedResourceMetadata{
		Resource:             r.mcpURL,
		AuthorizationServers: []string{r.clerkURL},
		ScopesSupported:      []string{"profile", "email"},
	}
	issuer.Start()
	t.Cleanup(issuer.Close)
	server.Start()
	t.Cleanup(server.Close)
	return r
}

// restartClerk puts a local Clerk that remembers nothing in the place of the last.
func (r *rig) restartClerk(t testing.TB, settings *localclerk.Settings) {
	t.Helper()
	clerk, err := localclerk.New(localclerk.Config{Issuer: r.clerkURL, Settings: settings, SigningKey: signingKey()})
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clerk = clerk
}

func (r *rig) serveClerk(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	clerk := r.clerk
	r.requests = append(r.requests, req.Method+" "+req.URL.Path)
	r.mu.Unlock()
	if req.URL.Path == "/oauth/token" {
		r.noteToken(req)
	}
	if r.clerkGate != nil && r.clerkGate(w, req) {
		return
	}
	if r.editJSON == nil {
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
		r.editJSON(req.URL.Path, document)
		w.Header().Del("Content-Length")
		w.WriteHeader(rec.Code)
		json.NewEncoder(w).Encode(document)
		return
	}
	w.WriteHeader(rec.Code)
	w.Write(rec.Body.Bytes())
}

func (r *rig) noteToken(req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	req.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens = append(r.tokens, form)
}

// asked counts the requests to the local Clerk, given as "METHOD /path".
func (r *rig) asked(request string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, got := range r.requests {
		if got == request {
			n++
		}
	}
	return n
}

func (r *rig) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened, r.requests, r.tokens = 0, nil, nil
}

func (r *rig) mcpHandler() http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "rig", Version: "1"}, nil)
	type city struct {
		City string `json:"city" jsonschema:"where"`
		Days int    `json:"days,omitempty"`
	}
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Says who is signed in"},
		func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			return nil, map[string]any{"userId": req.Extra.TokenInfo.UserID, "org": req.Extra.TokenInfo.Extra["org_id"]}, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "forecast", Description: "Says what the weather will be"},
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
		if r.prm == nil {
			http.NotFound(w, req)
			return
		}
		auth.ProtectedResourceMetadataHandler(r.prm).ServeHTTP(w, req)
	})
	mux.HandleFunc("/", r.serveClerk) // for the revision in which both are one
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, req *http.Request) {
		if r.mcpGate != nil && r.mcpGate(w, req) {
			return
		}
		options := &auth.RequireBearerTokenOptions{ResourceMetadataURL: r.mcpOrigin() + "/.well-known/oauth-protected-resource/mcp"}
		if r.noHint {
			options.ResourceMetadataURL = ""
		}
		endpoint := stateless
		if r.stateful {
			endpoint = stateful
		}
		auth.RequireBearerToken(r.verify, options)(endpoint).ServeHTTP(w, req)
	})
	return mux
}

func (r *rig) mcpOrigin() string { return r.mcpURL[:strings.LastIndex(r.mcpURL, "/mcp")] }

// verify asks the local Clerk whom a token belongs to.
func (r *rig) verify(ctx context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.clerkURL+"/oauth/userinfo", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	req.RemoteAddr, req.Host = "127.0.0.1:1", strings.TrimPrefix(r.clerkURL, "http://")
	r.mu.Lock()
	clerk := r.clerk
	r.mu.Unlock()
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

// editAnswer has ada sign in, and changes the query of the redirect that takes
// her back.
func (r *rig) editAnswer(edit func(q url.Values)) {
	r.clerkGate = func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path != "/oauth/authorize" {
			return false
		}
		rec := httptest.NewRecorder()
		r.clerk.ServeHTTP(rec, req)
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

// signsIn returns a browser in which the user with the given name signs in. The
// page that it ends on goes to r.pages.
func (r *rig) signsIn(headers map[string]string) func(link string) error {
	return func(link string) error {
		go func() {
			req, err := http.NewRequest(http.MethodGet, link, nil)
			if err != nil {
				r.pages <- err.Error()
				return
			}
			for name, value := range headers {
				req.Header.Set(name, value)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				r.pages <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			r.pages <- string(body)
		}()
		return nil
	}
}

// outcome is what a run of the program left.
type outcome struct {
	code           int
	stdout, stderr string
}

// call runs "gatehouse call" in this process.
func (r *rig) call(t *testing.T, args ...string) outcome {
	t.Helper()
	return r.callContext(t, t.Context(), args...)
}

func (r *rig) callContext(t *testing.T, ctx context.Context, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	con := &console{
		stdin:     strings.NewReader(r.stdin),
		stdout:    &stdout,
		stderr:    &stderr,
		getenv:    func(string) string { return "" },
		configDir: func() (string, error) { return r.config, nil },
	}
	browse := r.browse
	if browse == nil {
		browse = r.signsIn(map[string]string{localclerk.SignInHeader: "ada"})
	}
	con.browse = func(link string) error {
		r.mu.Lock()
		r.opened++
		r.mu.Unlock()
		return browse(link)
	}
	if r.stderr != nil {
		con.stderr = io.MultiWriter(&stderr, r.stderr)
	}
	code := run(ctx, con, append([]string{"call"}, args...))
	return outcome{code, stdout.String(), stderr.String()}
}

// want fails the test unless the run ended with a status, and said something on
// standard error that contains each of the texts.
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
	for _, secret := range []string{"eyJ", "code=", "code_verifier", "client_secret"} {
		if strings.Contains(o.stderr, secret) {
			t.Errorf("stderr has %q:\n%s", secret, o.stderr)
		}
	}
}

// files returns the kept sign-ins by path.
func (r *rig) files(t *testing.T) map[string]*kept {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.config, "gatehouse", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*kept{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		k, err := decodeKept(data)
		if err != nil {
			t.Fatal(err)
		}
		found[path] = k
	}
	return found
}

// edit changes the only kept sign-in.
func (r *rig) edit(t *testing.T, change func(k *kept)) {
	t.Helper()
	files := r.files(t)
	if len(files) != 1 {
		t.Fatalf("%d sign-ins are kept, want 1", len(files))
	}
	for path, k := range files {
		change(k)
		data, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, privateFile); err != nil {
			t.Fatal(err)
		}
	}
}
