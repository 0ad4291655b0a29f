// Package reply makes the results of MCP tools.
//
// Its functions compose with the handlers of [mcp.AddTool]: return one beside a
// nil output and a nil error, with any as the handler's output type.
//
//	func whoami(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
//		return reply.Object(map[string]any{"userId": "user_1"}), nil, nil
//	}
//
// A handler that returns an output of its own, for which the go-sdk derives a
// schema, needs no reply: that output would take the place of the reply's
// structured content.
//
// The functions never return nil and never fail: what goes wrong becomes an
// [Error] that the model reads. Each call makes a new result, which the caller
// may change. Where the content has a type that MCP has no field for, it stands
// in the _meta.mimeType of the result.
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

// Error returns a failure of the tool, with a message for the model. Clients and
// models see it, so it should say what to do next and nothing of what went wrong
// inside: no error values, no tokens.
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

const metaType = "mimeType"
