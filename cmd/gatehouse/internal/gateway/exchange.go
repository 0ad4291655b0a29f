package gateway

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/mcpmessage"
)

const sessionHeader = "Mcp-Session-Id"

// exchange is what the gateway knows of one request and its answer.
type exchange struct {
	request *http.Request // as the guard let it through
	client  http.ResponseWriter
	body    []byte // must not change: it is that of the guard
	unnamed error  // why the caller cannot be named to the backend; the request is not sent then

	upstream   *upstream            // that opened the session; nil if the request is in none
	answeredBy *upstream            // that got the request last; nil if none did
	session    string               // the backend's ID of the session
	messages   []mcpmessage.Message // of the body, if it was parsed
	parsed     bool
	lists      bool // whether the answer may have a list that must be filtered
	streaming  bool // whether the answer is an event stream
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// forwardedMethods are the methods of requests that are forwarded, as they are written: methods are
// case-sensitive (RFC 9110 §9.1). A backend that does not know that would take "get" for GET, and the
// guard would not end its stream when the token expires.
//
// TRACE is not one of them, because the backend would answer with what the gateway has added to the
// request (RFC 9110 §9.3.8).
var forwardedMethods = []string{
	http.MethodPost, http.MethodGet, http.MethodDelete, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodPatch,
}

// newExchange reads what decides how a request is forwarded. The problem, if not nil, is the
// answer.
func (e *endpoint) newExchange(w http.ResponseWriter, r *http.Request) (*exchange, *problem) {
	x := &exchange{request: r, client: w}
	if !slices.Contains(forwardedMethods, r.Method) {
		return x, notForwardedMethod
	}
	if err := x.keepBody(r); err != nil {
		return x, &problem{status: http.StatusBadRequest, code: "invalid_request", reason: "body_unreadable",
			text: "the body of the request could not be read", err: err}
	}
	if id := r.Header.Get(sessionHeader); id != "" {
		if x.upstream, x.session = e.upstreams.ofSession(id); x.upstream == nil {
			return x, unknownSession
		}
	}
	if problem := x.checkHeaders(r); problem != nil {
		return x, problem
	}
	x.lists = e.mayList(x, r)
	return x, nil
}

// opensStream reports whether the answer is a stream without an end of its own, if the backend has
// one: that of GET, or of subscriptions/listen (MCP 2026-07-28).
func (x *exchange) opensStream() bool {
	return x.request.Method == http.MethodGet || mcpmessage.Modern(x.request) &&
		slices.ContainsFunc(x.parse(), func(m mcpmessage.Message) bool { return m.Method == methodListen })
}

// keepBody makes the body available for several reads. The guard has it in memory already.
func (x *exchange) keepBody(r *http.Request) (err error) {
	if r.Body == nil || r.Body == http.NoBody {
		r.ContentLength = 0
		return nil
	}
	if stored, ok := r.Body.(interface{ Bytes() []byte }); ok {
		x.body = stored.Bytes()
	} else if x.body, err = io.ReadAll(r.Body); err != nil {
		return err
	}
	r.ContentLength, r.TransferEncoding = int64(len(x.body)), nil
	return nil
}

// newBody returns the body from its beginning. The transport sends the header and a body of this
// type with one write. With any other type it sends the header first, and the backend wakes up
// twice.
func (x *exchange) newBody() io.ReadCloser { return io.NopCloser(bytes.NewReader(x.body)) }

// recover lets an event stream whose context has ended end cleanly, because the guard has ended
// it. ReverseProxy would close the connection of the client.
func (x *exchange) recover(r *http.Request) {
	p := recover()
	if p == nil || p == http.ErrAbortHandler && x.streaming && r.Context().Err() != nil {
		return
	}
	panic(p)
}

// target returns the backend of the request, or nil.
func (x *exchange) target() *upstream {
	if x == nil {
		return nil
	}
	return x.answeredBy
}

// isEventStream reports whether h says that the body is an event stream.
func isEventStream(h http.Header) bool {
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream")
}
