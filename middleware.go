package gatehouse

import (
	"context"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// codeForbiddenCall is the JSON-RPC code of a call that the middleware refuses:
// of the range that JSON-RPC leaves to servers, used neither by MCP nor by go-sdk.
const codeForbiddenCall = -32040

// Middleware enforces [Config.Requirements] inside the MCP server, on each
// operation as the server itself has read it, and hides from the lists what the
// caller may not use. Add it with [mcp.Server.AddReceivingMiddleware]; without
// it the requirements are checked on the HTTP request alone.
func (g *Guard) Middleware() mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		if len(g.needs.of) == 0 {
			return next
		}
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if ops := operationsOf(req); len(ops) > 0 {
				if err := g.permit(req, ops); err != nil {
					return nil, err
				}
			}
			result, err := next(ctx, method, req)
			if err == nil {
				g.hide(req, result)
			}
			return result, err
		}
	}
}

func operationsOf(req mcp.Request) []operation {
	switch params := req.GetParams().(type) {
	case *mcp.CallToolParamsRaw:
		return []operation{{"tools/call", params.Name}}
	case *mcp.GetPromptParams:
		return []operation{{"prompts/get", params.Name}}
	case *mcp.ReadResourceParams:
		return reads([]string{params.URI})
	case *mcp.SubscribeParams:
		return reads([]string{params.URI})
	case *mcp.SubscriptionsListenParams:
		if params.Notifications != nil {
			return reads(params.Notifications.ResourceSubscriptions)
		}
	case *mcp.CompleteParams:
		if params.Ref != nil {
			return referred(params.Ref.Type, params.Ref.Name, params.Ref.URI)
		}
	}
	return nil
}

func (g *Guard) permit(req mcp.Request, ops []operation) error {
	id, ok := IdentityOf(req)
	if !ok && slices.ContainsFunc(ops, func(op operation) bool { return len(g.needs.of[op]) > 0 }) {
		return &jsonrpc.Error{Code: codeForbiddenCall, Message: infoOf(reason.NoCredentials).Phrase}
	}
	if rejection := g.needs.lacks(&id, ops...); rejection != nil {
		g.counters.refuse(rejection.Reason)
		return &jsonrpc.Error{Code: codeForbiddenCall, Message: infoOf(rejection.Reason).Phrase}
	}
	return nil
}

// hide takes from a list what stays denied to the caller; what a new scope would
// open stays visible, or nobody could step up to it. The list then depends on the
// caller, so no cache may share it (MCP 2026-07-28, utilities/caching).
func (g *Guard) hide(req mcp.Request, result mcp.Result) {
	id, _ := IdentityOf(req)
	hidden := func(method, name string) bool {
		return g.needs.denies(&id, operation{method, name}) != nil
	}
	switch list := result.(type) {
	case *mcp.ListToolsResult:
		list.Tools = slices.DeleteFunc(slices.Clone(list.Tools), func(t *mcp.Tool) bool { return hidden("tools/call", t.Name) })
		list.CacheScope = private
	case *mcp.ListPromptsResult:
		list.Prompts = slices.DeleteFunc(slices.Clone(list.Prompts), func(p *mcp.Prompt) bool { return hidden("prompts/get", p.Name) })
		list.CacheScope = private
	case *mcp.ListResourcesResult:
		list.Resources = slices.DeleteFunc(slices.Clone(list.Resources), func(r *mcp.Resource) bool { return hidden("resources/read", r.URI) })
		list.CacheScope = private
	case *mcp.ReadResourceResult:
		list.CacheScope = private
	}
}

const private = "private"
