package gatehouse

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// Requirement is what a caller must have to use one tool, prompt or resource: everything
// that is set. Set exactly one of Tool, Prompt and Resource. If several requirements name
// the same operation, all of them apply.
type Requirement struct {
	Tool     string // name of a tool, for tools/call
	Prompt   string // name of a prompt, for prompts/get and completions of its arguments
	Resource string // URI of a resource, for resources/read, subscriptions and completions

	Scopes       []string // scopes of the token
	Roles        []string // roles of the user, or of the user in the organization
	Permissions  []string // permissions of the user, or of the user in the organization
	Organization bool     // whether the token must be for an organization
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
		f.add(field, r.Tool+r.Prompt+r.Resource, "requires nothing",
			"set Scopes, Roles, Permissions or Organization, or remove the requirement")
	}
	for _, scope := range r.Scopes {
		if !validScope(scope) {
			f.add(field+".Scopes", scope, "is not a scope", fixScope)
		}
	}
}

func (r Requirement) operation() operation {
	switch {
	case r.Tool != "":
		return operation{methodCallTool, r.Tool}
	case r.Prompt != "":
		return operation{methodGetPrompt, r.Prompt}
	}
	return operation{methodReadResource, r.Resource}
}

// missingPermission returns an error if id lacks a role, a permission or an organization. A
// missing organization is not an error if the client can ask for the scope with which a
// user chooses one.
func (r Requirement) missingPermission(id *Identity, organizationScope string) error {
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
	scopes            []string // scopes that every request requires
	byOperation       map[operation][]Requirement
	broader           map[string][]string // scope to the scopes that imply it
	organizationScope string
}

func newRequirements(s *settings) requirements {
	reqs := requirements{
		scopes:            s.RequiredScopes,
		byOperation:       make(map[operation][]Requirement),
		broader:           broaderScopes(s.ImpliedScopes),
		organizationScope: s.Provider.OrganizationScope,
	}
	for _, r := range s.Requirements {
		op := r.operation()
		reqs.byOperation[op] = append(reqs.byOperation[op], r)
	}
	return reqs
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
func (reqs *requirements) apply(op operation) bool { return len(reqs.byOperation[op]) > 0 }

// hasScope reports whether id has the scope or one that implies it.
func (reqs *requirements) hasScope(id *Identity, scope string) bool {
	return id.HasScope(scope) || slices.ContainsFunc(reqs.broader[scope], id.HasScope)
}

// scopeError says which scopes an operation needs, and which of them the token lacks.
type scopeError struct{ needed, missing, granted []string }

func (e *scopeError) Error() string {
	return fmt.Sprintf("token has scopes %q, the operation also needs %q", e.granted, e.missing)
}

// authorize returns a rejection that names everything that id lacks for the operations, or
// nil. Scopes are checked last: if a permission is missing as well, asking the user for
// more scopes would not help.
func (reqs *requirements) authorize(id *Identity, ops ...operation) *Rejection {
	if len(reqs.scopes) == 0 && len(reqs.byOperation) == 0 {
		return nil
	}
	if err := reqs.missingPermission(id, ops...); err != nil {
		return &Rejection{Reason: reason.InsufficientPermission, Err: err, Identity: *id}
	}
	needed := slices.Clone(reqs.scopes)
	for _, op := range ops {
		for _, r := range reqs.byOperation[op] {
			needed = union(needed, r.Scopes)
			if r.Organization && id.Organization.ID == "" {
				needed = union(needed, []string{reqs.organizationScope})
			}
		}
	}
	missing := slices.DeleteFunc(slices.Clone(needed), func(scope string) bool { return reqs.hasScope(id, scope) })
	if len(missing) > 0 {
		return &Rejection{Reason: reason.InsufficientScope, Err: &scopeError{needed, missing, id.Scopes}, Identity: *id}
	}
	return nil
}

// missingPermission returns an error for the first operation for which id lacks something
// that another scope would not provide.
func (reqs *requirements) missingPermission(id *Identity, ops ...operation) error {
	for _, op := range ops {
		for _, r := range reqs.byOperation[op] {
			if err := r.missingPermission(id, reqs.organizationScope); err != nil {
				return fmt.Errorf("%s %q %w", op.method, op.name, err)
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
		return g.requirements.authorize(&c.identity)
	}
	if len(g.requirements.byOperation) == 0 {
		return g.requirements.authorize(&c.identity)
	}
	body, rejection := readBody(r, c)
	if rejection != nil {
		return rejection
	}
	ops, err := operations(body)
	if err != nil {
		return &Rejection{Reason: reason.BodyMalformed, Err: err, Identity: c.identity}
	}
	return g.requirements.authorize(&c.identity, ops...)
}
