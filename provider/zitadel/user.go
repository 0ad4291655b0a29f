package zitadel

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of a ZITADEL instance, or a service account if
// [gatehouse.Identity].Kind says so. A field is empty if the token has no value for it: only
// opaque tokens have a username, and a name and an email if the client asked for the
// scopes profile and email. Its slices are shared and must not be changed.
type User struct {
	ID            string       `json:"id"`
	Username      string       `json:"username,omitempty"`
	Name          string       `json:"name,omitempty"`
	Email         string       `json:"email,omitempty"`
	EmailVerified bool         `json:"emailVerified,omitempty"`
	Roles         []string     `json:"roles,omitempty"` // in the project of the server
	Organization  Organization `json:"organization,omitzero"`
}

// Organization is the organization that the user belongs to. It is empty unless the client
// asked for the scope [OrganizationScope].
type Organization struct {
	ID            string `json:"id,omitempty"`
	Name          string `json:"name,omitempty"`
	PrimaryDomain string `json:"primaryDomain,omitempty"`
}

// UserOf returns the user as the caller's access token, or ZITADEL's answer about it,
// describes it. ok is false if the request did not come through a guard, and for the
// callers of another provider.
func UserOf(req mcp.Request) (user User, ok bool) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok || id.Provider != name {
		return User{}, false
	}
	return userOf(id), true
}

func userOf(id gatehouse.Identity) User {
	user := User{
		ID:    id.Subject,
		Roles: id.Roles,
		Organization: Organization{
			ID:            id.Organization.ID,
			Name:          id.Organization.Name,
			PrimaryDomain: id.Organization.Slug,
		},
	}
	var claims struct {
		Username      string `json:"username"`
		Name          string `json:"name"`
		Email         string `json:"email"`
		EmailVerified bool   `json:"email_verified"`
	}
	if err := id.Claims(&claims); err == nil {
		user.Username, user.Name = claims.Username, claims.Name
		user.Email, user.EmailVerified = claims.Email, claims.EmailVerified
	}
	return user
}
