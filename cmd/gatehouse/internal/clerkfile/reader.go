package clerkfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/yamlfile"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"go.yaml.in/yaml/v3"
)

// reader reads YAML nodes and collects all mistakes. It rejects aliases, because a short
// file can expand to a huge value with them.
type reader struct {
	file   string
	errors []error
}

// report adds a mistake at n.
func (r *reader) report(n *yaml.Node, problem, fix string) {
	r.errors = append(r.errors, &Error{File: r.file, Line: n.Line, Problem: problem, Fix: fix})
}

// members has a function for each member that a mapping may have.
type members map[string]func(*yaml.Node)

// mapping reads the members of n. what names the mapping in errors. If it is empty, mistakes
// are not reported, because another call has reported them.
func (r *reader) mapping(n *yaml.Node, what string, known members) {
	if n.Kind != yaml.MappingNode {
		if what != "" {
			r.report(n, what+" is not a mapping", "write it as names and values")
		}
		return
	}
	seen := map[string]bool{}
	for pair := range slices.Chunk(n.Content, 2) {
		key, value := pair[0], pair[1]
		read, ok := known[key.Value]
		switch {
		case ok && seen[key.Value]:
			r.report(key, fmt.Sprintf("%q appears twice", key.Value), "remove one")
		case ok:
			read(value)
		case what != "":
			r.report(key, fmt.Sprintf("%s has no member %s", what, quote.String(key.Value)),
				"use one of "+strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		seen[key.Value] = true
	}
}

// list calls read for each item of n.
func (r *reader) list(n *yaml.Node, what string, read func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		r.report(n, what+" is not a list", `write "- " before each item`)
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

// text returns a function that reads a string.
func (r *reader) text(into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
			r.report(n, fmt.Sprintf("got %s, want a string", yamlfile.Describe(n)), "write it in quotes")
			return
		}
		*into = n.Value
	}
}

// bool returns a function that reads true or false.
func (r *reader) bool(into *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if err := n.Decode(into); err != nil || n.Tag != "!!bool" {
			r.report(n, fmt.Sprintf("got %s, want true or false", yamlfile.Describe(n)), "write true or false without quotes")
		}
	}
}

// texts returns a function that reads a list of strings.
func (r *reader) texts(name string, into *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		texts := []string{}
		r.list(n, name, func(item *yaml.Node) {
			var text string
			r.text(&text)(item)
			texts = append(texts, text)
		})
		*into = texts
	}
}

func (r *reader) settings(n *yaml.Node, s *localclerk.Settings) {
	organizations := !s.OrganizationsDisabled
	r.mapping(n, "settings", members{
		"dynamic_oauth_client_registration":       r.bool(&s.DynamicOAuthClientRegistration),
		"oauth_jwt_access_tokens":                 r.bool(&s.OAuthJWTAccessTokens),
		"aud_claim_enabled":                       r.bool(&s.AudClaimEnabled),
		"pkce_required":                           r.bool(&s.PKCERequired),
		"client_id_metadata_documents_advertised": r.bool(&s.ClientIDMetadataDocumentsAdvertised),
		"client_id_metadata_documents_only_allow_pre_registered_clients": r.bool(&s.ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients),
		"client_id_metadata_documents_block_implicitly_allowed_clients":  r.bool(&s.ClientIDMetadataDocumentsBlockImplicitlyAllowedClients),
		"default_scopes": r.texts("default_scopes", &s.DefaultScopes),
		"custom_scopes":  r.texts("custom_scopes", &s.CustomScopes),
		"organizations":  r.bool(&organizations),
	})
	s.OrganizationsDisabled = !organizations
}

func (r *reader) users(n *yaml.Node) []localclerk.User {
	users := []localclerk.User{}
	used := map[string]bool{} // IDs, usernames and emails in lower case
	r.list(n, "users", func(item *yaml.Node) {
		u := r.user(item)
		for _, name := range []string{u.ID, u.Username, u.Email} {
			if used[strings.ToLower(name)] {
				r.report(item, quote.String(name)+" is already used by another user", "give each user a different id, username and email")
			}
			used[strings.ToLower(name)] = name != ""
		}
		users = append(users, u)
	})
	return users
}

func (r *reader) user(n *yaml.Node) localclerk.User {
	var u localclerk.User
	r.mapping(n, "a user", members{
		"id":               r.text(&u.ID),
		"username":         r.text(&u.Username),
		"email":            r.text(&u.Email),
		"first_name":       r.text(&u.FirstName),
		"last_name":        r.text(&u.LastName),
		"image_url":        r.text(&u.ImageURL),
		"email_unverified": r.bool(&u.EmailUnverified),
		"banned":           r.bool(&u.Banned),
		"public_metadata":  r.metadata(&u.PublicMetadata),
		"private_metadata": r.metadata(&u.PrivateMetadata),
		"unsafe_metadata":  r.metadata(&u.UnsafeMetadata),
	})
	if u.Username == "" && u.Email == "" {
		r.report(n, "a user has neither a username nor an email", "add one of them")
	}
	return u
}

// metadata returns a function that reads a mapping of any values.
func (r *reader) metadata(into *map[string]any) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if hasAlias(n) || n.Decode(into) != nil {
			r.report(n, "metadata is not a mapping without aliases", "write it as names and values")
		}
	}
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

func (r *reader) organizations(n *yaml.Node, users []localclerk.User) []localclerk.Organization {
	organizations := []localclerk.Organization{}
	r.list(n, "organizations", func(item *yaml.Node) {
		var o localclerk.Organization
		r.mapping(item, "an organization", members{
			"id":   r.text(&o.ID),
			"name": r.text(&o.Name),
			"slug": r.text(&o.Slug),
			"members": func(n *yaml.Node) {
				r.list(n, "members", func(item *yaml.Node) { o.Members = append(o.Members, r.member(item, users)) })
			},
		})
		if o.Name == "" && o.Slug == "" {
			r.report(item, "an organization has neither a name nor a slug", "add one of them")
		}
		organizations = append(organizations, o)
	})
	return organizations
}

func (r *reader) member(n *yaml.Node, users []localclerk.User) localclerk.Membership {
	var m localclerk.Membership
	r.mapping(n, "a member", members{
		"user":        r.text(&m.User),
		"role":        r.text(&m.Role),
		"permissions": r.texts("permissions", &m.Permissions),
	})
	isUser := func(u localclerk.User) bool {
		return slices.Contains([]string{u.ID, u.Username, u.Email}, m.User)
	}
	if m.User == "" || !slices.ContainsFunc(users, isUser) {
		r.report(n, fmt.Sprintf("member %s is not a user of this file", quote.String(m.User)), "name a user by id, username or email")
	}
	if m.Role != "" && !strings.HasPrefix(m.Role, "org:") {
		r.report(n, fmt.Sprintf("role %s does not start with org:", quote.String(m.Role)), "write it like "+quote.String("org:"+m.Role))
	}
	for _, p := range m.Permissions {
		if strings.Count(p, ":") != 2 || !strings.HasPrefix(p, "org:") {
			problem := fmt.Sprintf("permission %s does not have the form org:feature:action", quote.String(p))
			r.report(n, problem, `write it like "org:notes:read"`)
		}
	}
	return m
}
