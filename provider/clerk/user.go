package clerk

import (
	"math/big"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of a Clerk instance. A field is empty if neither the token nor, with
// [Profile], Clerk's userinfo endpoint has a value for it. Its slices are shared and
// must not be changed.
type User struct {
	ID            string // "user_…"
	Email         string
	EmailVerified bool
	Name          string
	Username      string
	Picture       string // URL
	Roles         []string
	Permissions   []string
	Org           Org
}

// Org is the organization that the user chose while signing in. Clerk's access tokens
// contain its ID, if they have the scope [OrganizationScope], and nothing else about it.
type Org struct {
	ID          string // "org_…"; empty means none
	Name        string
	Role        string // "org:admin"
	Slug        string
	Permissions []string // "org:feature:permission"
}

// UserOf returns the user as the caller's access token describes it: the ID and what
// else the token contains. ok is false if the request did not come through a guard,
// as on stdio and in-memory transports, or if the caller signed in with another provider.
func UserOf(req mcp.Request) (user User, ok bool) {
	id, ok := identityOf(req)
	if !ok {
		return User{}, false
	}
	return userOf(id), true
}

// identityOf returns the caller, if it signed in with Clerk.
func identityOf(req mcp.Request) (id gatehouse.Identity, ok bool) {
	id, ok = gatehouse.IdentityOf(req)
	if !ok || id.Provider != name {
		return gatehouse.Identity{}, false
	}
	return id, true
}

func userOf(id gatehouse.Identity) User {
	var c profileClaims
	if err := id.Claims(&c); err != nil {
		c = profileClaims{} // one has another type; access tokens need not have any
	}
	user := User{
		ID:          id.Subject,
		Roles:       id.Roles,
		Permissions: id.Permissions,
		Org: Org{
			ID:          id.Organization.ID,
			Role:        id.Organization.Role,
			Slug:        id.Organization.Slug,
			Permissions: id.Organization.Permissions,
		},
	}
	c.fill(&user)
	return user
}

// clone returns a copy of u that shares no memory with it. The strings of u can be parts of
// the claims of a token or of a response, which a cache must not keep alive.
func (u User) clone() User {
	for _, text := range []*string{
		&u.ID, &u.Email, &u.Name, &u.Username, &u.Picture,
		&u.Org.ID, &u.Org.Name, &u.Org.Role, &u.Org.Slug,
	} {
		*text = strings.Clone(*text)
	}
	for _, list := range []*[]string{&u.Roles, &u.Permissions, &u.Org.Permissions} {
		*list = slices.Clone(*list)
		for i, text := range *list {
			(*list)[i] = strings.Clone(text)
		}
	}
	return u
}

// profileClaims are the members of userinfo that describe the user. Tokens may contain
// some of them (https://clerk.com/docs, "How Clerk implements OAuth").
type profileClaims struct {
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	Name          string `json:"name"`
	GivenName     string `json:"given_name"`
	FamilyName    string `json:"family_name"`
	Username      string `json:"username"`
	Preferred     string `json:"preferred_username"`
	Picture       string `json:"picture"`
	OrgID         string `json:"org_id"`
	OrgName       string `json:"org_name"`
	OrgSlug       string `json:"org_slug"`
}

// fill sets the empty fields of u. The name of an organization is used only if it is
// the organization that the token was issued for.
func (c profileClaims) fill(u *User) {
	set := func(field *string, values ...string) {
		for _, v := range values {
			if *field == "" {
				*field = v
			}
		}
	}
	set(&u.Email, c.Email)
	u.EmailVerified = u.EmailVerified || c.EmailVerified && c.Email == u.Email
	set(&u.Name, c.Name, strings.TrimSpace(c.GivenName+" "+c.FamilyName))
	set(&u.Username, c.Preferred, c.Username)
	set(&u.Picture, c.Picture)
	if c.OrgID != "" && c.OrgID == u.Org.ID {
		set(&u.Org.Name, c.OrgName)
		set(&u.Org.Slug, c.OrgSlug)
	}
}

// claims are the claims of Clerk beyond the standard ones. Claims about the organization
// have a flat form (org_id, …) and, in version 2, a compact one (o, fea).
type claims struct {
	Roles          []string `json:"roles"`
	Permissions    []string `json:"permissions"`
	OrgID          string   `json:"org_id"`
	OrgRole        string   `json:"org_role"`
	OrgSlug        string   `json:"org_slug"`
	OrgPermissions []string `json:"org_permissions"`
	Features       string   `json:"fea"`
	Organization   *struct {
		ID          string `json:"id"`
		Role        string `json:"rol"`
		Slug        string `json:"slg"`
		Permissions string `json:"per"`
		Masks       string `json:"fpm"`
	} `json:"o"`
}

// complete is the Complete function of the provider: it sets the roles, permissions and
// organization of id from its claims.
func complete(id *gatehouse.Identity) error {
	var c claims
	if err := id.Claims(&c); err != nil {
		return err
	}
	id.Roles, id.Permissions = c.Roles, c.Permissions
	id.Organization = gatehouse.Organization{ID: c.OrgID, Role: c.OrgRole, Slug: c.OrgSlug, Permissions: c.OrgPermissions}
	if o := c.Organization; o != nil && o.ID != "" {
		id.Organization = gatehouse.Organization{ID: o.ID, Slug: o.Slug, Permissions: expandPermissions(c.Features, o.Permissions, o.Masks)}
		if o.Role != "" {
			id.Organization.Role = "org:" + strings.TrimPrefix(o.Role, "org:")
		}
	}
	return nil
}

// maxFeatures bounds the features, the permissions and the masks of one token, and the
// length of each mask in digits.
const maxFeatures = 256

// expandPermissions decodes the compact permissions of version 2: bit j of mask i,
// counted from the lowest bit, grants permission j of feature i. As in Clerk's
// documentation, i counts all features, including those of the user only.
func expandPermissions(features, permissions, masks string) []string {
	split := func(s string) []string {
		parts := strings.SplitN(s, ",", maxFeatures+1)
		return parts[:min(len(parts), maxFeatures)]
	}
	names := split(permissions)
	bits := split(masks)
	var out []string
	for i, feature := range split(features) {
		scope, name, ok := strings.Cut(feature, ":")
		if !ok || !strings.Contains(scope, "o") || i >= len(bits) || len(bits[i]) > maxFeatures {
			continue
		}
		mask, ok := new(big.Int).SetString(bits[i], 10)
		if !ok || mask.Sign() < 0 {
			continue
		}
		for j, permission := range names {
			if mask.Bit(j) == 1 && permission != "" {
				out = append(out, "org:"+name+":"+permission)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
