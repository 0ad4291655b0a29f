package bypass

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/teststream"
)

// object is a JSON object.
type object = map[string]any

// request is an HTTP request to a world. Its methods return changed copies.
type request struct {
	method  string
	target  string
	header  http.Header
	body    string
	chunked bool
	http2   bool
	stream  bool          // the answer is a stream: only its first event is read
	giveUp  time.Duration // after which the client ends the request; 0 means never
}

// with returns q with a header, or without it if there are no values.
func (q request) with(name string, values ...string) request {
	q.header = maps.Clone(q.header)
	if q.header == nil {
		q.header = http.Header{}
	}
	delete(q.header, http.CanonicalHeaderKey(name))
	if len(values) > 0 {
		q.header[http.CanonicalHeaderKey(name)] = values
	}
	return q
}

// bearer returns q with the token, or without a header if there is none.
func (q request) bearer(token string) request {
	if token == "" {
		return q.with("Authorization")
	}
	return q.with("Authorization", "Bearer "+token)
}

func (q request) withMethod(method string) request { q.method = method; return q }

func (q request) withTarget(target string) request { q.target = target; return q }

func (q request) withBody(body string) request { q.body = body; return q }

// replacing returns q with a part of the body replaced. The part must exist.
func (q request) replacing(old, replacement string) request {
	if !strings.Contains(q.body, old) {
		panic(fmt.Sprintf("%s is not in %s", old, q.body))
	}
	q.body = strings.Replace(q.body, old, replacement, 1)
	return q
}

// marshal returns v as JSON. Names of members are in order, and characters are not escaped.
func marshal(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

// post returns the request for a JSON-RPC request in an era, as a client with the token sends
// it. In the older era it is in a session of the same user.
func (w *world) post(t *testing.T, era, token, method string, params object) request {
	t.Helper()
	q := request{method: http.MethodPost, target: "/mcp"}.with("Content-Type", "application/json").
		with("Accept", "application/json, text/event-stream").with("Mcp-Protocol-Version", era).bearer(token)
	params = maps.Clone(params)
	if era == stateless {
		params["_meta"] = object{
			"io.modelcontextprotocol/protocolVersion":    stateless,
			"io.modelcontextprotocol/clientInfo":         object{"name": "client", "version": "1"},
			"io.modelcontextprotocol/clientCapabilities": object{},
		}
		q = q.with("Mcp-Method", method)
		if name, ok := params["name"].(string); ok {
			q = q.with("Mcp-Name", name)
		} else if uri, ok := params["uri"].(string); ok {
			q = q.with("Mcp-Name", uri)
		}
	} else {
		q = q.with("Mcp-Session-Id", w.session(t, token))
	}
	q.body = marshal(object{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	return q
}

// session returns a session of the older era for the user, or for callers without a token. It
// is opened with the token of the first call.
func (w *world) session(t *testing.T, token string) string {
	t.Helper()
	user := "user"
	if token == "" {
		user = "no one"
	}
	if id := w.sessions[user]; id != "" {
		return id
	}
	id := w.open(t, token, stateful)
	w.sessions[user] = id
	return id
}

// open opens a session of a revision.
func (w *world) open(t *testing.T, token, revision string) string {
	t.Helper()
	q := request{method: http.MethodPost, target: "/mcp"}.with("Content-Type", "application/json").
		with("Accept", "application/json, text/event-stream").bearer(token)
	q.body = marshal(object{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": object{
		"protocolVersion": revision, "capabilities": object{}, "clientInfo": object{"name": "client", "version": "1"},
	}})
	a := w.send(t, q)
	id := a.header.Get("Mcp-Session-Id")
	if id == "" {
		t.Fatalf("no session: status %d, body %s", a.status, a.body)
	}
	q = q.with("Mcp-Session-Id", id).with("Mcp-Protocol-Version", revision)
	w.send(t, q.withBody(`{"jsonrpc":"2.0","method":"notifications/initialized"}`))
	return id
}

func (w *world) call(t *testing.T, era, token, tool string) request {
	return w.post(t, era, token, "tools/call", object{"name": tool, "arguments": object{}})
}

// answer is the response to a request.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// clients of both versions of HTTP. They follow no redirects.
var (
	http1 = newClient(false)
	http2 = newClient(true)
)

func newClient(http2 bool) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	return &http.Client{
		Transport:     transport,
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (w *world) send(t *testing.T, q request) answer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if q.giveUp > 0 {
		ctx, cancel = context.WithTimeout(ctx, q.giveUp)
		defer cancel()
	}
	var body io.Reader = strings.NewReader(q.body)
	if q.chunked {
		body = struct{ io.Reader }{body} // hides the length
	}
	r, err := http.NewRequestWithContext(ctx, q.method, w.base, body)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = "//" + r.URL.Host + q.target // as it is, without normalization
	r.Header = q.header.Clone()
	client := http1
	if q.http2 {
		client = http2
		r.URL.Opaque = ""
		r.URL.Path = q.target
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host, r.URL.Opaque, r.URL.Path = host, "", q.target // a complete URL would name the host too
	}
	resp, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if q.stream && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		first := make([]byte, 1)
		_, err := io.ReadFull(resp.Body, first)
		a.body, a.err = string(first), err
		return a
	}
	text, err := io.ReadAll(resp.Body)
	a.body, a.err = string(text), err
	return a
}

// messages returns the JSON-RPC messages in the answer: those of a batch, of the events of a
// stream, or the only one.
func (a answer) messages() []object {
	texts := []string{a.body}
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream") {
		texts = nil
		events, _ := teststream.ReadAll(strings.NewReader(a.body))
		for _, event := range events {
			texts = append(texts, event.Data)
		}
	}
	var out []object
	for _, text := range texts {
		var one object
		var several []object
		if json.Unmarshal([]byte(text), &one) == nil {
			out = append(out, one)
		} else if json.Unmarshal([]byte(text), &several) == nil {
			out = slices.Concat(out, several)
		}
	}
	return out
}

// String describes a in short: "403 insufficient_scope", "error -32602", "200".
func (a answer) String() string {
	if a.err != nil && a.status == 0 {
		return "no answer"
	}
	for _, m := range a.messages() {
		if reason, ok := m["reason"].(string); ok {
			return fmt.Sprintf("%d %s", a.status, reason)
		}
		if e, ok := m["error"].(object); ok {
			if data, ok := e["data"].(object); ok && a.status != http.StatusOK && data["reason"] != nil {
				return fmt.Sprintf("%d %v", a.status, data["reason"])
			}
			return fmt.Sprintf("error %v", e["code"])
		}
		if result, ok := m["result"].(object); ok {
			if meta, ok := result["_meta"].(object); ok && meta["mcp/www_authenticate"] != nil {
				return fmt.Sprintf("%d, challenge in _meta", a.status)
			}
			if result["isError"] == true {
				return "a result that is an error"
			}
		}
	}
	return fmt.Sprint(a.status)
}
