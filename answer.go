package gatehouse

import (
	"bufio"
	"net"
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

// finish must be called when the handler has returned or panicked: it may have
// written nothing, and no flush may come after it. What a handler had flushed before
// it panicked still leaves; after its return, net/http sends everything.
func (w *answerWriter) finish(panicked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin()
	if panicked {
		w.send()
	}
	w.end()
}

func (w *answerWriter) end() {
	w.ended = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// begin is called with the lock, before the header leaves.
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
	// Informational answers come before the answer (RFC 9110 §15.2).
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.begin()
	}
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
	if w.ended {
		return
	}
	if !w.begun {
		// The header is read now. The timer would read it while the handler may
		// go on to write to it.
		w.begin()
		w.ResponseWriter.WriteHeader(http.StatusOK)
	}
	switch {
	case w.waiting:
	case w.timer == nil:
		w.waiting, w.timer = true, time.AfterFunc(flushDelay, w.sendLate)
	default:
		w.waiting = true
		w.timer.Reset(flushDelay)
	}
}

// sendLate is the timer's. A writer of the handlers outside that panics here would
// end the process, and not just the connection as in a handler.
func (w *answerWriter) sendLate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() {
		if recover() != nil {
			w.end()
		}
	}()
	w.send()
}

// send sends what is due.
func (w *answerWriter) send() {
	if w.waiting && !w.ended {
		w.waiting = false
		http.NewResponseController(w.ResponseWriter).Flush()
	}
}

// Hijack takes the connection from the timer too.
func (w *answerWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.send()
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.end()
	}
	return conn, rw, err
}

// Unwrap is for the rest of http.ResponseController.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
