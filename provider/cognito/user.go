package cognito

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of a Cognito user pool, or with [Config].AllowMachines an app client that acts
// for itself, as an access token describes it. A field is empty if the token has no value for it.
// Access tokens have no email and no name, unless a pre token generation Lambda function adds them
// as claims, which [gatehouse.Identity.Claims] reads. Its slices are shared and must not be
// changed.
type User struct {
	ID       string // the claim sub, a UUID that never changes
	Username string // the name with which the user signs in; for federated users, the provider and its ID
	Groups   []string
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
		Username string `json:"username"`
	}
	if err := id.Claims(&c); err != nil {
		c.Username = "" // has another form; tokens of Cognito do not
	}
	return User{ID: id.Subject, Username: c.Username, Groups: id.Roles}
}
