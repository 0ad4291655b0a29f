package prometheus_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/metrics/prometheus"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// newServer starts a server with the tools hello, fail and closed.
func newServer(t *testing.T, clerk *gatehousetest.ClerkServer, m *prometheus.Metrics, change func(*serve.Config)) *serve.Server {
	t.Helper()
	var server *serve.Server
	gatehousetest.Serve(t, func(origin string) http.Handler {
		cfg := serve.Config{
			Name: "s", Version: "1", URL: origin, Provider: clerk.Provider(), Observers: []gatehouse.Observer{m.Observer()},
			Logger: slog.New(slog.DiscardHandler),
		}
		if change != nil {
			change(&cfg)
		}
		var err error
		if server, err = serve.New(cfg); err != nil {
			t.Fatal(err)
		}
		tool := func(err error) mcp.ToolHandlerFor[struct{}, any] {
			return func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
				return nil, nil, err
			}
		}
		mcp.AddTool(server.MCP, &mcp.Tool{Name: "hello"}, tool(nil))
		mcp.AddTool(server.MCP, &mcp.Tool{Name: "fail"}, tool(errors.New("x")))
		mcp.AddTool(server.MCP, server.ProtectTool(&mcp.Tool{Name: "closed"}, gatehouse.Require{Scopes: []string{"notes:write"}}), tool(nil))
		return server.Handler()
	})
	m.Watch(server.Guard())
	return server
}

// post sends one request to the server and returns the status.
func post(t *testing.T, server *serve.Server, token, body string, header ...string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"}, "Mcp-Protocol-Version": {"2025-06-18"},
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// scrape returns the metrics as text.
func scrape(t *testing.T, handler http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("got status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// value returns the value of the only metric that begins with the name and has all of the labels.
func value(t *testing.T, text, name string, labels ...string) float64 {
	t.Helper()
	found := 0
	var out float64
lines:
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(line, label) {
				continue lines
			}
		}
		fields := strings.Fields(line)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			t.Fatal(err)
		}
		found++
		out += v
	}
	if found == 0 {
		t.Errorf("got no metric %s with %v", name, labels)
	}
	return out
}

func TestMetrics(t *testing.T) {
	clerk := gatehousetest.Clerk(t)
	settings := clerk.Settings()
	settings.CustomScopes = []string{"notes:write"}
	settings.DefaultScopes = append(settings.DefaultScopes, "notes:write")
	clerk.SetSettings(settings)
	m := prometheus.New()
	server := newServer(t, clerk, m, nil)
	session := clerk.Connect(t, server.URL(), gatehousetest.Person{})
	if _, err := session.ListTools(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hello", "hello", "fail"} {
		if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	token := clerk.Token(t, server.URL(), gatehousetest.Person{})
	call := func(name string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `","arguments":{}}}`
	}
	for _, test := range []struct {
		token, body string
		status      int
	}{
		{"", call("hello"), 401},
		{clerk.Token(t, server.URL(), gatehousetest.Person{}, gatehousetest.Expired), call("hello"), 401},
		{token, call("closed"), 403},
		{"a.b.c", call("hello"), 401},
	} {
		if got := post(t, server, test.token, test.body); got != test.status {
			t.Fatalf("got status %d, want %d", got, test.status)
		}
	}
	text := scrape(t, m.Handler())
	resource, issuer := `resource="`+server.URL()+`"`, `issuer="`+clerk.Issuer()+`"`
	for _, test := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{1, "gatehouse_decisions_total", []string{resource, `reason="expired"`, issuer, `client="none"`, `outcome="deny"`, `layer="http"`}},
		{1, "gatehouse_decisions_total", []string{`reason="insufficient_scope"`, issuer, `client="registered"`}},
		{1, "gatehouse_decisions_total", []string{`reason="malformed"`, `issuer="none"`}},
		{2, "mcp_server_operation_duration_seconds_count", []string{`gen_ai_tool_name="hello"`, `error_type=""`, `mcp_method_name="tools/call"`}},
		{1, "mcp_server_operation_duration_seconds_count", []string{`gen_ai_tool_name="fail"`, `error_type="tool_error"`}},
		{1, "mcp_server_operation_duration_seconds_count", []string{
			`gen_ai_tool_name="closed"`, `error_type="insufficient_scope"`, `mcp_protocol_version="2025-06-18"`,
		}},
		{1, "gatehouse_keys", []string{resource, issuer}},
		{10000, "gatehouse_sessions_limit", []string{resource}},
		{1, "gatehouse_key_fetch_duration_seconds_count", []string{issuer, `error="none"`}},
		{1, "gatehouse_verification_duration_seconds_count", []string{`cache="miss"`, `result="invalid"`, issuer}},
		{0, "gatehouse_observer_failures_total", []string{resource}},
	} {
		if got := value(t, text, test.name, test.labels...); got != test.want {
			t.Errorf("%s %v: got %v, want %v", test.name, test.labels, got, test.want)
		}
	}
	if got := value(t, text, "gatehouse_verification_duration_seconds_count", `cache="hit"`); got < 2 {
		t.Errorf("got %v cache hits, want at least 2", got)
	}
	if strings.Contains(text, "gatehouse_revocation_store") {
		t.Error("there are metrics of a revocation store, and there is none")
	}
	if strings.Contains(text, token) || strings.Contains(text, "user_") {
		t.Error("the metrics have a token or a subject")
	}
}

// The names and types have the form that Prometheus recommends.
func TestLint(t *testing.T) {
	m := prometheus.New()
	clerk := gatehousetest.Clerk(t)
	revocations := gatehousetest.NewRevocations()
	server := newServer(t, clerk, m, func(cfg *serve.Config) { cfg.Revocations = revocations })
	post(t, server, clerk.Token(t, server.URL(), gatehousetest.Person{}), `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	registry := client.NewPedanticRegistry()
	if err := registry.Register(m); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("got %v and problems %v, want none", err, problems)
	}
	text := scrape(t, m.Handler())
	for name, want := range map[string]float64{"gatehouse_revocation_store_connected": 1, "gatehouse_revocations_loaded": 1, "gatehouse_revocations": 0} {
		if got := value(t, text, name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// seriesOf returns the series of a scrape without their values.
func seriesOf(text string) map[string]bool {
	out := make(map[string]bool)
	for line := range strings.Lines(text) {
		if name, _, found := strings.Cut(line, "} "); found {
			out[name] = true
		}
	}
	return out
}

// Texts that a client chooses make no series, with or without a valid token: requests that differ in such
// texts only are counted in the same ones.
func TestClientsMakeNoSeries(t *testing.T) {
	clerk := gatehousetest.Clerk(t)
	m := prometheus.New()
	server := newServer(t, clerk, m, func(cfg *serve.Config) {
		cfg.Requirements = []gatehouse.Requirement{{Tool: "hello", Require: gatehouse.Require{Public: true}}}
	})
	valid := clerk.Token(t, server.URL(), gatehousetest.Person{})
	wave := func(text string) {
		unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://` + text + `.example","sub":"` + text + `"}`))
		for _, token := range []string{"", valid, text, "oat_" + text, "e30." + unsigned + ".e30", valid[:len(valid)-8] + text} {
			for _, body := range []string{
				`{"jsonrpc":"2.0","id":1,"method":"` + text + `"}`, `[{"jsonrpc":"2.0","id":1,"method":"` + text + `"}]`, text,
				`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + text + `"}}`,
				`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hello","arguments":{},"_meta":{"traceparent":"` + text + `"}}}`,
				`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"` + text + `"}}`,
				`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"` + text + `:x"}}`,
				`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + text + `","capabilities":{},` +
					`"clientInfo":{"name":"` + text + `","version":"` + text + `"}}}`,
			} {
				post(t, server, token, body, "Mcp-Protocol-Version", text, "Mcp-Session-Id", text, "Traceparent", text, "Mcp-Name", text,
					"User-Agent", text, "X-Forwarded-For", text)
			}
		}
	}
	wave("first-txt")
	before := seriesOf(scrape(t, m.Handler()))
	wave("other-txt")
	wave("third-txt")
	after := scrape(t, m.Handler())
	for series := range seriesOf(after) {
		if !before[series] {
			t.Errorf("there is a new series: %s", series)
		}
	}
	if strings.Contains(after, "-txt") || len(before) < 100 {
		t.Errorf("got %d series with a text of a client: %v", len(before), strings.Contains(after, "-txt"))
	}
}

// switchedLimiter is a shared rate limiter that works or fails.
type switchedLimiter struct{ fails atomic.Bool }

func (l *switchedLimiter) Take(context.Context, string, int, gatehouse.Rate) (time.Duration, error) {
	if l.fails.Load() {
		return 0, errors.New("connection refused")
	}
	return 0, nil
}

// Rate limits and the shared limiter are seen. A guard that has no shared limiter has no metric of it, and
// the one that says whether it is available begins with the first call.
func TestRateLimits(t *testing.T) {
	clerk := gatehousetest.Clerk(t)
	const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	m := prometheus.New()
	var limiter switchedLimiter
	server := newServer(t, clerk, m, func(cfg *serve.Config) {
		cfg.RateLimits = gatehouse.RateLimits{FailedSignInsPerMinute: 1, FailedSignInsBurst: 2, RequestsPerMinute: 1, RequestsBurst: 3, Shared: &limiter}
	})
	if text := scrape(t, m.Handler()); strings.Contains(text, "gatehouse_rate_limiter_available{") || value(t, text, "gatehouse_rate_limiter_failures_total") != 0 {
		t.Errorf("before the first call: %s", text)
	}
	for _, want := range []int{401, 401, 429} {
		if got := post(t, server, "junk", ping); got != want {
			t.Fatalf("got status %d, want %d", got, want)
		}
	}
	check := func(wants map[string]float64) {
		t.Helper()
		text := scrape(t, m.Handler())
		for name, want := range wants {
			if got := value(t, text, name); got != want {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
	}
	check(map[string]float64{"gatehouse_rate_limiter_available": 1, "gatehouse_rate_limiter_fallbacks_total": 0})
	limiter.fails.Store(true)
	caller := clerk.Token(t, server.URL(), gatehousetest.Person{})
	for _, want := range []int{200, 200, 200, 429, 429} {
		if got := post(t, server, caller, ping); got != want {
			t.Fatalf("got status %d, want %d", got, want)
		}
	}
	check(map[string]float64{
		"gatehouse_rate_limiter_available": 0, "gatehouse_rate_limiter_failures_total": 1, "gatehouse_rate_limiter_fallbacks_total": 4,
	})
	text := scrape(t, m.Handler())
	for limit, want := range map[string]float64{"failed_sign_ins": 1, "requests": 2, "anonymous": 0} {
		if got := value(t, text, "gatehouse_rate_limited_total", `limit="`+limit+`"`); got != want {
			t.Errorf("limit %s: got %v, want %v", limit, got, want)
		}
	}
	if got := value(t, text, "gatehouse_verification_duration_seconds_count", `result="limited"`); got != 1 {
		t.Errorf("got %v tokens that were not verified, want 1", got)
	}
	if got := value(t, text, "gatehouse_rate_limit_budgets"); got < 3 {
		t.Errorf("got %v budgets, want at least those of an address for two kinds of tokens, and of a caller", got)
	}
	alone := prometheus.New()
	newServer(t, clerk, alone, nil)
	if text := scrape(t, alone.Handler()); strings.Contains(text, "gatehouse_rate_limiter_") || !strings.Contains(text, "gatehouse_rate_limited_total") {
		t.Errorf("a guard without a shared limiter: %s", text)
	}
}

// An outage is seen in the keys and in the decisions.
func TestOutage(t *testing.T) {
	m := prometheus.New()
	down := httptest.NewServer(http.NotFoundHandler())
	defer down.Close()
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "http://localhost:3000/mcp", Provider: gatehouse.OIDC(down.URL), Observers: []gatehouse.Observer{m.Observer()},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	m.WatchFunc(func() []*gatehouse.Guard { return []*gatehouse.Guard{guard, guard} })
	clerk := gatehousetest.Clerk(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := guard.Verify(ctx, clerk.Token(t, guard.Resource(), gatehousetest.Person{}), nil); err == nil {
		t.Fatal("a token was accepted without keys")
	}
	guard.Ready(ctx)
	text := scrape(t, m.Handler())
	if got := value(t, text, "gatehouse_keys", `issuer="`+down.URL+`"`); got != 0 {
		t.Errorf("got %v keys, want 0", got)
	}
	if got := value(t, text, "gatehouse_key_fetch_duration_seconds_count", `error="not_found"`); got != 1 {
		t.Errorf("got %v failed fetches, want 1", got)
	}
}

// Two guards have metrics of their own.
func TestSeveralGuards(t *testing.T) {
	m := prometheus.New()
	clerk := gatehousetest.Clerk(t)
	servers := []*serve.Server{newServer(t, clerk, m, nil), newServer(t, clerk, m, nil)}
	post(t, servers[1], "", "")
	text := scrape(t, m.Handler())
	for _, server := range servers {
		value(t, text, "gatehouse_sessions", `resource="`+server.URL()+`"`)
	}
	first := regexp.MustCompile(`gatehouse_decisions_total{.*resource="` + regexp.QuoteMeta(servers[0].URL()) + `"`)
	if first.MatchString(text) || value(t, text, "gatehouse_decisions_total", servers[1].URL()) != 1 {
		t.Error("a decision was counted for another guard")
	}
}
