package gatehouse

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// codeForbidden is the JSON-RPC error code of an operation that the middleware rejects. It
// is in the range that JSON-RPC reserves for servers; neither MCP nor go-sdk uses it.
const codeForbidden = -32040

// cacheScopePrivate marks a result that depends on the caller, so that shared caches do
// not store it (MCP 2026-07-28, utilities/caching).
const cacheScopePrivate = "private"

// Middleware enforces [Config.Requirements] inside the MCP server, on each operation as
// the server parsed it, and removes from lists what the caller can never use. Add it with
// [mcp.Server.AddReceivingMiddleware]. Without it, the requirements are enforced on the
// HTTP request only. It also logs requirements whose name the server does not list; see
// [Guard.UnlistedRequirements].
//
// A rejected operation gets the JSON-RPC error code -32040. It is counted in [Stats], and
// not passed to [Config.OnReject].
func (g *Guard) Middleware() mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		next = g.endWithRequest(g.observers.middleware(g, next))
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if g.policy().none() && !g.SecuritySchemes {
				return next(ctx, method, req)
			}
			if err := g.authorizeMCP(ctx, method, req); err != nil {
				return nil, err
			}
			result, err := next(ctx, method, req)
			if err == nil {
				g.compareWithList(result, templatesOf(ctx, next, req))
				g.filterList(req, result)
			}
			return result, err
		}
	}
}

// authorizeMCP is check 8 on a request that the MCP server parsed.
func (g *Guard) authorizeMCP(ctx context.Context, method string, req mcp.Request) error {
	c := callerOf(req)
	if c == nil && arrivedByHTTP(req) && g.policy().public {
		c = g.newAnonymous(time.Now())
	}
	ops := operationsOf(req)
	if op := (operation{method: method}); len(ops) == 0 && (g.policy().apply(op) || c != nil && c.anonymous) {
		ops = append(ops, op)
	}
	if len(ops) == 0 {
		return nil
	}
	if rejection := g.authorizeParsed(ctx, method, c, ops); rejection != nil {
		info := infoOf(rejection.Reason)
		code, message, data := codeForbidden, info.Phrase, any(newErrorBody(info))
		if g.DraftStructuredDenials {
			if c, m, d := denialOf(rejection); d != nil {
				code, message, data = c, m, d
			}
		}
		text, _ := json.Marshal(data) // a struct of strings has no error
		return &jsonrpc.Error{Code: int64(code), Message: message, Data: text}
	}
	return nil
}

// arrivedByHTTP reports whether req arrived by HTTP, and not on stdio or in memory.
func arrivedByHTTP(req mcp.Request) bool {
	extra := req.GetExtra()
	return extra != nil && extra.Header != nil
}

// verifiedOf returns the token of c. Without a caller, it is one that has nothing.
func (g *Guard) verifiedOf(c *caller) *verified {
	if c == nil {
		return &verified{from: g.issuers[0]}
	}
	return &c.verified
}

// operationsOf returns the operations of a parsed request that requirements can name.
func operationsOf(req mcp.Request) []operation {
	switch params := req.GetParams().(type) {
	case *mcp.CallToolParamsRaw:
		return []operation{{methodCallTool, params.Name}}
	case *mcp.GetPromptParams:
		return []operation{{methodGetPrompt, params.Name}}
	case *mcp.ReadResourceParams:
		return readsOf(params.URI)
	case *mcp.SubscribeParams:
		return readsOf(params.URI)
	case *mcp.SubscriptionsListenParams:
		if params.Notifications != nil {
			return readsOf(params.Notifications.ResourceSubscriptions...)
		}
	case *mcp.CompleteParams:
		if params.Ref != nil {
			return completionOf(params.Ref.Type, params.Ref.Name, params.Ref.URI)
		}
	}
	return nil
}

// filterList removes from a list what the caller lacks a role, permission or organization
// for. What lacks only a scope stays in the list, because otherwise a client would never
// learn that it can ask for the scope.
func (g *Guard) filterList(req mcp.Request, result mcp.Result) {
	c := callerOf(req)
	hidden := func(method, name string) bool { return !g.lists(c, operation{method, name}) }
	switch list := result.(type) {
	case *mcp.ListToolsResult:
		list.Tools = without(list.Tools, func(t *mcp.Tool) bool { return hidden(methodCallTool, t.Name) })
		if g.SecuritySchemes {
			list.Tools = g.withSecuritySchemes(c, list.Tools)
		}
		list.CacheScope = cacheScopePrivate
	case *mcp.ListPromptsResult:
		list.Prompts = without(list.Prompts, func(p *mcp.Prompt) bool { return hidden(methodGetPrompt, p.Name) })
		list.CacheScope = cacheScopePrivate
	case *mcp.ListResourcesResult:
		list.Resources = without(list.Resources, func(r *mcp.Resource) bool { return hidden(methodReadResource, r.URI) })
		list.CacheScope = cacheScopePrivate
	case *mcp.ListResourceTemplatesResult:
		list.ResourceTemplates = without(list.ResourceTemplates, func(t *mcp.ResourceTemplate) bool {
			return hidden(methodReadResource, t.URITemplate)
		})
		list.CacheScope = cacheScopePrivate
	case *mcp.ReadResourceResult:
		list.CacheScope = cacheScopePrivate
	}
}

// without returns a copy of list without the hidden elements. The list itself belongs to
// the server and may be shared.
func without[T any](list []T, hidden func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), hidden)
}
