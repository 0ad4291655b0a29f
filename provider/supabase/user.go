package supabase

import (
	"cmp"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of a Supabase project. A field is empty if the token has no value for it. Users
// can change Name, Username and AvatarURL themselves. Its slices are shared and must not
// be changed.
type User struct {
	ID        string // UUID
	Email     string
	Phone     string
	Name      string
	Username  string
	AvatarURL string

	// Role is the role in the database, usually "authenticated". Roles are those of
	// app_metadata; see [gatehouse.Identity].
	Role  string
	Roles []string

	// AAL is the level of assurance of the sign-in: "aal1", or "aal2" with a second factor.
	AAL string

	// SessionID is the ID of the session that the sign-in created.
	SessionID string

	// Anonymous says that the user has no account; see [Config].AllowAnonymous.
	Anonymous bool
}

// claims are the claims of Supabase Auth beyond the standard ones.
type claims struct {
	Email     string `json:"email"`
	Phone     string `json:"phone"`
	Role      string `json:"role"`
	AAL       string `json:"aal"`
	SessionID string `json:"session_id"`
	Anonymous bool   `json:"is_anonymous"`
}

// metadata is what the user, or the identity provider that the user signed in with, says about
// the user.
type metadata struct {
	UserMetadata struct {
		Name      string `json:"name"`
		FullName  string `json:"full_name"`
		Username  string `json:"username"`
		AvatarURL string `json:"avatar_url"`
	} `json:"user_metadata"`
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
		return User{ID: id.Subject, Roles: id.Roles}, true // cannot happen: complete has read the same claims
	}
	var m metadata
	if err := id.Claims(&m); err != nil {
		m = metadata{} // the user wrote values of other types
	}
	user = User{
		ID:        id.Subject,
		Email:     c.Email,
		Phone:     c.Phone,
		Name:      cmp.Or(m.UserMetadata.Name, m.UserMetadata.FullName),
		Username:  m.UserMetadata.Username,
		AvatarURL: m.UserMetadata.AvatarURL,
		Role:      c.Role,
		Roles:     id.Roles,
		AAL:       c.AAL,
		SessionID: c.SessionID,
		Anonymous: c.Anonymous,
	}
	return user, true
}

// complete is the Complete function of the provider: it adds the level of assurance to the
// permissions.
func complete(id *gatehouse.Identity) error {
	var c claims
	if err := id.Claims(&c); err != nil {
		return err
	}
	if c.AAL != "" {
		id.Permissions = append(id.Permissions, aalPermission+c.AAL)
	}
	return nil
}
