package localclerk

import (
	"cmp"
	"slices"
	"strings"
)

// Roles every Clerk instance starts with.
const (
	RoleAdmin  = "org:admin"
	RoleMember = "org:member"
)

// User is an account. It needs an Email or a Username.
type User struct {
	// ID is "user_" and 27 letters and digits. Empty means one derived from
	// Username or Email, the same at every start.
	ID string

	Username  string
	Email     string
	FirstName string
	LastName  string

	// EmailUnverified makes userinfo say email_verified false.
	EmailUnverified bool

	// ImageURL is the picture claim. Empty means no such claim.
	ImageURL string

	PublicMetadata  map[string]any
	PrivateMetadata map[string]any
	UnsafeMetadata  map[string]any

	// Banned accounts exist but cannot sign in, and their tokens are refused
	// wherever the server itself is asked.
	Banned bool
}

// Name returns first and last name, or what else identifies the user.
func (u User) Name() string {
	return cmp.Or(strings.TrimSpace(u.FirstName+" "+u.LastName), u.Username, u.Email)
}

// claims are those of userinfo and of ID tokens that the scopes open.
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
	// ID is "org_" and 27 letters and digits. Empty means one derived from
	// Slug, the same at every start.
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

// Membership is a user's place in an organization.
type Membership struct {
	// User is the user's ID, Username or Email.
	User string

	// Role is a role key such as "org:admin". Empty means RoleMember.
	Role string

	// Permissions are permission keys such as "org:notes:read".
	Permissions []string
}

// SeedUsers returns the accounts of a Server whose Config names none. Their
// ids are the same everywhere. Katherine Johnson is in no organization.
func SeedUsers() []User {
	return []User{
		{Username: "ada", Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace"},
		{Username: "grace", Email: "grace@example.com", FirstName: "Grace", LastName: "Hopper"},
		{Username: "alan", Email: "alan@example.com", FirstName: "Alan", LastName: "Turing"},
		{Username: "katherine", Email: "katherine@example.com", FirstName: "Katherine", LastName: "Johnson"},
	}
}

// SeedOrganizations returns the organizations that go with SeedUsers.
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

// Users returns the users there are, with the ids they got.
func (s *Server) Users() []User { return slices.Clone(s.currentDirectory().users) }

// Organizations returns the organizations there are, with the ids they got and
// members by id.
func (s *Server) Organizations() []Organization {
	return slices.Clone(s.currentDirectory().organizations)
}

// SetPeople replaces all users and organizations. Tokens of users who are gone
// or banned stop working wherever the server itself is asked. The caller must
// not change what it passed afterwards.
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

// RevokeUser revokes every grant of a user, named by id, username, email or
// first name: codes, refresh tokens and opaque access tokens. JWT access
// tokens, as at Clerk, cannot be revoked.
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
