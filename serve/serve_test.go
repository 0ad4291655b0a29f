package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// testServer is a running server with its local Clerk.
type testServer struct {
	*serve.Server
	clerk *localclerk.Server
	log   *testlog.Buffer
	stop  func() error // stops the server and returns what Serve returned
}

// start runs a server and a local Clerk on free ports until t ends.
func start(t *testing.T, configure ...func(*serve.Config)) *testServer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	listeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		t.Fatal(err)
	}
	settings := localclerk.DefaultSettings()
	settings.DefaultScopes = []string{"profile", "email", "offline_access", "user:org:read"}
	local, err := localclerk.New(localclerk.Config{
		Issuer:   "http://localhost:" + portOf(listeners[0]),
		Settings: &settings,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range listeners {
		go local.Serve(ctx, l)
	}
	logged := &testlog.Buffer{}
	cfg := serve.Config{
		Name:     "test",
		Version:  "1.2.3",
		Provider: clerk.Provider(local.Issuer()),
		Logger:   logged.Logger(),
	}
	for _, c := range configure {
		c(&cfg)
	}
	server, err := serve.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get the signed-in user"}, whoami)
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "admin", Description: "Needs an organization"}, whoami)
	serverListeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, serverListeners...) }()
	r := &testServer{Server: server, clerk: local, log: logged, stop: sync.OnceValue(func() error { cancel(); return <-ended })}
	t.Cleanup(func() { r.stop() })
	waitFor(t, "http://localhost:"+portOf(serverListeners[0])+"/healthz")
	return r
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// waitFor returns when the server at url has answered.
func waitFor(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url) // the listener is open already, so this waits for its server
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func whoami(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	user, err := clerk.Profile(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	return nil, user, nil
}

// signIn returns the OAuth handler of a client that signs in as user, without a browser.
// It chooses the organization when the client requests the scope for it.
func signIn(t *testing.T, user, organization string) auth.OAuthHandler {
	t.Helper()
	const redirect = "http://127.0.0.1:9/callback"
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		RedirectURL: redirect,
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{ClientName: "test", RedirectURIs: []string{redirect}, TokenEndpointAuthMethod: "none"},
		},
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, args.URL, nil)
			if err != nil {
				return nil, err
			}
			req.Header.Set("Localclerk-Sign-In", user)
			if strings.Contains(req.URL.Query().Get("scope"), "user:org:read") {
				req.Header.Set("Localclerk-Organization", organization)
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				return nil, err
			}
			defer resp.Body.Close()
			to, err := url.Parse(resp.Header.Get("Location"))
			if err != nil {
				return nil, err
			}
			q := to.Query()
			if q.Get("code") == "" {
				t.Errorf("authorization endpoint: status %d, Location %s", resp.StatusCode, to)
			}
			return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func connect(t *testing.T, url, version string, handler auth.OAuthHandler) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: url, OAuthHandler: handler},
		&mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

func TestSignInAndCall(t *testing.T) {
	server := start(t)
	for _, version := range []string{"2026-07-28", "2025-11-25"} {
		t.Run(version, func(t *testing.T) {
			session := connect(t, server.URL(), version, signIn(t, "ada", ""))
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
			if err != nil {
				t.Fatal(err)
			}
			text, _ := json.Marshal(result.StructuredContent)
			if !strings.Contains(string(text), "Ada Lovelace") || result.IsError {
				t.Errorf("whoami answered %s", text)
			}
		})
	}
	if log := server.log.String(); strings.Contains(log, "eyJ") || !strings.Contains(log, `"reason":"no_credentials"`) || !strings.Contains(log, `"subject":"user_`) {
		t.Errorf("the log contains a token, or lacks an outcome:\n%s", log)
	}
}

func TestSlashAndLoopbackNames(t *testing.T) {
	server := start(t)
	u, _ := url.Parse(server.URL())
	for _, host := range []string{"localhost", "127.0.0.1"} {
		session := connect(t, "http://"+host+":"+u.Port()+"/mcp", "2026-07-28", signIn(t, "grace", ""))
		if _, err := session.ListTools(t.Context(), nil); err != nil {
			t.Errorf("under %s: %v", host, err)
		}
	}
	resp, err := http.Post(server.URL()+"/", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("with a slash: status %d, want 401", resp.StatusCode)
	}
}

func TestStepUp(t *testing.T) {
	server := start(t, func(cfg *serve.Config) {
		cfg.Requirements = []gatehouse.Requirement{{Tool: "admin", Require: gatehouse.Require{Organization: true}}}
	})
	for _, version := range []string{"2026-07-28", "2025-11-25"} {
		session := connect(t, server.URL(), version, signIn(t, "ada", "analytical-engines"))
		if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"}); err != nil {
			t.Errorf("%s: whoami: %v", version, err)
		}
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "admin"})
		if err != nil {
			t.Errorf("%s: admin: %v", version, err)
			continue
		}
		if text, _ := json.Marshal(result.StructuredContent); !strings.Contains(string(text), "org_") {
			t.Errorf("%s: after the step-up the token has no organization: %s", version, text)
		}
	}
}

func get(t *testing.T, url, accept string) (*http.Response, string) {
	t.Helper()
	req, _ := http.NewRequest(http.MethodGet, url, nil)
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// browser is what a browser sends as Accept.
const browser = "text/html,application/xhtml+xml"

func TestLandingPage(t *testing.T) {
	server := start(t, func(cfg *serve.Config) {
		cfg.Title = "Notes <b>"
		cfg.ServerOptions = &mcp.ServerOptions{Instructions: "Call whoami first."}
	})
	server.MCP.AddReceivingMiddleware(func(mcp.MethodHandler) mcp.MethodHandler {
		return func(context.Context, string, mcp.Request) (mcp.Result, error) {
			t.Error("the landing page called the MCP server")
			return nil, errors.New("no caller")
		}
	})
	resp, page := get(t, server.URL(), browser)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", resp.StatusCode, page)
	}
	for _, want := range []string{
		"Notes &lt;b&gt;", "version 1.2.3", "sign in with Clerk", "Call whoami first.",
		"claude mcp add --transport http notes-b " + server.URL(),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "admin") {
		t.Errorf("the page names a tool:\n%s", page)
	}
	if strings.Index(page, "claude mcp add") > strings.Index(page, "Call whoami first.") {
		t.Error("the instructions come before how to connect")
	}
}

func TestPages(t *testing.T) {
	server := start(t)
	base := strings.TrimSuffix(server.URL(), "/mcp")
	if resp, _ := get(t, server.URL(), "application/json, text/event-stream"); resp.StatusCode != 401 {
		t.Errorf("an MCP client gets status %d at the page's address, want 401", resp.StatusCode)
	}
	if resp, _ := get(t, base+"/", browser); resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "/mcp" {
		t.Errorf("root: status %d to %q, want 302 to /mcp", resp.StatusCode, resp.Header.Get("Location"))
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/.well-known/anything": 404, "/register": 404} {
		if resp, body := get(t, base+path, "*/*"); resp.StatusCode != want || !json.Valid([]byte(body)) {
			t.Errorf("%s: status %d, body %s; want %d and JSON", path, resp.StatusCode, body, want)
		}
	}
	noPage := start(t, func(cfg *serve.Config) { cfg.NoLandingPage = true })
	if resp, _ := get(t, noPage.URL(), browser); resp.StatusCode != 401 {
		t.Errorf("without a landing page: status %d, want 401", resp.StatusCode)
	}
}

func TestStopEndsStreams(t *testing.T) {
	server := start(t)
	session := connect(t, server.URL(), "2025-11-25", signIn(t, "ada", "")) // keeps a GET stream open
	if _, err := session.ListTools(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := server.stop(); err != nil {
		t.Errorf("Serve = %v, want nil after its context ended", err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("stopping took %s; want open streams to end at once", took)
	}
	if log := server.log.String(); !strings.Contains(log, `"msg":"stopping","reason":"context canceled"`) {
		t.Errorf("the log does not say that the server stops:\n%s", log)
	}
}
