package diagnose

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
)

// The revisions of MCP whose first requests are sent.
const (
	legacyRevision = "2025-11-25"
	modernRevision = "2026-07-28"
)

const initializeBody = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + legacyRevision + `",` +
	`"capabilities":{},"clientInfo":{"name":"gatehouse-doctor","version":"1"}}}`

const discoverBody = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{` +
	`"io.modelcontextprotocol/protocolVersion":"` + modernRevision + `",` +
	`"io.modelcontextprotocol/clientInfo":{"name":"gatehouse-doctor","version":"1"},` +
	`"io.modelcontextprotocol/clientCapabilities":{}}}}`

// initializeRequest returns the first request of a client of 2025-11-25 and older.
func initializeRequest(address string, extra http.Header) request {
	return mcpRequest(address, initializeBody, http.Header{"Mcp-Protocol-Version": {legacyRevision}}, extra)
}

// discoverRequest returns the first request of a client of 2026-07-28.
func discoverRequest(address string, extra http.Header) request {
	return mcpRequest(address, discoverBody,
		http.Header{"Mcp-Protocol-Version": {modernRevision}, "Mcp-Method": {"server/discover"}}, extra)
}

func mcpRequest(address, body string, header, extra http.Header) request {
	header.Set("Content-Type", "application/json")
	header.Set("Accept", "application/json, text/event-stream")
	maps.Copy(header, extra)
	return request{method: http.MethodPost, url: address, header: header, body: body}
}

// isMCPAnswer reports whether an answer is a result of MCP: JSON-RPC, or an event stream.
func isMCPAnswer(a *answer) bool {
	if a.err != nil || a.status != http.StatusOK {
		return false
	}
	if a.mediaType() == "text/event-stream" {
		return true
	}
	var message struct {
		Version string          `json:"jsonrpc"`
		Result  json.RawMessage `json:"result"`
		Error   json.RawMessage `json:"error"`
	}
	return json.Unmarshal(a.body,
		&message) == nil && message.Version == "2.0" && (message.Result != nil || message.Error != nil)
}

// bearer returns the header with a token.
func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// protocolError returns the code of a JSON-RPC error in an answer, or 0.
func protocolError(a *answer) int {
	var message struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	if a.err != nil || json.Unmarshal(a.body, &message) != nil {
		return 0
	}
	return message.Error.Code
}

func hasMedia(a *answer, want string) bool { return strings.EqualFold(a.mediaType(), want) }
