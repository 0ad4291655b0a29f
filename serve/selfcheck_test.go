package serve_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
)

// clerkWithout returns a local Clerk on which registration is off. asked gets a value with the
// first request for its keys or metadata.
func clerkWithout(t *testing.T) (issuer string) {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	settings := localclerk.DefaultSettings()
	settings.DynamicOAuthClientRegistration = false
	local, err := localclerk.New(localclerk.Config{Issuer: "http://" + front.Listener.Addr().String(), Settings: &settings})
	if err != nil {
		t.Fatal(err)
	}
	front.Config.Handler = local
	front.Start()
	t.Cleanup(front.Close)
	return local.Issuer()
}

var selfCheckLine = regexp.MustCompile(`"msg":"check at start: [^\n]*`)

// TestSelfCheck checks that a fault of the provider is logged once, with its fix.
func TestSelfCheck(t *testing.T) {
	t.Parallel()
	issuer := clerkWithout(t)
	server := start(t, func(cfg *serve.Config) { cfg.Provider = clerk.Provider(issuer) })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	line, err := server.log.Wait(ctx, selfCheckLine)
	if err != nil {
		t.Fatalf("%v:\n%s", err, server.log)
	}
	for _, want := range []string{`"check":"registration.`, "registration", `"fix":"`, `"consequence":"`} {
		if !strings.Contains(line[0], want) {
			t.Errorf("the line has no %s: %s", want, line[0])
		}
	}
	server.stop()
	for _, line := range selfCheckLine.FindAllString(server.log.String(), -1) {
		if n := strings.Count(server.log.String(), line); n != 1 {
			t.Errorf("the line was logged %d times, want once: %s", n, line)
		}
	}
}

// TestSelfCheckOfHandler checks a server whose handler is served by the program itself: it makes no
// check until it is asked to.
func TestSelfCheckOfHandler(t *testing.T) {
	t.Parallel()
	var log testlog.Buffer
	server, err := serve.New(serve.Config{
		Name: "x", Version: "1", Provider: clerk.Provider(clerkWithout(t)), URL: "http://localhost:1/mcp", Logger: log.Logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.Handler())
	defer web.Close()
	if selfCheckLine.MatchString(log.String()) {
		t.Errorf("Handler made a check:\n%s", &log)
	}
	findings := server.SelfCheck(t.Context())
	if len(findings) != 1 || !strings.HasPrefix(findings[0].ID, "registration.") {
		t.Errorf("findings %+v, want one about the registration", findings)
	}
	if lines := selfCheckLine.FindAllString(log.String(), -1); len(lines) != 1 {
		t.Errorf("log has %q, want one finding", lines)
	}
}

// TestSelfCheckHealthy checks that nothing is logged about the local Clerk with its default settings.
func TestSelfCheckHealthy(t *testing.T) {
	t.Parallel()
	server := start(t)
	if findings := selfCheckLine.FindAllString(finish(t, server), -1); len(findings) > 0 {
		t.Errorf("got %q, want no finding", findings)
	}
}

// finish stops the server after its checks, and returns its log. The checks are made again here, so
// that the test does not have to wait for them.
func finish(t *testing.T, server *testServer) string {
	t.Helper()
	for _, f := range server.SelfCheck(t.Context()) {
		t.Errorf("got %+v, want no finding", f)
	}
	server.stop()
	return server.log.String()
}

// TestSkipSelfCheck checks the setting that turns the checks off.
func TestSkipSelfCheck(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Mcp-Protocol-Version")
		http.NotFound(w, r)
	}))
	defer provider.Close()
	server := start(t, func(cfg *serve.Config) {
		cfg.Provider = gatehouse.OIDC(provider.URL)
		cfg.SkipSelfCheck = true
	})
	if err := server.stop(); err != nil {
		t.Error(err)
	}
	provider.Close() // waits for requests that still run
	close(asked)
	for version := range asked {
		if version != "" { // the guard's own requests have none
			t.Errorf("got a request of the checks, with the revision %s, want none", version)
		}
	}
}

// TestSelfCheckEndsWithServer checks that a provider that never answers delays neither the start nor
// the end of the server.
func TestSelfCheckEndsWithServer(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 100)
	provider := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer provider.Close()
	server := start(t, func(cfg *serve.Config) { cfg.Provider = gatehouse.OIDC(provider.URL) })
	<-asked // the server has answered on /healthz already
	if err := server.stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(server.log.String(), "check at start") {
		t.Errorf("got findings about checks that did not end:\n%s", server.log)
	}
}
