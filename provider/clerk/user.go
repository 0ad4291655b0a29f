package clerk

import (
	"math/big"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// User is a user of a Clerk instance. Fields are empty where neither the token
// nor, with [Profile], Clerk's userinfo has them.
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

// Org is the organization that the user chose while signing in. An access token
// has its ID only, and that with the scope [OrganizationScope].
type Org struct {
	ID          string // "org_…"; empty means none
	Name        string
	Role        string // "org:admin"
	Slug        string
	Permissions []string // "org:feature:permission"
}

// UserOf returns what the caller's access token says about the user: the ID and,
// where the token has them, the rest. ok is false when the request did not come
// through a guard, as on stdio and in-memory transports.
func UserOf(req mcp.Request) (user User, ok bool) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return User{}, false
	}
	return userOf(id), true
}

func userOf(id gatehouse.Identity) User {
	var c profileClaims
	// The claims were read once already when the token was verified.
	_ = id.Claims(&c)
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

// profileClaims are the members that userinfo and, in part, tokens share
// (https://clerk.com/docs, "How Clerk implements OAuth").
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

// claims are what Clerk may put into a token beyond the standard ones: the flat
// form of organization claims and the compact one of version 2.
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

// complete fills roles, permissions and organization of an identity.
func complete(id *gatehouse.Identity) error {
	var c claims
	if err := id.Claims(&c); err != nil {
		return err
	}
	id.Roles, id.Permissions = c.Roles, c.Permissions
	id.Organization = gatehouse.Organization{ID: c.OrgID, Role: c.OrgRole, Slug: c.OrgSlug, Permissions: c.OrgPermissions}
	if o := c.Organization; o != nil && o.ID != "" {
		id.Organization = gatehouse.Organization{ID: o.ID, Slug: o.Slug, Permissions: expand(c.Features, o.Permissions, o.Masks)}
		if o.Role != "" {
			id.Organization.Role = "org:" + strings.TrimPrefix(o.Role, "org:")
		}
	}
	return nil
}

// maxFeatures bounds the features, permissions and masks of one token.
const maxFeatures = 256

// expand decodes the compact permissions of version 2: bit j of mask i grants
// permission j of feature i, counted from the lowest bit. Features are counted
// over the whole list, those of the user alone included, as Clerk's
// documentation has it.
func expand(features, permissions, masks string) []string {
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
