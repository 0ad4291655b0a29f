package workos

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of an AuthKit environment. A field is empty if the token has no value for it.
// Access tokens of AuthKit contain neither name nor email; WorkOS's API has them, by the ID.
type User struct {
	ID             string // "user_…"
	OrganizationID string // "org_…"; the organization that the user chose at consent
	ConsentID      string // "app_consent_…"; the user's grant to the client
	Email          string
	Name           string
}

// claims are the claims of AuthKit beyond the standard ones.
type claims struct {
	ConsentID string `json:"sid"`
	Email     string `json:"email"`
	Name      string `json:"name"`
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
		ID:             id.Subject,
		OrganizationID: id.Organization.ID,
		ConsentID:      c.ConsentID,
		Email:          c.Email,
		Name:           c.Name,
	}
	return user, true
}
