package gatehouse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	// maxBody is the limit of a request body; go-sdk's own default is the same.
	maxBody = 4 << 20
	// bodyTimeout is how long a client may take to send its body.
	bodyTimeout = 30 * time.Second
)

// codeForbiddenCall is the JSON-RPC code of a call that the middleware refuses:
// of the range that JSON-RPC leaves to servers, used neither by MCP nor by go-sdk.
const codeForbiddenCall = -32040

// Requirement is what a caller must hold for one operation: all of what is set.
// Set exactly one of Tool, Prompt and Resource.
type Requirement struct {
	Tool     string // name of a tool, for tools/call
	Prompt   string // name of a prompt, for prompts/get
	Resource string // URI of a resource, for resources/read

	Scopes       []string // scopes of the token
	Roles        []string // roles of the user, or of the user in the organization
	Permissions  []string // permissions of the user, or of the user in the organization
	Organization bool     // an active organization
}

func (r Requirement) validate(field string, f *faults) {
	named := 0
	for _, name := range []string{r.Tool, r.Prompt, r.Resource} {
		if name != "" {
			named++
		}
	}
	if named != 1 {
		f.add(field, "", "does not name one operation", "set exactly one of Tool, Prompt and Resource")
	}
	if len(r.Scopes)+len(r.Roles)+len(r.Permissions) == 0 && !r.Organization {
		f.add(field, r.Tool+r.Prompt+r.Resource, "demands nothing", "set Scopes, Roles, Permissions or Organization, or leave the requirement out")
	}
	for _, scope := range r.Scopes {
		if !validScope(scope) {
			f.add(field+".Scopes", scope, "is not a scope", "use one word of printable ASCII for each scope (RFC 6749 section 3.3)")
		}
	}
}

// operation is one JSON-RPC request, as far as requirements look.
type operation struct{ method, name string }

// needs finds the requirements of an operation.
type needs struct {
	base              []string // scopes that every request needs
	of                map[operation][]Requirement
	broader           map[string][]string // scope to those that imply it
	organizationScope string
}

func makeNeeds(s *settings) needs {
	n := needs{s.RequiredScopes, make(map[operation][]Requirement), broaderScopes(s.ImpliedScopes), s.Provider.OrganizationScope}
	for _, r := range s.Requirements {
		var op operation
		switch {
		case r.Tool != "":
			op = operation{"tools/call", r.Tool}
		case r.Prompt != "":
			op = operation{"prompts/get", r.Prompt}
		default:
			op = operation{"resources/read", r.Resource}
		}
		n.of[op] = append(n.of[op], r)
	}
	return n
}

// broaderScopes turns "implies" around, transitively: scope to every scope that
// implies it.
func broaderScopes(implied map[string][]string) map[string][]string {
	broader := make(map[string][]string)
	for scope := range implied {
		reached := []string{scope}
		for i := 0; i < len(reached); i++ {
			reached = union(reached, implied[reached[i]])
		}
		for _, narrower := range reached[1:] {
			broader[narrower] = append(broader[narrower], scope)
		}
	}
	return broader
}

// holds reports whether id has the scope or a broader one.
func (n needs) holds(id *Identity, scope string) bool {
	return id.HasScope(scope) || slices.ContainsFunc(n.broader[scope], id.HasScope)
}

// scopeError says which scopes an operation needs, and which of them the token
// lacks.
type scopeError struct{ needed, missing, granted []string }

func (e *scopeError) Error() string {
	return fmt.Sprintf("token has scopes %q, the operation needs %q as well", e.granted, e.missing)
}

// lacks reports what id lacks for the operations, all of it at once. Scopes come
// last: a client that steps up for an operation which stays denied has asked its
// user in vain.
func (n needs) lacks(id *Identity, ops ...operation) *Rejection {
	if err := n.denies(id, ops...); err != nil {
		return &Rejection{Reason: reasonPermission, Err: err, Identity: *id}
	}
	wanted := slices.Clone(n.base)
	for _, op := range ops {
		for _, r := range n.of[op] {
			wanted = union(wanted, r.Scopes)
			if r.Organization && id.Organization.ID == "" {
				wanted = union(wanted, []string{n.organizationScope})
			}
		}
	}
	missing := slices.DeleteFunc(slices.Clone(wanted), func(scope string) bool { return n.holds(id, scope) })
	if len(missing) > 0 {
		return &Rejection{Reason: reasonScope, Err: &scopeError{wanted, missing, id.Scopes}, Identity: *id}
	}
	return nil
}

// denies reports what id lacks and no new scope would mend.
func (n needs) denies(id *Identity, ops ...operation) error {
	for _, op := range ops {
		for _, r := range n.of[op] {
			if err := r.deny(id, n.organizationScope); err != nil {
				return fmt.Errorf("%s %q %w", op.method, op.name, err)
			}
		}
	}
	return nil
}

func (r Requirement) deny(id *Identity, organizationScope string) error {
	canAsk := organizationScope != "" && !id.HasScope(organizationScope)
	if r.Organization && id.Organization.ID == "" && !canAsk {
		return errors.New("needs an active organization")
	}
	for _, role := range r.Roles {
		if !slices.Contains(id.Roles, role) && id.Organization.Role != role {
			return fmt.Errorf("needs role %q", role)
		}
	}
	for _, permission := range r.Permissions {
		if !slices.Contains(id.Permissions, permission) && !slices.Contains(id.Organization.Permissions, permission) {
			return fmt.Errorf("needs permission %q", permission)
		}
	}
	return nil
}

// authorize is check 8: may this caller do that? The body decides; headers that
// name the method are checked by the server for the newest revision only.
func (g *Guard) authorize(w http.ResponseWriter, r *http.Request, c *caller) *Rejection {
	if r.Method != http.MethodPost || r.Body == nil {
		return g.needs.lacks(&c.identity)
	}
	limitBody(w, r)
	if len(g.needs.of) == 0 {
		return g.needs.lacks(&c.identity)
	}
	body, err := io.ReadAll(r.Body)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return &Rejection{Reason: reasonBodyTooLarge, Err: err, Identity: c.identity}
	} else if err != nil {
		return &Rejection{Reason: reasonBodyUnreadable, Err: err, Identity: c.identity}
	}
	r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	ops, err := operations(body)
	if err != nil {
		return &Rejection{Reason: reasonBodyMalformed, Err: err, Identity: c.identity}
	}
	return g.needs.lacks(&c.identity, ops...)
}

// limitBody bounds the size of a body and the time that it may take. The deadline
// ends with the body: the answer may be a stream without end.
func limitBody(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	if rc.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil {
		r.Body = &timedBody{ReadCloser: r.Body, rc: rc}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
}

type timedBody struct {
	io.ReadCloser
	rc *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

// operations lists the operations of a JSON-RPC message or batch. It reads as
// go-sdk does, where names differ by case and of two members with one name the
// last counts: a struct of encoding/json would read "Method" as "method". What it
// cannot read is an error, and so is what go-sdk alone could.
func operations(body []byte) ([]operation, error) {
	var messages []json.RawMessage
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		if err := json.Unmarshal(body, &messages); err != nil {
			return nil, err
		}
	} else {
		messages = append(messages, body)
	}
	var ops []operation
	for _, message := range messages {
		op, err := operationIn(message)
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func operationIn(message json.RawMessage) (op operation, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(message, &members); err != nil {
		return op, err
	}
	if members["method"] == nil { // an answer to the server
		return op, nil
	}
	if err := json.Unmarshal(members["method"], &op.method); err != nil {
		return op, err
	}
	member := ""
	switch op.method {
	case "tools/call", "prompts/get":
		member = "name"
	case "resources/read", "resources/subscribe":
		op.method, member = "resources/read", "uri"
	default:
		return op, nil
	}
	var params map[string]json.RawMessage
	if err := json.Unmarshal(members["params"], &params); err != nil {
		return op, err
	}
	return op, json.Unmarshal(params[member], &op.name)
}

// Middleware enforces [Config.Requirements] inside the MCP server, on each
// operation as the server itself has read it, and hides from the lists what the
// caller may not use. Add it with [mcp.Server.AddReceivingMiddleware]; without
// it the requirements are checked on the HTTP request alone.
func (g *Guard) Middleware() mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if len(g.needs.of) == 0 {
				return next(ctx, method, req)
			}
			if op, ok := operationOf(req); ok {
				if err := g.permit(req, op); err != nil {
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

func operationOf(req mcp.Request) (op operation, ok bool) {
	switch params := req.GetParams().(type) {
	case *mcp.CallToolParamsRaw:
		return operation{"tools/call", params.Name}, true
	case *mcp.GetPromptParams:
		return operation{"prompts/get", params.Name}, true
	case *mcp.ReadResourceParams:
		return operation{"resources/read", params.URI}, true
	case *mcp.SubscribeParams:
		return operation{"resources/read", params.URI}, true
	}
	return operation{}, false
}

func (g *Guard) permit(req mcp.Request, op operation) error {
	id, ok := IdentityOf(req)
	if !ok && len(g.needs.of[op]) > 0 {
		return &jsonrpc.Error{Code: codeForbiddenCall, Message: reasonRows[reasonNoCredentials].Phrase}
	}
	if rejection := g.needs.lacks(&id, op); rejection != nil {
		g.counters.refuse(rejection.Reason)
		return &jsonrpc.Error{Code: codeForbiddenCall, Message: reasonRows[rejection.Reason].Phrase}
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
