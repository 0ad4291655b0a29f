package mcpgo

import (
	"context"
	"slices"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// filterLists removes from the lists of s what the caller can never use. mcp-go has filters for
// tools and prompts, which it applies before it cuts a list into pages. Resources and
// templates are removed from each page.
func (a *Adapter) filterLists(s *server.MCPServer, hooks *server.Hooks) {
	server.WithToolFilter(func(ctx context.Context, tools []mcp.Tool) []mcp.Tool {
		a.guard.NoteListed("tools/list", namesOf(tools, func(t mcp.Tool) string { return t.Name }), true)
		return listed(ctx, a, tools, func(t mcp.Tool) gatehouse.Operation { return gatehouse.ToolOperation(t.Name) })
	})(s)
	server.WithPromptFilter(func(ctx context.Context, prompts []mcp.Prompt) []mcp.Prompt {
		a.guard.NoteListed("prompts/list", namesOf(prompts, func(p mcp.Prompt) string { return p.Name }), true)
		return listed(ctx, a, prompts, func(p mcp.Prompt) gatehouse.Operation { return gatehouse.PromptOperation(p.Name) })
	})(s)
	hooks.AddAfterListResources(func(ctx context.Context, _ any, _ *mcp.ListResourcesRequest, list *mcp.ListResourcesResult) {
		a.guard.NoteListed("resources/list", namesOf(list.Resources, func(r mcp.Resource) string { return r.URI }), list.NextCursor == "")
		list.Resources = listed(ctx, a, list.Resources, func(r mcp.Resource) gatehouse.Operation {
			return gatehouse.ResourceOperation(r.URI)
		})
		setPrivate(ctx, &list.CacheableResult)
	})
	hooks.AddAfterListResourceTemplates(func(ctx context.Context, _ any, _ *mcp.ListResourceTemplatesRequest,
		list *mcp.ListResourceTemplatesResult) {
		a.guard.NoteListed("resources/templates/list", namesOf(list.ResourceTemplates, templateText), list.NextCursor == "")
		list.ResourceTemplates = listed(ctx, a, list.ResourceTemplates, func(t mcp.ResourceTemplate) gatehouse.Operation {
			return gatehouse.ResourceOperation(templateText(t))
		})
		setPrivate(ctx, &list.CacheableResult)
	})
	hooks.AddAfterListTools(func(ctx context.Context, _ any, _ *mcp.ListToolsRequest, list *mcp.ListToolsResult) {
		setPrivate(ctx, &list.CacheableResult)
	})
	hooks.AddAfterListPrompts(func(ctx context.Context, _ any, _ *mcp.ListPromptsRequest, list *mcp.ListPromptsResult) {
		setPrivate(ctx, &list.CacheableResult)
	})
	hooks.AddAfterReadResource(func(ctx context.Context, _ any, _ *mcp.ReadResourceRequest, result *mcp.ReadResourceResult) {
		setPrivate(ctx, &result.CacheableResult)
	})
}

// listed returns a copy of list without what the caller can never use.
func listed[T any](ctx context.Context, a *Adapter, list []T, operation func(T) gatehouse.Operation) []T {
	r := httpRequest(ctx)
	return slices.DeleteFunc(slices.Clone(list), func(item T) bool { return !a.guard.Lists(r, operation(item)) })
}

// namesOf returns the name of each item.
func namesOf[T any](list []T, name func(T) string) []string {
	names := make([]string, 0, len(list))
	for _, item := range list {
		names = append(names, name(item))
	}
	return names
}

// setPrivate marks a result that depends on the caller, so that shared caches do not store it
// (MCP 2026-07-28, utilities/caching). mcp-go replaces the scope of a result that has no
// time to live, so that is set too. Older revisions have neither.
func setPrivate(ctx context.Context, result *mcp.CacheableResult) {
	if server.IsModernRequest(ctx) {
		ttl, _ := result.TTL()
		result.SetCacheHints(ttl, mcp.CacheScopePrivate)
	}
}
