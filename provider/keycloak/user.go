package keycloak

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of a realm. A field is empty if the token has no value for it: the client
// scopes profile, email, roles and organization add them. Its slices and maps are shared
// and must not be changed.
type User struct {
	ID            string
	Username      string
	Name          string
	GivenName     string
	FamilyName    string
	Email         string
	EmailVerified bool

	// RealmRoles are the roles of the realm. ClientRoles are the roles of each client, by the
	// ID of the client.
	RealmRoles  []string
	ClientRoles map[string][]string

	// Organizations are those in the token. [gatehouse.Identity].Organization is set if there
	// is exactly one.
	Organizations []Organization
}

// Organization is an organization of a realm.
type Organization struct {
	ID    string // the alias, unless the mapper has the option "Add organization id"
	Alias string
}

// profile are the claims that describe the user.
type profile struct {
	Name          string `json:"name"`
	GivenName     string `json:"given_name"`
	FamilyName    string `json:"family_name"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
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
	var c claims
	if err := id.Claims(&c); err != nil {
		return User{ID: id.Subject}, true // cannot happen: completer has read the same claims
	}
	var p profile
	if err := id.Claims(&p); err != nil {
		p = profile{} // a mapper writes another type
	}
	user = User{
		ID:            id.Subject,
		Username:      c.Username,
		Name:          p.Name,
		GivenName:     p.GivenName,
		FamilyName:    p.FamilyName,
		Email:         p.Email,
		EmailVerified: p.EmailVerified,
		RealmRoles:    id.Roles,
		Organizations: c.Organization,
	}
	for client, access := range c.ResourceAccess {
		if user.ClientRoles == nil {
			user.ClientRoles = make(map[string][]string)
		}
		user.ClientRoles[client] = access.Roles
	}
	return user, true
}
