package localclerk

import (
	"cmp"
	"slices"
	"strings"
)

// The roles of a new Clerk instance.
const (
	RoleAdmin  = "org:admin"
	RoleMember = "org:member"
)

// User is an account. It needs an Email or a Username.
type User struct {
	// ID is "user_" and 27 letters and digits. Empty means an ID derived from
	// Username or Email, which is the same at every start.
	ID string

	Username  string
	Email     string
	FirstName string
	LastName  string

	// EmailUnverified sets the claim email_verified to false.
	EmailUnverified bool

	// ImageURL is the picture claim. If empty, there is no such claim.
	ImageURL string

	PublicMetadata  map[string]any
	PrivateMetadata map[string]any
	UnsafeMetadata  map[string]any

	// Banned accounts exist but cannot sign in. The server rejects their tokens
	// in every request that it receives; a JWT still verifies offline.
	Banned bool
}

// Name returns the first and last name, or else the username, or else the email
// address.
func (u User) Name() string {
	return cmp.Or(strings.TrimSpace(u.FirstName+" "+u.LastName), u.Username, u.Email)
}

// claims returns the claims of userinfo and ID tokens that the scopes include
// (OpenID Connect Core 1.0 section 5.4).
func (u User) claims(scopes []string) map[string]any {
	claims := map[string]any{}
	set := func(name, value string) {
		if value != "" {
			claims[name] = value
		}
	}
	if slices.Contains(scopes, ScopeProfile) {
		set("name", strings.TrimSpace(u.FirstName+" "+u.LastName))
		set("given_name", u.FirstName)
		set("family_name", u.LastName)
		set("username", u.Username)
		set("preferred_username", u.Username)
		set("picture", u.ImageURL)
	}
	if slices.Contains(scopes, ScopeEmail) && u.Email != "" {
		claims["email"] = u.Email
		claims["email_verified"] = !u.EmailUnverified
	}
	if slices.Contains(scopes, ScopePublicMetadata) {
		claims["public_metadata"] = orEmpty(u.PublicMetadata)
		claims["unsafe_metadata"] = orEmpty(u.UnsafeMetadata)
	}
	if slices.Contains(scopes, ScopePrivateMetadata) {
		claims["private_metadata"] = orEmpty(u.PrivateMetadata)
	}
	return claims
}

// Organization is a group of users.
type Organization struct {
	// ID is "org_" and 27 letters and digits. Empty means an ID derived from
	// Slug, which is the same at every start.
	ID string

	Name string

	// Slug is the name in URLs. Empty means Name in lower case with hyphens.
	Slug string

	Members []Membership
}

func (o Organization) member(userID string) (Membership, bool) {
	i := slices.IndexFunc(o.Members, func(m Membership) bool { return m.User == userID })
	if i < 0 {
		return Membership{}, false
	}
	return o.Members[i], true
}

// Membership is the membership of one user in an organization.
type Membership struct {
	// User is the user's ID, Username or Email.
	User string

	// Role is a role key such as "org:admin". Empty means RoleMember.
	Role string

	// Permissions are permission keys such as "org:notes:read".
	Permissions []string
}

// SeedUsers returns the accounts of a Server if Config.Users is nil. Their IDs are
// always the same. Katherine Johnson is not a member of any organization.
func SeedUsers() []User {
	return []User{
		{Username: "ada", Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace"},
		{Username: "grace", Email: "grace@example.com", FirstName: "Grace", LastName: "Hopper"},
		{Username: "alan", Email: "alan@example.com", FirstName: "Alan", LastName: "Turing"},
		{Username: "katherine", Email: "katherine@example.com", FirstName: "Katherine", LastName: "Johnson"},
	}
}

// SeedOrganizations returns the organizations of the users of SeedUsers.
func SeedOrganizations() []Organization {
	return []Organization{
		{Name: "Analytical Engines", Slug: "analytical-engines", Members: []Membership{
			{User: "ada", Role: RoleAdmin},
			{User: "grace", Role: RoleMember},
		}},
		{Name: "Bombe Works", Slug: "bombe-works", Members: []Membership{
			{User: "alan", Role: RoleAdmin},
			{User: "ada", Role: RoleMember},
		}},
	}
}

// Users returns all users, with their IDs filled in. The caller must not change
// the maps in them.
func (s *Server) Users() []User { return slices.Clone(s.currentDirectory().users) }

// Organizations returns all organizations. IDs, slugs and roles are filled in, and
// each Membership.User is an ID. The caller must not change the members.
func (s *Server) Organizations() []Organization {
	return slices.Clone(s.currentDirectory().organizations)
}

// SetUsers replaces all users and organizations. From then on the server rejects
// the tokens of users that were removed or banned. The caller must not change
// the maps and slices that it passed. If they are invalid, SetUsers returns an
// error and changes nothing.
func (s *Server) SetUsers(users []User, organizations []Organization) error {
	dir, err := newDirectory(users, organizations)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.directory = dir
	return nil
}

// RevokeUser revokes all authorization codes, refresh tokens and opaque access
// tokens of one user. The user is named by ID, username, email address or first
// name. As at Clerk, JWT access tokens cannot be revoked.
func (s *Server) RevokeUser(name string) error {
	user, err := s.currentDirectory().findUser(name)
	if err != nil {
		return err
	}
	s.store.revokeUser(user.ID)
	return nil
}

func orEmpty(metadata map[string]any) map[string]any {
	if metadata == nil {
		return map[string]any{}
	}
	return metadata
}
