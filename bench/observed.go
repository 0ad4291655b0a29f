package main

import (
	"context"
	"net"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/metrics/otel"
	"github.com/gatehouse-mcp/gatehouse/metrics/prometheus"
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

// serveGuardTraces is serveGuard with metrics and traces for OpenTelemetry. Every request is sampled.
func serveGuardTraces(l net.Listener, issuer string) error {
	telemetry, err := otel.New(otel.Config{
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())),
		TracerProvider: trace.NewTracerProvider(trace.WithBatcher(discard{})),
	})
	if err != nil {
		return err
	}
	return serveGuarded(l, issuer, func(guard *gatehouse.Guard) { telemetry.Watch(guard) }, func(cfg *gatehouse.Config) {
		cfg.Observers = []gatehouse.Observer{telemetry.Observer()}
	})
}
