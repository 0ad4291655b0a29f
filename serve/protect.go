package serve

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// ProtectTool declares what a caller must have to call the tool, and returns the tool, for
// [mcp.AddTool]. It is [gatehouse.Guard.ProtectTool] of the server's guard:
//
//	mcp.AddTool(server.MCP, server.ProtectTool(&mcp.Tool{Name: "delete_document"}, gatehouse.Require{
//		Scopes: []string{"documents:write"},
//	}), deleteDocument)
func (s *Server) ProtectTool(tool *mcp.Tool, r gatehouse.Require) *mcp.Tool {
	s.protect(func(g *gatehouse.Guard) { g.ProtectTool(tool, r) })
	return tool
}

// ProtectPrompt is [Server.ProtectTool] for a prompt.
func (s *Server) ProtectPrompt(prompt *mcp.Prompt, r gatehouse.Require) *mcp.Prompt {
	s.protect(func(g *gatehouse.Guard) { g.ProtectPrompt(prompt, r) })
	return prompt
}

// ProtectResource is [Server.ProtectTool] for a resource.
func (s *Server) ProtectResource(resource *mcp.Resource, r gatehouse.Require) *mcp.Resource {
	s.protect(func(g *gatehouse.Guard) { g.ProtectResource(resource, r) })
	return resource
}

// ProtectResourceTemplate is [Server.ProtectTool] for the resources of a template.
func (s *Server) ProtectResourceTemplate(template *mcp.ResourceTemplate, r gatehouse.Require) *mcp.ResourceTemplate {
	s.protect(func(g *gatehouse.Guard) { g.ProtectResourceTemplate(template, r) })
	return template
}

// protect declares a requirement at the guard, and at the one that replaces it if the server
// listens on another port than the configured one.
func (s *Server) protect(declare func(*gatehouse.Guard)) {
	s.handler.Lock()
	defer s.handler.Unlock()
	declare(s.guard)
	s.protected = append(s.protected, declare)
}
