// Package mcpmessage reads the JSON-RPC messages of MCP as far as a gateway must know them, and
// compares them with the headers that repeat them.
package mcpmessage

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// Headers of MCP that repeat something of the body.
const (
	MethodHeader  = "Mcp-Method"
	NameHeader    = "Mcp-Name"
	VersionHeader = "Mcp-Protocol-Version"
)

const (
	// CodeHeaderMismatch is the JSON-RPC error code of MCP for headers that differ from the body.
	CodeHeaderMismatch = -32020
	// ReasonHeaderMismatch and TextHeaderMismatch say it for programs and for people.
	ReasonHeaderMismatch = "header_mismatch"
	TextHeaderMismatch   = "the headers Mcp-Method and Mcp-Name must be equal to the method and the name in the body"

	// ModernVersion is the first revision of MCP without sessions, whose headers name the method
	// and its subject.
	ModernVersion = "2026-07-28"
	// MaxMessages bounds the messages of a batch. The guard has the same bound.
	MaxMessages = 256
)

// Message is one JSON-RPC message of a client.
type Message struct {
	ID     json.RawMessage // nil for a notification or a response
	Method string          // empty for a response
	Name   string          // of the tool or prompt, or URI of the resource
}

// namedBy are the members of params that the header Mcp-Name repeats, by method.
var namedBy = map[string]string{"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}

// Parse reads the messages of a body, one or a batch. It returns none if the body is not JSON-RPC,
// which the MCP server then rejects.
func Parse(text []byte) []Message {
	items := [][]byte{text}
	if trimmed := strings.TrimLeft(string(text[:min(len(text), 64)]), " \t\r\n"); strings.HasPrefix(trimmed, "[") {
		values, err := strictjson.ItemsShallow(text)
		if err != nil || len(values) > MaxMessages {
			return nil
		}
		items = items[:0]
		for _, value := range values {
			items = append(items, value)
		}
	}
	var messages []Message
	for _, item := range items {
		m, err := parseMessage(item)
		if err != nil {
			return nil
		}
		messages = append(messages, m)
	}
	return messages
}

func parseMessage(text []byte) (m Message, err error) {
	members, err := strictjson.MembersShallow(text)
	if err != nil {
		return m, err
	}
	if members["method"] == nil {
		return m, nil
	}
	if err := strictjson.Unmarshal(members["method"], &m.Method); err != nil {
		return m, err
	}
	if id := members["id"]; id != nil && id.Kind() != 'n' {
		m.ID = json.RawMessage(id)
	}
	if member := namedBy[m.Method]; member != "" && members["params"] != nil {
		params, err := strictjson.MembersShallow(members["params"])
		if err != nil {
			return m, err
		}
		if params[member] == nil {
			return m, errors.New("the name is missing")
		}
		return m, strictjson.Unmarshal(params[member], &m.Name)
	}
	return m, nil
}

// RequestID returns the ID of the only request among the messages, or nil.
func RequestID(messages []Message) json.RawMessage {
	if len(messages) != 1 {
		return nil
	}
	return messages[0].ID
}

// ErrorResponse returns the JSON-RPC error response to the request with the ID, with a reason for
// programs in its data.
func ErrorResponse(id json.RawMessage, code int, message, reason string) []byte {
	type data struct {
		Reason string `json:"reason"`
	}
	type rpcError struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    data   `json:"data"`
	}
	text, _ := json.Marshal(struct { // of texts and numbers
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   rpcError        `json:"error"`
	}{"2.0", id, rpcError{code, message, data{reason}}})
	return text
}

// Modern reports whether the request is of a revision without sessions.
func Modern(r *http.Request) bool { return r.Header.Get(VersionHeader) >= ModernVersion }

// CheckHeaders compares the headers that repeat the method and its subject with the body, whose
// messages parse returns (MCP 2026-07-28, basic/transports, server validation). The error says how
// they differ. Servers of that revision do it, but others ignore the headers, and something in
// between may decide by them. So they must agree in every revision, and must be present in the
// newest one.
func CheckHeaders(r *http.Request, parse func() []Message) error {
	methods, names := r.Header[MethodHeader], r.Header[NameHeader]
	isModern := Modern(r)
	if len(methods) == 0 && len(names) == 0 && !isModern || r.Method != http.MethodPost {
		return nil
	}
	messages := parse()
	if len(messages) != 1 || messages[0].Method == "" {
		if len(methods) == 0 && len(names) == 0 {
			return nil // a response, or what is not JSON-RPC
		}
		return errors.New("the body is not one message with a method")
	}
	m := messages[0]
	if err := compareHeader(MethodHeader, methods, m.Method, isModern); err != nil {
		return err
	}
	if _, named := namedBy[m.Method]; !named {
		return nil // other methods have no name, or one that only the MCP server knows
	}
	return compareHeader(NameHeader, names, m.Name, isModern)
}

// compareHeader returns an error unless the values are one, which is want.
func compareHeader(name string, values []string, want string, required bool) error {
	switch {
	case len(values) == 0 && required:
		return fmt.Errorf("the header %s is missing", name)
	case len(values) == 0:
		return nil
	case len(values) > 1:
		return fmt.Errorf("the header %s appears twice", name)
	case values[0] != want && decodeHeader(values[0]) != want:
		return fmt.Errorf("the header %s is %s, and the body has %s", name, quote.String(values[0]), quote.String(want))
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
