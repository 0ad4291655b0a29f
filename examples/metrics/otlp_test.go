package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spanpb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is an OTLP/HTTP receiver.
type collector struct {
	mu      sync.Mutex
	spans   []*spanpb.Span
	metrics []string
	text    strings.Builder // everything that was received, as text
	faults  []string
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.faults = append(c.faults, r.Header.Get("Content-Type"))
	}
	switch r.URL.Path {
	case "/v1/traces":
		var request tracepb.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			c.faults = append(c.faults, err.Error())
		}
		c.text.WriteString(request.String())
		for _, resource := range request.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	case "/v1/metrics":
		var request metricspb.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			c.faults = append(c.faults, err.Error())
		}
		c.text.WriteString(request.String())
		for _, resource := range request.ResourceMetrics {
			for _, scope := range resource.ScopeMetrics {
				for _, m := range scope.Metrics {
					c.metrics = append(c.metrics, m.Name)
				}
			}
		}
	default:
		c.faults = append(c.faults, r.URL.Path)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// The exporters of the SDK send spans and metrics to a collector.
func TestOTLP(t *testing.T) {
	var c collector
	server := httptest.NewServer(&c)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	e := start(t, nil)
	session := e.clerk.Connect(t, e.url, gatehousetest.Person{})
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "hello", Meta: mcp.Meta{"traceparent": parent}}); err != nil {
		t.Fatal(err)
	}
	session.Close()
	e.stop()

	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faults) > 0 {
		t.Errorf("the collector got %q", c.faults)
	}
	i := slices.IndexFunc(c.spans, func(s *spanpb.Span) bool { return strings.HasPrefix(s.Name, "tools/call") })
	if i < 0 {
		t.Fatalf("got %d spans, want one of the call", len(c.spans))
	}
	s := c.spans[i]
	if got := string(s.ParentSpanId); got != "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7" || s.Kind != spanpb.Span_SPAN_KIND_SERVER {
		t.Errorf("got parent %x and kind %v, want that of _meta and a server", got, s.Kind)
	}
	for _, name := range []string{"gatehouse.decisions", "mcp.server.operation.duration", "gatehouse.verification.duration", "gatehouse.keys"} {
		if !slices.Contains(c.metrics, name) {
			t.Errorf("the collector got no metric %s", name)
		}
	}
	for _, secret := range []string{"eyJ", e.clerk.Users()[0].ID} {
		if strings.Contains(c.text.String(), secret) {
			t.Errorf("the collector got %q", secret)
		}
	}
}
