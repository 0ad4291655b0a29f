// Package reply makes the results of MCP tools.
//
// A handler of [mcp.AddTool] returns such a result together with a nil output and a nil
// error. Its output type is any:
//
//	func whoami(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
//		return reply.Object(map[string]any{"userId": "user_1"}), nil, nil
//	}
//
// A handler with a typed output, for which the go-sdk derives a schema, does not need
// this package: its output would replace the structured content of the result.
//
// The functions never return nil. If something goes wrong, the result is an [Error],
// which the model reads. Each call returns a new result, which the caller may change.
// MCP has no field for the media type of a text; the functions put it into
// _meta.mimeType of the result.
package reply

import "github.com/modelcontextprotocol/go-sdk/mcp"

// Text returns plain text.
func Text(s string) *mcp.CallToolResult { return text(s, "text/plain") }

// Markdown returns Markdown, as text of type text/markdown.
func Markdown(s string) *mcp.CallToolResult { return text(s, "text/markdown") }

// HTML returns HTML, as text of type text/html. It escapes nothing.
func HTML(s string) *mcp.CallToolResult { return text(s, "text/html") }

// XML returns XML, as text of type text/xml. It escapes nothing.
func XML(s string) *mcp.CallToolResult { return text(s, "text/xml") }

// CSS returns a style sheet, as text of type text/css.
func CSS(s string) *mcp.CallToolResult { return text(s, "text/css") }

// JavaScript returns a script, as text of type text/javascript.
func JavaScript(s string) *mcp.CallToolResult { return text(s, "text/javascript") }

// Error returns a failure of the tool (isError), with a message for the model. Clients
// and models see the message. It should say what to do next, and contain no internal
// errors and no tokens.
func Error(message string) *mcp.CallToolResult {
	result := withContent(&mcp.TextContent{Text: message})
	result.IsError = true
	return result
}

func text(s, mimeType string) *mcp.CallToolResult {
	result := withContent(&mcp.TextContent{Text: s})
	result.Meta = mcp.Meta{metaType: mimeType}
	return result
}

func withContent(content mcp.Content) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{content}}
}

// metaType is the member of _meta that holds the media type of a result.
const metaType = "mimeType"
