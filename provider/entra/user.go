package entra

import (
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The facets of a subject or of a client that mark agents: values of the claims xms_sub_fct and
// xms_act_fct (Microsoft Entra, "Token claims reference for agents").
const (
	agentIdentity = "11"
	agentUser     = "13"
)

// User is a user of a Microsoft Entra tenant, or with [Config].AllowMachines an application, as
// an access token describes it. A field is empty if the token has no value for it. Its slices are
// shared and must not be changed.
//
// ObjectID and TenantID together identify a user for good. Names and email can change, and can be
// given to another user later, so do not base a decision on them.
type User struct {
	ObjectID string // the claim oid, a GUID: the same at all applications of the tenant
	TenantID string // a GUID
	Subject  string // the claim sub: another one at each application

	Name     string
	Username string // preferred_username, unique_name or upn, often an email address
	Email    string // only if the optional claim is configured, or for guests

	Roles []string // app roles of the registration of this server

	// Groups are the object IDs of the groups of the user, if the registration has a groups
	// claim. They are not complete, and usually empty, if GroupsOverage is true.
	Groups []string

	// GroupsOverage says that the user is in more groups than fit into a token (200), so that
	// Entra ID left the groups out. Ask Microsoft Graph for them (getMemberObjects), or treat the
	// user as one whose groups are not known. An empty list of groups is then not "no groups".
	GroupsOverage bool

	// Agent says that the client is an agent identity of Microsoft Entra Agent ID.
	Agent bool
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

// userClaims are the claims that describe the user. ClaimNames is from OpenID Connect Core 1.0,
// section 5.6.2: Entra ID names the source of the groups there if it leaves them out.
type userClaims struct {
	ObjectID   string            `json:"oid"`
	Name       string            `json:"name"`
	Preferred  string            `json:"preferred_username"`
	UniqueName string            `json:"unique_name"`
	UPN        string            `json:"upn"`
	Email      string            `json:"email"`
	Groups     []string          `json:"groups"`
	HasGroups  bool              `json:"hasgroups"`
	ClaimNames map[string]string `json:"_claim_names"`
	ActFacets  string            `json:"xms_act_fct"`
}

func userOf(id gatehouse.Identity) User {
	var c userClaims
	overage := false
	if err := id.Claims(&c); err != nil {
		// One of the claims has another form. What the groups are is then not known.
		c, overage = userClaims{}, true
	}
	_, named := c.ClaimNames["groups"]
	user := User{
		ObjectID:      c.ObjectID,
		TenantID:      id.Organization.ID,
		Subject:       id.Subject,
		Name:          c.Name,
		Email:         c.Email,
		Roles:         id.Roles,
		Groups:        c.Groups,
		GroupsOverage: overage || named || c.HasGroups,
		Agent:         hasFacet(c.ActFacets, agentIdentity),
	}
	for _, username := range []string{c.Preferred, c.UniqueName, c.UPN} {
		if user.Username == "" {
			user.Username = username
		}
	}
	return user
}

// hasFacet reports whether facets, a list with spaces, contains facet.
func hasFacet(facets, facet string) bool { return slices.Contains(strings.Fields(facets), facet) }
