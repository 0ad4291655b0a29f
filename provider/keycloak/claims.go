package keycloak

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
)

// serviceAccountPrefix is how the user name of a service account begins. The ID of its client
// follows.
const serviceAccountPrefix = "service-account-"

// claims are the claims of Keycloak that decide what a caller may do. Mappers can remove each of
// them.
type claims struct {
	Username       string `json:"preferred_username"`
	ResourceAccess map[string]struct {
		Roles []string `json:"roles"`
	} `json:"resource_access"`

	Organization organizations `json:"organization"`
}

// completer returns the Complete function of the provider, with the client roles of the
// clients; none means all.
func completer(clients []string) func(*gatehouse.Identity) error {
	return func(id *gatehouse.Identity) error {
		var c claims
		if err := id.Claims(&c); err != nil {
			return err
		}
		if strings.HasPrefix(c.Username, serviceAccountPrefix) || isClientCredentials(id.TokenID) {
			id.Kind = gatehouse.KindMachine
		}
		id.Permissions = c.clientRoles(clients)
		if len(c.Organization) == 1 {
			o := c.Organization[0]
			id.Organization = gatehouse.Organization{ID: o.ID, Slug: o.Alias}
		}
		return nil
	}
}

// isClientCredentials reports whether the ID of a token says that a client got it for itself.
// Since version 26.2, the part before the colon names the kind of the session, of the token and
// of the grant: "trrtcc:aa145fab-…". A client that registered with scopes of its own need not have
// those that write the user name and the address of the client into tokens.
func isClientCredentials(tokenID string) bool {
	kinds, _, ok := strings.Cut(tokenID, ":")
	return ok && len(kinds) == grantStart+len(clientCredentials) && kinds[grantStart:] == clientCredentials
}

const (
	// grantStart is where the name of the grant is in the ID of a token.
	grantStart = 4
	// clientCredentials is the name of the grant of client credentials.
	clientCredentials = "cc"
)

// clientRoles returns the roles of clients as "client:role", in the order of the clients' names.
func (c *claims) clientRoles(clients []string) []string {
	var out []string
	for _, client := range slices.Sorted(maps.Keys(c.ResourceAccess)) {
		if len(clients) > 0 && !slices.Contains(clients, client) {
			continue
		}
		for _, role := range c.ResourceAccess[client].Roles {
			out = append(out, client+":"+role)
		}
	}
	return out
}

// organizations are those of the claim organization, in the order of their aliases. The claim
// has one of these forms: ["acme"], {"acme": {"id": "42c3…"}}, {"acme": {}} or "acme". Another
// form, which an extension of Keycloak may write, counts as none.
type organizations []Organization

// UnmarshalJSON reads the claim organization. It never fails.
func (o *organizations) UnmarshalJSON(data []byte) error {
	var aliases []string
	if json.Unmarshal(data, &aliases) == nil {
		for _, alias := range aliases {
			*o = append(*o, Organization{ID: alias, Alias: alias})
		}
		return nil
	}
	var alias string
	if json.Unmarshal(data, &alias) == nil {
		*o = organizations{{ID: alias, Alias: alias}}
		return nil
	}
	var members map[string]struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(data, &members) != nil {
		return nil
	}
	for _, alias := range slices.Sorted(maps.Keys(members)) {
		id := members[alias].ID
		if id == "" {
			id = alias
		}
		*o = append(*o, Organization{ID: id, Alias: alias})
	}
	return nil
}
