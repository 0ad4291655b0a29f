package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	otelapi "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/metrics/otel"
	"github.com/gatehouse-mcp/gatehouse/metrics/prometheus"
)

const (
	// telemetryShutdown bounds the last export, when the gateway has stopped.
	telemetryShutdown = 5 * time.Second
	// serviceName is the service that telemetry is of, unless OTEL_SERVICE_NAME names another.
	serviceName = "gatehouse-gateway"
	// maxTelemetryError is the limit of the text of an exporter's error in the log.
	maxTelemetryError = 512
)

// The variables of OpenTelemetry that the gateway looks at. The exporters read further ones.
const (
	otlpEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	otlpTraces   = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	otlpMetrics  = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
)

// telemetry is the metrics and traces of a gateway. A nil one does nothing.
type telemetry struct {
	observers  []gatehouse.Observer
	prometheus *prometheus.Metrics // nil without an operator port
	otel       *otel.Telemetry     // nil unless OTLP is configured
	shutdown   []func(context.Context) error
	endpoint   string // of OTLP, for the log
}

// newTelemetry returns the telemetry of the environment. operator says whether there is an operator
// port, which serves metrics for Prometheus.
func newTelemetry(ctx context.Context, settings *env.Env, operator bool, logger *slog.Logger) (*telemetry, error) {
	t := &telemetry{}
	if operator {
		t.prometheus = prometheus.New()
		t.observers = append(t.observers, t.prometheus.Observer())
	}
	signals, err := otlpSignals(settings)
	if err != nil || len(signals) == 0 {
		return t, err
	}
	if err := t.startOTLP(ctx, signals, logger); err != nil {
		t.close()
		return nil, failure.New("correct the variables OTEL_…", "starting OpenTelemetry: %w", err)
	}
	return t, nil
}

// startOTLP starts the export of the signals, by name of the exporter.
func (t *telemetry) startOTLP(ctx context.Context, signals map[string]string, logger *slog.Logger) error {
	otelapi.SetErrorHandler(otelapi.ErrorHandlerFunc(func(err error) {
		logger.Warn("telemetry was not sent", "error", quote.Clip(err.Error(), maxTelemetryError))
	}))
	of, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", serviceName), attribute.String("service.version", version)), resource.WithFromEnv())
	if err != nil {
		return err
	}
	var cfg otel.Config
	if t.endpoint = signals["traces"]; t.endpoint != "" {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return err
		}
		provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(of))
		cfg.TracerProvider = provider
		t.shutdown = append(t.shutdown, provider.Shutdown)
	}
	if endpoint := signals["metrics"]; endpoint != "" {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return err
		}
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)), sdkmetric.WithResource(of))
		cfg.MeterProvider = provider
		t.shutdown = append(t.shutdown, provider.Shutdown)
		t.endpoint = cmp.Or(t.endpoint, endpoint)
	}
	if t.otel, err = otel.New(cfg); err != nil {
		return err
	}
	t.observers = append(t.observers, t.otel.Observer())
	return nil
}

// otlpSignals returns the endpoints of the signals that are exported: of "traces" and "metrics".
func otlpSignals(settings *env.Env) (map[string]string, error) {
	signals := make(map[string]string)
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return signals, nil
	}
	var errs []error
	reported := make(map[string]bool) // protocols
	report := func(fix, problem string, args ...any) { errs = append(errs, failure.New(fix, problem, args...)) }
	for _, name := range []string{otlpEndpoint, otlpTraces, otlpMetrics} {
		value := settings.Get(name)
		u, err := url.Parse(value)
		switch {
		case value != "" && os.Getenv(name) == "":
			report("export it in the environment of the gateway: OpenTelemetry does not read .env", "%s is set in .env only", name)
		case value != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https"):
			report("set it to the address of a collector, like http://localhost:4318", "%s %q is not an http or https URL", name,
				wellknown.Redacted(value))
		}
	}
	for _, name := range []string{otlpTraces, otlpMetrics} {
		signal := "traces"
		if name == otlpMetrics {
			signal = "metrics"
		}
		prefix := "OTEL_" + strings.ToUpper(signal) + "_EXPORTER"
		switch exporter := cmp.Or(os.Getenv(prefix), "otlp"); exporter {
		case "none":
			continue
		case "otlp":
		default:
			report(`use "otlp" or "none"; metrics for Prometheus are at /metrics of --operator-listen`, "%s %q is not supported", prefix, exporter)
			continue
		}
		endpoint := cmp.Or(os.Getenv(name), os.Getenv(otlpEndpoint))
		if endpoint == "" {
			continue
		}
		signals[signal] = endpoint
		variable := "OTEL_EXPORTER_OTLP_" + strings.ToUpper(signal) + "_PROTOCOL"
		if os.Getenv(variable) == "" {
			variable = "OTEL_EXPORTER_OTLP_PROTOCOL"
		}
		if protocol := cmp.Or(os.Getenv(variable), "http/protobuf"); protocol != "http/protobuf" && !reported[variable] {
			reported[variable] = true
			report("use http/protobuf, whose port is usually 4318", "%s %q is not supported", variable, protocol)
		}
	}
	return signals, errors.Join(errs...)
}

// observe makes the guards of cfg report to t.
func (t *telemetry) observe(cfg *gateway.Config) {
	if t == nil || len(t.observers) == 0 {
		return
	}
	for i := range cfg.Endpoints {
		cfg.Endpoints[i].Guard.Observers = t.observers
	}
}

// watch adds the state of the guards to the metrics.
func (t *telemetry) watch(guards func() []*gatehouse.Guard) {
	if t == nil {
		return
	}
	if t.prometheus != nil {
		t.prometheus.WatchFunc(guards)
	}
	if t.otel != nil {
		t.otel.WatchFunc(guards)
	}
}

// handler returns the handler of /metrics, or nil.
func (t *telemetry) handler() http.Handler {
	if t == nil || t.prometheus == nil {
		return nil
	}
	return t.prometheus.Handler()
}

// note says where telemetry is sent.
func (t *telemetry) note(con *console) {
	if t == nil || t.endpoint == "" {
		return
	}
	con.Note("telemetry is sent to %s (OTLP)", wellknown.Redacted(t.endpoint))
}

// close sends what was recorded.
func (t *telemetry) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), telemetryShutdown)
	defer cancel()
	for _, shutdown := range t.shutdown {
		if err := shutdown(ctx); err != nil {
			otelapi.Handle(err)
		}
	}
}
