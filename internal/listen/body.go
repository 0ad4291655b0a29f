package listen

import (
	"io"
	"net/http"
	"time"
)

// BodyTimeouts limit how long a client may take to send the body of a request. Without a
// limit, a client that announces a body and never sends it holds its connection for ever:
// net/http reads the rest of a body before it sends the answer.
type BodyTimeouts struct {
	// Arrive is the time for the whole body, from when the handler starts.
	Arrive time.Duration
	// Rest is the time for the rest of a body that the handler did not read, from when the
	// handler returns.
	Rest time.Duration
}

// DefaultBodyTimeouts are the limits of every server of this module.
var DefaultBodyTimeouts = BodyTimeouts{Arrive: 30 * time.Second, Rest: 5 * time.Second}

// Body is the body of a request, with a read deadline that is removed at its end. It must
// be removed because it would also end the answer, which may be a stream that stays open.
type Body struct {
	io.ReadCloser
	rc       *http.ResponseController
	deadline time.Time // zero after the end of the body
	rest     time.Duration
}

// LimitBody limits the time of the body of r. Call [Body.Finish] when the handler has
// returned; it accepts nil, which LimitBody returns if there is nothing to limit: r has no
// body, the host has a read timeout of its own ([http.Server.ReadTimeout], which may be
// shorter), or w has no read deadlines. A body that is already limited stays as it is.
func LimitBody(w http.ResponseWriter, r *http.Request, timeouts BodyTimeouts) *Body {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if b, ok := r.Body.(*Body); ok {
		return b
	}
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && srv.ReadTimeout > 0 {
		return nil
	}
	b := &Body{
		ReadCloser: r.Body,
		rc:         http.NewResponseController(w),
		deadline:   time.Now().Add(timeouts.Arrive),
		rest:       timeouts.Rest,
	}
	if b.rc.SetReadDeadline(b.deadline) != nil {
		return nil
	}
	r.Body = b
	return b
}

// Read implements [io.Reader].
func (b *Body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF && !b.deadline.IsZero() {
		b.deadline = time.Time{}
		b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

// Finish shortens the time for the part of the body that the handler did not read.
// net/http reads that part after the handler, to use the connection again.
func (b *Body) Finish() {
	if b == nil || b.deadline.IsZero() {
		return
	}
	if rest := time.Now().Add(b.rest); rest.Before(b.deadline) {
		b.deadline = rest
		b.rc.SetReadDeadline(rest)
	}
}

// LimitBodies returns a handler that calls next with bodies that [LimitBody] limits.
func LimitBodies(timeouts BodyTimeouts, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer LimitBody(w, r, timeouts).Finish()
		next.ServeHTTP(w, r)
	})
}
