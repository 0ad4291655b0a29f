package gatehouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

var errNoOrganization = errors.New("requires an active organization")

// missingPermission returns an error if id is of the wrong kind, or lacks a role, a permission
// or an organization. A missing organization is not an error if the client can ask for one.
func (r *Require) missingPermission(id *Identity, canAskForOrganization bool) error {
	if r.Person && id.Kind != KindUser {
		return errors.New("requires a user, and the caller is a machine")
	}
	if r.Organization && id.Organization.ID == "" && !canAskForOrganization {
		return errNoOrganization
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

// scopeError says which scopes an operation needs, and which of them the token lacks.
type scopeError struct{ needed, missing, granted []string }

func (e *scopeError) Error() string {
	return fmt.Sprintf("the operation needs %q, which the token lacks; it has scopes %q", e.missing, e.granted)
}

// needs returns the scopes that r needs of the caller, including those of the alternative that
// it can meet, or an error if the caller lacks something that a scope would not provide.
func (reqs *requirements) needs(v *verified, r *Require) ([]string, error) {
	// A client that has the scope with which a user chooses an organization has asked already.
	// This is the same look at the token as for the scopes below, so that a caller without an
	// organization always lacks either the scope or a permission.
	scope := v.from.OrganizationScope
	canAsk := scope != "" && !reqs.hasScope(v, scope)
	if err := r.missingPermission(&v.identity, canAsk); err != nil {
		return nil, err
	}
	scopes := r.Scopes
	if r.Organization && v.identity.Organization.ID == "" {
		scopes = union(scopes, []string{scope})
	}
	if len(r.AnyOf) == 0 {
		return scopes, nil
	}
	var nearest []string
	var lacking error
	for i := range r.AnyOf {
		alternative, err := reqs.needs(v, &r.AnyOf[i])
		switch {
		case err != nil:
			lacking = cmp.Or(lacking, err)
		case len(reqs.missingScopes(v, alternative)) == 0:
			return scopes, nil
		case nearest == nil:
			nearest = alternative
		}
	}
	if nearest == nil {
		return nil, fmt.Errorf("meets none of the alternatives; the first %w", lacking)
	}
	return union(scopes, nearest), nil
}

// missingScopes returns those of scopes that the token lacks.
func (reqs *requirements) missingScopes(v *verified, scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return reqs.hasScope(v, scope) })
}

// authorize returns a rejection that names everything that the caller lacks for the operations, or
// nil. Scopes are checked after everything that a scope would not provide: asking the user for
// more of them would not help then.
func (reqs *requirements) authorize(ctx context.Context, v *verified, ops ...operation) *Rejection {
	id := &v.identity
	if len(reqs.scopes) == 0 && reqs.none() {
		return nil
	}
	if err := reqs.checkSpelling(ops); err != nil {
		return &Rejection{Reason: reason.ResourceSpelling, Err: err, Identity: *id}
	}
	needed := slices.Clone(reqs.scopes)
	for _, op := range ops {
		scopes, err := reqs.neededFor(v, op)
		if err != nil {
			why := reason.InsufficientPermission
			if errors.Is(err, errNoOrganization) {
				why = reason.NoOrganization
			}
			return &Rejection{Reason: why, Err: err, Identity: *id}
		}
		needed = union(needed, scopes)
	}
	if missing := reqs.missingScopes(v, needed); len(missing) > 0 {
		return &Rejection{Reason: reason.InsufficientScope, Err: &scopeError{needed, missing, id.Scopes}, Identity: *id}
	}
	return reqs.check(ctx, id, ops)
}

// neededFor returns the scopes that op needs of the caller, or an error if the caller lacks
// something that a scope would not provide.
func (reqs *requirements) neededFor(v *verified, op operation) ([]string, error) {
	all := reqs.of(op)
	if len(all) == 0 && reqs.denyUndeclared && op.isCovered() {
		return nil, fmt.Errorf("%s %s has no requirement, and Config.DenyUndeclared is set", op.method, quote.String(op.name))
	}
	var needed []string
	for _, r := range all {
		scopes, err := reqs.needs(v, &r.Require)
		if err != nil {
			return nil, fmt.Errorf("%s %s %w", op.method, quote.String(op.name), err)
		}
		needed = union(needed, scopes)
	}
	return needed, nil
}

// check calls [Require.Check] of the operations.
func (reqs *requirements) check(ctx context.Context, id *Identity, ops []operation) *Rejection {
	for _, op := range ops {
		for _, r := range reqs.of(op) {
			err := r.callCheck(ctx, *id)
			if err == nil {
				continue
			}
			err = fmt.Errorf("%s %s: Check: %w", op.method, quote.String(op.name), err)
			var undecided interface{ RetryAfter() time.Duration }
			if errors.As(err, &undecided) {
				return &Rejection{Reason: reason.ProviderUnavailable, Err: err, Identity: *id}
			}
			return &Rejection{Reason: reason.InsufficientPermission, Err: err, Identity: *id}
		}
	}
	return nil
}

// callCheck returns the error of Check. A panic is an error: Check may also run in the MCP
// server, where a panic would end the process.
func (r *Require) callCheck(ctx context.Context, id Identity) (err error) {
	if r.Check == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked with a %T", p)
		}
	}()
	return r.Check(ctx, id)
}

// authorize is check 8: it returns a rejection if c lacks something for the operations in
// the body. Headers that name the method are not used: servers compare them with the body
// in the newest MCP revision only. The body counts with every HTTP method, because a handler
// may read it although MCP sends messages with POST only.
func (g *Guard) authorize(r *http.Request, c *caller) *Rejection {
	reqs := &g.policy().requirements
	body, rejection := readBody(r, c)
	if rejection != nil {
		return rejection
	}
	if r.Body == nil || r.Body == http.NoBody || len(body) == 0 && r.Method != http.MethodPost {
		if c.anonymous && r.Method == http.MethodPost {
			return &Rejection{Reason: reason.BodyMalformed, Err: errNotMessage}
		}
		return reqs.authorizeCaller(r.Context(), g, c, nil)
	}
	if reqs.none() {
		if isBatch(body) && errors.Is(checkBatchLength(body), errTooManyOperations) {
			return &Rejection{Reason: reason.BodyTooLarge, Err: errTooManyOperations, Identity: c.identity}
		}
		return reqs.authorize(r.Context(), &c.verified)
	}
	if err := checkEncoding(r.Header); err != nil {
		return &Rejection{Reason: reason.BodyMalformed, Err: err, Identity: c.identity}
	}
	if c.anonymous {
		if err := checkAnonymousBody(body); err != nil {
			return &Rejection{Reason: reason.BodyMalformed, Err: err}
		}
	}
	ops, err := operations(body)
	if errors.Is(err, errTooManyOperations) {
		return &Rejection{Reason: reason.BodyTooLarge, Err: err, Identity: c.identity}
	}
	if err != nil {
		return &Rejection{Reason: reason.BodyMalformed, Err: err, Identity: c.identity}
	}
	return reqs.authorizeCaller(r.Context(), g, c, ops)
}
