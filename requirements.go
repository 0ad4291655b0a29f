package gatehouse

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/yosida95/uritemplate/v3"
)

// operation returns the operation that r names exactly. A resource template is not one.
func (r Requirement) operation() operation {
	switch {
	case r.Tool != "":
		return operation{methodCallTool, r.Tool}
	case r.Prompt != "":
		return operation{methodGetPrompt, r.Prompt}
	}
	return operation{methodReadResource, r.Resource}
}

// requirements are the requirements by operation, with what applies to all of them. They are
// immutable.
type requirements struct {
	declared    []Requirement // all: first Config.Requirements, then those of Protect
	scopes      []string      // scopes that every request requires
	byOperation map[operation][]Requirement
	resources   []resourceRequirement // those that name a resource or a template
	broader     map[string][]string   // scope to the scopes that imply it

	undeclared     []Requirement // of operations without a requirement: Config.Default, or none
	denyUndeclared bool          // whether they are rejected
	public         bool          // whether something is Public, so that callers without a token are let in
}

// resourceRequirement is a requirement for a resource or for a resource template.
type resourceRequirement struct {
	Requirement
	forms     []string         // of the URI or of the text of the template; see uriForms
	templates []*regexp.Regexp // the template as written, and with its literal text normalized
}

func newResourceRequirement(r Requirement) resourceRequirement {
	out := resourceRequirement{Requirement: r}
	out.forms, _ = uriForms(cmp.Or(r.Resource, r.ResourceTemplate), false)
	for _, text := range union([]string{r.ResourceTemplate, normalizedTemplate(r.ResourceTemplate)}) {
		if template, err := uritemplate.New(text); text != "" && err == nil {
			out.templates = append(out.templates, template.Regexp())
		}
	}
	return out
}

// normalizedTemplate returns the template with its scheme and host in lower case, up to the
// first variable, and without the encoding of characters that need none.
func normalizedTemplate(template string) string {
	template = decodePercent(template, isUnreserved)
	end := strings.IndexByte(template, '{')
	if scheme := strings.Index(template, "://"); scheme >= 0 {
		if slash := strings.IndexByte(template[scheme+3:], '/'); slash >= 0 {
			end = min(end, scheme+3+slash)
		}
	}
	end = max(end, 0)
	return strings.ToLower(template[:end]) + template[end:]
}

// matches reports whether r names uri as it is written: the resource itself, the text of
// the template, as in completions, or a URI that the template matches as in go-sdk.
func (r *resourceRequirement) matches(uri string) bool {
	if r.ResourceTemplate == "" {
		return uri == r.Resource
	}
	return uri == r.ResourceTemplate || r.templates[0].MatchString(uri)
}

// reachedBy reports whether a program may read a URI with one of the forms as a URI
// that r names.
func (r *resourceRequirement) reachedBy(forms []string) bool {
	if shareForm(r.forms, forms) {
		return true
	}
	return slices.ContainsFunc(r.templates, func(template *regexp.Regexp) bool {
		return slices.ContainsFunc(forms, template.MatchString)
	})
}

func newRequirements(s *settings, declared []Requirement) requirements {
	reqs := requirements{
		declared:       declared,
		scopes:         s.RequiredScopes,
		byOperation:    make(map[operation][]Requirement),
		broader:        broaderScopes(s.ImpliedScopes),
		denyUndeclared: s.DenyUndeclared,
	}
	if !s.Default.isZero() {
		reqs.undeclared = []Requirement{{Require: s.Default}}
	}
	for _, r := range declared {
		reqs.public = reqs.public || r.Public
		if r.Resource != "" || r.ResourceTemplate != "" {
			reqs.resources = append(reqs.resources, newResourceRequirement(r))
			continue
		}
		op := r.operation()
		reqs.byOperation[op] = append(reqs.byOperation[op], r)
	}
	return reqs
}

// none reports whether no operation has requirements of its own.
func (reqs *requirements) none() bool {
	return len(reqs.declared) == 0 && len(reqs.undeclared) == 0 && !reqs.denyUndeclared
}

// of returns the requirements for op: those that name it, or else the default.
func (reqs *requirements) of(op operation) []Requirement {
	if named := reqs.naming(op); len(named) > 0 || !op.isCovered() {
		return named
	}
	return reqs.undeclared
}

// naming returns the requirements that name op.
func (reqs *requirements) naming(op operation) []Requirement {
	if op.method != methodReadResource {
		return reqs.byOperation[op]
	}
	var out []Requirement
	var forms []string // of the text of a template, to which those of overlapping templates apply
	if reqs.isTemplate(op.name) {
		forms, _ = uriForms(op.name, true)
	}
	for i := range reqs.resources {
		if r := &reqs.resources[i]; r.matches(op.name) || forms != nil && r.reachedBy(forms) {
			out = append(out, reqs.resources[i].Requirement)
		}
	}
	return out
}

// isTemplate reports whether text is the text of a template that a requirement names, as in
// completions.
func (reqs *requirements) isTemplate(text string) bool {
	return strings.IndexByte(text, '{') >= 0 &&
		slices.ContainsFunc(reqs.resources, func(r resourceRequirement) bool { return r.ResourceTemplate == text })
}

// checkSpelling returns an error if op names a resource in a spelling that may reach
// requirements which do not apply to it as written.
func (reqs *requirements) checkSpelling(ops []operation) error {
	if len(reqs.resources) == 0 {
		return nil
	}
	for _, op := range ops {
		if op.method != methodReadResource || reqs.isTemplate(op.name) {
			continue
		}
		forms, ok := uriForms(op.name, true)
		if !ok {
			return fmt.Errorf("URI %s is longer than %d bytes or percent-encoded more than %d times",
				quote.String(op.name), maxResourceURI, maxDecodings-1)
		}
		for i := range reqs.resources {
			if r := &reqs.resources[i]; !r.matches(op.name) && r.reachedBy(forms) {
				return fmt.Errorf("URI %s is another spelling of %s", quote.String(op.name), r.names()[0])
			}
		}
	}
	return nil
}

// broaderScopes inverts [Config.ImpliedScopes], transitively: it maps each scope to
// every scope that implies it.
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

// apply reports whether op needs a caller: whether there is a requirement for it that is not
// Public, or it is rejected because there is none.
func (reqs *requirements) apply(op operation) bool {
	all := reqs.of(op)
	if len(all) == 0 {
		return reqs.denyUndeclared && op.isCovered()
	}
	return !allPublic(all)
}

// allPublic reports whether there are requirements, and all of them are Public.
func allPublic(all []Requirement) bool {
	return len(all) > 0 && !slices.ContainsFunc(all, func(r Requirement) bool { return !r.Public })
}

// hasScope reports whether the token has the scope or one that implies it.
func (reqs *requirements) hasScope(v *verified, scope string) bool {
	has := func(scope string) bool {
		return v.identity.HasScope(scope) || v.identity.HasScope(v.from.tokenScope(scope))
	}
	return has(scope) || slices.ContainsFunc(reqs.broader[scope], has)
}
