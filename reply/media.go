package reply

import (
	"cmp"
	"encoding/base64"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Image returns an image. data is the image itself; the go-sdk encodes it as base64. An
// empty mimeType means image/png.
func Image(data []byte, mimeType string) *mcp.CallToolResult {
	mimeType = cmp.Or(mimeType, "image/png")
	result := withContent(&mcp.ImageContent{Data: data, MIMEType: mimeType})
	result.Meta = mcp.Meta{metaType: mimeType, "isImage": true}
	return result
}

// Audio returns audio. data is the audio itself; the go-sdk encodes it as base64. An
// empty mimeType means audio/wav.
func Audio(data []byte, mimeType string) *mcp.CallToolResult {
	mimeType = cmp.Or(mimeType, "audio/wav")
	result := withContent(&mcp.AudioContent{Data: data, MIMEType: mimeType})
	result.Meta = mcp.Meta{metaType: mimeType, "isAudio": true}
	return result
}

// Binary returns data as base64 text, because MCP has no content type for other data
// than images and audio. An empty mimeType means application/octet-stream.
func Binary(data []byte, mimeType string) *mcp.CallToolResult {
	result := text(base64.StdEncoding.EncodeToString(data), cmp.Or(mimeType, "application/octet-stream"))
	result.Meta["isBinary"] = true
	return result
}
