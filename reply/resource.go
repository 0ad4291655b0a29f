package reply

import (
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Resource returns an embedded text resource. An empty mimeType is omitted.
func Resource(uri, mimeType, text string) *mcp.CallToolResult {
	embedded := &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: uri, MIMEType: mimeType, Text: text}}
	if text == "" {
		return withContent(emptyResource{embedded})
	}
	return withContent(embedded)
}

// ResourceOf returns an embedded text resource with the first text content of result and
// its media type. If result has no text content, or is nil, the text is empty.
func ResourceOf(uri string, result *mcp.CallToolResult) *mcp.CallToolResult {
	if result == nil {
		return Resource(uri, "", "")
	}
	mimeType, _ := result.Meta[metaType].(string)
	for _, content := range result.Content {
		if text, ok := content.(*mcp.TextContent); ok {
			return Resource(uri, mimeType, text.Text)
		}
	}
	return Resource(uri, mimeType, "")
}

// emptyResource is an embedded resource whose text is "". The go-sdk omits an empty
// text, but MCP requires the member (TextResourceContents in its schema), and
// TypeScript clients reject the whole result without it.
type emptyResource struct{ *mcp.EmbeddedResource }

// MarshalJSON writes the resource with its empty text.
func (r emptyResource) MarshalJSON() ([]byte, error) {
	type contents struct {
		URI      string `json:"uri"`
		MIMEType string `json:"mimeType,omitempty"`
		Text     string `json:"text"`
	}
	return json.Marshal(struct {
		Type     string   `json:"type"`
		Resource contents `json:"resource"`
	}{"resource", contents{URI: r.Resource.URI, MIMEType: r.Resource.MIMEType}})
}
