package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/mcpmessage"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

const (
	codeBadGateway     = "bad_gateway"
	codeGatewayTimeout = "gateway_timeout"

	// codeGateway is the JSON-RPC error code of failures of the gateway. It is in the range that
	// JSON-RPC reserves for servers.
	codeGateway = -32041
	// retryAfter is how many seconds a client should wait if the backend is unavailable.
	retryAfter = 2
)

// problem is why a request is not answered by the backend. It never has the status 401: the
// token of the client is valid.
type problem struct {
	status  int
	code    string // for JSON
	rpcCode int    // for JSON-RPC; 0 means codeGateway
	reason  string // for programs
	text    string // for people: a fixed phrase without the address of the backend

	// For the log.
	hint           string
	err            error
	upstreamStatus int
	expected       bool // whether the operator need not do anything
	logged         bool // whether the log has a line about it already, so that an outage does not fill it
}

func (p *problem) Error() string { return p.text }

func (p *problem) Unwrap() error { return p.err }

// unknownSession is the answer for a session that no backend has. Clients then start a new one.
var unknownSession = &problem{status: http.StatusNotFound, code: "not_found", reason: "session_ended",
	text: "the session has ended, start a new one", expected: true}

// notForwardedMethod is the answer to a method that is not one of forwardedMethods.
var notForwardedMethod = &problem{status: http.StatusMethodNotAllowed, code: "invalid_request", reason: "method_not_allowed",
	text: "the method is not one of MCP", expected: true}

// answerFailure answers a request that failed at the backend. It is the error handler of the
// proxy.
func (e *endpoint) answerFailure(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client has disconnected, or the guard has ended the request
	}
	p := (*problem)(nil)
	if !errors.As(err, &p) {
		p = problemOf(err)
	}
	e.answer(w, r, exchangeOf(r.Context()), p)
}

// problemOf returns the problem for an error of the transport.
func problemOf(err error) *problem {
	timeout := (net.Error)(nil)
	switch {
	case notSent(err) && !isTimeout(err):
		return &problem{status: http.StatusBadGateway, code: codeBadGateway, reason: "upstream_unreachable", err: err, logged: true,
			text: "the MCP server behind the gateway is not reachable, try again later"}
	case errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded):
		return &problem{status: http.StatusGatewayTimeout, code: codeGatewayTimeout, reason: "upstream_timeout", err: err,
			text: "the MCP server behind the gateway did not answer in time"}
	}
	return &problem{status: http.StatusBadGateway, code: codeBadGateway, reason: "upstream_broken", err: err,
		text: "the MCP server behind the gateway closed the connection before it answered; the operation may have been carried out"}
}

func isTimeout(err error) bool {
	timeout := (net.Error)(nil)
	return errors.As(err, &timeout) && timeout.Timeout()
}

// answer writes the answer for a problem: a JSON-RPC error for a request with an ID, and JSON
// in the form of the guard's answers for everything else.
func (e *endpoint) answer(w http.ResponseWriter, r *http.Request, x *exchange, p *problem) {
	e.logProblem(r, x, p)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, POST, DELETE") // those of MCP
	}
	if p.status == http.StatusBadGateway || p.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	text := p.body(x)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		w.Write(text)
	}
}

// body returns the body of the answer.
func (p *problem) body(x *exchange) []byte {
	if id := x.requestID(); id != nil {
		return rpcError(id, p)
	}
	text, _ := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Reason      string `json:"reason"`
	}{p.code, p.text, p.reason})
	return text
}

// rpcError returns the JSON-RPC error response to the request with the ID.
func rpcError(id json.RawMessage, p *problem) []byte {
	code := p.rpcCode
	if code == 0 {
		code = codeGateway
	}
	return mcpmessage.ErrorResponse(id, code, p.text, p.reason)
}

// logProblem writes one line about the problem, with the details that the client does not get.
func (e *endpoint) logProblem(r *http.Request, x *exchange, p *problem) {
	level := slog.LevelWarn
	switch {
	case p.logged:
		level = slog.LevelDebug
	case p.expected:
		level = slog.LevelInfo
	}
	attrs := []slog.Attr{
		slog.String("endpoint", e.guard.Resource()),
		slog.String("method", quote.Clip(r.Method, quote.MaxBytes)),
		slog.Int("status", p.status),
		slog.String("reason", p.reason),
	}
	if u := x.target(); u != nil {
		attrs = append(attrs, slog.String("upstream", u.target.Redacted()))
	}
	if p.upstreamStatus != 0 {
		attrs = append(attrs, slog.Int("upstream_status", p.upstreamStatus))
	}
	if p.err != nil {
		attrs = append(attrs, slog.String("detail", quote.Clip(p.err.Error(), 4*quote.MaxBytes)))
	}
	if p.hint != "" {
		attrs = append(attrs, slog.String("hint", quote.Clip(p.hint, 4*quote.MaxBytes)))
	}
	e.logger.LogAttrs(r.Context(), level, "request failed", attrs...)
}
