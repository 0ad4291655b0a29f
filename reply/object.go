package reply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const unwritablePhrase = "The tool's result could not be written as JSON."

// Object returns a value that [json.Marshal] writes as a JSON object: as
// structured content, and as indented text for clients without that. A nil map
// is the empty object; what is an array in JSON goes to [Array].
//
// Any other value, and one that cannot be marshaled, becomes an [Error] with a
// fixed phrase. The cause stays on the server, where middleware finds it with
// the result's GetError.
func Object(v any) *mcp.CallToolResult {
	data, err := marshal(v)
	switch {
	case err != nil:
		return unwritable(err)
	case data[0] == '[':
		return array(data)
	case data[0] != '{':
		return unwritable(fmt.Errorf("got a %T, want a JSON object or array", v))
	}
	result := structured(data, data)
	result.Meta = mcp.Meta{metaType: "application/json"}
	return result
}

// Array returns a value that [json.Marshal] writes as a JSON array: as indented
// text, and as structured content in the member "result" of an object. A nil
// slice is the empty array. Any other value becomes an [Error], as in [Object].
//
// MCP allows a bare array there only since revision 2026-07-28; clients of
// earlier ones refuse the whole result.
func Array(v any) *mcp.CallToolResult {
	data, err := marshal(v)
	switch {
	case err != nil:
		return unwritable(err)
	case data[0] != '[':
		return unwritable(fmt.Errorf("got a %T, want a JSON array", v))
	}
	return array(data)
}

func array(data []byte) *mcp.CallToolResult {
	return structured(data, fmt.Appendf(nil, `{"result":%s}`, data))
}

// structured returns the text, indented, beside the structured content.
func structured(text, content []byte) *mcp.CallToolResult {
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return unwritable(err)
	}
	result := withContent(&mcp.TextContent{Text: indented.String()})
	result.StructuredContent = json.RawMessage(content)
	return result
}

// marshal writes v compactly, without the escapes for HTML, which are noise to a
// model. Nil maps and slices are empty ones.
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

func unwritable(err error) *mcp.CallToolResult {
	result := Error(unwritablePhrase)
	result.SetError(fmt.Errorf("writing the reply: %w", err))
	return result
}
