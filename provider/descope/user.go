package descope

import (
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of a Descope project. A field is empty if the token has no value for it. Its slices
// are shared and must not be changed.
type User struct {
	ID    string // "U…"
	Email string
	Name  string

	// Tenant is the ID of the current tenant, "T…". Tenants are the IDs of all tenants of
	// the user in the token.
	Tenant  string
	Tenants []string

	// Roles and Permissions are those of the project. The roles of the current tenant are
	// among Roles, and its permissions are TenantPermissions.
	Roles, Permissions []string
	TenantPermissions  []string
}

// tenants are the claims about the tenants of a user.
type tenants struct {
	Current string `json:"dct"`
	All     map[string]struct {
		Roles       []string `json:"roles"`
		Permissions []string `json:"permissions"`
	} `json:"tenants"`
}

// tenantsOf returns the tenants of the caller. A JWT template can write other types, which count as
// none: the caller then has fewer rights.
func tenantsOf(id *gatehouse.Identity) tenants {
	var t tenants
	if err := id.Claims(&t); err != nil {
		return tenants{}
	}
	return t
}

// profile are claims that a JWT template can add.
type profile struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

// UserOf returns the user as the caller's access token describes it. ok is false if the request
// did not come through a guard, as on stdio and in-memory transports, or if the caller is from
// another provider.
func UserOf(req mcp.Request) (user User, ok bool) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return User{}, false
	}
	return userOf(id)
}

func userOf(id gatehouse.Identity) (user User, ok bool) {
	if id.Provider != name {
		return User{}, false
	}
	var p profile
	if err := id.Claims(&p); err != nil {
		p = profile{} // one has another type; access tokens need not have any
	}
	user = User{
		ID:                id.Subject,
		Email:             p.Email,
		Name:              p.Name,
		Tenant:            id.Organization.ID,
		Roles:             id.Roles,
		Permissions:       id.Permissions,
		TenantPermissions: id.Organization.Permissions,
	}
	user.Tenants = slices.Sorted(maps.Keys(tenantsOf(&id).All))
	return user, true
}

// complete is the Complete function of the provider: it sets the current tenant, with the roles
// and permissions that the user has there, and the kind.
func complete(id *gatehouse.Identity) error {
	if isAccessKey(id.Subject) {
		id.Kind = gatehouse.KindMachine
	}
	t := tenantsOf(id)
	tenant := t.Current
	if names := slices.Sorted(maps.Keys(t.All)); tenant == "" && len(names) == 1 {
		tenant = names[0]
	}
	if tenant == "" {
		return nil
	}
	access := t.All[tenant]
	id.Organization = gatehouse.Organization{ID: tenant, Permissions: access.Permissions}
	id.Roles = append(slices.Clone(id.Roles), access.Roles...)
	return nil
}

// isAccessKey reports whether subject is the ID of an access key: "K" and 27 letters and digits.
func isAccessKey(subject string) bool {
	alphanumeric := func(r rune) bool {
		return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	return len(subject) >= shortIDLength && strings.HasPrefix(subject, "K") &&
		!strings.ContainsFunc(subject, func(r rune) bool { return !alphanumeric(r) })
}
