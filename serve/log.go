package serve

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// maxLogged bounds what a client can write into one attribute of a log line.
const maxLogged = 128

// outcome is what the handlers below the log learn about one request.
type outcome struct {
	status    int
	caller    slog.Value // a group, once somebody is signed in
	rejection *gatehouse.Rejection
}

type outcomeKey struct{}

func outcomeOf(r *http.Request) *outcome {
	o, _ := r.Context().Value(outcomeKey{}).(*outcome)
	return o
}

func noteRejection(r *http.Request, rejection gatehouse.Rejection) {
	if o := outcomeOf(r); o != nil {
		o.rejection = &rejection
	}
}

// noteCallers stands behind the guard and tells the log who called.
func noteCallers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noteCaller(r)
		next.ServeHTTP(w, r)
	})
}

// noteCaller is apart from its handler, on whose stack an Identity would lie for as
// long as the call runs.
func noteCaller(r *http.Request) {
	if o := outcomeOf(r); o != nil {
		if id, ok := gatehouse.IdentityOfHTTP(r); ok {
			o.caller = id.LogValue()
		}
	}
}

// logRequests writes one line for each request when it has ended: what was asked,
// by whom, and the outcome. Headers and bodies stay out of it.
func logRequests(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		o := &outcome{}
		defer func() { o.log(logger.Handler(), r, time.Since(start)) }()
		next.ServeHTTP(&statusWriter{ResponseWriter: w, outcome: o}, r.WithContext(context.WithValue(r.Context(), outcomeKey{}, o)))
	})
}

// log writes the line. Past the Logger, which would look up the place in the code
// that it comes from, always this one.
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
	case r.URL.Path == "/healthz" || r.URL.Path == "/readyz":
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func (o *outcome) attrs(r *http.Request, took time.Duration) []slog.Attr {
	attrs := append(make([]slog.Attr, 0, 8),
		slog.String("method", r.Method),
		slog.String("path", shorten(r.URL.Path)),
		slog.Int("status", o.status),
		slog.Duration("took", took.Round(time.Microsecond)),
	)
	// The stateless revision names the operation in headers, which the server
	// has compared with the body.
	if m := r.Header.Get("Mcp-Method"); m != "" {
		attrs = append(attrs, slog.String("operation", shorten(strings.TrimSpace(m+" "+r.Header.Get("Mcp-Name")))))
	}
	if o.caller.Kind() == slog.KindGroup {
		attrs = append(attrs, slog.Attr{Key: "caller", Value: o.caller})
	}
	if o.rejection != nil {
		attrs = append(attrs, slog.Any("rejection", *o.rejection))
	}
	return attrs
}

func shorten(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged] + "…"
	}
	return s
}

// statusWriter remembers the status of the answer.
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

// Flush is for handlers that ask for an http.Flusher; Unwrap is for
// http.ResponseController.
func (w *statusWriter) Flush() { http.NewResponseController(w.ResponseWriter).Flush() }

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
