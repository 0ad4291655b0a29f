package forwardauth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
)

// maxRequirements is how many requirements an endpoint may have if bodies are not known: the
// guard accepts as many operations in one body.
const maxRequirements = 250

// message is a JSON-RPC request.
type message struct {
	Version string         `json:"jsonrpc"`
	ID      int            `json:"id"`
	Method  string         `json:"method"`
	Params  map[string]any `json:"params"`
}

// undecidedBody returns a body that asks for every operation with a requirement, and for one
// without, if that has requirements too or callers without a token must not use it. The guard lets it through if the caller may send any body, and
// otherwise names everything that the caller lacks. It is nil if no operation has a requirement.
// requirements is how many there are.
func undecidedBody(cfg *gatehouse.Config) (body []byte, requirements int) {
	var batch []message
	add := func(method, param, name string) {
		batch = append(batch, message{"2.0", len(batch) + 1, method, map[string]any{param: name}})
	}
	for _, r := range cfg.Requirements {
		switch {
		case r.Tool != "":
			add("tools/call", "name", r.Tool)
		case r.Prompt != "":
			add("prompts/get", "name", r.Prompt)
		default:
			add("resources/read", "uri", r.Resource+r.ResourceTemplate) // one of them is set
		}
	}
	if cfg.DenyUndeclared || hasDefault(cfg) || hasPublic(cfg) {
		add("tools/call", "name", undeclaredTool(cfg.Requirements))
	}
	if batch == nil {
		return nil, 0
	}
	body, _ = json.Marshal(batch) // of texts and numbers
	return body, len(batch)
}

// hasDefault reports whether operations without a requirement of their own require something.
func hasDefault(cfg *gatehouse.Config) bool {
	d := &cfg.Default
	return len(d.Scopes)+len(d.Roles)+len(d.Permissions)+len(d.AnyOf) > 0 || d.Organization || d.Person || d.Check != nil
}

// hasPublic reports whether callers without a token may use something.
func hasPublic(cfg *gatehouse.Config) bool {
	return slices.ContainsFunc(cfg.Requirements, func(r gatehouse.Requirement) bool { return r.Public })
}

// undeclaredTool returns the name of a tool that has no requirement.
func undeclaredTool(requirements []gatehouse.Requirement) string {
	name := "undeclared"
	for _, r := range requirements {
		if strings.HasPrefix(r.Tool, name) {
			name = r.Tool + "_"
		}
	}
	return name
}

// setBody replaces the body of r, which then is JSON that is not compressed.
func setBody(r *http.Request, body []byte) {
	delete(r.Header, "Content-Encoding")
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength, r.TransferEncoding = int64(len(body)), nil
	if body == nil {
		r.Body = http.NoBody
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
}

// unknownBodiesWarning says what it means for callers that bodies are not known.
func unknownBodiesWarning(p Proxy, resource string, requirements int) string {
	return fmt.Sprintf("%s sends no bodies, so callers of %s must meet all of its %d requirements for every request; "+
		"to check them for each tool, use a proxy that sends bodies, or the gateway itself", p, resource, requirements)
}
