package localclerk

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Roles every Clerk instance starts with.
const (
	RoleAdmin  = "org:admin"
	RoleMember = "org:member"
)

const (
	maxUsers         = 1000
	maxOrganizations = 1000
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

// directory is everybody the server knows. It never changes; a new one takes
// its place.
type directory struct {
	users         []User
	organizations []Organization
}

// newDirectory fills in ids, slugs and roles, resolves each Membership.User to
// an ID, and refuses what would be ambiguous.
func newDirectory(users []User, organizations []Organization) (*directory, error) {
	if len(users) == 0 {
		return nil, errors.New("localclerk: Users is empty, want at least one; leave it nil for the seeded ones")
	}
	if len(users) > maxUsers || len(organizations) > maxOrganizations {
		return nil, fmt.Errorf("localclerk: got %d users and %d organizations, want at most %d and %d", len(users), len(organizations), maxUsers, maxOrganizations)
	}
	d := &directory{users: slices.Clone(users), organizations: slices.Clone(organizations)}
	var errs []error
	taken := map[string]string{}
	claim := func(name, owner string) {
		name = strings.ToLower(name)
		if other, ok := taken[name]; ok && name != "" {
			errs = append(errs, fmt.Errorf("localclerk: %q names both %s and %s", name, other, owner))
		}
		taken[name] = owner
	}
	for i := range d.users {
		u := &d.users[i]
		handle := cmp.Or(u.Username, u.Email)
		if handle == "" {
			errs = append(errs, fmt.Errorf("localclerk: Users[%d] has neither Username nor Email", i))
			continue
		}
		u.ID = cmp.Or(u.ID, derivedID("user_", handle))
		for _, name := range []string{u.ID, u.Username, u.Email} {
			claim(name, "user "+u.ID)
		}
	}
	for i := range d.organizations {
		o := &d.organizations[i]
		o.Slug = cmp.Or(o.Slug, strings.Join(strings.Fields(strings.ToLower(o.Name)), "-"))
		if o.Slug == "" {
			errs = append(errs, fmt.Errorf("localclerk: Organizations[%d] has neither Name nor Slug", i))
			continue
		}
		o.ID = cmp.Or(o.ID, derivedID("org_", o.Slug))
		o.Name = cmp.Or(o.Name, o.Slug)
		claim(o.ID, "organization "+o.ID)
		claim("organization "+o.Slug, "organization "+o.ID)
		members, err := d.members(*o)
		o.Members = members
		errs = append(errs, err)
	}
	return d, errors.Join(errs...)
}

func (d *directory) members(o Organization) ([]Membership, error) {
	members := slices.Clone(o.Members)
	var errs []error
	seen := map[string]bool{}
	for i := range members {
		m := &members[i]
		user, err := d.find(m.User)
		if err != nil {
			errs = append(errs, fmt.Errorf("localclerk: members of %q: %w", o.Slug, err))
			continue
		}
		if seen[user.ID] {
			errs = append(errs, fmt.Errorf("localclerk: members of %q: %q is there twice", o.Slug, m.User))
		}
		seen[user.ID] = true
		m.User = user.ID
		m.Role = cmp.Or(m.Role, RoleMember)
	}
	return members, errors.Join(errs...)
}

// user returns the user with the given id.
func (d *directory) user(id string) (User, bool) {
	i := slices.IndexFunc(d.users, func(u User) bool { return u.ID == id })
	if i < 0 {
		return User{}, false
	}
	return d.users[i], true
}

// find returns the one user whose ID, Username, Email or, failing those,
// FirstName is name, whatever the case. The error names the users there are.
func (d *directory) find(name string) (User, error) {
	for _, match := range []func(User) bool{
		func(u User) bool {
			return strings.EqualFold(u.ID, name) || strings.EqualFold(u.Username, name) || strings.EqualFold(u.Email, name)
		},
		func(u User) bool { return strings.EqualFold(u.FirstName, name) },
	} {
		if i := slices.IndexFunc(d.users, match); i >= 0 && name != "" {
			if slices.IndexFunc(d.users[i+1:], match) >= 0 {
				return User{}, fmt.Errorf("%q is the name of more than one user; use the id, username or email", name)
			}
			return d.users[i], nil
		}
	}
	return User{}, fmt.Errorf("no user %q; there are %s", name, d.handles())
}

func (d *directory) handles() string {
	const most = 20
	var names []string
	for _, u := range d.users[:min(len(d.users), most)] {
		names = append(names, cmp.Or(u.Username, u.Email))
	}
	if more := len(d.users) - most; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// organization returns the organization with the given id or slug.
func (d *directory) organization(name string) (Organization, bool) {
	i := slices.IndexFunc(d.organizations, func(o Organization) bool {
		return o.ID == name || strings.EqualFold(o.Slug, name)
	})
	if name == "" || i < 0 {
		return Organization{}, false
	}
	return d.organizations[i], true
}

// memberships returns the organizations userID is a member of, in order.
func (d *directory) memberships(userID string) []Organization {
	var in []Organization
	for _, o := range d.organizations {
		if _, ok := o.member(userID); ok {
			in = append(in, o)
		}
	}
	return in
}

func (o Organization) member(userID string) (Membership, bool) {
	i := slices.IndexFunc(o.Members, func(m Membership) bool { return m.User == userID })
	if i < 0 {
		return Membership{}, false
	}
	return o.Members[i], true
}
