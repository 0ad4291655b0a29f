package mcpgo

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// Adapter connects a server of mcp-go with a guard. Make one with [Attach]. Its methods declare
// what a caller must have, where something is registered. It is safe for concurrent use.
type Adapter struct {
	server *server.MCPServer
	guard  *gatehouse.Guard
	tasks  taskOwners
}

// Attach makes s enforce the requirements of the guard on each message that it parsed, remove from
// lists what the caller can never use, and mark lists and resources as private for caches.
// The requirements are those of [gatehouse.Config.Requirements] and those that are declared
// with the methods of [Adapter]. The guard must be around [Adapter.Handler].
//
// A rejected message gets the JSON-RPC error code -32600, which is the only one that mcp-go
// allows there, and a fixed phrase. It is counted in [gatehouse.Stats]. Without a guard in
// front of the transport, as with stdio, operations that have a requirement are rejected.
//
// A task belongs to the principal who started it: others cannot list, read or cancel it.
//
// Attach adds to the hooks and filters of s. Call it once, before s serves, and after everything
// that replaces the hooks of s ([server.WithHooks]).
func Attach(s *server.MCPServer, guard *gatehouse.Guard) *Adapter {
	a := &Adapter{server: s, guard: guard}
	hooks := s.GetHooks()
	if hooks == nil {
		hooks = &server.Hooks{}
		server.WithHooks(hooks)(s)
	}
	hooks.AddOnRequestInitialization(a.authorize)
	a.filterLists(s, hooks)
	a.tasks.follow(hooks)
	return a
}

var errUnreadable = errors.New("the message cannot be read")

// authorize is a hook that mcp-go calls with each request before it chooses a handler. An
// error rejects the request, and is sent to the client.
func (a *Adapter) authorize(ctx context.Context, _ any, message any) error {
	text, ok := message.(json.RawMessage)
	if !ok {
		return errUnreadable
	}
	var base struct {
		Method mcp.MCPMethod `json:"method"`
	}
	if json.Unmarshal(text, &base) != nil {
		return errUnreadable
	}
	ops, err := operations(base.Method, text)
	if err != nil {
		return errUnreadable
	}
	if err := a.guard.Authorize(httpRequest(ctx), ops...); err != nil {
		return err
	}
	return a.tasks.authorize(ctx, base.Method, text)
}

// operations returns the operations of a message. It is read with the types and the decoder with
// which mcp-go reads it, so that both find the same names.
func operations(method mcp.MCPMethod, message []byte) ([]gatehouse.Operation, error) {
	switch method {
	case mcp.MethodToolsCall:
		r, err := decode[mcp.CallToolRequest](message)
		return []gatehouse.Operation{gatehouse.ToolOperation(r.Params.Name)}, err
	case mcp.MethodPromptsGet:
		r, err := decode[mcp.GetPromptRequest](message)
		return []gatehouse.Operation{gatehouse.PromptOperation(r.Params.Name)}, err
	case mcp.MethodResourcesRead:
		r, err := decode[mcp.ReadResourceRequest](message)
		return reads(r.Params.URI), err
	case mcp.MethodResourcesSubscribe:
		r, err := decode[mcp.SubscribeRequest](message)
		return reads(r.Params.URI), err
	case mcp.MethodSubscriptionsListen:
		r, err := decode[mcp.SubscriptionsListenRequest](message)
		return reads(r.Params.Notifications.ResourceSubscriptions...), err
	case mcp.MethodCompletionComplete:
		r, err := decode[mcp.CompleteRequest](message)
		return completion(r.Params.Ref), err
	}
	return nil, nil
}

func decode[T any](message []byte) (request T, err error) {
	err = json.Unmarshal(message, &request)
	return request, err
}

// reads returns the operations of reading the resources.
func reads(uris ...string) []gatehouse.Operation {
	var ops []gatehouse.Operation
	for _, uri := range uris {
		ops = append(ops, gatehouse.ResourceOperation(uri))
	}
	return ops
}

// completion returns the operation of completing an argument of what ref names.
func completion(ref any) []gatehouse.Operation {
	switch ref := ref.(type) {
	case mcp.PromptReference:
		return []gatehouse.Operation{gatehouse.PromptOperation(ref.Name)}
	case mcp.ResourceReference:
		return reads(ref.URI)
	}
	return nil // mcp-go rejects it
}
