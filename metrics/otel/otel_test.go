package otel_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/metrics/otel"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const (
	resource = "http://localhost:3000/mcp"
	auditKey = "an audit key of at least 32 bytes"
)

// fixture is a guarded server with the tools hello and fail, and its telemetry.
type fixture struct {
	clerk   *gatehousetest.ClerkServer
	guard   *gatehouse.Guard
	spans   *tracetest.SpanRecorder
	reader  *sdkmetric.ManualReader
	tracer  trace.TracerProvider
	handler http.Handler
	inTool  trace.SpanContext // of the last call
}

func newFixture(t *testing.T, change func(*gatehouse.Config), options ...sdktrace.TracerProviderOption) *fixture {
	t.Helper()
	f := &fixture{clerk: gatehousetest.Clerk(t), spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	provider := sdktrace.NewTracerProvider(append(options, sdktrace.WithSpanProcessor(f.spans))...)
	f.tracer = provider
	telemetry, err := otel.New(otel.Config{
		TracerProvider: provider,
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(f.reader)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := telemetry.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	cfg := gatehouse.Config{
		Resource: resource, Provider: f.clerk.Provider(), Logger: slog.New(slog.DiscardHandler),
		Observers: []gatehouse.Observer{telemetry.Observer()}, AuditKey: gatehouse.AuditKey(auditKey),
		Requirements: []gatehouse.Requirement{{Tool: "closed", Require: gatehouse.Require{Scopes: []string{"notes:write"}}}},
	}
	if change != nil {
		change(&cfg)
	}
	if f.guard, err = gatehouse.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.guard.Close)
	telemetry.Watch(f.guard)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	tool := func(err error) mcp.ToolHandlerFor[struct{}, any] {
		return func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			f.inTool = trace.SpanContextFromContext(ctx)
			return nil, nil, err
		}
	}
	mcp.AddTool(server, &mcp.Tool{Name: "hello"}, tool(nil))
	mcp.AddTool(server, &mcp.Tool{Name: "fail"}, tool(errors.New("x")))
	f.guard.NoteListed("tools/list", []string{"hello", "fail"}, true)
	server.AddReceivingMiddleware(f.guard.Middleware())
	f.handler = f.guard.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true}))
	return f
}

// call returns the body of a call with members of _meta.
func call(name, meta string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `","arguments":{},"_meta":{` + meta + `}}}`
}

// send sends a request and returns its status.
func (f *fixture) send(t *testing.T, ctx context.Context, token, body string, header ...string) int {
	t.Helper()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, resource, strings.NewReader(body))
	r.Header = http.Header{
		"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"}, "Mcp-Protocol-Version": {"2025-06-18"},
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	io.Copy(io.Discard, w.Body)
	return w.Code
}

// server returns the last span of the kind server.
func (f *fixture) server(t *testing.T) sdktrace.ReadOnlySpan {
	t.Helper()
	for _, s := range slices.Backward(f.spans.Ended()) {
		if s.SpanKind() == trace.SpanKindServer {
			return s
		}
	}
	t.Fatal("there is no span of a request")
	return nil
}

func attributesOf(s sdktrace.ReadOnlySpan) map[string]string {
	out := make(map[string]string)
	for _, a := range s.Attributes() {
		out[string(a.Key)] = a.Value.String()
	}
	return out
}

func TestSpanOfACall(t *testing.T) {
	f := newFixture(t, nil)
	token := f.clerk.Token(t, resource, gatehousetest.Person{})
	if status := f.send(t, t.Context(), token, call("hello", "")); status != http.StatusOK {
		t.Fatalf("got status %d, want 200", status)
	}
	s := f.server(t)
	user := f.clerk.Users()[0]
	want := map[string]string{
		"mcp.method.name": "tools/call", "gen_ai.tool.name": "hello", "gen_ai.operation.name": "execute_tool",
		"mcp.protocol.version": "2025-06-18", "http.request.method": "POST", "http.response.status_code": "200",
		"network.protocol.name": "http", "enduser.pseudo.id": gatehouse.AuditKey(auditKey).SubjectHash(f.clerk.Issuer(), user.ID),
		"gatehouse.resource": resource, "gatehouse.issuer": f.clerk.Issuer(), "gatehouse.client": "none",
		"gatehouse.caller": "user", "gatehouse.outcome": "allow",
	}
	got := attributesOf(s)
	want["gatehouse.client"] = got["gatehouse.client"] // checked by the tests of the guard
	for name, value := range want {
		if got[name] != value {
			t.Errorf("attribute %s: got %q, want %q", name, got[name], value)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("got further attributes %v", got)
	}
	if s.Name() != "tools/call hello" || s.Status().Code != codes.Unset || s.Parent().IsValid() || len(s.Links()) > 0 {
		t.Errorf("got span %q with status %v, parent %v, links %v", s.Name(), s.Status(), s.Parent(), s.Links())
	}
	if f.inTool.SpanID() != s.SpanContext().SpanID() {
		t.Errorf("the tool ran in the span %v, want %v", f.inTool.SpanID(), s.SpanContext().SpanID())
	}
	var steps []string
	for _, step := range f.spans.Ended() {
		if step.Parent().SpanID() == s.SpanContext().SpanID() {
			steps = append(steps, step.Name())
			if step.StartTime().Before(s.StartTime()) || step.EndTime().After(s.EndTime()) {
				t.Errorf("the step %q is not within the request", step.Name())
			}
		}
	}
	if !slices.Equal(steps, []string{"verify token"}) {
		t.Errorf("got steps %q, want only the verification", steps)
	}
}

// The parent is that of the conventions for MCP, and someone without a valid token chooses none.
func TestParents(t *testing.T) {
	const (
		header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		meta   = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	)
	f := newFixture(t, nil)
	token := f.clerk.Token(t, resource, gatehousetest.Person{})
	ambient := func() (context.Context, string) {
		carrier := propagation.MapCarrier{"traceparent": header}
		ctx, span := f.tracer.Tracer("test").Start(propagation.TraceContext{}.Extract(t.Context(), carrier), "outside")
		defer span.End()
		propagation.TraceContext{}.Inject(ctx, carrier)
		return ctx, carrier["traceparent"]
	}
	outside, ambientParent := ambient()
	inMeta := `"traceparent":"` + meta + `"`
	for _, test := range []struct {
		name         string
		ctx          context.Context
		token        string
		header, meta string
		parent       string
		links        []string
	}{
		{"none", t.Context(), token, "", "", "", nil},
		{"header", t.Context(), token, header, "", header, nil},
		{"meta", t.Context(), token, "", inMeta, meta, nil},
		{"header and meta", t.Context(), token, header, inMeta, meta, []string{header}},
		{"a span outside", outside, token, header, "", ambientParent, nil},
		{"a span outside and meta", outside, token, header, inMeta, meta, []string{ambientParent}},
		{"rejected with a header", t.Context(), "", header, "", "", []string{header}},
		{"rejected with a span outside", outside, "", header, "", ambientParent, nil},
	} {
		f.send(t, test.ctx, test.token, call("hello", test.meta), "Traceparent", test.header)
		s := f.server(t)
		if got := parentText(s.Parent()); got != test.parent {
			t.Errorf("%s: got parent %q, want %q", test.name, got, test.parent)
		}
		var links []string
		for _, link := range s.Links() {
			links = append(links, parentText(link.SpanContext))
		}
		if !slices.Equal(links, test.links) {
			t.Errorf("%s: got links %q, want %q", test.name, links, test.links)
		}
		if test.parent != "" && s.SpanContext().TraceID() != s.Parent().TraceID() {
			t.Errorf("%s: the span is in another trace than its parent", test.name)
		}
	}
}

// parentText returns c as a traceparent, or "".
func parentText(c trace.SpanContext) string {
	if !c.IsValid() {
		return ""
	}
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// A caller with a valid token decides that a trace is recorded, and no one else does: with a sampler that
// records what the parent records, their trace context does not count.
func TestOutsidersRecordNoTraces(t *testing.T) {
	const (
		header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		inMeta = `"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"`
	)
	f := newFixture(t, func(cfg *gatehouse.Config) {
		cfg.Requirements = append(cfg.Requirements, gatehouse.Requirement{Tool: "hello", Require: gatehouse.Require{Public: true}})
		cfg.RateLimits = gatehouse.RateLimits{FailedSignInsPerMinute: 1, FailedSignInsBurst: 2}
	}, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	valid := f.clerk.Token(t, resource, gatehousetest.Person{})
	expired := f.clerk.Token(t, resource, gatehousetest.Person{}, gatehousetest.Expired)
	for _, test := range []struct {
		name, token, body string
		status            int
		wantRecorded      bool
	}{
		{"a valid token", valid, call("hello", inMeta), 200, true},
		{"a valid token without a scope", valid, call("closed", inMeta), 403, true},
		{"something public", "", call("hello", inMeta), 200, false},
		{"no token", "", call("fail", inMeta), 401, false},
		{"an expired token", expired, call("hello", inMeta), 401, false},
		{"not a token", "junk", call("hello", inMeta), 401, false},
		{"not a token, again", "junk", call("hello", inMeta), 401, false},
		{"over the limit", "junk", call("hello", inMeta), 429, false},
	} {
		before := len(f.spans.Ended())
		if status := f.send(t, t.Context(), test.token, test.body, "Traceparent", header); status != test.status {
			t.Errorf("%s: got status %d, want %d", test.name, status, test.status)
		}
		if recorded := len(f.spans.Ended()) > before; recorded != test.wantRecorded {
			t.Errorf("%s: the trace was recorded: %v, want %v", test.name, recorded, test.wantRecorded)
		}
	}
}

func TestErrors(t *testing.T) {
	f := newFixture(t, nil)
	token := f.clerk.Token(t, resource, gatehousetest.Person{})
	expired := f.clerk.Token(t, resource, gatehousetest.Person{}, gatehousetest.Expired)
	for _, test := range []struct {
		name, token, body string
		span, errorType   string
		status            codes.Code
		httpStatus        string
	}{
		{"a call", token, call("hello", ""), "tools/call hello", "", codes.Unset, "200"},
		{"a tool that fails", token, call("fail", ""), "tools/call fail", "tool_error", codes.Error, "200"},
		{"an unknown tool", token, call("invented", ""), "tools/call", "-32602", codes.Error, "200"},
		{"a missing scope", token, call("closed", ""), "tools/call closed", "insufficient_scope", codes.Unset, "403"},
		{"no token", "", call("hello", ""), "POST", "no_credentials", codes.Unset, "401"},
		{"an expired token", expired, call("hello", ""), "POST", "expired", codes.Unset, "401"},
	} {
		f.send(t, t.Context(), test.token, test.body)
		s := f.server(t)
		got := attributesOf(s)
		if s.Name() != test.span || got["error.type"] != test.errorType || s.Status().Code != test.status ||
			got["http.response.status_code"] != test.httpStatus {
			t.Errorf("%s: got span %q with error.type %q, status %v and HTTP status %s, want %q, %q, %v, %s", test.name,
				s.Name(), got["error.type"], s.Status().Code, got["http.response.status_code"],
				test.span, test.errorType, test.status, test.httpStatus)
		}
	}
}

// Nothing that is exported has a token, a subject or an argument.
func TestNoSecrets(t *testing.T) {
	f := newFixture(t, nil)
	token := f.clerk.Token(t, resource, gatehousetest.Person{})
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + token + `","arguments":{"a":"hunter2"},` +
		`"_meta":{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"a=` + token[:200] + `"}}}`
	f.send(t, t.Context(), token, body, "Tracestate", "a="+token[:200], "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.send(t, t.Context(), token+"x", body)
	var all strings.Builder
	for _, s := range f.spans.Ended() {
		all.WriteString(s.Name() + s.SpanContext().TraceState().String() + s.Parent().TraceState().String())
		for _, a := range s.Attributes() {
			all.WriteString(a.Value.String() + "\n")
		}
		for _, l := range s.Links() {
			all.WriteString(l.SpanContext.TraceState().String())
		}
	}
	for _, m := range f.collect(t) {
		for _, set := range m.sets {
			all.WriteString(set.Encoded(attribute.DefaultEncoder()))
		}
	}
	for _, secret := range []string{"hunter2", f.clerk.Users()[0].ID, token[:31], token[100:131], token[len(token)-40:]} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("%q is exported", secret)
		}
	}
}

// collected is one metric.
type collected struct {
	unit   string
	sets   []attribute.Set
	values []float64
}

// collect returns the metrics by name.
func (f *fixture) collect(t *testing.T) map[string]collected {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := f.reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]collected)
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			c := collected{unit: m.Unit}
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					c.sets, c.values = append(c.sets, p.Attributes), append(c.values, float64(p.Value))
				}
			case metricdata.Sum[float64]:
				for _, p := range d.DataPoints {
					c.sets, c.values = append(c.sets, p.Attributes), append(c.values, p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					c.sets, c.values = append(c.sets, p.Attributes), append(c.values, p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					c.sets, c.values = append(c.sets, p.Attributes), append(c.values, float64(p.Count))
				}
			default:
				t.Fatalf("%s has the type %T", m.Name, d)
			}
			out[m.Name] = c
		}
	}
	return out
}

// sum returns the sum of the values that have the attributes: pairs of a name and its value.
func (c collected) sum(pairs ...string) (total float64) {
next:
	for i, set := range c.sets {
		for p := 0; p+1 < len(pairs); p += 2 {
			if v, _ := set.Value(attribute.Key(pairs[p])); v.String() != pairs[p+1] && (v.String() != "" || pairs[p+1] != "") {
				continue next
			}
		}
		total += c.values[i]
	}
	return total
}

func TestMetrics(t *testing.T) {
	f := newFixture(t, nil)
	token := f.clerk.Token(t, resource, gatehousetest.Person{})
	for _, name := range []string{"hello", "hello", "fail", "closed"} {
		f.send(t, t.Context(), token, call(name, ""))
	}
	f.send(t, t.Context(), "", call("hello", ""))
	metrics := f.collect(t)
	for _, test := range []struct {
		name  string
		pairs []string
		want  float64
	}{
		{"gatehouse.decisions", []string{"gatehouse.outcome", "allow", "gatehouse.issuer", f.clerk.Issuer()}, 3},
		{"gatehouse.decisions", []string{"gatehouse.reason", "no_credentials", "gatehouse.resource", resource}, 1},
		{"gatehouse.decision.duration", []string{"gatehouse.outcome", "deny"}, 2},
		{"mcp.server.operation.duration", []string{"mcp.method.name", "tools/call", "gen_ai.tool.name", "hello", "error.type", ""}, 2},
		{"mcp.server.operation.duration", []string{"gen_ai.tool.name", "fail", "error.type", "tool_error"}, 1},
		{"mcp.server.operation.duration", []string{"gen_ai.tool.name", "closed", "error.type", "insufficient_scope"}, 1},
		{"gatehouse.verification.duration", []string{"gatehouse.cache", "hit", "gatehouse.token.kind", "jwt"}, 3},
		{"gatehouse.key_fetch.duration", []string{"gatehouse.issuer", f.clerk.Issuer()}, 1},
		{"gatehouse.keys", []string{"gatehouse.issuer", f.clerk.Issuer()}, 1},
		{"gatehouse.sessions.limit", []string{"gatehouse.resource", resource}, 10000},
	} {
		if got := metrics[test.name].sum(test.pairs...); got != test.want {
			t.Errorf("%s %v: got %v, want %v", test.name, test.pairs, got, test.want)
		}
	}
	if _, ok := metrics["gatehouse.revocation.lag"]; ok {
		t.Error("there is a lag of revocations, and there is no store")
	}
}

// failingLimiter is a shared rate limiter that is down.
type failingLimiter struct{}

func (failingLimiter) Take(context.Context, string, int, gatehouse.Rate) (time.Duration, error) {
	return 0, errors.New("connection refused")
}

// Rate limits and the shared limiter are seen. The one that says whether it is available begins with the first
// call of the limiter.
func TestRateLimits(t *testing.T) {
	f := newFixture(t, func(cfg *gatehouse.Config) {
		cfg.RateLimits = gatehouse.RateLimits{FailedSignInsPerMinute: 1, FailedSignInsBurst: 2, RequestsPerMinute: 1, RequestsBurst: 3, Shared: failingLimiter{}}
	})
	if _, ok := f.collect(t)["gatehouse.rate_limiter.available"]; ok {
		t.Error("before the first call, the limiter is said to be unavailable")
	}
	for range 3 {
		f.send(t, t.Context(), "junk", call("hello", ""))
	}
	token := f.clerk.Token(t, resource, gatehousetest.Person{})
	for range 5 {
		f.send(t, t.Context(), token, call("hello", ""))
	}
	metrics := f.collect(t)
	for _, test := range []struct {
		name  string
		pairs []string
		want  float64
	}{
		{"gatehouse.rate_limited", []string{"gatehouse.limit", "failed_sign_ins", "gatehouse.resource", resource}, 1},
		{"gatehouse.rate_limited", []string{"gatehouse.limit", "requests"}, 2},
		{"gatehouse.rate_limited", []string{"gatehouse.limit", "anonymous"}, 0},
		{"gatehouse.rate_limiter.available", nil, 0},
		{"gatehouse.rate_limiter.failures", nil, 1},
		{"gatehouse.rate_limiter.fallbacks", nil, 6},
		{"gatehouse.verification.duration", []string{"gatehouse.result", "limited"}, 1},
	} {
		if got := metrics[test.name].sum(test.pairs...); got != test.want || len(metrics[test.name].sets) == 0 {
			t.Errorf("%s %v: got %v in %d series, want %v", test.name, test.pairs, got, len(metrics[test.name].sets), test.want)
		}
	}
	alone := newFixture(t, nil).collect(t)
	for _, name := range []string{"gatehouse.rate_limiter.available", "gatehouse.rate_limiter.failures", "gatehouse.rate_limiter.fallbacks"} {
		if _, ok := alone[name]; ok {
			t.Errorf("a guard without a shared limiter has %s", name)
		}
	}
}

// The table in docs/operations.md has each metric with its name in Prometheus.
func TestNamesInTheDocument(t *testing.T) {
	document, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string) // the name in Prometheus by that in OpenTelemetry
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| `([a-z._]+)` \\|").FindAllStringSubmatch(string(document), -1) {
		documented[row[2]] = row[1]
	}
	for name, unit := range otel.Names(t) {
		want := strings.ReplaceAll(name, ".", "_")
		switch {
		case unit == "s":
			want += "_seconds"
		case documented[name] == want+"_total":
			want += "_total"
		}
		if documented[name] != want {
			t.Errorf("%s: the document has %q, want %q", name, documented[name], want)
		}
		delete(documented, name)
	}
	if len(documented) > 0 {
		t.Errorf("the document has metrics that do not exist: %v", documented)
	}
}
