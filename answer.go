package gatehouse

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// keepAliveComment is what an idle event stream gets now and then, so that proxies do not
// close its connection. Clients ignore comments (HTML Standard §9.2.6).
const keepAliveComment = ": keep-alive\n\n"

// keepAliveInterval is how long a stream may be idle before it gets a comment. Proxies close
// idle connections after a minute or more.
const keepAliveInterval = 25 * time.Second

// endsOfEvent are the ends of an event in an event stream (HTML Standard §9.2.5). A comment is
// only written after one.
var endsOfEvent = []string{"\n\n", "\r\n\r\n", "\r\r"}

// maxEndOfEvent is the length of the longest of them.
const maxEndOfEvent = 4

// answerWriter inspects the header of the handler's answer before it is sent: it seals the
// session ID, and keeps the answer out of caches and buffers. When the guard ends the
// request, it sends nothing more.
//
// Like every http.ResponseWriter, the handler must use it in one goroutine at a time. Its
// lock is for the comments of idle streams.
type answerWriter struct {
	http.ResponseWriter
	request   *openRequest
	admitted  *http.Request // the request as the handler sees it; see forHandler
	keepAlive time.Duration // interval of comments; 0 for answers that are not streams

	mu        sync.Mutex
	status    int         // 0 until the header is sent
	replaced  bool        // whether the answer is that of replace
	comments  *time.Timer // nil if there are none
	lastWrite time.Time
	tail      string // the last bytes written

	// finishedMu guards finished. It is never held during a write, which may block.
	finishedMu sync.Mutex
	finished   bool
}

// newAnswerWriter returns the writer for the answer to o.
func newAnswerWriter(w http.ResponseWriter, o *openRequest, keepAlive time.Duration) *answerWriter {
	aw := &answerWriter{ResponseWriter: w, request: o}
	if o.stream {
		aw.keepAlive = keepAlive
	}
	return aw
}

// finish must be called when the handler has returned or panicked, since it may have
// written nothing: net/http sends the header after a return, and a handler outside the
// guard may send it after a panic. Nothing is written after finish.
func (w *answerWriter) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin(http.StatusOK)
	if w.comments != nil {
		w.comments.Stop()
	}
	w.finishedMu.Lock()
	defer w.finishedMu.Unlock()
	w.finished = true
}

// begin must be called before the header is sent. Later calls do nothing: after the first,
// the handler may use the header map for trailers. w.mu must be held.
func (w *answerWriter) begin(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	h := w.Header()
	w.request.session.inspect(h)
	switch h.Get("Cache-Control") {
	case "no-cache, no-transform": // go-sdk sets this for streams
		h.Set("Cache-Control", "no-store, no-transform")
	case "":
		h.Set("Cache-Control", "no-store")
	}
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream") {
		return
	}
	// A proxy must not wait for more events before it sends one on (MCP 2026-07-28,
	// basic/transports).
	if h.Get("X-Accel-Buffering") == "" {
		h.Set("X-Accel-Buffering", "no")
	}
	// A comment would damage a compressed stream, and one whose length was declared.
	plain := h.Get("Content-Encoding") == "" && h.Get("Content-Length") == ""
	if w.keepAlive > 0 && status == http.StatusOK && plain {
		w.lastWrite = time.Now()
		w.comments = time.AfterFunc(w.keepAlive, w.comment)
	}
}

// comment writes a comment if the stream has been idle for the interval, and is not in the
// middle of an event.
func (w *answerWriter) comment() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isFinished() || w.request.endedBy() != nil {
		return
	}
	idle := time.Since(w.lastWrite)
	if idle >= w.keepAlive && w.betweenEvents() {
		w.ResponseWriter.Write([]byte(keepAliveComment))
		http.NewResponseController(w.ResponseWriter).Flush()
		w.lastWrite, idle = time.Now(), 0
	}
	w.comments.Reset(max(w.keepAlive-idle, w.keepAlive/2))
}

// betweenEvents reports whether no event is incomplete.
func (w *answerWriter) betweenEvents() bool {
	return w.tail == "" || slices.ContainsFunc(endsOfEvent, func(end string) bool { return strings.HasSuffix(w.tail, end) })
}

// replace calls answer if no header was sent, to write another answer than the handler's.
func (w *answerWriter) replace(answer func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status != 0 {
		return
	}
	h := w.Header()
	w.request.session.inspect(h) // the handler may have opened a session
	for _, name := range []string{sessionHeader, "Connection", "Content-Encoding", "Trailer"} {
		h.Del(name)
	}
	answer()
	w.replaced = true
	w.status = http.StatusServiceUnavailable // the session neither opened nor ended
}

func (w *answerWriter) isFinished() bool {
	w.finishedMu.Lock()
	defer w.finishedMu.Unlock()
	return w.finished
}

// unblock makes a write fail that waits for a client that does not read.
func (w *answerWriter) unblock() {
	w.finishedMu.Lock()
	defer w.finishedMu.Unlock()
	if !w.finished {
		http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(-time.Second))
	}
}

// unblockSoon calls unblock if the handler does not return soon after the guard has ended the
// request.
func (w *answerWriter) unblockSoon(*endError) { time.AfterFunc(unblockAfter, w.unblock) }

// WriteHeader inspects the header unless status is informational: another header
// follows those (RFC 9110 §15.2), except for 101 Switching Protocols.
func (w *answerWriter) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(status)
}

func (w *answerWriter) writeHeader(status int) {
	if w.request.endedBy() != nil {
		return
	}
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.begin(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if why := w.request.endedBy(); why != nil {
		return 0, why
	}
	w.begin(http.StatusOK)
	if w.request.opening && isErrorResponse(b) {
		w.request.session.notOpened()
	}
	n, err := w.ResponseWriter.Write(b)
	if w.comments != nil && n > 0 {
		w.lastWrite = time.Now()
		w.tail += string(b[max(0, n-maxEndOfEvent):n])
		w.tail = w.tail[max(0, len(w.tail)-maxEndOfEvent):]
	}
	return n, err
}

// isErrorResponse reports whether b is the text of a JSON-RPC error response. Inside a string,
// the quotes of these names would be escaped. A wrong answer affects only how many sessions
// are counted.
func isErrorResponse(b []byte) bool {
	return bytes.Contains(b, []byte(`"error":`)) && !bytes.Contains(b, []byte(`"result":`))
}

// Flush implements [http.Flusher]. Like net/http, it ignores the error;
// [http.ResponseController.Flush] returns it.
func (w *answerWriter) Flush() { w.FlushError() }

// FlushError is what [http.ResponseController.Flush] calls. A flush sends the header, so
// it is written here if it has not been yet. That way it is final even if the underlying
// writer does not support Flush, and a session ID that is set later is not sent.
func (w *answerWriter) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if why := w.request.endedBy(); why != nil {
		return why
	}
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap gives [http.ResponseController] access to deadlines, Hijack and the rest.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
