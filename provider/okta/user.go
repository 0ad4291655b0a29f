package okta

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of an Okta org, or with [Config].AllowMachines a service, as an access token
// describes it. A field is empty if the token has no value for it. Its slices are shared and must
// not be changed.
type User struct {
	// ID is the claim uid, "00u…": the user's ID in Okta, which never changes. It is empty for a
	// service.
	ID string

	// Login is the claim sub: the username, usually an email address. It can change, and another
	// user can get it later.
	Login string

	// Email and Name are set only if the authorization server has claims for them (Security → API
	// → the authorization server → Claims).
	Email, Name string

	// Groups are the groups of the user, if the authorization server has a groups claim. See
	// [Config].GroupsClaim. They are the roles of the identity too.
	Groups []string
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
		ID    string `json:"uid"`
		Email string `json:"email"`
		Name  string `json:"name"`
	}
	if err := id.Claims(&c); err != nil {
		// A claim that an administrator added has another form, but uid is Okta's own.
		c.Email, c.Name = "", ""
	}
	return User{ID: c.ID, Login: id.Subject, Email: c.Email, Name: c.Name, Groups: id.Roles}
}
