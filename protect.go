package gatehouse

import (
	"errors"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// ProtectTool declares what a caller must have to call the tool, and returns the tool, for
// [mcp.AddTool]:
//
//	mcp.AddTool(server, guard.ProtectTool(&mcp.Tool{Name: "delete_document"}, gatehouse.Require{
//		Scopes: []string{"documents:write"},
//	}), deleteDocument)
//
// The requirement holds for the name of the tool, so there is no second copy of the name that
// could be misspelt. It is enforced on the HTTP request, where a client can ask for more
// scopes, and again by [Guard.Middleware]. Several requirements for one name all apply. A tool
// that is renamed or added later needs a requirement of its own; see [Config.DenyUndeclared].
//
// It panics with a [*ConfigError] if the requirement can never take effect: the tool has no
// name, the requirement is empty or not valid, or no token of the provider can meet it. It is
// safe for concurrent use, and may be called while the guard is in use.
func (g *Guard) ProtectTool(tool *mcp.Tool, r Require) *mcp.Tool {
	g.protect("ProtectTool", Requirement{Tool: tool.Name, Require: r})
	return tool
}

// ProtectPrompt is [Guard.ProtectTool] for a prompt, and for completions of its arguments.
func (g *Guard) ProtectPrompt(prompt *mcp.Prompt, r Require) *mcp.Prompt {
	g.protect("ProtectPrompt", Requirement{Prompt: prompt.Name, Require: r})
	return prompt
}

// ProtectResource is [Guard.ProtectTool] for a resource, and for subscriptions to it.
func (g *Guard) ProtectResource(resource *mcp.Resource, r Require) *mcp.Resource {
	g.protect("ProtectResource", Requirement{Resource: resource.URI, Require: r})
	return resource
}

// ProtectResourceTemplate is [Guard.ProtectTool] for the resources of a template, and for
// completions of its arguments.
func (g *Guard) ProtectResourceTemplate(template *mcp.ResourceTemplate, r Require) *mcp.ResourceTemplate {
	g.protect("ProtectResourceTemplate", Requirement{ResourceTemplate: template.URITemplate, Require: r})
	return template
}

// Protect declares a requirement by its name, in addition to those of [Config.Requirements].
// It is for adapters to MCP servers other than those of go-sdk: their functions take what the
// server registers, so that the name is written once. It panics as [Guard.ProtectTool] does.
func (g *Guard) Protect(r Requirement) { g.protect("Protect", r) }

// protect declares r. method is that of Guard, for faults.
func (g *Guard) protect(method string, r Requirement) {
	var f faults
	r.validate(method, g.settings.providers, &f)
	err := errors.Join(f...)
	if err == nil {
		err = g.declare(r)
	}
	if err != nil {
		panic(err)
	}
}
