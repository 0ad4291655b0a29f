// Package authorization shows how to declare who may use a tool, prompt or resource. The guide
// docs/authorization.md is made of it.
package authorization

import (
	"context"
	"errors"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The handlers of the tools and resources.
var (
	search         mcp.ToolHandlerFor[struct{}, any]
	deleteDocument mcp.ToolHandlerFor[struct{}, any]
	readDocument   mcp.ResourceHandler
	draft          mcp.PromptHandler
)

func declare(server *serve.Server) {
	mcp.AddTool(server.MCP, server.ProtectTool(&mcp.Tool{Name: "delete_document"}, gatehouse.Require{
		Scopes: []string{"documents:write"},
	}), deleteDocument)

	server.MCP.AddPrompt(server.ProtectPrompt(&mcp.Prompt{Name: "draft"}, gatehouse.Require{
		Person: true,
	}), draft)

	server.MCP.AddResourceTemplate(server.ProtectResourceTemplate(
		&mcp.ResourceTemplate{Name: "document", URITemplate: "documents://{id}"},
		gatehouse.Require{Organization: true},
	), readDocument)
}

func alternatives() gatehouse.Require {
	return gatehouse.Require{
		Scopes: []string{"documents:write"}, // always
		AnyOf: []gatehouse.Require{ // and one of these
			{Roles: []string{"admin"}},
			{Permissions: []string{"documents:publish"}},
			{Scopes: []string{"documents:publish"}, Person: true},
		},
	}
}

func check(isSuspended func(context.Context, string) (bool, error)) gatehouse.Require {
	return gatehouse.Require{
		Scopes: []string{"documents:write"},
		Check: func(ctx context.Context, id gatehouse.Identity) error {
			suspended, err := isSuspended(ctx, id.Organization.ID)
			if err == nil && suspended {
				err = errors.New("the organization is suspended")
			}
			return err
		},
	}
}

func publicNextToProtected(server *serve.Server) {
	mcp.AddTool(server.MCP, server.ProtectTool(&mcp.Tool{Name: "search"}, gatehouse.Require{
		Public: true, // without a token; with one, gatehouse.IdentityOf returns the caller
	}), search)

	mcp.AddTool(server.MCP, server.ProtectTool(&mcp.Tool{Name: "delete_document"}, gatehouse.Require{
		Scopes: []string{"documents:write"},
	}), deleteDocument)
}

func approval(isApproved func(context.Context, gatehouse.Identity) (bool, error)) gatehouse.Require {
	return gatehouse.Require{
		Check: func(ctx context.Context, id gatehouse.Identity) error {
			approved, err := isApproved(ctx, id)
			if err == nil && !approved {
				err = &gatehouse.DraftRemediation{
					Message: "Approve access to the folder first.",
					URL:     "https://documents.example.com/approve",
				}
			}
			return err
		},
	}
}

func closedByDefault(provider gatehouse.Provider) (*serve.Server, error) {
	server, err := serve.New(serve.Config{
		Name:           "documents",
		Version:        "1.0.0",
		Provider:       provider,
		DenyUndeclared: true,
	})
	if err != nil {
		return nil, err
	}
	mcp.AddTool(server.MCP, server.ProtectTool(&mcp.Tool{Name: "search"}, gatehouse.Require{SignedIn: true}), search)
	return server, nil
}

func forGateways(resource string, provider gatehouse.Provider) (*gatehouse.Guard, error) {
	return gatehouse.New(gatehouse.Config{
		Resource: resource,
		Provider: provider,
		Default:  gatehouse.Require{Scopes: []string{"documents:admin"}},
		Requirements: []gatehouse.Requirement{
			{Tool: "search", Require: gatehouse.Require{SignedIn: true}},
			{ResourceTemplate: "documents://{id}", Require: gatehouse.Require{Scopes: []string{"documents:read"}}},
		},
		ImpliedScopes: map[string][]string{"documents:admin": {"documents:write"}, "documents:write": {"documents:read"}},
	})
}
