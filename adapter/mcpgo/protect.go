package mcpgo

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/mark3labs/mcp-go/mcp"
)

// ProtectTool declares what a caller must have to call the tool, and returns the tool, for
// [server.MCPServer.AddTool], AddTaskTool and the tools of a session. The name is written
// once, so it cannot be misspelt in one of two places. See [gatehouse.Guard.ProtectTool]; it
// panics in the same cases.
//
// A requirement is for a name, in every session: two tools of one name have the requirements of
// both.
func (a *Adapter) ProtectTool(tool mcp.Tool, r gatehouse.Require) mcp.Tool {
	a.guard.Protect(gatehouse.Requirement{Tool: tool.Name, Require: r})
	return tool
}

// ProtectPrompt is [Adapter.ProtectTool] for a prompt, and for completions of its arguments.
func (a *Adapter) ProtectPrompt(prompt mcp.Prompt, r gatehouse.Require) mcp.Prompt {
	a.guard.Protect(gatehouse.Requirement{Prompt: prompt.Name, Require: r})
	return prompt
}

// ProtectResource is [Adapter.ProtectTool] for a resource, and for subscriptions to it.
func (a *Adapter) ProtectResource(resource mcp.Resource, r gatehouse.Require) mcp.Resource {
	a.guard.Protect(gatehouse.Requirement{Resource: resource.URI, Require: r})
	return resource
}

// ProtectResourceTemplate is [Adapter.ProtectTool] for the resources of a template, and for
// completions of its arguments.
func (a *Adapter) ProtectResourceTemplate(template mcp.ResourceTemplate, r gatehouse.Require) mcp.ResourceTemplate {
	a.guard.Protect(gatehouse.Requirement{ResourceTemplate: templateText(template), Require: r})
	return template
}

// templateText returns the text of the template, or "" if it has none.
func templateText(template mcp.ResourceTemplate) string {
	if template.URITemplate == nil || template.URITemplate.Template == nil {
		return ""
	}
	return template.URITemplate.Raw()
}
