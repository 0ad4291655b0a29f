// Package forwardauth answers a reverse proxy that asks whether it may pass a request on to an
// MCP server: nginx auth_request, Caddy forward_auth, Traefik ForwardAuth, HAProxy with a Lua
// script, Envoy's ext_authz over HTTP.
//
// The proxy sends a request about each request to [AuthPath]. The answer is 200, with the
// identity in headers that the proxy passes on, or the rejection that the client must get.
// Nothing else has a status that begins with 2: nginx, Caddy, Traefik and HAProxy let a request
// through for all of those, and Envoy for 200 only.
//
// The checks are those of [gatehouse.Guard], on a request that is put together from what the
// proxy says about the original one. What differs:
//
//   - A preflight request is an OPTIONS request like any other here, since a 204 would let it
//     through. Proxies route OPTIONS to the path of the endpoint on this server, which answers
//     preflight requests there.
//   - The answer of the MCP server does not come by here. So session IDs are not sealed: an ID
//     belongs to the first user who sends it. And streams do not end when their token expires.
//   - If the proxy does not send bodies, it is not known which tool a request calls. A caller
//     must then meet the requirements of all of them. The headers Mcp-Method and Mcp-Name do not
//     help, because only the MCP server can compare them with the body. If the proxy sends bodies,
//     they are compared here, as in the gateway.
package forwardauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/mcpmessage"
	"github.com/gatehouse-mcp/gatehouse/internal/clientaddr"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/ratelimit"
)

// AuthPath is the path to which proxies send their questions. Envoy appends the path of the
// original request.
const AuthPath = "/auth"

// maxDrained bounds what is read of a body after the answer is known, in bytes.
const maxDrained = 16 << 20

// Handler answers proxies. It is safe for concurrent use. Make one with [New].
type Handler struct {
	proxy     proxy
	name      Proxy
	bodies    bool
	trusted   clientaddr.Proxies
	endpoints []*endpoint
	logger    *slog.Logger
	mux       *http.ServeMux
}

// endpoint is one MCP endpoint of the proxy.
type endpoint struct {
	guard     *gatehouse.Guard
	handler   http.Handler // of the guard; it answers 200
	hosts     hosts
	path      string
	undecided []byte // a body that stands for every possible one; nil if no operation has a requirement
	sessions  *bindings
	identify  Identify
	logger    *slog.Logger

	warnings     []string
	requirements int  // in undecided
	public       bool // whether callers without a token may use something
}

// ServeHTTP answers the question of a proxy at [AuthPath], and a client at the paths that the
// proxy routes here: the metadata documents, /register, and preflight requests to the endpoint.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, AuthPath); ok && (rest == "" || rest[0] == '/') {
		h.answer(w, r) // the mux would redirect unusual spellings of a path
		return
	}
	h.mux.ServeHTTP(w, r)
}

// Guards returns the guards of the endpoints, in the order of the configuration.
func (h *Handler) Guards() []*gatehouse.Guard {
	var guards []*gatehouse.Guard
	for _, e := range h.endpoints {
		guards = append(guards, e.guard)
	}
	return guards
}

// KeepSessions takes over the sessions of the endpoints of old that h has too. Call it before h is
// used. Requests to old that run at the same time use the same sessions.
func (h *Handler) KeepSessions(old *Handler) {
	for _, e := range h.endpoints {
		for _, before := range old.endpoints {
			if before.guard.Resource() == e.guard.Resource() {
				e.sessions = before.sessions
			}
		}
	}
}

// Close stops the background work of the guards.
func (h *Handler) Close() {
	for _, e := range h.endpoints {
		e.guard.Close()
	}
}

// answer answers a question.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request) {
	out := &verdictWriter{ResponseWriter: w, copyError: h.proxy.errorInHeader}
	defer out.finish()
	if err := h.checkSender(r); err != nil {
		h.refuse(out, r, err)
		return
	}
	o, err := h.proxy.read(r)
	if err != nil {
		h.refuse(out, r, err)
		return
	}
	e, err := h.endpointFor(o)
	if err != nil {
		h.refuse(out, r, err)
		return
	}
	q := &question{verdict: out, sessions: r.Header[sessionHeader]}
	body := r.Body
	e.handler.ServeHTTP(out, h.original(r, o, e, q))
	if h.bodies {
		// A proxy that is still sending when the connection is closed may not read the answer.
		io.CopyN(io.Discard, body, maxDrained)
	}
}

// checkSender returns an error unless r is from a trusted proxy. Anyone else could describe a
// request that was never made, and try tokens.
func (h *Handler) checkSender(r *http.Request) error {
	address, ok := clientaddr.Peer(r)
	if !ok {
		return &questionError{"the connection is not from an IP address",
			"the proxy must connect over TCP"}
	}
	if h.trusted.Contains(address) {
		return nil
	}
	return &questionError{fmt.Sprintf("%s is not the address of a trusted proxy, want one of %s", address, h.trusted),
		"if it is that of your proxy, name it in " + fieldTrusted}
}

func (h *Handler) endpointFor(o *original) (*endpoint, error) {
	path := o.url.EscapedPath()
	for _, e := range h.endpoints {
		if e.hosts.has(o.host) && e.hasPath(path) {
			return e, nil
		}
	}
	var want []string
	for _, e := range h.endpoints {
		want = append(want, e.guard.Resource())
	}
	return nil, &questionError{fmt.Sprintf("got host %s and path %s, want %s", quote.String(o.host), quote.String(path), quote.OneOf(want)),
		"have the proxy ask for the endpoint only, and pass on the Host of the client; AllowedHosts are further hosts"}
}

// hasPath reports whether the path is that of the endpoint, with or without a slash at its end.
// Other spellings of it are not accepted: the proxy might take them for another path.
func (e *endpoint) hasPath(path string) bool {
	return path == e.path || len(path) == len(e.path)+1 && path == e.path+"/"
}

// question is what the handler inside the guard must know.
type question struct {
	verdict  *verdictWriter
	sessions []string // the values of Mcp-Session-Id
	hasBody  bool     // whether the question has the body of the request
}

type questionKey struct{}

// original returns r as the request that the proxy asks about.
func (h *Handler) original(r *http.Request, o *original, e *endpoint, q *question) *http.Request {
	q.hasBody = h.hasBody(r, o)
	asked := r.WithContext(context.WithValue(r.Context(), questionKey{}, q))
	asked.Method, asked.URL, asked.Host, asked.RequestURI = o.method, o.url, o.host, ""
	delete(asked.Header, sessionHeader) // its binding is checked when the caller is known
	delete(asked.Header, "Access-Control-Request-Method")
	if q.hasBody {
		return asked
	}
	setBody(asked, e.undecided)
	return asked.WithContext(ratelimit.AsOne(asked.Context()))
}

// hasBody reports whether r has the body of the original request. GET and DELETE have none, and
// then there is nothing to decide about a proxy that does send bodies.
func (h *Handler) hasBody(r *http.Request, o *original) bool {
	if !h.bodies || o.partial {
		return false
	}
	return r.ContentLength != 0 || o.method == http.MethodGet || o.method == http.MethodHead ||
		o.method == http.MethodDelete || o.method == http.MethodOptions
}

// allow is the handler inside the guard: it answers 200 with the identity.
func (e *endpoint) allow(w http.ResponseWriter, r *http.Request) {
	q, _ := r.Context().Value(questionKey{}).(*question)
	// A caller without a token has no identity, and the principal "". The guard lets it through only
	// for what is public.
	id, signedIn := gatehouse.IdentityOfHTTP(r)
	if q == nil || !signedIn && !e.public { // never inside the guard
		writeError(w, http.StatusForbidden, errorBody{"forbidden", "this request is not allowed", ""})
		return
	}
	principal := ""
	if signedIn {
		principal = id.Principal()
	}
	if q.hasBody && e.rejectHeaders(w, r, id) {
		return
	}
	if err := e.sessions.use(q.sessions, principal); err != nil {
		e.logger.Info("request rejected", "reason", err.reason, "detail", err.text, "caller", id)
		if err.reason == reasonTooMany {
			w.Header().Set("Retry-After", strconv.Itoa(int(retryAfterTooMany.Seconds())))
		}
		writeReason(w, err.reason)
		return
	}
	if signedIn {
		if err := e.identify(w.Header(), r, id); err != nil {
			e.logger.Error("the identity could not be written", "error", err)
			w.Header().Set("Retry-After", strconv.Itoa(int(retryAfterFault.Seconds())))
			writeReason(w, reasonUnavailable)
			return
		}
	}
	q.verdict.allow()
	w.WriteHeader(http.StatusOK)
}

// rejectHeaders answers a request whose headers Mcp-Method and Mcp-Name differ from the body, and
// reports whether it did. The proxy, or the MCP server, may decide by the headers.
func (e *endpoint) rejectHeaders(w http.ResponseWriter, r *http.Request, id gatehouse.Identity) bool {
	var messages []mcpmessage.Message
	err := mcpmessage.CheckHeaders(r, func() []mcpmessage.Message {
		text, _ := io.ReadAll(r.Body) // in the memory of the guard; if it is not complete, it does not agree with the headers
		messages = mcpmessage.Parse(text)
		return messages
	})
	if err == nil {
		return false
	}
	e.logger.Info("request rejected", "reason", mcpmessage.ReasonHeaderMismatch, "detail", err.Error(), "caller", id)
	if rpc := mcpmessage.RequestID(messages); rpc != nil {
		writeJSON(w, http.StatusBadRequest,
			mcpmessage.ErrorResponse(rpc, mcpmessage.CodeHeaderMismatch, mcpmessage.TextHeaderMismatch, mcpmessage.ReasonHeaderMismatch))
		return true
	}
	writeError(w, http.StatusBadRequest, errorBody{"invalid_request", mcpmessage.TextHeaderMismatch, mcpmessage.ReasonHeaderMismatch})
	return true
}

// misrouted answers a request that has passed the guard at the path of the endpoint: only
// preflight requests belong here.
func misrouted(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusNotFound, errorBody{"not_found",
		"this server only answers the questions of a proxy; the MCP server is behind that", ""})
}

// refuse answers a question that cannot be answered. The client gets 403 without a challenge,
// since no token would help, and the operator the cause.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var q *questionError
	if !errors.As(err, &q) {
		q = &questionError{err.Error(), ""}
	}
	h.logger.Warn("forward auth: question rejected", "proxy", h.name, "from", quote.Clip(r.RemoteAddr, quote.MaxBytes),
		"detail", q.problem, "hint", q.fix)
	writeError(w, http.StatusForbidden, errorBody{"forbidden", "this request is not one to an MCP endpoint of the server", ""})
}

// questionError says why a question cannot be answered, and how to configure the proxy.
type questionError struct{ problem, fix string }

func (e *questionError) Error() string { return e.problem }

// errorBody has the members of the guard's error bodies.
type errorBody struct {
	Error       string           `json:"error"`
	Description string           `json:"error_description"`
	Reason      gatehouse.Reason `json:"reason,omitempty"`
}

// writeReason writes the guard's answer for a reason.
func writeReason(w http.ResponseWriter, reason gatehouse.Reason) {
	for _, info := range gatehouse.Reasons() {
		if info.Reason == reason {
			writeError(w, info.Status, errorBody{info.Code, info.Phrase, info.Reason})
			return
		}
	}
	writeError(w, http.StatusForbidden, errorBody{"forbidden", "this request is not allowed", ""})
}

func writeError(w http.ResponseWriter, status int, body errorBody) {
	text, _ := json.Marshal(body) // a struct of strings has no error
	writeJSON(w, status, text)
}

func writeJSON(w http.ResponseWriter, status int, text []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	w.Write(text)
}
