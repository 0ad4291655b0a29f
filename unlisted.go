package gatehouse

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/yosida95/uritemplate/v3"
)

// maxComparedName bounds the names that are compared to find the nearest one, in bytes.
const maxComparedName = 64

// listings compares the names in requirements with those that the MCP server lists. A
// requirement with a misspelt name protects nothing.
type listings struct {
	mu       sync.Mutex
	listed   map[int]bool // by index of Config.Requirements
	nearest  map[int]nearName
	reported map[string]bool // by method of the operation
	complete map[string]bool // by method of the list: whether its last page was seen
	unlisted []int           // requirements that a complete list did not have
}

// nearName is the listed name that differs least from that of a requirement.
type nearName struct {
	name     string
	distance int
}

// UnlistedRequirements describes each requirement whose tool, prompt, resource or resource
// template was not in the MCP server's own list, as in `Requirements[0]: tool "wriet"`. Such
// a name is usually misspelt, and then the requirement protects nothing. It is known once
// [Guard.Middleware] has seen a list, or [Guard.NoteListed] was called, and logged at
// that time. [Stats] has the number.
func (g *Guard) UnlistedRequirements() []string {
	g.listings.mu.Lock()
	defer g.listings.mu.Unlock()
	var out []string
	for _, i := range g.listings.unlisted {
		if !g.listings.listed[i] {
			out = append(out, g.describeRequirement(i))
		}
	}
	return out
}

func (g *Guard) describeRequirement(i int) string {
	if i >= len(g.Requirements) {
		return "declared with Protect: " + g.policy().declared[i].names()[0]
	}
	return fmt.Sprintf("Requirements[%d]: %s", i, g.policy().declared[i].names()[0])
}

// NoteListed records names that the MCP server lists, so that requirements whose name it does
// not list are logged; see [Guard.UnlistedRequirements]. It is for adapters to MCP servers other
// than those of go-sdk, for which [Guard.Middleware] does it. method is that of the list:
// "tools/list", "prompts/list", "resources/list" (URIs) or "resources/templates/list" (the text
// of the templates). names are those of one page, before anything was removed from it, and last
// says whether it is the last page. Requirements for resources and templates are compared once
// both lists were recorded. NoteListed is safe for concurrent use.
func (g *Guard) NoteListed(method string, names []string, last bool) {
	g.observers.noteListed(method, names)
	for _, name := range names {
		switch method {
		case methodListTools:
			g.noteListed(name, func(r Requirement) (string, bool) { return r.Tool, r.Tool == name })
		case methodListPrompts:
			g.noteListed(name, func(r Requirement) (string, bool) { return r.Prompt, r.Prompt == name })
		case methodListResources:
			g.noteListedResource(name)
		case methodListTemplates:
			g.noteListedTemplate(name)
		}
	}
	switch {
	case !last:
	case method == methodListTools:
		g.reportUnlisted(methodCallTool)
	case method == methodListPrompts:
		g.reportUnlisted(methodGetPrompt)
	case g.completeLists(method):
		g.reportUnlisted(methodReadResource)
	}
}

// completeLists records that the last page of the list was seen. It reports whether that is so
// for both lists that have resources.
func (g *Guard) completeLists(method string) bool {
	g.listings.mu.Lock()
	defer g.listings.mu.Unlock()
	if g.listings.complete == nil {
		g.listings.complete = make(map[string]bool)
	}
	g.listings.complete[method] = true
	return g.listings.complete[methodListResources] && g.listings.complete[methodListTemplates]
}

// compareWithList notes which requirements the list names. With the last page of a list it
// logs those that no page named. templates returns the complete list of resource templates,
// which may serve resources that the server does not list.
func (g *Guard) compareWithList(result mcp.Result, templates func() (list []*mcp.ResourceTemplate, complete bool)) {
	switch list := result.(type) {
	case *mcp.ListToolsResult:
		g.NoteListed(methodListTools, namesOf(list.Tools, func(t *mcp.Tool) string { return t.Name }), list.NextCursor == "")
	case *mcp.ListPromptsResult:
		g.NoteListed(methodListPrompts, namesOf(list.Prompts, func(p *mcp.Prompt) string { return p.Name }), list.NextCursor == "")
	case *mcp.ListResourcesResult:
		last := list.NextCursor == ""
		g.NoteListed(methodListResources, namesOf(list.Resources, func(r *mcp.Resource) string { return r.URI }), last)
		if !last || len(g.policy().resources) == 0 || g.isReported(methodReadResource) {
			return
		}
		all, complete := templates()
		g.NoteListed(methodListTemplates, namesOf(all, func(t *mcp.ResourceTemplate) string { return t.URITemplate }), complete)
	}
}

// namesOf returns the name of each item.
func namesOf[T any](items []T, name func(T) string) []string {
	names := make([]string, 0, len(items))
	for _, item := range items {
		names = append(names, name(item))
	}
	return names
}

// noteListedResource notes the requirements that name the URI or match it.
func (g *Guard) noteListedResource(uri string) {
	resources := g.policy().resources
	g.noteListed(uri, func(r Requirement) (string, bool) {
		if r.ResourceTemplate == "" {
			return r.Resource, r.Resource == uri
		}
		// The templates of requirements are compiled already. To compile them here takes milliseconds
		// for each resource, and anyone may list where something is Public.
		return "", slices.ContainsFunc(resources, func(known resourceRequirement) bool {
			return known.ResourceTemplate == r.ResourceTemplate && known.matches(uri)
		})
	})
}

// noteListedTemplate notes the requirements that name the template, or a resource that it
// serves.
func (g *Guard) noteListedTemplate(text string) {
	matches := sync.OnceValue(func() func(string) bool { // compiled only if a requirement may need it
		template, err := uritemplate.New(text)
		if err != nil {
			return func(string) bool { return false }
		}
		return template.Regexp().MatchString
	})
	g.noteListed(text, func(r Requirement) (string, bool) {
		if r.ResourceTemplate != "" {
			return r.ResourceTemplate, r.ResourceTemplate == text
		}
		return "", r.Resource != "" && matches()(r.Resource)
	})
}

// noteListed notes the requirements that match a listed name. match returns the name to
// compare it with, and whether it matches.
func (g *Guard) noteListed(name string, match func(Requirement) (string, bool)) {
	l := &g.listings
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range g.policy().declared {
		if l.listed[i] {
			continue
		}
		wanted, matches := match(r)
		if matches {
			if l.listed == nil {
				l.listed = make(map[int]bool)
			}
			l.listed[i] = true
			continue
		}
		if wanted == "" || len(name) > maxComparedName || len(wanted) > maxComparedName {
			continue
		}
		near := nearName{name, quote.Distance(name, wanted)}
		if best, found := l.nearest[i]; near.distance <= max(1, len(wanted)*2/5) && (!found || near.distance < best.distance) {
			if l.nearest == nil {
				l.nearest = make(map[int]nearName)
			}
			l.nearest[i] = near
		}
	}
}

func (g *Guard) isReported(method string) bool {
	g.listings.mu.Lock()
	defer g.listings.mu.Unlock()
	return g.listings.reported[method]
}

// reportUnlisted logs, once for each kind of list, the requirements for the method that the list
// does not have.
func (g *Guard) reportUnlisted(method string) {
	l := &g.listings
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reported[method] {
		return
	}
	if l.reported == nil {
		l.reported = make(map[string]bool)
	}
	l.reported[method] = true
	for i, r := range g.policy().declared {
		if r.operation().method != method || l.listed[i] || slices.Contains(l.unlisted, i) {
			continue
		}
		l.unlisted = append(l.unlisted, i)
		attrs := []any{"requirement", g.describeRequirement(i)}
		if near, found := l.nearest[i]; found {
			attrs = append(attrs, "nearest", quote.Clip(near.name, quote.MaxBytes))
		}
		g.Logger.Error("a requirement protects nothing: the server does not list its name", attrs...)
	}
}

// compareAgain makes the next lists be compared with the requirements, because there are more of
// them now.
func (l *listings) compareAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reported, l.complete = nil, nil
}

// templatesOf returns a function that lists the resource templates for the caller of req.
func templatesOf(ctx context.Context, next mcp.MethodHandler, req mcp.Request) func() ([]*mcp.ResourceTemplate, bool) {
	return func() ([]*mcp.ResourceTemplate, bool) {
		session, ok := req.GetSession().(*mcp.ServerSession)
		if !ok {
			return nil, false
		}
		result, err := next(ctx, "resources/templates/list", &mcp.ListResourceTemplatesRequest{
			Session: session, Params: &mcp.ListResourceTemplatesParams{}, Extra: req.GetExtra(),
		})
		list, ok := result.(*mcp.ListResourceTemplatesResult)
		if err != nil || !ok {
			return nil, false
		}
		return slices.Clone(list.ResourceTemplates), list.NextCursor == ""
	}
}
