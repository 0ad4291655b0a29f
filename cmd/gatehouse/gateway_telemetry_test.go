package main

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

func TestOTLPSettings(t *testing.T) {
	const collector = "http://localhost:4318"
	for _, test := range []struct {
		name    string
		environ map[string]string
		file    map[string]string // .env
		signals []string
		want    string // error
	}{
		{"nothing", nil, nil, nil, ""},
		{"both", map[string]string{otlpEndpoint: collector}, nil, []string{"metrics", "traces"}, ""},
		{"traces", map[string]string{otlpTraces: collector}, nil, []string{"traces"}, ""},
		{"metrics", map[string]string{otlpMetrics: collector}, nil, []string{"metrics"}, ""},
		{"traces are none", map[string]string{otlpEndpoint: collector, "OTEL_TRACES_EXPORTER": "none"}, nil, []string{"metrics"}, ""},
		{"disabled", map[string]string{otlpEndpoint: collector, "OTEL_SDK_DISABLED": "true"}, nil, nil, ""},
		{"protobuf", map[string]string{otlpEndpoint: collector, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, nil,
			[]string{"metrics", "traces"}, ""},
		{"gRPC", map[string]string{otlpEndpoint: collector, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, nil, nil,
			`OTEL_EXPORTER_OTLP_PROTOCOL "grpc" is not supported`},
		{"another exporter", map[string]string{"OTEL_METRICS_EXPORTER": "prometheus"}, nil, nil,
			`OTEL_METRICS_EXPORTER "prometheus" is not supported`},
		{"no URL", map[string]string{otlpEndpoint: "collector:4318"}, nil, nil, `OTEL_EXPORTER_OTLP_ENDPOINT "collector:4318" is not an http or https URL`},
		{"in .env only", nil, map[string]string{otlpEndpoint: collector}, nil, "OTEL_EXPORTER_OTLP_ENDPOINT is set in .env only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.environ {
				t.Setenv(name, value)
			}
			signals, err := otlpSignals(&env.Env{Environment: os.LookupEnv, File: test.file})
			if (err == nil) != (test.want == "") || err != nil && err.Error() != test.want {
				t.Fatalf("got error %v, want %q", err, test.want)
			}
			if got := slices.Sorted(maps.Keys(signals)); err == nil && !slices.Equal(got, test.signals) {
				t.Errorf("got %q, want %q", got, test.signals)
			}
		})
	}
}

// A gateway reports to /metrics of the operator port and, if it is configured, to a collector.
func TestGatewayTelemetry(t *testing.T) {
	exported := make(chan string, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { exported <- r.URL.Path }))
	defer collector.Close()
	t.Setenv(otlpEndpoint, collector.URL)
	var log testlog.Buffer
	telemetry, err := newTelemetry(t.Context(), &env.Env{Environment: os.LookupEnv}, true, log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	issuer := testissuer.Start(t)
	cfg := gateway.Config{Endpoints: []gateway.Endpoint{{Guard: gatehouse.Config{
		Resource: "http://localhost:3000/mcp", Provider: gatehouse.OIDC(issuer.URL()), Logger: log.Logger(),
	}}}}
	telemetry.observe(&cfg)
	guard, err := gatehouse.New(cfg.Endpoints[0].Guard)
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	telemetry.watch(func() []*gatehouse.Guard { return []*gatehouse.Guard{guard} })
	guard.Wrap(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "http://localhost:3000/mcp", nil))

	w := httptest.NewRecorder()
	telemetry.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{`reason="no_credentials"`, `gatehouse_sessions{resource="http://localhost:3000/mcp"} 0`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	telemetry.close()
	paths := make(map[string]bool)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for len(paths) < 2 {
		select {
		case path := <-exported:
			paths[path] = true
		case <-ctx.Done():
			t.Fatalf("the collector got %v, want traces and metrics", paths)
		}
	}
	if !paths["/v1/traces"] || !paths["/v1/metrics"] {
		t.Errorf("the collector got %v, want traces and metrics", paths)
	}
}

// Without an operator port and a collector, guards have no observers.
func TestGatewayWithoutTelemetry(t *testing.T) {
	telemetry, err := newTelemetry(t.Context(), &env.Env{}, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := gateway.Config{Endpoints: []gateway.Endpoint{{}}}
	telemetry.observe(&cfg)
	if len(cfg.Endpoints[0].Guard.Observers) > 0 || telemetry.handler() != nil {
		t.Error("there are observers or metrics")
	}
	telemetry.close()
}
