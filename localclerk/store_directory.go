package localclerk

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	maxUsers         = 1000
	maxOrganizations = 1000
)

// directory is the set of users and organizations. It is immutable; SetUsers
// replaces it.
type directory struct {
	users         []User
	organizations []Organization
}

// newDirectory fills in IDs, slugs and roles and resolves each Membership.User to
// an ID. It rejects a name that two users or two organizations share.
func newDirectory(users []User, organizations []Organization) (*directory, error) {
	if len(users) == 0 {
		return nil, errors.New("localclerk: Users is empty, want at least one user; set it to nil for those of SeedUsers")
	}
	if len(users) > maxUsers || len(organizations) > maxOrganizations {
		return nil, fmt.Errorf("localclerk: got %d users and %d organizations, want at most %d and %d",
			len(users), len(organizations), maxUsers, maxOrganizations)
	}
	d := &directory{users: slices.Clone(users), organizations: slices.Clone(organizations)}
	var errs []error
	owners := map[string]string{}
	reserve := func(name, owner string) {
		name = strings.ToLower(name)
		if other, ok := owners[name]; ok && name != "" {
			errs = append(errs, fmt.Errorf("localclerk: %q is the name of both %s and %s", name, other, owner))
		}
		owners[name] = owner
	}
	for i := range d.users {
		u := &d.users[i]
		nameOrEmail := cmp.Or(u.Username, u.Email)
		if nameOrEmail == "" {
			errs = append(errs, fmt.Errorf("localclerk: Users[%d] has neither Username nor Email", i))
			continue
		}
		u.ID = cmp.Or(u.ID, derivedID("user_", nameOrEmail))
		for _, name := range []string{u.ID, u.Username, u.Email} {
			reserve(name, "user "+u.ID)
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
		reserve(o.ID, "organization "+o.ID)
		reserve("organization "+o.Slug, "organization "+o.ID)
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
		user, err := d.findUser(m.User)
		if err != nil {
			errs = append(errs, fmt.Errorf("localclerk: members of %q: %w", o.Slug, err))
			continue
		}
		if seen[user.ID] {
			errs = append(errs, fmt.Errorf("localclerk: members of %q: %q appears twice", o.Slug, m.User))
		}
		seen[user.ID] = true
		m.User = user.ID
		m.Role = cmp.Or(m.Role, RoleMember)
	}
	return members, errors.Join(errs...)
}

func (s *Server) currentDirectory() *directory {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.directory
}

// user returns the user with the given ID.
func (d *directory) user(id string) (User, bool) {
	i := slices.IndexFunc(d.users, func(u User) bool { return u.ID == id })
	if i < 0 {
		return User{}, false
	}
	return d.users[i], true
}

// findUser returns the only user whose ID, Username or Email is name, or else the
// only one whose FirstName is name. It ignores case. The error lists the users.
func (d *directory) findUser(name string) (User, error) {
	for _, match := range []func(User) bool{
		func(u User) bool {
			return strings.EqualFold(u.ID, name) || strings.EqualFold(u.Username, name) || strings.EqualFold(u.Email, name)
		},
		func(u User) bool { return strings.EqualFold(u.FirstName, name) },
	} {
		if i := slices.IndexFunc(d.users, match); i >= 0 && name != "" {
			if slices.IndexFunc(d.users[i+1:], match) >= 0 {
				return User{}, fmt.Errorf("%q is the name of more than one user; use the ID, username or email address", name)
			}
			return d.users[i], nil
		}
	}
	return User{}, fmt.Errorf("no user %q; the users are %s", name, d.userNames())
}

func (d *directory) userNames() string {
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

// organization returns the organization with the given ID or slug.
func (d *directory) organization(name string) (Organization, bool) {
	i := slices.IndexFunc(d.organizations, func(o Organization) bool {
		return o.ID == name || strings.EqualFold(o.Slug, name)
	})
	if name == "" || i < 0 {
		return Organization{}, false
	}
	return d.organizations[i], true
}

// memberships returns the organizations of the user, in the order of the
// directory.
func (d *directory) memberships(userID string) []Organization {
	var in []Organization
	for _, o := range d.organizations {
		if _, ok := o.member(userID); ok {
			in = append(in, o)
		}
	}
	return in
}

// membership returns the organization with the given ID or slug and the user's
// membership in it, or zero values if name is empty.
func (d *directory) membership(user User, name string) (Organization, Membership, error) {
	if name == "" {
		return Organization{}, Membership{}, nil
	}
	o, _ := d.organization(name)
	m, ok := o.member(user.ID)
	if !ok {
		return o, m, fmt.Errorf("%s is not a member of %q; the user's organizations are %q",
			user.Name(), name, slugs(d.memberships(user.ID)))
	}
	return o, m, nil
}

// chooseOrganization returns the ID of the organization of a grant: the one with
// the given ID or slug, or the user's first if name is empty. It returns "" if
// scopes lack ScopeOrganization or the user has no organization.
func (d *directory) chooseOrganization(user User, name string, scopes []string) (string, error) {
	if name == "" {
		if in := d.memberships(user.ID); len(in) > 0 && slices.Contains(scopes, ScopeOrganization) {
			return in[0].ID, nil
		}
		return "", nil
	}
	o, _ := d.organization(name)
	if !d.maySelectOrganization(user, o.ID, scopes) || o.ID == "" {
		return "", fmt.Errorf("%s cannot choose %q; with the scope %s the choices are %q",
			user.Name(), name, ScopeOrganization, slugs(d.memberships(user.ID)))
	}
	return o.ID, nil
}

// maySelectOrganization reports whether user may select the organization for a
// grant of scopes. An empty organizationID means no organization and is always
// allowed.
func (d *directory) maySelectOrganization(user User, organizationID string, scopes []string) bool {
	if organizationID == "" {
		return true
	}
	o, ok := d.organization(organizationID)
	_, member := o.member(user.ID)
	return ok && member && o.ID == organizationID && slices.Contains(scopes, ScopeOrganization)
}

func slugs(organizations []Organization) string {
	var all []string
	for _, o := range organizations {
		all = append(all, o.Slug)
	}
	return strings.Join(all, ", ")
}
