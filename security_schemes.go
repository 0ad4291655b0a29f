package gatehouse

import (
	"maps"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	// securitySchemesMeta is the member of a tool's _meta that [Config.SecuritySchemes] sets.
	securitySchemesMeta = "securitySchemes"
	// maxSecuritySchemes bounds the schemes of one tool.
	maxSecuritySchemes = 16
)

// securityScheme is one way to be allowed to call a tool. Each scheme of a tool is enough.
type securityScheme struct {
	Type   string   `json:"type"`
	Scopes []string `json:"scopes,omitempty"`
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
func (reqs *requirements) securitySchemes(from *issuer, op operation) []securityScheme {
	all := reqs.of(op)
	var out []securityScheme
	if allPublic(all) {
		out = append(out, securityScheme{Type: "noauth"})
	}
	sets := [][]string{reqs.scopes}
	for i := range all {
		sets = appendToEach(sets, all[i].AnyOf, all[i].scopesOf(from))
	}
	for _, scopes := range sets {
		scopes = requestedScopes(&from.Provider, scopes)
		if !slices.ContainsFunc(out, func(s securityScheme) bool { return s.Type == "oauth2" && slices.Equal(s.Scopes, scopes) }) {
			out = append(out, securityScheme{Type: "oauth2", Scopes: scopes})
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
