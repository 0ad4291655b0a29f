package betterauth

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of a Better Auth server, or a client if [gatehouse.Identity].Kind says so.
// Only ID and SessionID are in every token of a user. The other fields are those that
// customAccessTokenClaims of the server adds under the names in the comments; without it
// they are empty. Its slices are shared and must not be changed.
type User struct {
	ID             string   `json:"id"`
	SessionID      string   `json:"sessionId,omitempty"`
	Email          string   `json:"email,omitempty"`          // email
	EmailVerified  bool     `json:"emailVerified,omitempty"`  // email_verified
	Name           string   `json:"name,omitempty"`           // name
	Picture        string   `json:"picture,omitempty"`        // picture: a URL
	Anonymous      bool     `json:"anonymous,omitempty"`      // is_anonymous or isAnonymous
	Roles          []string `json:"roles,omitempty"`          // roles
	Permissions    []string `json:"permissions,omitempty"`    // permissions
	OrganizationID string   `json:"organizationId,omitempty"` // see [Config].OrganizationClaim
}

// UserOf returns the user as the caller's access token describes it. ok is false if the
// request did not come through a guard, and for the callers of another provider.
func UserOf(req mcp.Request) (user User, ok bool) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok || id.Provider != name {
		return User{}, false
	}
	return userOf(id), true
}

func userOf(id gatehouse.Identity) User {
	user := User{
		ID:             id.Subject,
		Roles:          id.Roles,
		Permissions:    id.Permissions,
		OrganizationID: id.Organization.ID,
	}
	var claims struct {
		SessionID     string `json:"sid"`
		Email         string `json:"email"`
		EmailVerified bool   `json:"email_verified"`
		Name          string `json:"name"`
		Picture       string `json:"picture"`
		Anonymous     bool   `json:"is_anonymous"`
		AnonymousToo  bool   `json:"isAnonymous"`
	}
	if err := id.Claims(&claims); err != nil {
		return user // one has another type; the server decides what it adds
	}
	user.SessionID, user.Email, user.EmailVerified = claims.SessionID, claims.Email, claims.EmailVerified
	user.Name, user.Picture = claims.Name, claims.Picture
	user.Anonymous = claims.Anonymous || claims.AnonymousToo
	return user
}
