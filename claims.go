package gatehouse

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// maxClaimItems bounds the roles, and the permissions, of one token.
const maxClaimItems = 1024

// set sets what n names in the claims of id. The client and the scopes are set already.
func (n *ClaimNames) set(id *Identity) error {
	if !n.any() {
		return nil
	}
	claims, err := strictjson.Members([]byte(id.payload))
	if err != nil {
		return err
	}
	if id.Roles, err = lists(claims, n.Roles); err != nil {
		return err
	}
	if id.Permissions, err = lists(claims, n.Permissions); err != nil {
		return err
	}
	for _, field := range []struct {
		path ClaimPath
		to   *string
	}{
		{n.Organization, &id.Organization.ID},
		{n.OrganizationName, &id.Organization.Name},
		{n.OrganizationSlug, &id.Organization.Slug},
		{n.OrganizationRole, &id.Organization.Role},
	} {
		if *field.to, err = field.path.text(claims); err != nil {
			return err
		}
	}
	if id.Organization.ID == "" {
		id.Organization = Organization{} // what is said about no organization means nothing
	}
	return nil
}

// any reports whether n names claims for roles, permissions or an organization.
func (n *ClaimNames) any() bool {
	return len(n.Roles)+len(n.Permissions)+len(n.Organization) > 0
}

// paths returns all paths of n, with the names of their fields.
func (n *ClaimNames) paths() map[string][]ClaimPath {
	return map[string][]ClaimPath{
		"Roles":            n.Roles,
		"Permissions":      n.Permissions,
		"Organization":     {n.Organization},
		"OrganizationName": {n.OrganizationName},
		"OrganizationSlug": {n.OrganizationSlug},
		"OrganizationRole": {n.OrganizationRole},
	}
}

// lists returns the items of all paths, without duplicates.
func lists(claims map[string]jsontext.Value, paths []ClaimPath) ([]string, error) {
	var out []string
	for _, path := range paths {
		items, err := path.list(claims)
		if err != nil {
			return nil, err
		}
		out = union(out, items)
	}
	if len(out) > maxClaimItems {
		return nil, fmt.Errorf("%d items in %s, want at most %d", len(out), paths[0], maxClaimItems)
	}
	return out, nil
}

// String returns the names, joined by " > ".
func (p ClaimPath) String() string { return quote.String(strings.Join(p, " > ")) }

// value returns the value at the path as JSON, or "" if there is none or it is null.
func (p ClaimPath) value(claims map[string]jsontext.Value) (string, error) {
	if len(p) == 0 {
		return "", nil
	}
	value := string(claims[p[0]])
	for _, name := range p[1:] {
		if value == "" || strictjson.Kind(value) == 'n' {
			return "", nil
		}
		var members map[string]jsontext.Value // of any number: only the token bounds it
		if err := strictjson.Unmarshal([]byte(value), &members); err != nil {
			return "", fmt.Errorf("claim %s: %w", p, err)
		}
		value = string(members[name])
	}
	if strictjson.Kind(value) == 'n' {
		return "", nil
	}
	return value, nil
}

// text returns the string at the path.
func (p ClaimPath) text(claims map[string]jsontext.Value) (string, error) {
	value, err := p.value(claims)
	if err != nil || value == "" {
		return "", err
	}
	text, err := strictjson.Text(value)
	if err != nil {
		return "", fmt.Errorf("claim %s: %w", p, err)
	}
	return text, nil
}

// isOff reports whether a member with the value, which is JSON, says that its name does not
// apply: {"admin": false}.
func isOff(value string) bool {
	switch value {
	case "false", "null", "0", `""`:
		return true
	}
	return false
}

// list returns the items at the path: a string, an array of strings, or the names of an
// object's members.
func (p ClaimPath) list(claims map[string]jsontext.Value) ([]string, error) {
	value, err := p.value(claims)
	if err != nil || value == "" {
		return nil, err
	}
	var items []string
	switch strictjson.Kind(value) {
	case '"':
		var text string
		text, err = strictjson.Text(value)
		items = []string{text}
	case '{':
		var members map[string]jsontext.Value
		err = strictjson.Unmarshal([]byte(value), &members)
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if !isOff(string(members[name])) {
				items = append(items, name)
			}
		}
	default:
		items, err = strictjson.Texts(value)
	}
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", p, err)
	}
	return slices.DeleteFunc(items, func(item string) bool { return item == "" }), nil
}
