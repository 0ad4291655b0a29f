package gatehouse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// Requirement is what a caller must hold for one operation: all of what is set.
// Set exactly one of Tool, Prompt and Resource.
type Requirement struct {
	Tool     string // name of a tool, for tools/call
	Prompt   string // name of a prompt, for prompts/get and completions of its arguments
	Resource string // URI of a resource, for resources/read, subscriptions and completions

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
	if len(n.base) == 0 && len(n.of) == 0 {
		return nil
	}
	if err := n.denies(id, ops...); err != nil {
		return &Rejection{Reason: reason.InsufficientPermission, Err: err, Identity: *id}
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
		return &Rejection{Reason: reason.InsufficientScope, Err: &scopeError{wanted, missing, id.Scopes}, Identity: *id}
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
	if r.Method != http.MethodPost || r.Body == nil || r.Body == http.NoBody {
		return g.needs.lacks(&c.identity)
	}
	limitBody(w, r)
	if len(g.needs.of) == 0 {
		return g.needs.lacks(&c.identity)
	}
	body, err := io.ReadAll(r.Body)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return &Rejection{Reason: reason.BodyTooLarge, Err: err, Identity: c.identity}
	} else if err != nil {
		return &Rejection{Reason: reason.BodyUnreadable, Err: err, Identity: c.identity}
	}
	r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	ops, err := operations(body)
	if err != nil {
		return &Rejection{Reason: reason.BodyMalformed, Err: err, Identity: c.identity}
	}
	return g.needs.lacks(&c.identity, ops...)
}
