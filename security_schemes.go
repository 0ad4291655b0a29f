package gatehouse

import (
	"maps"
	"net/http"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	// securitySchemesMeta is the member of a tool's _meta that [Config.SecuritySchemes] sets.
	securitySchemesMeta = "securitySchemes"
	// maxSecuritySchemes bounds the schemes of one tool.
	maxSecuritySchemes = 16
)

// SecurityScheme is one way to be allowed to call a tool, as ChatGPT reads it. Each scheme of a tool
// is enough.
type SecurityScheme struct {
	Type   string   `json:"type"`             // "noauth" or "oauth2"
	Scopes []string `json:"scopes,omitempty"` // that a token needs
}

// SecuritySchemesOf returns what callers need to call the tool that op names, for the member
// securitySchemes in _meta of a tool in a list; see [Config.SecuritySchemes]. It is for MCP servers
// that are not built with go-sdk, and for gateways, since [Guard.Middleware] adds the member itself.
// See [Guard.Authorize] about r. It is safe for concurrent use.
func (g *Guard) SecuritySchemesOf(r *http.Request, op Operation) []SecurityScheme {
	if op == (Operation{}) {
		return nil
	}
	return g.policy().requirements.securitySchemes(g.verifiedOf(g.ownCaller(r)).from, op.operation)
}

// withSecuritySchemes returns copies of the tools that say what callers need for them. c may be
// nil. The tools themselves belong to the server.
func (g *Guard) withSecuritySchemes(c *caller, tools []*mcp.Tool) []*mcp.Tool {
	reqs, from := &g.policy().requirements, g.verifiedOf(c).from
	out := make([]*mcp.Tool, 0, len(tools))
	for _, tool := range tools {
		copied := *tool
		copied.Meta = maps.Clone(tool.Meta)
		if copied.Meta == nil {
			copied.Meta = make(mcp.Meta)
		}
		copied.Meta[securitySchemesMeta] = reqs.securitySchemes(from, operation{methodCallTool, tool.Name})
		out = append(out, &copied)
	}
	return out
}

// securitySchemes returns the schemes for op: without a token if it is public, and with each set
// of scopes that is enough.
func (reqs *requirements) securitySchemes(from *issuer, op operation) []SecurityScheme {
	all := reqs.of(op)
	var out []SecurityScheme
	if allPublic(all) {
		out = append(out, SecurityScheme{Type: "noauth"})
	}
	sets := [][]string{reqs.scopes}
	for i := range all {
		sets = appendToEach(sets, all[i].AnyOf, all[i].scopesOf(from))
	}
	for _, scopes := range sets {
		scopes = requestedScopes(&from.Provider, scopes)
		if !slices.ContainsFunc(out, func(s SecurityScheme) bool { return s.Type == "oauth2" && slices.Equal(s.Scopes, scopes) }) {
			out = append(out, SecurityScheme{Type: "oauth2", Scopes: scopes})
		}
	}
	return out
}

// scopesOf returns the scopes that a token of the provider needs for r, without those of its
// alternatives.
func (r *Require) scopesOf(from *issuer) []string {
	if r.Organization && from.OrganizationScope != "" {
		return union(r.Scopes, []string{from.OrganizationScope})
	}
	return r.Scopes
}

// appendToEach adds scopes to each set, once for each alternative with its own.
func appendToEach(sets [][]string, alternatives []Require, scopes []string) (out [][]string) {
	if len(alternatives) == 0 {
		alternatives = []Require{{}}
	}
	for _, set := range sets {
		for _, alternative := range alternatives {
			if len(out) < maxSecuritySchemes {
				out = append(out, union(set, scopes, alternative.Scopes))
			}
		}
	}
	return out
}
