package stytch

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of a consumer project, or a member of an organization of a B2B project. A field is
// empty if the token has no value for it.
type User struct {
	ID               string // "user-…" or "member-…"
	OrganizationID   string // "organization-…"; B2B only
	OrganizationSlug string // B2B only
	Email            string // only if a custom claim adds it
	Name             string // only if a custom claim adds it
}

// claims are custom claims with the names of OpenID Connect.
type claims struct {
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
	var c claims
	if err := id.Claims(&c); err != nil {
		c = claims{} // one has another type; access tokens need not have any
	}
	user = User{
		ID:               id.Subject,
		OrganizationID:   id.Organization.ID,
		OrganizationSlug: id.Organization.Slug,
		Email:            c.Email,
		Name:             c.Name,
	}
	return user, true
}
