package forwardauth

import "net/http"

const (
	// errorHeader has the JSON body of a rejection, for a proxy that discards bodies.
	errorHeader = "X-Gatehouse-Error"
	// maxErrorHeader bounds it, in bytes.
	maxErrorHeader = 1024
)

// verdictWriter writes the answer to a question. It makes every status that lets a request through
// 403, unless allow was called: whatever else the guard answers is for the client.
type verdictWriter struct {
	http.ResponseWriter
	copyError bool // whether the body is also sent in errorHeader

	allowed bool
	status  int  // 0 until WriteHeader was called
	sent    bool // whether the header was sent
	changed bool // whether status is not that of the caller
}

// allow makes a status of 200 possible.
func (w *verdictWriter) allow() { w.allowed = true }

// WriteHeader keeps the status until the body is known.
func (w *verdictWriter) WriteHeader(status int) {
	if w.status != 0 || status < http.StatusOK {
		return
	}
	w.status = status
	if status < http.StatusMultipleChoices && !(w.allowed && status == http.StatusOK) {
		w.status, w.changed = http.StatusForbidden, true
	}
}

func (w *verdictWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.changed || w.allowed {
		return len(b), nil // an answer to the proxy has no body
	}
	if w.copyError && !w.sent && len(b) <= maxErrorHeader {
		w.Header().Set(errorHeader, string(b))
	}
	w.send()
	return w.ResponseWriter.Write(b)
}

// finish must be called at the end. The length that was declared is that of a body which the
// method of the original request may forbid, and the proxy asks with a method of its own.
func (w *verdictWriter) finish() {
	if w.sent {
		return
	}
	if w.status == 0 {
		w.status = http.StatusForbidden
	}
	w.Header().Del("Content-Length")
	w.send()
}

func (w *verdictWriter) send() {
	if !w.sent {
		w.sent = true
		w.ResponseWriter.WriteHeader(w.status)
	}
}

// FlushError does nothing: a flush of the underlying writer would send a header before its status
// is known.
func (w *verdictWriter) FlushError() error { return nil }

// Unwrap gives [http.ResponseController] access to deadlines.
func (w *verdictWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
