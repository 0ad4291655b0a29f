package gatehouse

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// Observer is a set of functions that a guard calls while it works, for metrics and traces; see
// [Config.Observers]. Functions that are nil are not called. The modules metrics/prometheus and
// metrics/otel have ready-made observers. Gauges, such as the age of the keys and the number of
// open streams, come from [Guard.Stats].
//
// All functions run in the goroutine that does the work, so they must return quickly, and they
// must be safe for concurrent use. If one panics, or returns a context that is not derived from
// the one it was given, the request goes on as if it was not set: [Stats] counts that in
// ObserverFailed, and [Config.Logger] gets a line about the first time.
//
// Every text in the values, except for SubjectHash and those of a [TraceContext], is one of a
// bounded set, so that it can be the label of a metric. None of them is a token, and none is copied
// from a request or from a token that was not verified.
//
// Later versions may add functions and fields. Name the fields in a composite literal.
type Observer struct {
	// RequestStart is called when a request arrives, before check 1 of [Guard]. The result
	// replaces the context of the request; nil leaves it as it is. The request has its token
	// still, and nothing in it was checked: do not record what is in it, and do not modify it.
	RequestStart func(r *http.Request) context.Context

	// Decision is called when a request was admitted or rejected, before the handler runs or the
	// answer is written, and with the layer [AuditMCP] when [Guard.Middleware] or
	// [Guard.Authorize] rejects an operation. If the request is admitted, the result replaces
	// the context that the handler gets, so it can carry a span. Otherwise it is ignored. nil
	// leaves the context as it is.
	Decision func(ctx context.Context, d Decision) context.Context

	// Operation is called by [Guard.Middleware] for each message that the MCP server has read.
	// ctx is the one for its handler; in a session of the older revisions, its values are those
	// of the request that opened the session. request is the context that Decision returned for
	// the HTTP request that carried the message. The result replaces ctx; nil leaves it as it is.
	Operation func(ctx, request context.Context) context.Context

	// RequestEnd is called when the answer to an admitted request has ended. ctx is the one
	// that Decision returned; it may have ended.
	RequestEnd func(ctx context.Context, e RequestEnd)

	// SessionEnd is called when the guard has noticed that a session of the revisions until
	// 2025-11-25 has ended that was opened in this process.
	SessionEnd func(e SessionEnd)

	// Verification is called when a token was verified or rejected.
	Verification func(ctx context.Context, v Verification)

	// Introspection is called when the provider has answered a request about an opaque token,
	// or has failed to. Answers from the cache are not reported; see [Verification].
	Introspection func(ctx context.Context, i Introspection)

	// KeyFetch is called when the signing keys of a provider were fetched, or when that failed.
	KeyFetch func(f KeyFetch)
}

// Decision is one decision about a request.
type Decision struct {
	Outcome  string        // [AuditAllow] or [AuditDeny]
	Layer    string        // [AuditHTTP] or [AuditMCP]
	Reason   Reason        // of a rejection, one of [Reasons]
	Status   int           // HTTP status of a rejection; 0 if the request is admitted, and in the layer mcp
	Started  time.Time     // when the request arrived; zero in the layer mcp
	Duration time.Duration // from Started to the decision
	Resource string        // of the guard

	// Issuer is the [Provider.Issuer] that the token is from. It is empty if there is no token,
	// or one that names no configured issuer.
	Issuer string
	// Kind is "user", "machine" or "anonymous", or empty if no caller was verified.
	Kind string
	// Client is the host of a client ID that is a URL, as with client ID metadata documents;
	// "registered" for other client IDs; "none" if the token names no client; and "other" when
	// 50 hosts are known. It is empty if no token was verified.
	Client string
	// SubjectHash is the keyed hash of the verified caller, equal to that in audit events: see
	// [AuditKey.SubjectHash]. It may be an attribute of a trace, and not the label of a metric.
	SubjectHash string

	// HTTPMethod is the method of the HTTP request, or "other".
	HTTPMethod string
	// Method is the JSON-RPC method of the message, "batch" for several messages, "response" for
	// an answer to the server, or "other" for a method that is not in MCP. It is empty if the body was not
	// read, and without a body.
	Method string
	// Name is the name of the tool or prompt that the message is about, or "other". A name is known
	// if a requirement has it, if the server lists it, or if [Guard.Middleware] saw it succeed.
	// 500 names are known at most.
	Name string
	// ProtocolVersion is a revision of MCP, or "other". It is empty if the client names none.
	ProtocolVersion string

	// Header and Meta are the trace contexts of the HTTP header and of params._meta of the message
	// (SEP-414). They are chosen by the client.
	Header, Meta TraceContext
}

// Tool returns the name if the message is a call of a tool, and otherwise "".
func (d *Decision) Tool() string { return d.nameFor(methodCallTool) }

// Prompt returns the name if the message is a request for a prompt, and otherwise "".
func (d *Decision) Prompt() string { return d.nameFor(methodGetPrompt) }

func (d *Decision) nameFor(method string) string {
	if d.Method != method {
		return ""
	}
	return d.Name
}

// HasOperation reports whether the message is a request or a notification of which the method is known.
// Its duration is that of an MCP operation.
func (d *Decision) HasOperation() bool { return d.Method != "" && d.Method != observedResponse }

// TraceContext is a trace context that a client sent (W3C Trace Context). It is empty if its
// traceparent is not valid. State has at most 512 bytes.
type TraceContext struct{ Parent, State string }

// RequestEnd is the end of a request that was admitted.
type RequestEnd struct {
	Decision Decision // as it was made
	// Status is the HTTP status of the answer. It is 0 if the handler panicked.
	Status int
	// Stream says that the answer was a stream without an end of its own.
	Stream bool
	// Ended is why the answer is not complete, as in [AuditEvent.Ended]. It is empty if it is.
	Ended string
	// ErrorType says how the operation failed: Ended, if the server is the cause of it; a
	// [Reason], if the layer mcp rejected it; "tool_error" for a tool result that is an error,
	// or a JSON-RPC error code or "_OTHER" for an error response, if [Guard.Middleware] is in
	// use; or else an HTTP status from 400 on. It is empty if the operation succeeded.
	ErrorType string
	// Duration is the time from the arrival of the request to the end of the answer.
	Duration time.Duration
}

// SessionEnd is the end of a session.
type SessionEnd struct {
	Resource string        // of the guard
	Why      string        // "deleted" by the client, "unknown" to the handler, or "idle" for [Config.SessionTimeout]
	Duration time.Duration // from the opening to the end, or to the last use if Why is "idle"
}

// The values of [Verification.Kind] and [Verification.Cache].
const (
	kindJWT    = "jwt"
	kindOpaque = "opaque"
	cacheHit   = "hit"
	cacheMiss  = "miss"
)

// Verification is the verification of one token.
type Verification struct {
	Resource string        // of the guard
	Issuer   string        // as in [Decision]
	Reason   Reason        // of a rejection; empty if the token is valid
	Kind     string        // "jwt", or "opaque" if the provider is asked about the token
	Cache    string        // "hit" if the result is from a cache, otherwise "miss"
	Duration time.Duration // of the verification
}

// Result returns "valid", "invalid", "limited" if the token was not verified because too many
// invalid ones came from its address, or "unavailable" if the provider could not be asked, or its
// keys could not be fetched.
func (v *Verification) Result() string {
	switch v.Reason {
	case "":
		return "valid"
	case reason.ProviderUnavailable:
		return "unavailable"
	case reason.TooManyFailedSignIns:
		return "limited"
	}
	return "invalid"
}

// The results of an [Introspection].
const (
	IntrospectionActive      = "active"
	IntrospectionInactive    = "inactive"
	IntrospectionUnavailable = "unavailable"
)

// Introspection is one request to a provider about an opaque token.
type Introspection struct {
	Resource string        // of the guard
	Issuer   string        // as in [Decision]
	Result   string        // one of the constants; an active token may still be rejected
	Duration time.Duration // of the request
}

// KeyFetch is one attempt to fetch the signing keys of a provider.
type KeyFetch struct {
	Resource string // of the guard
	Issuer   string // as in [Decision]
	// Error is the kind of the failure: "bad_url", "network", "timeout", "redirect", "not_found",
	// "status", "too_large", "not_json", "rejected" or "closed". It is empty if there was none.
	Error    string
	Duration time.Duration
}

// isEmpty reports whether no function is set.
func (o *Observer) isEmpty() bool {
	return o.RequestStart == nil && o.Decision == nil && o.Operation == nil && o.RequestEnd == nil &&
		o.SessionEnd == nil && o.Verification == nil && o.Introspection == nil && o.KeyFetch == nil
}

// validateObservers checks that each observer has a function.
func (s *settings) validateObservers(f *faults) {
	for i := range s.Observers {
		if s.Observers[i].isEmpty() {
			f.add("Observers["+strconv.Itoa(i)+"]", "", "has no functions", "set one of its functions, or remove it")
		}
	}
}

// observe calls f, a function of an observer. A panic must not change the answer.
func (o *observers) observe(name string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			o.report(name, fmt.Sprintf("it panicked with a %T", p))
		}
	}()
	f()
}

// observeContext calls f and returns its result, or ctx if that is nil or not derived from ctx.
// With another context, the guard could not end the request, or its handler would get another
// caller.
func (o *observers) observeContext(name string, ctx context.Context, f func() context.Context) context.Context {
	out := ctx
	o.observe(name, func() {
		switch derived := f(); {
		case derived == nil:
		case derived.Done() != ctx.Done() || callerFromContext(derived) != callerFromContext(ctx):
			o.report(name, "it returned a context that is not derived from the one it was given, or that has an end of its own; "+
				"return what context.WithValue returns")
		default:
			out = derived
		}
	})
	return out
}

// report counts a failure of an observer, and logs the first one.
func (o *observers) report(name, problem string) {
	o.failed.Add(1)
	defer func() { recover() }() // the handler of Config.Logger may be the one that panics
	o.firstError.Do(func() {
		o.logger.Error("an observer failed; later failures are counted in Stats.ObserverFailed",
			"setting", "Config.Observers", "function", name, "problem", problem)
	})
}
