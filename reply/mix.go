package reply

import (
	"encoding/json"
	"maps"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Mix combines several results into one. It concatenates their contents, and merges the
// members of their structured contents and of their _meta; of members with the same
// name, the last one is kept. Structured content that is not a JSON object replaces the
// structured content before it. The combined result is an error if one of results is.
// Nil results are skipped. Mix does not change results.
func Mix(results ...*mcp.CallToolResult) *mcp.CallToolResult {
	mixed := &mcp.CallToolResult{Content: []mcp.Content{}}
	var merged mergedContent
	for _, result := range results {
		if result == nil {
			continue
		}
		mixed.Content = append(mixed.Content, result.Content...)
		if err := merged.add(result.StructuredContent); err != nil {
			return encodingError(err)
		}
		if len(result.Meta) > 0 && mixed.Meta == nil {
			mixed.Meta = mcp.Meta{}
		}
		maps.Copy(mixed.Meta, result.Meta)
		if err := result.GetError(); err != nil {
			mixed.SetError(err)
		}
		mixed.IsError = mixed.IsError || result.IsError
	}
	mixed.StructuredContent = merged.value()
	return mixed
}

// mergedContent is structured content: an object, another value, or neither.
type mergedContent struct {
	object map[string]json.RawMessage
	other  json.RawMessage
}

func (m *mergedContent) add(content any) error {
	data, err := marshal(content)
	if err != nil {
		return err
	}
	switch {
	case string(data) == "null":
		return nil
	case data[0] != '{':
		m.object, m.other = nil, data
		return nil
	case m.object == nil:
		m.object, m.other = map[string]json.RawMessage{}, nil
	}
	return json.Unmarshal(data, &m.object)
}

// value returns the merged content, or nil if there is none or an object without members.
func (m *mergedContent) value() any {
	switch {
	case len(m.object) > 0:
		return m.object
	case m.other != nil:
		return m.other
	}
	return nil
}
