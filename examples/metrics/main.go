// Metrics is an MCP server with metrics for Prometheus on an operator port, and with traces and
// metrics that are sent by OTLP if OTEL_EXPORTER_OTLP_ENDPOINT is set.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/metrics/otel"
	"github.com/gatehouse-mcp/gatehouse/metrics/prometheus"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, serve.Config{Provider: clerk.FromEnv()}); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, cfg serve.Config) error {
	cfg.Name, cfg.Version = "Greeter", "1.0.0"

	// Metrics for Prometheus, at http://localhost:9090/metrics.
	metrics := prometheus.New()
	cfg.Observers = append(cfg.Observers, metrics.Observer())
	if cfg.Operator.Addr == "" {
		cfg.Operator.Addr = "localhost:9090"
	}
	cfg.Operator.Metrics = metrics.Handler()

	// Traces and metrics for OpenTelemetry, if it is configured.
	telemetry, shutdown, err := newTelemetry(ctx)
	if err != nil {
		return err
	}
	defer shutdown()
	if telemetry != nil {
		cfg.Observers = append(cfg.Observers, telemetry.Observer())
	}

	server, err := newServer(cfg)
	if err != nil {
		return err
	}
	metrics.Watch(server.Guard())
	if telemetry != nil {
		telemetry.Watch(server.Guard())
	}
	return server.ListenAndServe(ctx)
}

// newTelemetry returns nil if OpenTelemetry is not configured. shutdown sends what was recorded. The
// exporters read the address, headers and certificates from the environment (OTEL_EXPORTER_OTLP_…).
func newTelemetry(ctx context.Context) (telemetry *otel.Telemetry, shutdown func(), err error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" {
		return nil, func() {}, nil
	}
	traceExporter, err1 := otlptracehttp.New(ctx)
	metricExporter, err2 := otlpmetrichttp.New(ctx)
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	traces := sdktrace.NewTracerProvider(sdktrace.WithBatcher(traceExporter))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metricExporter)))
	telemetry, err = otel.New(otel.Config{TracerProvider: traces, MeterProvider: meters})
	return telemetry, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(traces.Shutdown(ctx), meters.Shutdown(ctx)); err != nil {
			log.Print(err)
		}
	}, err
}

func newServer(cfg serve.Config) (*serve.Server, error) {
	server, err := serve.New(cfg)
	if err != nil {
		return nil, err
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "hello", Description: "Greets the caller"},
		func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			id, _ := gatehouse.IdentityOf(req)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "Hello, " + id.Subject}}}, nil, nil
		})
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "fail", Description: "Fails"},
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return nil, nil, errors.New("this tool always fails")
		})
	return server, nil
}
