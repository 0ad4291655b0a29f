package window

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Proxy returns a handler that passes everything on to the MCP server at target
// and records it. Host passes through, answers are not buffered. A server that
// does not answer is reported as 502, with what to do.
func (w *Window) Proxy(target *url.URL, logger *slog.Logger) http.Handler {
	proxy := w.record(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		FlushInterval: -1, // a stream's events are due when they come
		ErrorLog:      slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ErrorHandler: func(rw http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // the client went away
			}
			writeError(rw, http.StatusBadGateway, fmt.Sprintf("the MCP server does not answer on port %s; it must listen on the port that PORT names", target.Port()))
		},
	})
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		// The first byte of an answer closes the request's body, from which the proxy
		// might still be about to read the end: the answer would break off. Requests
		// of MCP are small, so they are read to the end first.
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxForwarded))
		if err != nil {
			writeError(rw, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body of the request could not be read: %v", err))
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, int64(len(body)), nil
		if len(body) > 0 {
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		proxy.ServeHTTP(rw, r)
	})
}

// maxForwarded bounds the body of a request to the MCP server, which has its own
// limit: that of Gatehouse and of go-sdk is 4 MiB.
const maxForwarded = 32 << 20

// record makes a step of every request that next answers.
func (w *Window) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		x := &exchange{request: r, token: readToken(r.Header.Get("Authorization")), began: time.Now()}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.TeeReader(r.Body, &x.asked), r.Body}
		}
		answered := &answerRecorder{ResponseWriter: rw, exchange: x, stream: func() { w.finish(x) }}
		// An answer that breaks off panics with http.ErrAbortHandler.
		defer w.finish(x)
		next.ServeHTTP(answered, r)
	})
}

// exchange is one request to the MCP server, with the start of both bodies.
type exchange struct {
	request  *http.Request
	token    presented
	began    time.Time
	asked    head
	status   int
	header   http.Header
	answer   head
	finished bool
}

// finish records an exchange, once.
func (w *Window) finish(x *exchange) {
	if x.finished {
		return
	}
	x.finished = true
	if step, hint := w.fromServer(x); step.Kind != kindPreflight {
		w.journal.add(step, hint)
	}
}

// head keeps the first bytes written to it. A request's body may still be read
// when its answer is there, so it is safe for concurrent use.
type head struct {
	mu    sync.Mutex
	bytes []byte
	size  int // of all that was written
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes = append(h.bytes, p[:min(len(p), maxBody-len(h.bytes))]...)
	h.size += len(p)
	return len(p), nil
}

// kept returns what was kept, and whether there was more.
func (h *head) kept() (body []byte, cut bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.bytes), h.size > len(h.bytes)
}

// answerRecorder keeps what goes by. It adds nothing between two writes, so
// that streams stay as they are.
type answerRecorder struct {
	http.ResponseWriter
	exchange *exchange
	stream   func() // called when an answer begins that may never end
}

func (a *answerRecorder) WriteHeader(status int) {
	if status >= http.StatusOK && a.exchange.status == 0 {
		a.exchange.status = status
		a.exchange.header = a.Header().Clone()
	}
	a.ResponseWriter.WriteHeader(status)
	if a.exchange.request.Method == http.MethodGet && isEventStream(a.Header()) && status == http.StatusOK {
		a.stream()
	}
}

func (a *answerRecorder) Write(p []byte) (int, error) {
	if a.exchange.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if !a.exchange.finished {
		a.exchange.answer.Write(p)
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap serves http.ResponseController: flushing and hijacking.
func (a *answerRecorder) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func isEventStream(h http.Header) bool {
	return strings.HasPrefix(h.Get("Content-Type"), "text/event-stream")
}
