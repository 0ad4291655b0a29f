package mcpgo

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// Handler returns the streamable HTTP handler of the server, for [gatehouse.Guard.Mount] or
// [gatehouse.Guard.Wrap]. It is that of [server.NewStreamableHTTPServer] with the options,
// except that a message which cancels a call is ignored if it has no session: mcp-go finds
// the call by session and request ID, and all requests without a session share one table, so
// that it would cancel the call of another user. A client cancels such a call when it closes
// the connection.
func (a *Adapter) Handler(options ...server.StreamableHTTPOption) http.Handler {
	return ignoreCancellations(server.NewStreamableHTTPServer(a.server, options...))
}

// ignoreCancellations returns a handler that answers a cancellation without a session as if it
// had been accepted. The guard has read the body, and bounds it.
func ignoreCancellations(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.Body == nil {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		if isCancellation(body) && !hasSession(r, body) {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// isCancellation reports whether mcp-go takes body for a message that cancels a call.
func isCancellation(body []byte) bool {
	message, err := decode[struct {
		Method mcp.MCPMethod `json:"method"`
	}](body)
	return err == nil && message.Method == mcp.MethodNotificationCancelled
}

// hasSession reports whether mcp-go handles the message in a session. Since revision 2026-07-28
// there are none, and mcp-go ignores the header.
func hasSession(r *http.Request, body []byte) bool {
	var message struct {
		Params struct {
			Meta *mcp.Meta `json:"_meta"`
		} `json:"params"`
	}
	modern := mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion)) ||
		json.Unmarshal(body, &message) == nil && mcp.IsModernProtocol(message.Params.Meta.ProtocolVersion())
	return !modern && r.Header.Get(server.HeaderKeySessionID) != ""
}
