package google

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user with a Google account, as Google's tokeninfo endpoint describes the access
// token. It returns no name.
type User struct {
	ID            string // a number that never changes: the account
	Email         string // only with the scope userinfo.email; it can change
	EmailVerified bool
}

// UserOf returns the user as Google described the caller's access token. ok is false if the
// request did not come through a guard, as on stdio and in-memory transports, or if the caller
// signed in with another provider.
func UserOf(req mcp.Request) (user User, ok bool) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok || id.Provider != name {
		return User{}, false
	}
	return userOf(id), true
}

func userOf(id gatehouse.Identity) User {
	var c struct {
		Email         string `json:"email"`
		EmailVerified bool   `json:"email_verified"`
	}
	if err := id.Claims(&c); err != nil {
		c.Email, c.EmailVerified = "", false // claims of this package have no other form
	}
	return User{ID: id.Subject, Email: c.Email, EmailVerified: c.EmailVerified}
}
