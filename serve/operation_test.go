package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// waiting is a tool that runs until it is released.
type waiting struct{ started, release, canceled chan bool }

func addWaiting(server *testServer) *waiting {
	w := &waiting{started: make(chan bool, 1), release: make(chan bool), canceled: make(chan bool, 1)}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "wait"}, w.run)
	return w
}

func (w *waiting) run(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	w.started <- true
	select {
	case <-ctx.Done():
		w.canceled <- true
		return nil, nil, ctx.Err()
	case <-w.release:
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "finished"}}}, nil, nil
	}
}

// call calls the tool wait and sends what it answered.
func (w *waiting) call(session *mcp.ClientSession) <-chan string {
	answered := make(chan string, 1)
	go func() {
		result, err := session.CallTool(context.Background(), &mcp.CallToolParams{Name: "wait"})
		if err != nil {
			answered <- err.Error()
			return
		}
		text, _ := json.Marshal(result.Content)
		answered <- string(text)
	}()
	<-w.started
	return answered
}

var revisions = []string{"2026-07-28", "2025-11-25"}

// A server that shares revocations is ready when it has loaded them.
func TestReadyWaitsForRevocations(t *testing.T) {
	t.Parallel()
	store := gatehousetest.NewRevocations()
	store.SetDown(true)
	server := start(t, func(cfg *serve.Config) { cfg.Revocations = store })
	ready := strings.TrimSuffix(server.URL(), "/mcp") + "/readyz"
	if resp, body := get(t, ready, "*/*"); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "waiting for the revocations") {
		t.Errorf("while the store is down: status %d: %s; want 503", resp.StatusCode, body)
	}
	store.SetDown(false)
	eventually(t, "the server is ready", func() bool {
		resp, _ := get(t, ready, "*/*")
		return resp.StatusCode == http.StatusOK
	})
}

// A stop while a call runs: /readyz says so first, requests are served for the delay, and
// the running call is delivered.
func TestStopDeliversRunningCalls(t *testing.T) {
	for _, version := range revisions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := start(t, func(cfg *serve.Config) {
				cfg.DrainDelay = 2 * time.Second
				cfg.ShutdownTimeout = time.Minute
			})
			tool := addWaiting(server)
			session := connect(t, server.URL(), version, signIn(t, "ada", ""))
			answered := tool.call(session)
			base := strings.TrimSuffix(server.URL(), "/mcp")
			if resp, body := get(t, base+"/readyz", "*/*"); resp.StatusCode != http.StatusOK {
				t.Errorf("/readyz before the stop: status %d: %s", resp.StatusCode, body)
			}
			stopped := make(chan error, 1)
			go func() { stopped <- server.stop() }()
			eventually(t, "the log says that the server stops", func() bool {
				return strings.Contains(server.log.String(), `"msg":"stopping"`)
			})
			resp, body := get(t, base+"/readyz", "*/*")
			if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "shutting down") {
				t.Errorf("/readyz during the delay: status %d: %s; want 503", resp.StatusCode, body)
			}
			if resp, _ := get(t, base+"/healthz", "*/*"); resp.StatusCode != http.StatusOK {
				t.Errorf("/healthz during the delay: status %d, want 200", resp.StatusCode)
			}
			if _, err := session.ListTools(t.Context(), nil); err != nil {
				t.Errorf("a request during the delay: %v", err)
			}
			tool.waitUntilClosed(t, base)
			select {
			case err := <-stopped:
				t.Errorf("Serve = %v while a call runs", err)
			case got := <-answered:
				t.Errorf("the call was answered with %s before it finished", got)
			default:
			}
			close(tool.release)
			if got := <-answered; !strings.Contains(got, "finished") {
				t.Errorf("the running call got %s, want its result", got)
			}
			if err := <-stopped; err != nil {
				t.Errorf("Serve = %v, want nil", err)
			}
		})
	}
}

// waitUntilClosed returns when the server at base accepts no more connections.
func (w *waiting) waitUntilClosed(t *testing.T, base string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(t, "the server accepts no more connections", func() bool {
		resp, err := client.Get(base + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err != nil
	})
}

// eventually returns when condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-ticker.C {
		if condition() {
			return
		}
	}
	t.Errorf("not after 20 s: %s", what)
}

// A call that does not finish in time is ended, and is not answered with an empty result.
func TestStopEndsCallsAfterTheTimeout(t *testing.T) {
	for _, version := range revisions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := start(t, func(cfg *serve.Config) { cfg.ShutdownTimeout = 50 * time.Millisecond })
			tool := addWaiting(server)
			answered := tool.call(connect(t, server.URL(), version, signIn(t, "ada", "")))
			if err := server.stop(); err != nil {
				t.Errorf("Serve = %v, want nil", err)
			}
			if got := <-answered; !strings.Contains(got, "Service Unavailable") && !strings.Contains(got, "shutting down") {
				t.Errorf("the call got %s, want 503", got)
			}
			<-tool.canceled
		})
	}
}

// Stateless serves every revision without sessions, so any replica can answer any request.
func TestStateless(t *testing.T) {
	server := start(t, func(cfg *serve.Config) { cfg.Stateless = true })
	for _, version := range revisions {
		session := connect(t, server.URL(), version, signIn(t, "ada", ""))
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
		if err != nil || result.IsError {
			t.Errorf("%s: whoami: %v, %v", version, result, err)
		}
		if id := session.ID(); id != "" {
			t.Errorf("%s: the client got session %q, want none", version, id)
		}
	}
	if got := server.Guard().Stats().Sessions; got != 0 {
		t.Errorf("Stats: %d sessions, want none", got)
	}
}

// newServer returns a server that is not started, for a provider that is not asked.
func newServer(t *testing.T, configure func(*serve.Config)) *serve.Server {
	t.Helper()
	cfg := serve.Config{
		Name:     "test",
		Version:  "1",
		Provider: gatehouse.OIDC("https://issuer.example.com"),
		URL:      "https://mcp.example.com",
	}
	configure(&cfg)
	server, err := serve.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func answerOf(handler http.Handler, method, path string) (int, string) {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(method, "https://mcp.example.com"+path, nil))
	return w.Code, w.Body.String()
}

func TestHandler(t *testing.T) {
	var seen []string
	server := newServer(t, func(cfg *serve.Config) {
		cfg.Routes = func(mux *http.ServeMux, guard *gatehouse.Guard) {
			text := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "route") })
			mux.Handle("GET /public", text)
			mux.Handle("GET /private", guard.Wrap(text))
			mux.Handle("/{name}/deep", text)
			mux.Handle("POST /{name}", text) // does not replace the endpoint
		}
		cfg.Middleware = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen = append(seen, r.Method+" "+r.URL.Path)
				w.Header().Set("X-Middleware", "yes")
				next.ServeHTTP(w, r)
			})
		}
	})
	handler := server.Handler()
	if server.Handler() == nil {
		t.Error("the second call of Handler returned nil")
	}
	for _, test := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"POST", "/mcp", 401, "missing_token"},
		{"GET", "/mcp", 401, "missing_token"},
		{"POST", "/mcp/", 401, "missing_token"},
		{"GET", "/healthz", 200, "ok"},
		{"GET", "/.well-known/oauth-protected-resource/mcp", 200, "https://mcp.example.com/mcp"},
		{"GET", "/public", 200, "route"},
		{"GET", "/private", 401, "missing_token"},
		{"GET", "/x/deep", 200, "route"},
		{"POST", "/other", 200, "route"},
		{"GET", "/other", 404, "not_found"},
		{"GET", "/", 302, ""},
	} {
		status, text := answerOf(handler, test.method, test.path)
		if status != test.status || !strings.Contains(text, test.text) {
			t.Errorf("%s %s: status %d: %s; want %d and %q", test.method, test.path, status, text, test.status, test.text)
		}
		if want := test.method + " " + test.path; len(seen) == 0 || seen[len(seen)-1] != want {
			t.Errorf("the middleware did not see %s", want)
		}
	}
}

// A route for a path of the server is an error, since it would never be served.
func TestRouteOfTheServersOwnPath(t *testing.T) {
	for pattern, wrong := range map[string]bool{
		"/mcp": true, "POST /mcp": true, "mcp.example.com/mcp": true, "/healthz": true, "GET /readyz": true,
		"/.well-known/oauth-protected-resource": true,
		"PATCH /mcp":                            true,
		"/":                                     false, "/mcp/other": false, "/{name}": false, "/.well-known/other": false,
	} {
		server := newServer(t, func(cfg *serve.Config) {
			cfg.Routes = func(mux *http.ServeMux, _ *gatehouse.Guard) { mux.Handle(pattern, http.NotFoundHandler()) }
		})
		func() {
			defer func() {
				fault, _ := recover().(error)
				var configError *gatehouse.ConfigError
				if got := errors.As(fault, &configError) && configError.Field == "Routes"; got != wrong {
					t.Errorf("route %q: Handler panicked with %v, want a fault: %v", pattern, fault, wrong)
				}
			}()
			server.Handler()
		}()
	}
}

// The guard answers POST /register of a client, unless the host has a route of its own there.
func TestRouteForRegister(t *testing.T) {
	for pattern, own := range map[string]bool{
		"POST /register": true, "/register": true, "mcp.example.com/register": true, "/{page}": true,
		"GET /register": false, "/": false, "/other": false,
	} {
		server := newServer(t, func(cfg *serve.Config) {
			cfg.Routes = func(mux *http.ServeMux, _ *gatehouse.Guard) {
				mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
			}
		})
		want := http.StatusBadRequest
		if own {
			want = http.StatusTeapot
		}
		if status, _ := answerOf(server.Handler(), http.MethodPost, "/register"); status != want {
			t.Errorf("route %q: POST /register has status %d, want %d", pattern, status, want)
		}
	}
}

// The log has the operation of the headers only as a claim if no one compared it with the body.
func TestLogOfTheOperation(t *testing.T) {
	server := start(t)
	for _, version := range revisions {
		session := connect(t, server.URL(), version, signIn(t, "ada", ""))
		if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range revisions {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL(), strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Mcp-Protocol-Version", version)
		r.Header.Set("Mcp-Method", "claimed/"+version)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if err := server.stop(); err != nil {
		t.Fatal(err)
	}
	log := server.log.String()
	for _, want := range []string{
		`"operation":"tools/call whoami"`,
		`"claimed_operation":"claimed/2026-07-28"`,
		`"claimed_operation":"claimed/2025-11-25"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	if strings.Contains(log, `"operation":"claimed`) {
		t.Errorf("the log has a claim as an operation:\n%s", log)
	}
}

// The settings of the audit are those of the guard.
func TestAuditIsOfTheGuard(t *testing.T) {
	var events []gatehouse.AuditEvent
	var lines strings.Builder
	server := newServer(t, func(cfg *serve.Config) {
		cfg.Audit = func(_ context.Context, e gatehouse.AuditEvent) { events = append(events, e) }
		cfg.AuditLogger = slog.New(slog.NewJSONHandler(&lines, nil))
		cfg.AuditSubjects = gatehouse.AuditSubjectsClear
		cfg.AuditKey = make([]byte, 32)
	})
	server.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "https://mcp.example.com/mcp", nil))
	if len(events) != 1 || events[0].Reason != "no_credentials" || !strings.Contains(lines.String(), events[0].ID) {
		t.Errorf("got events %+v and lines %q, want one of a request without a token", events, lines.String())
	}
	if warnings := strings.Join(server.Guard().Warnings(), " "); strings.Contains(warnings, "AuditKey") {
		t.Errorf("got warnings %q, want none about the key, which is set", warnings)
	}
}
