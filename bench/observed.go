package main

import (
	"context"
	"net"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/metrics/otel"
	"github.com/gatehouse-mcp/gatehouse/metrics/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
)

// serveGuardMetrics is serveGuard with metrics for Prometheus.
func serveGuardMetrics(l net.Listener, issuer string) error {
	metrics := prometheus.New()
	return serveGuarded(l, issuer, func(guard *gatehouse.Guard) { metrics.Watch(guard) }, func(cfg *gatehouse.Config) {
		cfg.Observers = []gatehouse.Observer{metrics.Observer()}
	})
}

// discard is an exporter that sends nothing.
type discard struct{}

func (discard) ExportSpans(context.Context, []trace.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                          { return nil }

// providers returns the providers of metrics and traces of OpenTelemetry, which send nothing. sampled is
// the share of the requests that are recorded.
func providers(sampled float64) (*metric.MeterProvider, *trace.TracerProvider) {
	return metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())),
		trace.NewTracerProvider(trace.WithBatcher(discard{}), trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(sampled))))
}

// serveGuardTraces is serveGuard with metrics and traces for OpenTelemetry.
func serveGuardTraces(sampled float64) func(l net.Listener, issuer string) error {
	return func(l net.Listener, issuer string) error {
		metrics, traces := providers(sampled)
		telemetry, err := otel.New(otel.Config{MeterProvider: metrics, TracerProvider: traces})
		if err != nil {
			return err
		}
		return serveGuarded(l, issuer, func(guard *gatehouse.Guard) { telemetry.Watch(guard) }, func(cfg *gatehouse.Config) {
			cfg.Observers = []gatehouse.Observer{telemetry.Observer()}
		})
	}
}

// serveOpenTraces is serveOpen with the metrics and traces that OpenTelemetry has for any HTTP handler.
func serveOpenTraces(l net.Listener, _ string) error {
	metrics, traces := providers(1)
	return http.Serve(l, otelhttp.NewHandler(bothEras(newMCPServer(anonymous)), "mcp",
		otelhttp.WithMeterProvider(metrics), otelhttp.WithTracerProvider(traces), otelhttp.WithPropagators(propagation.TraceContext{})))
}
