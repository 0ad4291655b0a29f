// Package mcpgo adds sign-in to servers of github.com/mark3labs/mcp-go: identity in handlers,
// requirements for tools, prompts, resources and resource templates, and lists that contain
// what the caller can use.
//
//	guard, err := gatehouse.New(gatehouse.Config{…})
//	mcpServer := server.NewMCPServer("notes", "1.0.0")
//	adapter := mcpgo.Attach(mcpServer, guard)
//	mcpServer.AddTool(adapter.ProtectTool(mcp.NewTool("delete_note"), gatehouse.Require{
//		Scopes: []string{"notes:write"},
//	}), deleteNote)
//	guard.Mount(mux, adapter.Handler())
//
// Inside deleteNote, [IdentityOf] returns the caller.
//
// [gatehouse.Guard.Wrap], which Mount calls, answers what is rejected with the HTTP status and
// the challenge that make clients sign in or ask for more scopes. [Attach] checks each message
// again as mcp-go parsed it. Both are needed: mcp-go reads the names of JSON members without
// regard to case, and other programs do not.
//
// The transport must be mcp-go's streamable HTTP. Its older SSE transport has two endpoints, of
// which a guard protects one.
package mcpgo
