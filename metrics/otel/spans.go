package otel

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// maxSteps bounds the spans inside the span of a request.
const maxSteps = 8

// request is what is known of a request before its span begins: the parent may be in the body, which
// is read late.
type request struct {
	span trace.Span // nil until the decision

	mu    sync.Mutex // steps may be added by an introspection that the request no longer waits for
	steps []step
}

// step is a span inside that of a request.
type step struct {
	name       string
	begin, end time.Time
	attributes []attribute.KeyValue
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

func (t *Telemetry) startRequest(r *http.Request) context.Context {
	return context.WithValue(r.Context(), requestKey{}, &request{})
}

// addStep adds a step that ends now to the request of ctx, if there is one.
func addStep(ctx context.Context, name string, took time.Duration, pairs []string) {
	r := requestOf(ctx)
	if r == nil {
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.steps) < maxSteps {
		r.steps = append(r.steps, step{name, now.Add(-took), now, attributes(pairs...)})
	}
}

// decide records the decision. It begins the span of the request, and ends it if the request was rejected.
func (t *Telemetry) decide(ctx context.Context, d gatehouse.Decision) context.Context {
	t.recordDecision(ctx, &d)
	if d.Layer != gatehouse.AuditHTTP {
		return nil
	}
	r := requestOf(ctx)
	if r == nil {
		return nil
	}
	ctx, span := t.startSpan(ctx, &d)
	t.addSteps(ctx, r)
	if d.Outcome == gatehouse.AuditDeny {
		span.SetAttributes(attribute.Int("http.response.status_code", d.Status), attribute.String("error.type", string(d.Reason)))
		setStatus(span, string(d.Reason), d.Status)
		span.End()
		return nil
	}
	r.span = span
	return ctx
}

// startSpan begins the span of a request, when it arrived.
func (t *Telemetry) startSpan(ctx context.Context, d *gatehouse.Decision) (context.Context, trace.Span) {
	key := setKey{"span", d.Resource, d.Method, d.Name, d.ProtocolVersion, d.HTTPMethod, d.Issuer, d.Client, d.Kind, string(d.Reason)}
	list := t.sets.find(key, func() []string {
		return append(operationPairs(d),
			"http.request.method", d.HTTPMethod,
			"network.protocol.name", "http",
			"gatehouse.issuer", d.Issuer,
			"gatehouse.client", d.Client,
			"gatehouse.caller", d.Kind,
			"gatehouse.outcome", d.Outcome,
			"gatehouse.reason", string(d.Reason),
		)
	}).attributes
	if d.SubjectHash != "" {
		list = append(list, attribute.String("enduser.pseudo.id", d.SubjectHash)) // a copy: its capacity is clipped
	}
	ctx, links := parentOf(ctx, d)
	return t.tracer.Start(ctx, spanName(d), append(links,
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(d.Started),
		trace.WithAttributes(list...),
	)...)
}

func spanName(d *gatehouse.Decision) string {
	switch {
	case d.Method == "":
		return d.HTTPMethod
	case d.Name == "" || d.Name == "other":
		return d.Method
	}
	return d.Method + " " + d.Name
}

// parentOf returns ctx with the parent of the span, and the links to what else the request names.
func parentOf(ctx context.Context, d *gatehouse.Decision) (context.Context, []trace.SpanStartOption) {
	ambient, header, meta := trace.SpanContextFromContext(ctx), extract(d.Header), extract(d.Meta)
	verified := d.Kind != "" && d.Kind != "anonymous"
	parent := ambient
	switch {
	case verified && meta.IsValid():
		parent = meta
	case !ambient.IsValid() && verified:
		parent = header
	}
	var options []trace.SpanStartOption
	for _, other := range []trace.SpanContext{ambient, header, meta} {
		// The header usually has the parent of the ambient span.
		if !other.IsValid() || other.Equal(parent) || other.Equal(header) && ambient.IsValid() {
			continue
		}
		options = append(options, trace.WithLinks(trace.Link{SpanContext: other}))
	}
	switch {
	case !parent.IsValid():
		options = append(options, trace.WithNewRoot())
	case !parent.Equal(ambient):
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	return ctx, options
}

// extract returns the span context that a client sent, or an invalid one.
func extract(c gatehouse.TraceContext) trace.SpanContext {
	if c.Parent == "" {
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{"traceparent": c.Parent, "tracestate": c.State}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// addSteps adds the spans of the steps until now inside the span of ctx.
func (t *Telemetry) addSteps(ctx context.Context, r *request) {
	r.mu.Lock()
	steps := r.steps
	r.mu.Unlock()
	for _, s := range steps {
		_, span := t.tracer.Start(ctx, s.name, trace.WithTimestamp(s.begin), trace.WithAttributes(s.attributes...))
		span.End(trace.WithTimestamp(s.end))
	}
}

// operation makes the span of the request that of ctx, which is the context of a tool.
func (t *Telemetry) operation(ctx, httpRequest context.Context) context.Context {
	r := requestOf(httpRequest)
	if r == nil || r.span == nil {
		return nil
	}
	return trace.ContextWithSpan(ctx, r.span)
}

func (t *Telemetry) endRequest(ctx context.Context, e gatehouse.RequestEnd) {
	t.recordOperation(ctx, &e.Decision, e.ErrorType, e.Duration)
	r := requestOf(ctx)
	if r == nil || r.span == nil {
		return
	}
	pairs := attributes("error.type", e.ErrorType, "gatehouse.ended", e.Ended)
	if e.Status != 0 {
		pairs = append(pairs, attribute.Int("http.response.status_code", e.Status))
	}
	r.span.SetAttributes(pairs...)
	setStatus(r.span, e.ErrorType, e.Status)
	r.span.End()
}

// setStatus sets the status of a span to an error, unless the fault is the client's: with an HTTP
// status of 4xx, the status of a server's span stays unset (OpenTelemetry, HTTP spans).
func setStatus(span trace.Span, errorType string, status int) {
	if errorType != "" && (status < http.StatusBadRequest || status >= http.StatusInternalServerError) {
		span.SetStatus(codes.Error, errorType)
	}
}
