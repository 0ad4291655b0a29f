package conformance

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/teststream"
)

// The newest revision of MCP, which has no sessions, and the newest one that has them.
const (
	stateless = "2026-07-28"
	stateful  = "2025-11-25"
)

// request is an HTTP request to a server under test. Its methods return modified copies.
type request struct {
	method string
	target string // path and query
	host   string // Host header; empty means that of the address
	header http.Header
	body   string
	stream bool // the answer may be a stream without an end, so send does not read it
}

func (q request) with(name string, values ...string) request {
	q.header = maps.Clone(q.header)
	if q.header == nil {
		q.header = http.Header{}
	}
	q.header[http.CanonicalHeaderKey(name)] = values
	return q
}

func (q request) without(name string) request {
	q.header = maps.Clone(q.header)
	q.header.Del(name)
	return q
}

func (q request) bearer(token string) request { return q.with("Authorization", "Bearer "+token) }

func (q request) withTarget(target string) request { q.target = target; return q }

func (q request) withHost(host string) request { q.host = host; return q }

func (q request) withBody(body string) request { q.body = body; return q }

// post returns a POST of a JSON-RPC message to the endpoint, as every client sends it.
func post(body string) request {
	return request{method: http.MethodPost, target: "/mcp", body: body}.
		with("Content-Type", "application/json").
		with("Accept", "application/json, text/event-stream")
}

// methods are HTTP methods that a client may try at the endpoint.
var methods = []string{
	http.MethodPost,
	http.MethodGet,
	http.MethodDelete,
	http.MethodPut,
	http.MethodPatch,
	http.MethodOptions,
	http.MethodHead,
}

// endpointRequest returns a request to the endpoint with nothing in particular: a ping, if the method has a
// body.
func endpointRequest(method string) request {
	if method == http.MethodPost {
		return post(message("ping", nil))
	}
	return request{method: method, target: "/mcp"}.with("Accept", "application/json, text/event-stream")
}

func get(target string) request { return request{method: http.MethodGet, target: target} }

// message returns a JSON-RPC request.
func message(method string, params map[string]any) string {
	m := map[string]any{"jsonrpc": "2.0", "id": 1, "method": method}
	if params != nil {
		m["params"] = params
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// initialize returns the request that opens a session in the stateful revisions.
func initialize() request {
	return post(message("initialize", map[string]any{
		"protocolVersion": stateful,
		"capabilities":    map[string]any{},
		"clientInfo":      map[string]any{"name": "client", "version": "1"},
	}))
}

// discover returns the first request of a client of the stateless revision.
func discover() request { return statelessRequest("server/discover", "", nil) }

// statelessRequest returns a request of the stateless revision. name is the tool, or empty
// if the method has none.
func statelessRequest(method, name string, params map[string]any) request {
	params = maps.Clone(params)
	if params == nil {
		params = map[string]any{}
	}
	params["_meta"] = map[string]any{
		"io.modelcontextprotocol/protocolVersion":    stateless,
		"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "client", "version": "1"},
		"io.modelcontextprotocol/clientCapabilities": map[string]any{},
	}
	q := post("").with("MCP-Protocol-Version", stateless).with("Mcp-Method", method)
	if name != "" {
		params["name"] = name
		q = q.with("Mcp-Name", name)
	}
	return q.withBody(message(method, params))
}

// callTool returns a call of a tool in the stateless revision.
func callTool(name string) request {
	return statelessRequest("tools/call", name, map[string]any{"arguments": map[string]any{}})
}

// callToolIn returns a call of a tool in a session of the stateful revisions.
func callToolIn(session, name string) request {
	return post(toolCall(name)).with("MCP-Protocol-Version", stateful).with("Mcp-Session-Id", session)
}

func toolCall(name string) string {
	return message("tools/call", map[string]any{"name": name, "arguments": map[string]any{}})
}

// answer is the response to a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// client does not follow redirects and does not keep cookies.
var client = &http.Client{
	Timeout:       time.Minute,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func send(t *testing.T, base string, q request) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), q.method, base+q.target, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = q.host
	if q.header != nil {
		r.Header = q.header.Clone()
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if q.stream {
		return a
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a.body = string(body)
	return a
}

// reply is a JSON-RPC response.
type reply struct {
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// rpc returns the JSON-RPC response in the body: the body itself, or the last event of a
// stream.
func (a answer) rpc(t *testing.T) reply {
	t.Helper()
	text := a.body
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream") {
		events, err := teststream.ReadAll(strings.NewReader(a.body))
		if err != nil || len(events) == 0 {
			t.Fatalf("status %d, %d events in body %q: %v", a.status, len(events), a.body, err)
		}
		text = events[len(events)-1].Data
	}
	var out reply
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("status %d, body %q: %v", a.status, a.body, err)
	}
	return out
}

// object returns the JSON object in the body.
func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("status %d, body %q: %v", a.status, a.body, err)
	}
	return out
}
