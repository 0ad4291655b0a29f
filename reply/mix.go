package reply

import (
	"encoding/json"
	"maps"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Mix returns one reply made of several: their contents one after the other,
// the members of their structured contents and of their _meta merged, where the
// later one wins. Structured content that is no JSON object takes the place of
// what came before it. The mix is an error if one of them is. Nil results are
// skipped, and none of them is changed.
func Mix(results ...*mcp.CallToolResult) *mcp.CallToolResult {
	mixed := &mcp.CallToolResult{Content: []mcp.Content{}}
	var merged mergedContent
	for _, result := range results {
		if result == nil {
			continue
		}
		mixed.Content = append(mixed.Content, result.Content...)
		if err := merged.add(result.StructuredContent); err != nil {
			return unwritable(err)
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

// mergedContent is an object, or else one other value.
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

// value returns nil if there is nothing to say.
func (m *mergedContent) value() any {
	switch {
	case len(m.object) > 0:
		return m.object
	case m.other != nil:
		return m.other
	}
	return nil
}
