package gatehouse

import (
	"net/http"
	"sync"
	"time"
)

// flushDelay is how long an answer that its handler flushes may wait for more. An
// event stream with one event is flushed and then ends at once; without the wait
// that is two packets and two system calls, which cost more than all of the guard.
const flushDelay = time.Millisecond

// answerWriter looks at the header of an answer to a signed-in caller before it
// leaves: for the session it opens, and so that no cache keeps it.
type answerWriter struct {
	http.ResponseWriter
	opened func(session string) // nil when none can be opened

	mu      sync.Mutex // a flush may come while the handler writes
	begun   bool
	ended   bool // the handler has returned
	waiting bool // a flush is due
	timer   *time.Timer
}

// finish must be called when the handler has returned: it may have written
// nothing, and no flush may come after it.
func (w *answerWriter) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin()
	w.ended = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// begin is called with the lock, before the first byte leaves.
func (w *answerWriter) begin() {
	if w.begun {
		return
	}
	w.begun = true
	h := w.Header()
	if id := h.Get(sessionHeader); id != "" && w.opened != nil {
		w.opened(id)
	}
	switch h.Get("Cache-Control") {
	case "no-cache, no-transform": // go-sdk's, for streams
		h.Set("Cache-Control", "no-store, no-transform")
	case "":
		h.Set("Cache-Control", "no-store")
	}
}

func (w *answerWriter) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin()
	return w.ResponseWriter.Write(b)
}

// Flush is for handlers that ask for an http.Flusher, and for
// http.ResponseController. It sends what was written within flushDelay.
func (w *answerWriter) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin()
	switch {
	case w.waiting || w.ended:
	case w.timer == nil:
		w.waiting, w.timer = true, time.AfterFunc(flushDelay, w.flushNow)
	default:
		w.waiting = true
		w.timer.Reset(flushDelay)
	}
}

func (w *answerWriter) flushNow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting && !w.ended {
		w.waiting = false
		http.NewResponseController(w.ResponseWriter).Flush()
	}
}

// Unwrap is for the rest of http.ResponseController.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
