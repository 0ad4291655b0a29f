package diagnose_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

const validToken = "the-valid-token"

// signedIn is an MCP server for callers with validToken. Each field answers one request.
type signedIn struct {
	initialize, discover, list, stream http.HandlerFunc
}

func newSignedIn() *signedIn {
	return &signedIn{
		initialize: inSession(answerMCP),
		discover:   answerMCP,
		list:       answerMCP,
		stream: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	}
}

// inSession answers like next, and opens a session.
func inSession(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Mcp-Session-Id", "s1")
		next(w, r)
	}
}

func (s *signedIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	var message struct{ Method string }
	json.Unmarshal(body, &message)
	switch {
	case r.Method == http.MethodGet:
		s.stream(w, r)
	case message.Method == "initialize":
		s.initialize(w, r)
	case message.Method == "server/discover":
		s.discover(w, r)
	case message.Method == "tools/list":
		s.list(w, r)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// signedInServer makes the target a server on a socket that accepts validToken.
func (r *rig) signedInServer(s *signedIn) {
	r.t.Helper()
	is := newIssuer("")
	is.url = listen(r.t, is)
	*is = *newIssuer(is.url)
	f := newForeign(is.url)
	origin := listen(r.t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.Header.Get(tokenHeader) == "Bearer "+validToken && req.URL.Path == "/mcp":
			s.ServeHTTP(w, req)
		case req.Header.Get("Origin") != "" || req.Host == "attacker.example":
			w.WriteHeader(http.StatusForbidden)
		default:
			f.ServeHTTP(w, req)
		}
	}))
	f.document(func(d map[string]any) { d["resource"] = origin + "/mcp" })
	f.challenge = `Bearer resource_metadata="` + origin + prmPath + `", scope="profile email"`
	r.real(origin + "/mcp")
	r.config.Token = validToken
}

// unsupported rejects a request because of its revision.
func unsupported(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(http.StatusBadRequest)
	io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"unsupported protocol version"}}`)
}

// liveSetups are seen only with a token.
var liveSetups = []setup{
	{"Replicas do not share their sessions", "some calls fail with 404, and the client starts anew", "replicas.sessions",
		"MCP_SESSION_KEY",
		func(r *rig) {
			s := newSignedIn()
			var calls atomic.Int32
			s.list = func(w http.ResponseWriter, req *http.Request) {
				if calls.Add(1)%2 == 0 {
					http.Error(w, "session not found", http.StatusNotFound)
					return
				}
				answerMCP(w, req)
			}
			r.signedInServer(s)
		}},
	{"One replica does not reach the issuer, or has old settings", "the client signs in again and again, at random", "replicas.tokens",
		"same configuration",
		func(r *rig) {
			s := newSignedIn()
			var calls atomic.Int32
			s.initialize = func(w http.ResponseWriter, req *http.Request) {
				if calls.Add(1) == 2 {
					status(http.StatusUnauthorized)(w, req)
					return
				}
				answerMCP(w, req)
			}
			r.signedInServer(s)
		}},
	{"A proxy collects event streams before it sends them", "calls time out", "stream.buffered", "proxy_buffering off",
		func(r *rig) {
			s := newSignedIn()
			s.stream = func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }
			r.signedInServer(s)
			r.config.RequestTimeout = 300 * time.Millisecond
		}},
	{"The server fails after the sign-in", "signed in, and then an error", "revisions.neither", "log of the server",
		func(r *rig) {
			s := newSignedIn()
			s.initialize, s.discover = status(http.StatusInternalServerError), status(http.StatusInternalServerError)
			r.signedInServer(s)
		}},
	{"The MCP server behind the gateway does not run", "signed in, and then 502", "revisions.upstream", "start the MCP server",
		func(r *rig) {
			s := newSignedIn()
			fails := func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", jsonType)
				w.WriteHeader(http.StatusBadGateway)
				io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32041,"message":"the MCP server behind the gateway is not `+
					`reachable, try again later","data":{"reason":"upstream_unreachable"}}}`)
			}
			s.initialize, s.discover = fails, fails
			r.signedInServer(s)
		}},
}

// liveWarnings are seen only with a token.
var liveWarnings = []setup{
	{"The server does not support MCP 2026-07-28", "mcp-go reports an unsupported version", "revisions.legacy_only",
		"both revisions",
		func(r *rig) {
			s := newSignedIn()
			s.discover = unsupported
			r.signedInServer(s)
		}},
	{"The server supports MCP 2026-07-28 only", "clients with the TypeScript SDK 1.x report an unsupported version",
		"revisions.modern_only",
		"both revisions",
		func(r *rig) {
			s := newSignedIn()
			s.initialize = unsupported
			r.signedInServer(s)
		}},
	{"A proxy ends idle streams (--stream)", "messages are lost, and long calls fail", "stream.cut", "proxy_read_timeout",
		func(r *rig) {
			s := newSignedIn()
			s.stream = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.(http.Flusher).Flush()
			}
			r.signedInServer(s)
			r.config.Stream = time.Minute
		}},
}
