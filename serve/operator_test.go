package serve_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/serve"
)

// operatorURL returns the URL of the operator port, which the log names.
func operatorURL(t *testing.T, server *testServer) string {
	t.Helper()
	match, err := server.log.Wait(t.Context(), regexp.MustCompile(`"msg":"operator port","address":"([^" ]+)`))
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + match[1]
}

// readiness is the part of /readyz that tests look at.
type readiness struct {
	code      int
	Status    string
	Endpoints []struct {
		URL, Status, Reason string
		Keys                []struct {
			Issuer string
			Count  int
		}
		Revocations *struct{ Loaded, Connected bool }
	}
}

func readReady(t *testing.T, base string) readiness {
	t.Helper()
	resp, body := get(t, base+"/readyz", "*/*")
	r := readiness{code: resp.StatusCode}
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("/readyz: %v in %s", err, body)
	}
	return r
}

func TestOperatorPort(t *testing.T) {
	t.Parallel()
	server := start(t, func(cfg *serve.Config) {
		cfg.Operator = serve.Operator{
			Addr:    "localhost:0",
			Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metric 1\n") }),
			PProf:   true,
		}
	})
	base, public := operatorURL(t, server), strings.TrimSuffix(server.URL(), "/mcp")
	eventually(t, "the server is ready", func() bool { return readReady(t, base).code == http.StatusOK })
	ready := readReady(t, base)
	if len(ready.Endpoints) != 1 || ready.Endpoints[0].URL != server.URL() || ready.Endpoints[0].Keys[0].Issuer != server.clerk.Issuer() ||
		ready.Endpoints[0].Keys[0].Count == 0 || ready.Endpoints[0].Revocations != nil {
		t.Errorf("/readyz is %+v, want the endpoint and its keys", ready)
	}
	get(t, server.URL(), "*/*") // a rejected request
	for path, want := range map[string]string{
		"/healthz": "ok", "/metrics": "metric 1", "/stats": `"no_credentials":1`, "/debug/pprof/goroutine?debug=1": "goroutine profile",
	} {
		if resp, body := get(t, base+path, "*/*"); resp.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: got %d %.300s, want 200 and %s", path, resp.StatusCode, body, want)
		}
	}
	// None of it is on the public port, where /readyz has the status alone.
	for _, path := range []string{"/metrics", "/stats", "/debug/pprof/"} {
		if resp, _ := get(t, public+path, "*/*"); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s on the public port: got %d, want 404", path, resp.StatusCode)
		}
	}
	if _, body := get(t, public+"/readyz", "*/*"); body != `{"status":"ready"}`+"\n" {
		t.Errorf("/readyz on the public port is %s, want the status alone", body)
	}
}

// The operator port says why the server is not ready.
func TestOperatorPortNamesTheReason(t *testing.T) {
	t.Parallel()
	store := gatehousetest.NewRevocations()
	store.SetDown(true)
	server := start(t, func(cfg *serve.Config) {
		cfg.Revocations = store
		cfg.Operator.Addr = "localhost:0"
	})
	base := operatorURL(t, server)
	eventually(t, "the keys are loaded", func() bool { return readReady(t, base).Endpoints[0].Keys[0].Count > 0 })
	got := readReady(t, base)
	if e := got.Endpoints[0]; got.code != http.StatusServiceUnavailable || got.Status != "not ready" || e.Revocations == nil || e.Revocations.Loaded ||
		!strings.Contains(e.Reason, "the revocations are not loaded") {
		t.Errorf("while the store is down: %+v, want the reason", got)
	}
	store.SetDown(false)
	eventually(t, "the server is ready", func() bool { return readReady(t, base).code == http.StatusOK })
	if e := readReady(t, base).Endpoints[0]; !e.Revocations.Loaded || !e.Revocations.Connected || e.Reason != "" {
		t.Errorf("when the store is back: %+v, want loaded revocations and no reason", e)
	}
}

// At a stop, the operator port is the first to say so and the last to close.
func TestOperatorPortClosesLast(t *testing.T) {
	t.Parallel()
	server := start(t, func(cfg *serve.Config) {
		cfg.Operator.Addr = "localhost:0"
		cfg.DrainDelay, cfg.ShutdownTimeout = 2*time.Second, time.Minute
	})
	base, public := operatorURL(t, server), strings.TrimSuffix(server.URL(), "/mcp")
	tool := addWaiting(server)
	answered := tool.call(connect(t, server.URL(), "2026-07-28", signIn(t, "ada", "")))
	stopped := make(chan error, 1)
	go func() { stopped <- server.stop() }()
	eventually(t, "the operator port says that the server stops", func() bool { return readReady(t, base).Status == "shutting down" })
	if got := readReady(t, base); got.code != http.StatusServiceUnavailable {
		t.Errorf("/readyz during the delay: %+v, want 503", got)
	}
	if resp, _ := get(t, public+"/healthz", "*/*"); resp.StatusCode != http.StatusOK {
		t.Errorf("the public port during the delay: %d, want that it is open", resp.StatusCode)
	}
	tool.waitUntilClosed(t, public)
	if resp, _ := get(t, base+"/healthz", "*/*"); resp.StatusCode != http.StatusOK {
		t.Errorf("the operator port after the public one has closed: %d, want 200", resp.StatusCode)
	}
	close(tool.release)
	if got := <-answered; !strings.Contains(got, "finished") {
		t.Errorf("the running call got %s, want its result", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	if _, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(base + "/healthz"); err == nil {
		t.Error("the operator port is open after the stop")
	}
}

// Operator.Handler serves guards without a server, behind a listener of the user's own.
func TestOperatorHandlerOfGuards(t *testing.T) {
	t.Parallel()
	var guards []*gatehouse.Guard
	for _, url := range []string{"http://localhost:1/a/mcp", "http://localhost:1/b/mcp"} {
		guard, err := gatehouse.New(gatehouse.Config{Resource: url, Provider: gatehouse.OIDC("http://127.0.0.1:1"), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(guard.Close)
		guards = append(guards, guard)
	}
	srv := httptest.NewServer(serve.Operator{}.Handler(guards...))
	t.Cleanup(srv.Close)
	got := readReady(t, srv.URL)
	if got.code != http.StatusServiceUnavailable || len(got.Endpoints) != 2 || got.Endpoints[1].URL != "http://localhost:1/b/mcp" ||
		got.Endpoints[1].Status != "not ready" || got.Endpoints[1].Reason == "" {
		t.Errorf("got %+v, want both guards with the reason", got)
	}
	guards[0].Drain()
	if got := readReady(t, srv.URL); got.Status != "shutting down" || got.Endpoints[0].Status != "shutting down" {
		t.Errorf("after Drain: got %+v, want shutting down", got)
	}
}
