package gatehouse

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// Operation is something that an MCP message does and that a [Requirement] can name. It is for
// adapters to MCP servers other than those of go-sdk, which call [Guard.Authorize] with what
// their server parsed. Make one with [ToolOperation], [PromptOperation] or
// [ResourceOperation]. The zero value is always rejected.
type Operation struct{ operation operation }

// ToolOperation returns the operation of calling the tool: tools/call.
func ToolOperation(name string) Operation { return Operation{operation{methodCallTool, name}} }

// PromptOperation returns the operation of using the prompt: prompts/get, and
// completion/complete for its arguments.
func PromptOperation(name string) Operation { return Operation{operation{methodGetPrompt, name}} }

// ResourceOperation returns the operation of reading the resource with that URI, or of listing
// the resource template with that text: resources/read, resources/subscribe,
// subscriptions/listen, and completion/complete for its arguments.
func ResourceOperation(uri string) Operation { return Operation{operation{methodReadResource, uri}} }

var (
	errNoOperation = errors.New("the operation is the zero value")
	errNoCaller    = errors.New("the request did not come through this guard, and the operation has requirements")
)

// Authorize checks that the caller of r may do all of ops. It is check 8 of [Guard], for MCP
// servers other than those of go-sdk: call it with the operations of each message as the
// server parsed it. [Guard.Wrap] has run the same check on the text of the message. Another
// parser may read another operation in that text, so the second check is what decides.
// [Guard.Middleware] does this for go-sdk.
//
// r must be the HTTP request that carried the message, as the handler inside [Guard.Wrap] got
// it, or a request with its context. The context of a session is the wrong one in most SDKs:
// it belongs to the request that opened the session. If r did not come through this guard,
// operations that have a requirement are rejected.
//
// The text of an error is a fixed phrase, which may be sent to the client. The error wraps the
// details, which are for logs only. A rejection is counted in [Stats], and not passed to
// [Config.OnReject]. Authorize is safe for concurrent use.
func (g *Guard) Authorize(r *http.Request, ops ...Operation) error {
	parsed := make([]operation, 0, len(ops))
	for _, op := range ops {
		if op == (Operation{}) {
			return &publicError{infoOf(reason.InsufficientPermission).Phrase, errNoOperation}
		}
		parsed = append(parsed, op.operation)
	}
	method := "" // of a message whose operations no requirement can name
	if len(parsed) > 0 {
		method = parsed[0].method
	}
	if rejection := g.authorizeParsed(r.Context(), method, g.ownCaller(r), parsed); rejection != nil {
		return &publicError{infoOf(rejection.Reason).Phrase, cmp.Or(rejection.Err, errNoCaller)}
	}
	return nil
}

// Lists reports whether a list for the caller of r should contain what op names. It is false
// if the caller lacks a role, a permission or an organization for it, unless
// [Config.ShowLocked] is set. What needs only another scope is listed, because otherwise a
// client would never learn that it can ask for the scope. Mark lists as private for caches.
// See [Guard.Authorize] about r. Lists is safe for concurrent use.
func (g *Guard) Lists(r *http.Request, op Operation) bool {
	return op != Operation{} && g.lists(g.ownCaller(r), op.operation)
}

// ownCaller returns the caller of r, or nil if r did not come through g.
func (g *Guard) ownCaller(r *http.Request) *caller {
	if c := callerFromContext(r.Context()); c != nil && c.guard == g {
		return c
	}
	return nil
}

// authorizeParsed is check 8 on the operations of a message that the MCP server parsed, whose
// JSON-RPC method is method. c is nil if the message did not come through the guard.
func (g *Guard) authorizeParsed(ctx context.Context, method string, c *caller, ops []operation) *Rejection {
	p := g.policy()
	if c == nil && slices.ContainsFunc(ops, p.apply) {
		g.auditor.rejectMCP(ctx, method, ops, nil, reason.NoCredentials)
		g.observers.rejectMCP(ctx, method, ops, nil, reason.NoCredentials)
		return &Rejection{Reason: reason.NoCredentials}
	}
	rejection := p.authorizeCaller(ctx, g, c, ops)
	if rejection != nil {
		g.counters.reject(rejection.Reason)
		g.auditor.rejectMCP(ctx, method, ops, c, rejection.Reason)
		g.observers.rejectMCP(ctx, method, ops, c, rejection.Reason)
	}
	return rejection
}

// lists reports whether a list for c contains what op names.
func (g *Guard) lists(c *caller, op operation) bool {
	_, err := g.policy().neededFor(g.verifiedOf(c), op)
	return err == nil || g.ShowLocked
}
