package reply

import (
	"cmp"
	"encoding/base64"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Image returns an image: its bytes, not their base64 form, which the go-sdk
// makes. An empty type is image/png.
func Image(data []byte, mimeType string) *mcp.CallToolResult {
	mimeType = cmp.Or(mimeType, "image/png")
	result := withContent(&mcp.ImageContent{Data: data, MIMEType: mimeType})
	result.Meta = mcp.Meta{metaType: mimeType, "isImage": true}
	return result
}

// Audio returns a sound: its bytes, not their base64 form, which the go-sdk
// makes. An empty type is audio/wav.
func Audio(data []byte, mimeType string) *mcp.CallToolResult {
	mimeType = cmp.Or(mimeType, "audio/wav")
	result := withContent(&mcp.AudioContent{Data: data, MIMEType: mimeType})
	result.Meta = mcp.Meta{metaType: mimeType, "isAudio": true}
	return result
}

// Binary returns bytes of any type as base64 text, for lack of a content type of
// MCP's own. An empty type is application/octet-stream.
func Binary(data []byte, mimeType string) *mcp.CallToolResult {
	result := text(base64.StdEncoding.EncodeToString(data), cmp.Or(mimeType, "application/octet-stream"))
	result.Meta["isBinary"] = true
	return result
}
