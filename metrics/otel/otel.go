// Package otel makes metrics and traces of a guard for OpenTelemetry, with the names of its semantic
// conventions for MCP where they have one.
//
//	telemetry, err := otel.New(otel.Config{}) // with the global providers
//	if err != nil {
//		return err
//	}
//	defer telemetry.Close()
//	guard, err := gatehouse.New(gatehouse.Config{
//		Observers: []gatehouse.Observer{telemetry.Observer()},
//		// …
//	})
//	telemetry.Watch(guard)
//
// # Spans
//
// Each guarded request is one span of the kind server, named for the method and the tool or prompt, or
// for the HTTP method if no message was read. Its context is that of the handler, and of the tools of
// go-sdk with [gatehouse.Guard.Middleware]. Requests to a provider are spans inside of it.
//
// The parent is the trace context in params._meta of the message, if it has one. Otherwise it is the
// span in the context of the request, as of a middleware outside the guard, and otherwise the header
// traceparent. What is not the parent is a link. The conventions for MCP require that order. Of a
// request without a valid token, the header is always a link and never the parent: with the parent,
// anyone could decide that a trace is recorded.
//
// A span has no token, subject, argument or resource URI. The user is enduser.pseudo.id, the keyed hash of
// audit events.
//
// docs/operations.md has the table of all metrics.
package otel

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	otelapi "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of the meter and of the tracer.
const scope = "github.com/gatehouse-mcp/gatehouse/metrics/otel"

// Config configures [New]. The zero value uses the global providers.
type Config struct {
	// MeterProvider makes the metrics. Nil means that of otel.GetMeterProvider.
	MeterProvider metric.MeterProvider

	// TracerProvider makes the spans. Nil means that of otel.GetTracerProvider.
	TracerProvider trace.TracerProvider
}

// Telemetry is the metrics and traces of one or several guards. Make it with [New]. It is safe for
// concurrent use.
type Telemetry struct {
	tracer       trace.Tracer
	instruments  instruments
	registration metric.Registration
	sets         sets

	mu    sync.Mutex
	lists []func() []*gatehouse.Guard
}

// New returns telemetry without guards. Put [Telemetry.Observer] into the configuration of each guard,
// and pass the guard to [Telemetry.Watch]. The error is that of a meter provider that rejects an
// instrument.
func New(cfg Config) (*Telemetry, error) {
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otelapi.GetMeterProvider()
	}
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otelapi.GetTracerProvider()
	}
	t := &Telemetry{tracer: cfg.TracerProvider.Tracer(scope)}
	meter := cfg.MeterProvider.Meter(scope)
	var err error
	if t.instruments, err = newInstruments(meter); err != nil {
		return nil, err
	}
	observables, collect, err := newStates(meter)
	if err != nil {
		return nil, err
	}
	t.registration, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for resource, guard := range t.guards() {
			stats := guard.Stats()
			collect(o, resource, &stats)
		}
		return nil
	}, observables...)
	return t, err
}

// Close stops the collection of the state of guards. What was recorded before stays.
func (t *Telemetry) Close() error { return t.registration.Unregister() }

// Watch adds the state of the guards to the metrics. If two have the same resource, as while a
// configuration is replaced, the one that was added last counts.
func (t *Telemetry) Watch(guards ...*gatehouse.Guard) {
	t.WatchFunc(func() []*gatehouse.Guard { return guards })
}

// WatchFunc is Watch for guards that change. list is called for each collection, and must be safe for
// concurrent use.
func (t *Telemetry) WatchFunc(list func() []*gatehouse.Guard) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lists = append(t.lists, list)
}

// guards returns the guards, one for each resource.
func (t *Telemetry) guards() map[string]*gatehouse.Guard {
	t.mu.Lock()
	lists := t.lists
	t.mu.Unlock()
	out := make(map[string]*gatehouse.Guard)
	for _, list := range lists {
		for _, guard := range list() {
			out[guard.Resource()] = guard
		}
	}
	return out
}

// Observer returns the observer for [gatehouse.Config.Observers]. Several guards can have the same.
func (t *Telemetry) Observer() gatehouse.Observer {
	return gatehouse.Observer{
		RequestStart:  t.startRequest,
		Decision:      t.decide,
		Operation:     t.operation,
		RequestEnd:    t.endRequest,
		SessionEnd:    t.endSession,
		Verification:  t.verify,
		Introspection: t.introspect,
		KeyFetch:      t.fetchKeys,
	}
}

// instruments are those that the observer records with.
type instruments struct {
	decisions      metric.Int64Counter
	decision       metric.Float64Histogram
	operations     metric.Float64Histogram
	sessions       metric.Float64Histogram
	verifications  metric.Float64Histogram
	introspections metric.Float64Histogram
	keyFetches     metric.Float64Histogram
}

var (
	// operationBuckets are those of the conventions for MCP.
	operationBuckets = []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}
	// sessionBuckets are longer than those of the conventions, because sessions last for hours.
	sessionBuckets = []float64{1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 7 * 24 * 3600}
	shortBuckets   = []float64{0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5}
	requestBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}
)

func newInstruments(meter metric.Meter) (out instruments, err error) {
	var errs []error
	histogram := func(name, description string, buckets []float64) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(buckets...))
		errs = append(errs, err)
		return h
	}
	out.decisions, err = meter.Int64Counter("gatehouse.decisions", metric.WithUnit("{decision}"),
		metric.WithDescription("Decisions about requests, and rejections of operations inside the MCP server."))
	errs = append(errs, err)
	out.decision = histogram("gatehouse.decision.duration", "Time from the arrival of a request to the decision about it.", shortBuckets)
	out.operations = histogram("mcp.server.operation.duration",
		"Time from the arrival of an MCP request or notification to the end of its answer.", operationBuckets)
	out.sessions = histogram("mcp.server.session.duration", "Duration of MCP sessions that have ended.", sessionBuckets)
	out.verifications = histogram("gatehouse.verification.duration", "Duration of the verification of a token.", shortBuckets)
	out.introspections = histogram("gatehouse.introspection.duration", "Duration of requests to the provider about opaque tokens.",
		requestBuckets)
	out.keyFetches = histogram("gatehouse.key_fetch.duration", "Duration of fetches of the provider's signing keys.", requestBuckets)
	return out, errors.Join(errs...)
}

// attributes returns the attributes that have a value: pairs of a name and its value.
func attributes(pairs ...string) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, attribute.String(pairs[i], pairs[i+1]))
		}
	}
	return out
}

func with(pairs ...string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attributes(pairs...)...))
}

// operationPairs are the attributes of the conventions for MCP.
func operationPairs(d *gatehouse.Decision) []string {
	operation := ""
	if d.Method == "tools/call" {
		operation = "execute_tool"
	}
	return []string{
		"mcp.method.name", d.Method,
		"gen_ai.tool.name", d.Tool(),
		"gen_ai.prompt.name", d.Prompt(),
		"gen_ai.operation.name", operation,
		"mcp.protocol.version", d.ProtocolVersion,
		"gatehouse.resource", d.Resource,
	}
}

func (t *Telemetry) recordDecision(ctx context.Context, d *gatehouse.Decision) {
	key := setKey{"decision", d.Resource, d.Layer, d.Outcome, string(d.Reason), d.Issuer, d.Client}
	t.instruments.decisions.Add(ctx, 1, t.sets.get(key, func() []string {
		return []string{
			"gatehouse.resource", d.Resource, "gatehouse.layer", d.Layer, "gatehouse.outcome", d.Outcome,
			"gatehouse.reason", string(d.Reason), "gatehouse.issuer", d.Issuer, "gatehouse.client", d.Client,
		}
	}))
	if d.Layer != gatehouse.AuditHTTP {
		return
	}
	t.instruments.decision.Record(ctx, d.Duration.Seconds(), t.sets.get(setKey{"outcome", d.Resource, d.Outcome}, func() []string {
		return []string{"gatehouse.resource", d.Resource, "gatehouse.outcome", d.Outcome}
	}))
	if d.Outcome == gatehouse.AuditDeny {
		t.recordOperation(ctx, d, string(d.Reason), d.Duration)
	}
}

// recordOperation records the duration of an operation, if the decision knows which one it is.
func (t *Telemetry) recordOperation(ctx context.Context, d *gatehouse.Decision, errorType string, took time.Duration) {
	if !d.HasOperation() {
		return
	}
	key := setKey{"operation", d.Resource, d.Method, d.Name, d.ProtocolVersion, errorType}
	t.instruments.operations.Record(ctx, took.Seconds(), t.sets.get(key, func() []string {
		return append(operationPairs(d), "error.type", errorType)
	}))
}

func (t *Telemetry) endSession(e gatehouse.SessionEnd) {
	t.instruments.sessions.Record(context.Background(), e.Duration.Seconds(),
		with("gatehouse.resource", e.Resource, "gatehouse.session.end", e.Why))
}

func (t *Telemetry) verify(ctx context.Context, v gatehouse.Verification) {
	pairs := func() []string {
		return []string{
			"gatehouse.resource", v.Resource, "gatehouse.issuer", v.Issuer, "gatehouse.token.kind", v.Kind,
			"gatehouse.cache", v.Cache, "gatehouse.result", v.Result(),
		}
	}
	key := setKey{"verification", v.Resource, v.Issuer, v.Kind, v.Cache, v.Result()}
	t.instruments.verifications.Record(ctx, v.Duration.Seconds(), t.sets.get(key, pairs))
	if v.Cache == "miss" {
		addStep(ctx, "verify token", v.Duration, append(pairs(), "error.type", string(v.Reason)))
	}
}

func (t *Telemetry) introspect(ctx context.Context, i gatehouse.Introspection) {
	pairs := []string{"gatehouse.resource", i.Resource, "gatehouse.issuer", i.Issuer, "gatehouse.result", i.Result}
	t.instruments.introspections.Record(ctx, i.Duration.Seconds(), with(pairs...))
	addStep(ctx, "introspect token", i.Duration, pairs)
}

func (t *Telemetry) fetchKeys(f gatehouse.KeyFetch) {
	t.instruments.keyFetches.Record(context.Background(), f.Duration.Seconds(),
		with("gatehouse.resource", f.Resource, "gatehouse.issuer", f.Issuer, "error.type", f.Error))
}
