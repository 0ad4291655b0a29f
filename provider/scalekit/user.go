package scalekit

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of a Scalekit environment, or a client of it if [gatehouse.Identity].Kind
// says so. A field is empty if the token has no value for it. Its slices are shared and
// must not be changed.
type User struct {
	ID             string   `json:"id"`                       // "usr_…"
	OrganizationID string   `json:"organizationId,omitempty"` // "org_…"
	SessionID      string   `json:"sessionId,omitempty"`      // "ses_…"
	Roles          []string `json:"roles,omitempty"`          // in the organization
	Permissions    []string `json:"permissions,omitempty"`
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
		OrganizationID: id.Organization.ID,
		Roles:          id.Roles,
		Permissions:    id.Permissions,
	}
	var claims struct {
		SessionID string `json:"sid"`
	}
	if err := id.Claims(&claims); err == nil {
		user.SessionID = claims.SessionID
	}
	return user
}
