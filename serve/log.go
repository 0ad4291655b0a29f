package serve

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// maxLogged bounds, in bytes, one attribute of a log line whose text a client chooses.
const maxLogged = 128

// outcome is what the log line of one request says about its end. Handlers further
// inside fill it in.
type outcome struct {
	status    int
	caller    slog.Value // a group; the zero value if no one is signed in
	rejection *gatehouse.Rejection
}

type outcomeKey struct{}

// outcomeOf returns the outcome of r, or nil if r did not pass through logRequests.
func outcomeOf(r *http.Request) *outcome {
	o, _ := r.Context().Value(outcomeKey{}).(*outcome)
	return o
}

// recordRejection is the OnReject function of the guard.
func recordRejection(r *http.Request, rejection gatehouse.Rejection) {
	if o := outcomeOf(r); o != nil {
		o.rejection = &rejection
	}
}

// recordCallers wraps the handler inside the guard, and records the verified caller
// of each request for the log.
func recordCallers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recordCaller(r)
		next.ServeHTTP(w, r)
	})
}

// recordCaller is a function of its own so that the Identity, which is large, does not
// stay on the stack for as long as the call runs.
func recordCaller(r *http.Request) {
	if o := outcomeOf(r); o != nil {
		if id, ok := gatehouse.IdentityOfHTTP(r); ok {
			o.caller = id.LogValue()
		}
	}
}

// logRequests logs one line for each request when it has ended: the operation, the
// caller and the outcome. It logs neither bodies nor headers, except the headers that
// name the operation.
func logRequests(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		o := &outcome{}
		defer func() { o.log(logger.Handler(), r, time.Since(start)) }()
		next.ServeHTTP(&statusWriter{ResponseWriter: w, outcome: o}, r.WithContext(context.WithValue(r.Context(), outcomeKey{}, o)))
	})
}

// log writes the line. It calls the handler itself because a Logger would look up the
// source position of every line, which is always this one.
func (o *outcome) log(handler slog.Handler, r *http.Request, took time.Duration) {
	level := o.level(r)
	if !handler.Enabled(r.Context(), level) {
		return
	}
	record := slog.NewRecord(time.Now(), level, "request", 0)
	record.AddAttrs(o.attrs(r, took)...)
	handler.Handle(r.Context(), record)
}

func (o *outcome) level(r *http.Request) slog.Level {
	switch {
	case o.status >= http.StatusInternalServerError:
		return slog.LevelWarn
	case r.URL.Path == "/healthz" || r.URL.Path == "/readyz", o.isFlood():
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// isFlood reports whether the request was over a limit of RateLimits. The guard logs one line a
// minute about those, so that a flood does not fill the log.
func (o *outcome) isFlood() bool {
	return o.rejection != nil && (o.rejection.Reason == reason.TooManyFailedSignIns || o.rejection.Reason == reason.RateLimited)
}

func (o *outcome) attrs(r *http.Request, took time.Duration) []slog.Attr {
	attrs := append(make([]slog.Attr, 0, 8),
		slog.String("method", quote.Clip(r.Method, maxLogged)),
		slog.String("path", quote.Clip(r.URL.Path, maxLogged)),
		slog.Int("status", o.status),
		slog.Duration("took", took.Round(time.Microsecond)),
	)
	if m := r.Header.Get("Mcp-Method"); m != "" {
		attrs = append(attrs, slog.String(o.operationKey(r), quote.Clip(strings.TrimSpace(m+" "+r.Header.Get("Mcp-Name")), maxLogged)))
	}
	if o.caller.Kind() == slog.KindGroup {
		attrs = append(attrs, slog.Attr{Key: "caller", Value: o.caller})
	}
	if o.rejection != nil {
		attrs = append(attrs, slog.Any("rejection", *o.rejection))
	}
	return attrs
}

// operationKey returns the name of the attribute with the operation that the headers name.
// The go-sdk compares the headers with the body in the stateless revisions, and rejects a
// request in which they differ. Otherwise the headers are only what the client claims.
func (o *outcome) operationKey(r *http.Request) string {
	compared := r.Header.Get(versionHeader) >= firstStateless && o.rejection == nil &&
		o.caller.Kind() == slog.KindGroup && o.status < http.StatusBadRequest
	if compared {
		return "operation"
	}
	return "claimed_operation"
}

// statusWriter records the status of the response.
type statusWriter struct {
	http.ResponseWriter
	outcome *outcome
}

func (w *statusWriter) WriteHeader(status int) {
	if w.outcome.status == 0 {
		w.outcome.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.outcome.status == 0 {
		w.outcome.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Flush makes w an [http.Flusher]. Like net/http, it ignores the error;
// [http.ResponseController.Flush] returns it.
func (w *statusWriter) Flush() { w.FlushError() }

// FlushError is what [http.ResponseController.Flush] calls. A flush sends the header.
func (w *statusWriter) FlushError() error {
	if w.outcome.status == 0 {
		w.outcome.status = http.StatusOK
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap makes w usable with [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
