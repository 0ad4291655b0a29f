package logto

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of a Logto tenant, or an application if [gatehouse.Identity].Kind says so.
// Logto's access tokens contain nothing else about the user, unless the tenant adds claims
// (Console, Custom JWT): read those with [gatehouse.Identity.Claims].
type User struct {
	ID             string `json:"id"`
	OrganizationID string `json:"organizationId,omitempty"` // that the client asked for
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
	return User{ID: id.Subject, OrganizationID: id.Organization.ID}
}
