package gatehouse

import (
	"net/http"
	"slices"
)

// answerWriter inspects the header of the handler's answer before it is sent: it
// reports the session that the answer opens, and keeps the answer out of caches.
//
// Like every http.ResponseWriter, it must be used by one goroutine at a time.
type answerWriter struct {
	http.ResponseWriter
	opened    func(sessionID string) // nil if the request cannot open a session
	inspected bool
}

// newAnswerWriter returns the writer for the answer to r. A session that the answer opens
// is bound to c (check 9).
func (s *sessions) newAnswerWriter(w http.ResponseWriter, r *http.Request, c *caller) *answerWriter {
	aw := &answerWriter{ResponseWriter: w}
	if current := r.Header[sessionHeader]; r.Method == http.MethodPost {
		aw.opened = func(id string) {
			if !slices.Contains(current, id) { // an answer may repeat the request's session
				s.bind(id, c.principal)
			}
		}
	}
	return aw
}

// finish must be called when the handler has returned or panicked, since it may have
// written nothing: net/http sends the header after a return, and a handler outside the
// guard may send it after a panic.
func (w *answerWriter) finish() { w.inspect() }

// inspect must be called before the header is sent. Later calls do nothing: after the
// first, the handler may use the header map for trailers.
func (w *answerWriter) inspect() {
	if w.inspected {
		return
	}
	w.inspected = true
	h := w.Header()
	if id := h.Get(sessionHeader); id != "" && w.opened != nil {
		w.opened(id)
	}
	switch h.Get("Cache-Control") {
	case "no-cache, no-transform": // go-sdk sets this for streams
		h.Set("Cache-Control", "no-store, no-transform")
	case "":
		h.Set("Cache-Control", "no-store")
	}
}

// WriteHeader inspects the header unless status is informational: another header
// follows those (RFC 9110 §15.2), except for 101 Switching Protocols.
func (w *answerWriter) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.inspect()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(b []byte) (int, error) {
	w.inspect()
	return w.ResponseWriter.Write(b)
}

// Flush implements [http.Flusher]. Like net/http, it ignores the error;
// [http.ResponseController.Flush] returns it.
func (w *answerWriter) Flush() { w.FlushError() }

// FlushError is what [http.ResponseController.Flush] calls. A flush sends the header, so
// it is written here if it has not been yet. That way it is final even if the underlying
// writer does not support Flush, and a session ID that is set later is not sent.
func (w *answerWriter) FlushError() error {
	if !w.inspected {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap gives [http.ResponseController] access to deadlines, Hijack and the rest.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
