package gatehouse

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/yosida95/uritemplate/v3"
)

// Requirement is what a caller must have to use one tool, prompt, resource or resource
// template: everything that is set. Set exactly one of Tool, Prompt, Resource and
// ResourceTemplate. If several requirements name the same operation, all of them apply.
//
// A request is rejected with the reason "resource_spelling" if its URI is not written as the
// resource was declared (but with percent-encoding, dot segments, or another case of scheme
// or host, for example), and the server behind the guard may read it as a resource that has
// other requirements. This includes a query that the requirement does not have; to accept
// one, use a ResourceTemplate such as "notes://list{?page}".
type Requirement struct {
	Tool     string // name of a tool, for tools/call
	Prompt   string // name of a prompt, for prompts/get and completions of its arguments
	Resource string // URI of a resource, for resources/read, subscriptions and completions

	// ResourceTemplate is a URI template (RFC 6570), such as "notes://{name}". The
	// requirement applies to every URI that it matches, as go-sdk matches templates, and to
	// completions of its arguments.
	ResourceTemplate string

	Scopes       []string // scopes of the token
	Roles        []string // roles of the user, or of the user in the organization
	Permissions  []string // permissions of the user, or of the user in the organization
	Organization bool     // whether the token must be for an organization
	Person       bool     // whether the caller must be a user and not a machine; see [Provider.AllowMachines]
}

// maxResourceTemplate bounds [Requirement.ResourceTemplate], in bytes. A template of any
// length could have more variables than a regular expression can repeat.
const maxResourceTemplate = 1024

// names returns the operations that r names: `tool "a"`. There is one in a valid
// requirement.
func (r Requirement) names() []string {
	var names []string
	for _, named := range []struct{ kind, name string }{
		{"tool", r.Tool}, {"prompt", r.Prompt}, {"resource", r.Resource}, {"resource template", r.ResourceTemplate},
	} {
		if named.name != "" {
			names = append(names, named.kind+" "+quote.String(named.name))
		}
	}
	return names
}

func (r Requirement) validate(field string, providers []Provider, f *faults) {
	names := r.names()
	switch {
	case len(names) == 0:
		f.add(field, "", "names no operation", "set one of Tool, Prompt, Resource and ResourceTemplate")
	case len(names) > 1:
		f.add(field, "", "names "+strings.Join(names, " and "), "write one requirement for each of them")
	}
	subject := "requires nothing"
	if len(names) == 1 {
		subject = "requires nothing for " + names[0]
	}
	if len(r.Scopes)+len(r.Roles)+len(r.Permissions) == 0 && !r.Organization && !r.Person {
		f.add(field, "", subject, "set Scopes, Roles, Permissions, Organization or Person, or remove the requirement")
	}
	for _, scope := range r.Scopes {
		f.addScope(field+".Scopes", scope)
	}
	if strings.ContainsAny(r.Resource, "{}") {
		f.add(field+".Resource", r.Resource, "is a URI template", "set ResourceTemplate instead of Resource")
	} else if _, ok := uriForms(r.Resource, false); !ok {
		f.add(field+".Resource", quote.Clip(r.Resource, quote.MaxBytes), "is too long or has too many layers of percent-encoding",
			"write the URI as the server registers it; the limit is "+strconv.Itoa(maxResourceURI)+" bytes")
	}
	r.validateTemplate(field+".ResourceTemplate", f)
	r.validateSupply(field, providers, f)
}

func (r Requirement) validateTemplate(field string, f *faults) {
	if r.ResourceTemplate == "" {
		return
	}
	if len(r.ResourceTemplate) > maxResourceTemplate {
		f.add(field, "", fmt.Sprintf("is %d bytes long, want at most %d", len(r.ResourceTemplate), maxResourceTemplate),
			"use a shorter template")
		return
	}
	template, err := uritemplate.New(r.ResourceTemplate)
	switch {
	case err != nil:
		f.add(field, r.ResourceTemplate, "is not a URI template", `write it like "notes://{name}" (RFC 6570)`)
	case len(template.Varnames()) == 0:
		f.add(field, r.ResourceTemplate, "has no variables", "set Resource instead of ResourceTemplate")
	}
}

// validateSupply reports what r requires although no token of any provider can ever have
// it. Such a requirement would reject every caller.
func (r Requirement) validateSupply(field string, providers []Provider, f *faults) {
	var labels []string
	for i := range providers {
		if p := &providers[i]; p.Err != nil || p.Issuer == "" {
			return // the provider itself is a fault
		}
		labels = append(labels, providers[i].label())
	}
	check := func(required bool, field, what, flag string, can, never func(*Provider) bool) {
		if !required || slices.ContainsFunc(providers, func(p Provider) bool { return can(&p) }) {
			return
		}
		fix := "require Scopes, check them in the tool, name their claim in Provider.Claims, or set Provider.Complete to a function " +
			"that adds them to the identity"
		if slices.ContainsFunc(providers, func(p Provider) bool { return never(&p) }) {
			fix += ", and Provider." + flag + " to false"
		}
		f.add(field, "", "requires "+what+", which the access tokens of "+strings.Join(labels, " and ")+" never contain", fix)
	}
	check(len(r.Roles) > 0, field+".Roles", "roles", "NoRoles",
		(*Provider).canHaveRoles, func(p *Provider) bool { return p.NoRoles })
	check(len(r.Permissions) > 0, field+".Permissions", "permissions", "NoPermissions",
		(*Provider).canHavePermissions, func(p *Provider) bool { return p.NoPermissions })
	check(r.Organization, field+".Organization", "an organization", "NoOrganizations",
		(*Provider).canHaveOrganizations, func(p *Provider) bool { return p.NoOrganizations })
}

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

// missingPermission returns an error if id is of the wrong kind, or lacks a role, a permission
// or an organization. A missing organization is not an error if the client can ask for the
// scope with which a user chooses one.
func (r Requirement) missingPermission(id *Identity, organizationScope string) error {
	if r.Person && id.Kind != KindUser {
		return errors.New("requires a user, and the caller is a machine")
	}
	canAsk := organizationScope != "" && !id.HasScope(organizationScope)
	if r.Organization && id.Organization.ID == "" && !canAsk {
		return errors.New("requires an active organization")
	}
	for _, role := range r.Roles {
		if !slices.Contains(id.Roles, role) && id.Organization.Role != role {
			return fmt.Errorf("requires role %q", role)
		}
	}
	for _, permission := range r.Permissions {
		if !slices.Contains(id.Permissions, permission) && !slices.Contains(id.Organization.Permissions, permission) {
			return fmt.Errorf("requires permission %q", permission)
		}
	}
	return nil
}

// requirements are [Config.Requirements] by operation, with what applies to all of them.
type requirements struct {
	scopes      []string // scopes that every request requires
	byOperation map[operation][]Requirement
	resources   []resourceRequirement // those that name a resource or a template
	broader     map[string][]string   // scope to the scopes that imply it
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

func newRequirements(s *settings) requirements {
	reqs := requirements{
		scopes:      s.RequiredScopes,
		byOperation: make(map[operation][]Requirement),
		broader:     broaderScopes(s.ImpliedScopes),
	}
	for _, r := range s.Requirements {
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
func (reqs *requirements) none() bool { return len(reqs.byOperation) == 0 && len(reqs.resources) == 0 }

// of returns the requirements for op.
func (reqs *requirements) of(op operation) []Requirement {
	if op.method != methodReadResource {
		return reqs.byOperation[op]
	}
	var out []Requirement
	for i := range reqs.resources {
		if reqs.resources[i].matches(op.name) {
			out = append(out, reqs.resources[i].Requirement)
		}
	}
	return out
}

// checkSpelling returns an error if op names a resource in a spelling that may reach
// requirements which do not apply to it as written.
func (reqs *requirements) checkSpelling(ops []operation) error {
	if len(reqs.resources) == 0 {
		return nil
	}
	for _, op := range ops {
		if op.method != methodReadResource {
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

// apply reports whether there is a requirement for op.
func (reqs *requirements) apply(op operation) bool { return len(reqs.of(op)) > 0 }

// hasScope reports whether the token has the scope or one that implies it.
func (reqs *requirements) hasScope(v *verified, scope string) bool {
	has := func(scope string) bool {
		return v.identity.HasScope(scope) || v.identity.HasScope(v.from.tokenScope(scope))
	}
	return has(scope) || slices.ContainsFunc(reqs.broader[scope], has)
}

// scopeError says which scopes an operation needs, and which of them the token lacks.
type scopeError struct{ needed, missing, granted []string }

func (e *scopeError) Error() string {
	return fmt.Sprintf("the operation needs %q, which the token lacks; it has scopes %q", e.missing, e.granted)
}

// authorize returns a rejection that names everything that the caller lacks for the operations, or
// nil. Scopes are checked last: if a permission is missing as well, asking the user for
// more scopes would not help.
func (reqs *requirements) authorize(v *verified, ops ...operation) *Rejection {
	id := &v.identity
	if len(reqs.scopes) == 0 && reqs.none() {
		return nil
	}
	if err := reqs.checkSpelling(ops); err != nil {
		return &Rejection{Reason: reason.ResourceSpelling, Err: err, Identity: *id}
	}
	if err := reqs.missingPermission(v, ops...); err != nil {
		return &Rejection{Reason: reason.InsufficientPermission, Err: err, Identity: *id}
	}
	needed := slices.Clone(reqs.scopes)
	for _, op := range ops {
		for _, r := range reqs.of(op) {
			needed = union(needed, r.Scopes)
			if r.Organization && id.Organization.ID == "" {
				needed = union(needed, []string{v.from.OrganizationScope})
			}
		}
	}
	missing := slices.DeleteFunc(slices.Clone(needed), func(scope string) bool { return reqs.hasScope(v, scope) })
	if len(missing) > 0 {
		return &Rejection{Reason: reason.InsufficientScope, Err: &scopeError{needed, missing, id.Scopes}, Identity: *id}
	}
	return nil
}

// missingPermission returns an error for the first operation for which the caller lacks
// something that another scope would not provide.
func (reqs *requirements) missingPermission(v *verified, ops ...operation) error {
	for _, op := range ops {
		for _, r := range reqs.of(op) {
			if err := r.missingPermission(&v.identity, v.from.OrganizationScope); err != nil {
				return fmt.Errorf("%s %s %w", op.method, quote.String(op.name), err)
			}
		}
	}
	return nil
}

// authorize is check 8: it returns a rejection if c lacks something for the operations in
// the body. Headers that name the method are not used: servers compare them with the body
// in the newest MCP revision only.
func (g *Guard) authorize(r *http.Request, c *caller) *Rejection {
	if r.Method != http.MethodPost || r.Body == nil || r.Body == http.NoBody {
		return g.requirements.authorize(&c.verified)
	}
	body, rejection := readBody(r, c)
	if rejection != nil {
		return rejection
	}
	if g.requirements.none() {
		if isBatch(body) && errors.Is(checkBatchLength(body), errTooManyOperations) {
			return &Rejection{Reason: reason.BodyTooLarge, Err: errTooManyOperations, Identity: c.identity}
		}
		return g.requirements.authorize(&c.verified)
	}
	ops, err := operations(body)
	if errors.Is(err, errTooManyOperations) {
		return &Rejection{Reason: reason.BodyTooLarge, Err: err, Identity: c.identity}
	}
	if err != nil {
		return &Rejection{Reason: reason.BodyMalformed, Err: err, Identity: c.identity}
	}
	return g.requirements.authorize(&c.verified, ops...)
}
