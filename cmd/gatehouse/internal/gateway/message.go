package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

const (
	methodHeader  = "Mcp-Method"
	nameHeader    = "Mcp-Name"
	versionHeader = "Mcp-Protocol-Version"

	// modernVersion is the first revision of MCP without sessions, whose headers name the method
	// and its subject.
	modernVersion = "2026-07-28"
	// maxMessages bounds the messages of a batch. The guard has the same bound.
	maxMessages = 256
)

// message is one JSON-RPC message of a client, as far as the gateway reads it.
type message struct {
	id     json.RawMessage // nil for a notification or a response
	method string          // empty for a response
	name   string          // of the tool or prompt, or URI of the resource
}

// namedBy are the members of params that the header Mcp-Name repeats, by method.
var namedBy = map[string]string{"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}

// parse reads the messages of the body. It returns none if the body is not JSON-RPC, which the
// backend then rejects.
func (x *exchange) parse() []message {
	if !x.parsed {
		x.parsed = true
		x.messages = parseMessages(x.body)
	}
	return x.messages
}

func parseMessages(text []byte) []message {
	items := [][]byte{text}
	if trimmed := strings.TrimLeft(string(text[:min(len(text), 64)]), " \t\r\n"); strings.HasPrefix(trimmed, "[") {
		values, err := strictjson.ItemsShallow(text)
		if err != nil || len(values) > maxMessages {
			return nil
		}
		items = items[:0]
		for _, value := range values {
			items = append(items, value)
		}
	}
	var messages []message
	for _, item := range items {
		m, err := parseMessage(item)
		if err != nil {
			return nil
		}
		messages = append(messages, m)
	}
	return messages
}

func parseMessage(text []byte) (m message, err error) {
	members, err := strictjson.MembersShallow(text)
	if err != nil {
		return m, err
	}
	if members["method"] == nil {
		return m, nil
	}
	if err := strictjson.Unmarshal(members["method"], &m.method); err != nil {
		return m, err
	}
	if id := members["id"]; id != nil && id.Kind() != 'n' {
		m.id = json.RawMessage(id)
	}
	if member := namedBy[m.method]; member != "" && members["params"] != nil {
		params, err := strictjson.MembersShallow(members["params"])
		if err != nil {
			return m, err
		}
		if params[member] == nil {
			return m, errors.New("the name is missing")
		}
		return m, strictjson.Unmarshal(params[member], &m.name)
	}
	return m, nil
}

// requestID returns the ID of the only request of the body, or nil.
func (x *exchange) requestID() json.RawMessage {
	if x == nil || x.request.Method != http.MethodPost {
		return nil
	}
	if messages := x.parse(); len(messages) == 1 {
		return messages[0].id
	}
	return nil
}

// modern reports whether the request is of a revision without sessions.
func modern(r *http.Request) bool { return r.Header.Get(versionHeader) >= modernVersion }

// checkHeaders compares the headers that repeat the method and its subject with the body (MCP
// 2026-07-28, basic/transports, server validation). Servers of that revision do it, but others
// ignore them, and something in between may decide by them. So they must agree in every
// revision, and must be present in the newest one.
func (x *exchange) checkHeaders(r *http.Request) *problem {
	methods, names := r.Header[methodHeader], r.Header[nameHeader]
	isModern := modern(r)
	if len(methods) == 0 && len(names) == 0 && !isModern || r.Method != http.MethodPost {
		return nil
	}
	messages := x.parse()
	if len(messages) != 1 || messages[0].method == "" {
		if len(methods) == 0 && len(names) == 0 {
			return nil // a response, or what is not JSON-RPC
		}
		return mismatch("the body is not one message with a method")
	}
	m := messages[0]
	if problem := compareHeader(methodHeader, methods, m.method, isModern); problem != nil {
		return problem
	}
	if _, named := namedBy[m.method]; !named {
		return nil // other methods have no name, or one that only the backend knows
	}
	return compareHeader(nameHeader, names, m.name, isModern)
}

// compareHeader returns a problem unless the values are one, which is want.
func compareHeader(name string, values []string, want string, required bool) *problem {
	switch {
	case len(values) == 0 && required:
		return mismatch("the header " + name + " is missing")
	case len(values) == 0:
		return nil
	case len(values) > 1:
		return mismatch("the header " + name + " appears twice")
	case values[0] != want && decodeHeader(values[0]) != want:
		return mismatch("the header " + name + " is " + quote.String(values[0]) + ", and the body has " + quote.String(want))
	}
	return nil
}

// decodeHeader decodes a value that is not plain ASCII (MCP 2026-07-28, basic/transports).
func decodeHeader(value string) string {
	encoded, ok := strings.CutPrefix(value, "=?base64?")
	if !ok {
		return value
	}
	if encoded, ok = strings.CutSuffix(encoded, "?="); !ok {
		return value
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return value
	}
	return string(text)
}

// mismatch is the answer to headers that differ from the body.
func mismatch(detail string) *problem {
	return &problem{
		status: http.StatusBadRequest, code: "invalid_request", rpcCode: codeHeaderMismatch, reason: "header_mismatch",
		text: "the headers Mcp-Method and Mcp-Name must be equal to the method and the name in the body",
		err:  errors.New(detail), expected: true,
	}
}
