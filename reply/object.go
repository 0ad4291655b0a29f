package reply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const encodingFailed = "The tool's result could not be encoded as JSON."

// Object returns v, which [json.Marshal] must encode as a JSON object, as structured
// content and, for clients that do not read that, as indented text. A nil map is the
// empty object. If v is a JSON array, the result is that of [Array].
//
// If v is any other value, or cannot be encoded, the result is an [Error] with a fixed
// message. The cause is not sent to the client. Middleware gets it from the GetError
// method of the result.
func Object(v any) *mcp.CallToolResult {
	data, err := marshal(v)
	switch {
	case err != nil:
		return encodingError(err)
	case data[0] == '[':
		return array(data)
	case data[0] != '{':
		return encodingError(fmt.Errorf("got a %T, want a JSON object or array", v))
	}
	result := structured(data, data)
	result.Meta = mcp.Meta{metaType: "application/json"}
	return result
}

// Array returns v, which [json.Marshal] must encode as a JSON array, as indented text
// and as structured content, there as the member "result" of an object. A nil slice is
// the empty array. If v is any other value, the result is an [Error], as in [Object].
//
// Structured content may be an array itself only since revision 2026-07-28 of MCP.
// Clients of earlier revisions would reject the whole result.
func Array(v any) *mcp.CallToolResult {
	data, err := marshal(v)
	switch {
	case err != nil:
		return encodingError(err)
	case data[0] != '[':
		return encodingError(fmt.Errorf("got a %T, want a JSON array", v))
	}
	return array(data)
}

func array(data []byte) *mcp.CallToolResult {
	return structured(data, fmt.Appendf(nil, `{"result":%s}`, data))
}

// structured returns a result with text, which it indents, and structured content.
func structured(text, content []byte) *mcp.CallToolResult {
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return encodingError(err)
	}
	result := withContent(&mcp.TextContent{Text: indented.String()})
	result.StructuredContent = json.RawMessage(content)
	return result
}

// marshal returns v as compact JSON, without the escapes for HTML, which do not help a
// model. Nil maps and slices are encoded as empty ones.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	data := bytes.TrimSpace(buf.Bytes())
	switch value := reflect.ValueOf(v); {
	case string(data) != "null":
	case value.Kind() == reflect.Map && value.IsNil():
		return []byte("{}"), nil
	case value.Kind() == reflect.Slice && value.IsNil():
		return []byte("[]"), nil
	}
	return data, nil
}

func encodingError(err error) *mcp.CallToolResult {
	result := Error(encodingFailed)
	result.SetError(fmt.Errorf("encoding the reply: %w", err))
	return result
}
