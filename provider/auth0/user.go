package auth0

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of an Auth0 tenant, as an access token describes it. A field is empty if the
// token has no value for it. Auth0 writes no name and no email into access tokens: an Action can
// add them as custom claims, which [gatehouse.Identity.Claims] reads. Its slices are shared and
// must not be changed.
type User struct {
	ID          string   // "auth0|6553da60a54af58e29493993"; the connection is before the bar
	Roles       []string // from Config.RolesClaim
	Permissions []string // of the API, if RBAC and "Add Permissions in the Access Token" are on
	Org         Org
	Agent       string // the agent that acts for the user: sub of the claim act
}

// Org is the organization that the user signed in to. The zero value means none.
type Org struct {
	ID   string // "org_…"
	Name string // if "Allow Organization Names in Authentication API" is on
}

// UserOf returns the user as the caller's access token describes it. ok is false if the request
// did not come through a guard, as on stdio and in-memory transports, or if the caller signed in
// with another provider.
func UserOf(req mcp.Request) (user User, ok bool) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok || id.Provider != name {
		return User{}, false
	}
	return userOf(id), true
}

func userOf(id gatehouse.Identity) User {
	var c struct {
		Actor struct {
			Subject string `json:"sub"`
		} `json:"act"`
	}
	if err := id.Claims(&c); err != nil {
		c.Actor.Subject = "" // act has another form, so that no agent is known
	}
	return User{
		ID:          id.Subject,
		Roles:       id.Roles,
		Permissions: id.Permissions,
		Org:         Org{ID: id.Organization.ID, Name: id.Organization.Name},
		Agent:       c.Actor.Subject,
	}
}
