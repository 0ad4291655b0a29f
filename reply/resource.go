package reply

import (
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Resource returns an embedded text resource. An empty type is left out.
func Resource(uri, mimeType, text string) *mcp.CallToolResult {
	embedded := &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: uri, MIMEType: mimeType, Text: text}}
	if text == "" {
		return withContent(emptyResource{embedded})
	}
	return withContent(embedded)
}

// ResourceOf returns an embedded text resource that wraps another reply: its
// text is that of the reply's first text content, its type the reply's. A reply
// without text makes an empty resource.
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

// emptyResource is an embedded resource with the text "", which the go-sdk
// leaves out. MCP requires it ("TextResourceContents" of the schema): without it
// TypeScript clients refuse the whole result.
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
