package window

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// maxForwarded bounds the body of a request to the MCP server. It is larger than the
// server's own limit, which is 4 MiB for Gatehouse and go-sdk.
const maxForwarded = 32 << 20

// Proxy returns a handler that forwards all requests to the MCP server at target and
// records them, except for those of its own checks. It preserves the Host header and does not buffer streams. If the server
// does not respond, it answers 502 with the likely fix.
func (w *Window) Proxy(target *url.URL, logger *slog.Logger) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		FlushInterval: -1, // events of a stream are sent at once
		ErrorLog:      slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ErrorHandler: func(rw http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // the client has disconnected
			}
			problem := "the MCP server does not answer on port " + target.Port()
			writeError(rw, http.StatusBadGateway, problem+"; it must listen on the port in the environment variable PORT")
		},
	}
	recorded := w.record(proxy)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		// net/http closes the body of a request when the response begins. If the proxy
		// were still reading the body then, it would abort the response. MCP requests are
		// small, so the body is read first.
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxForwarded))
		if err != nil {
			writeError(rw, http.StatusRequestEntityTooLarge, fmt.Sprintf("reading the request body: %v", err))
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, int64(len(body)), nil
		if len(body) > 0 {
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		if w.takeProbe(r) {
			proxy.ServeHTTP(rw, r)
			return
		}
		recorded.ServeHTTP(rw, r)
	})
}

// record returns a handler that makes a step of every request that next answers.
func (w *Window) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		x := &roundTrip{request: r, token: readToken(r.Header.Get("Authorization")), began: time.Now()}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.TeeReader(r.Body, &x.requestBody), r.Body}
		}
		// Deferred, because the proxy panics with http.ErrAbortHandler if a response breaks off.
		defer w.finish(x)
		next.ServeHTTP(&responseRecorder{ResponseWriter: rw, roundTrip: x, streamOpened: func() { w.finish(x) }}, r)
	})
}

// finish adds the step of x to the journal. Later calls do nothing.
func (w *Window) finish(x *roundTrip) {
	if x.finished {
		return
	}
	x.finished = true
	if step, owner := w.stepOfServer(x); step.Kind.recorded() {
		w.journal.add(step, owner)
	}
}
