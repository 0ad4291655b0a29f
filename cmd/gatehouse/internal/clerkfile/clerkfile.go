// Package clerkfile reads the settings and people of a local Clerk from a YAML
// file: what the Clerk Dashboard would have, in one place that can be versioned.
package clerkfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"go.yaml.in/yaml/v3"
)

const (
	// maxBytes bounds the file.
	maxBytes = 1 << 20
	// pollInterval is how often Watch looks at the file.
	pollInterval = 500 * time.Millisecond
)

// Template is a file that says what a local Clerk is without any, to begin with.
const Template = `# The local Clerk: settings as on the Clerk Dashboard, users and organizations.
# Changes are picked up while it runs.
settings:
  dynamic_oauth_client_registration: true
  oauth_jwt_access_tokens: true
  aud_claim_enabled: false
  pkce_required: false
  default_scopes: [profile, email, offline_access, "user:org:read"]
  organizations: true
  custom_scopes: []
users:
  - {username: ada, email: ada@example.com, first_name: Ada, last_name: Lovelace}
  - {username: grace, email: grace@example.com, first_name: Grace, last_name: Hopper}
organizations:
  - name: Analytical Engines
    slug: analytical-engines
    members:
      - {user: ada, role: "org:admin", permissions: ["org:notes:write"]}
      - {user: grace, role: "org:member"}
`

// File is what a file says. A section that is not in the file is what a local
// Clerk has without one.
type File struct {
	Settings      localclerk.Settings
	Users         []localclerk.User
	Organizations []localclerk.Organization
}

// DefaultSettings are those of a local Clerk without a file: a new instance on which
// clients may choose an organization without having registered for it, so that the
// organization picker is seen.
func DefaultSettings() localclerk.Settings {
	settings := localclerk.DefaultSettings()
	settings.DefaultScopes = []string{
		localclerk.ScopeProfile, localclerk.ScopeEmail, localclerk.ScopeOfflineAccess, localclerk.ScopeOrganization,
	}
	return settings
}

// Fault is one thing that is wrong with a file.
type Fault struct {
	File    string
	Line    int // from 1; 0 when it is about the file as a whole
	Problem string
	Fix     string
}

func (f *Fault) Error() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s; %s", f.File, f.Problem, f.Fix)
	}
	return fmt.Sprintf("%s:%d: %s; %s", f.File, f.Line, f.Problem, f.Fix)
}

// Load reads the file at path. The error joins a *[Fault] for everything that is
// wrong with it.
func Load(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, &Fault{File: path, Problem: "cannot be read: " + cause(err), Fix: `write one, beginning with "gatehouse clerk --print-config"`}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return File{}, &Fault{File: path, Problem: "cannot be read: " + cause(err), Fix: "look at the file and its permissions"}
	}
	return Parse(path, text)
}

func cause(err error) string {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// Parse reads the text of the file called name.
func Parse(name string, text []byte) (File, error) {
	out := File{Settings: DefaultSettings(), Users: localclerk.SeedUsers(), Organizations: localclerk.SeedOrganizations()}
	if len(text) > maxBytes {
		return File{}, &Fault{File: name, Problem: fmt.Sprintf("is longer than %d bytes", maxBytes), Fix: "leave out what tests do not need"}
	}
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return out, nil
	} else if err != nil {
		return File{}, &Fault{File: name, Problem: "is not YAML: " + strings.TrimPrefix(err.Error(), "yaml: "), Fix: "look at the indentation and the quotes near that line"}
	}
	r := &reader{file: name}
	r.mapping(document.Content[0], "the file", fields{
		"settings":      func(n *yaml.Node) { r.settings(n, &out.Settings) },
		"users":         func(n *yaml.Node) { out.Users = r.users(n); out.Organizations = nil },
		"organizations": func(n *yaml.Node) {},
	})
	// Members are users, so organizations come last wherever they stand.
	r.mapping(document.Content[0], "", fields{
		"organizations": func(n *yaml.Node) { out.Organizations = r.organizations(n, out.Users) },
	})
	return out, errors.Join(r.faults...)
}

// fields are the members that a mapping may have.
type fields map[string]func(*yaml.Node)

// reader collects what is wrong. It follows no aliases, which could unfold to more
// than the file is long.
type reader struct {
	file   string
	faults []error
}

func (r *reader) fault(n *yaml.Node, problem, fix string) {
	r.faults = append(r.faults, &Fault{File: r.file, Line: n.Line, Problem: problem, Fix: fix})
}

// mapping reads the members of n. Without what, only known members are looked at.
func (r *reader) mapping(n *yaml.Node, what string, known fields) {
	if n.Kind != yaml.MappingNode {
		if what != "" {
			r.fault(n, what+" is not a mapping", "write names and values")
		}
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read, ok := known[key.Value]
		switch {
		case ok && seen[key.Value]:
			r.fault(key, fmt.Sprintf("%q is there twice", key.Value), "leave one")
		case ok:
			read(value)
		case what != "":
			r.fault(key, fmt.Sprintf("%q is unknown in %s", key.Value, what), "use one of "+names(known))
		}
		seen[key.Value] = true
	}
}

func names(known fields) string {
	var list []string
	for name := range known {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func (r *reader) sequence(n *yaml.Node, what string, read func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, what+" is not a list", `write "- " before each item`)
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

func (r *reader) text(into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
			r.fault(n, fmt.Sprintf("got %s, want text", describe(n)), "put it in quotes")
			return
		}
		*into = n.Value
	}
}

func (r *reader) bool(into *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if err := n.Decode(into); err != nil || n.Tag != "!!bool" {
			r.fault(n, fmt.Sprintf("got %s, want true or false", describe(n)), "write true or false without quotes")
		}
	}
}

func (r *reader) texts(into *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		list := []string{}
		r.sequence(n, "this", func(item *yaml.Node) {
			var s string
			r.text(&s)(item)
			list = append(list, s)
		})
		*into = list
	}
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	return fmt.Sprintf("%q", n.Value)
}

func (r *reader) settings(n *yaml.Node, s *localclerk.Settings) {
	organizations := !s.OrganizationsDisabled
	r.mapping(n, "settings", fields{
		"dynamic_oauth_client_registration":       r.bool(&s.DynamicOAuthClientRegistration),
		"oauth_jwt_access_tokens":                 r.bool(&s.OAuthJWTAccessTokens),
		"aud_claim_enabled":                       r.bool(&s.AudClaimEnabled),
		"pkce_required":                           r.bool(&s.PKCERequired),
		"client_id_metadata_documents_advertised": r.bool(&s.ClientIDMetadataDocumentsAdvertised),
		"client_id_metadata_documents_only_allow_pre_registered_clients": r.bool(&s.ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients),
		"client_id_metadata_documents_block_implicitly_allowed_clients":  r.bool(&s.ClientIDMetadataDocumentsBlockImplicitlyAllowedClients),
		"default_scopes": r.texts(&s.DefaultScopes),
		"custom_scopes":  r.texts(&s.CustomScopes),
		"organizations":  r.bool(&organizations),
	})
	s.OrganizationsDisabled = !organizations
}

func (r *reader) users(n *yaml.Node) []localclerk.User {
	users := []localclerk.User{}
	taken := map[string]bool{}
	r.sequence(n, "users", func(item *yaml.Node) {
		var u localclerk.User
		r.mapping(item, "a user", fields{
			"id":               r.text(&u.ID),
			"username":         r.text(&u.Username),
			"email":            r.text(&u.Email),
			"first_name":       r.text(&u.FirstName),
			"last_name":        r.text(&u.LastName),
			"image_url":        r.text(&u.ImageURL),
			"email_unverified": r.bool(&u.EmailUnverified),
			"banned":           r.bool(&u.Banned),
			"public_metadata":  func(n *yaml.Node) { r.metadata(n, &u.PublicMetadata) },
			"private_metadata": func(n *yaml.Node) { r.metadata(n, &u.PrivateMetadata) },
			"unsafe_metadata":  func(n *yaml.Node) { r.metadata(n, &u.UnsafeMetadata) },
		})
		if u.Username == "" && u.Email == "" {
			r.fault(item, "user has neither username nor email", "write one of them")
		}
		for _, name := range []string{u.ID, u.Username, u.Email} {
			if name != "" && taken[strings.ToLower(name)] {
				r.fault(item, fmt.Sprintf("%q is another user already", name), "give each user names of their own")
			}
			taken[strings.ToLower(name)] = name != ""
		}
		users = append(users, u)
	})
	return users
}

func (r *reader) metadata(n *yaml.Node, into *map[string]any) {
	if hasAlias(n) || n.Decode(into) != nil {
		r.fault(n, "metadata is not a mapping of plain values", "write names and values")
	}
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

func (r *reader) organizations(n *yaml.Node, users []localclerk.User) []localclerk.Organization {
	organizations := []localclerk.Organization{}
	r.sequence(n, "organizations", func(item *yaml.Node) {
		var o localclerk.Organization
		r.mapping(item, "an organization", fields{
			"id":   r.text(&o.ID),
			"name": r.text(&o.Name),
			"slug": r.text(&o.Slug),
			"members": func(n *yaml.Node) {
				r.sequence(n, "members", func(item *yaml.Node) { o.Members = append(o.Members, r.member(item, users)) })
			},
		})
		if o.Name == "" && o.Slug == "" {
			r.fault(item, "organization has neither name nor slug", "write one of them")
		}
		organizations = append(organizations, o)
	})
	return organizations
}

func (r *reader) member(item *yaml.Node, users []localclerk.User) localclerk.Membership {
	var m localclerk.Membership
	r.mapping(item, "a member", fields{
		"user":        r.text(&m.User),
		"role":        r.text(&m.Role),
		"permissions": r.texts(&m.Permissions),
	})
	known := slices.ContainsFunc(users, func(u localclerk.User) bool {
		return slices.Contains([]string{u.ID, u.Username, u.Email}, m.User)
	})
	if m.User == "" || !known {
		r.fault(item, fmt.Sprintf("member %q is no user of this file", m.User), "name a user by id, username or email")
	}
	if m.Role != "" && !strings.HasPrefix(m.Role, "org:") {
		r.fault(item, fmt.Sprintf("role %q does not begin with org:", m.Role), fmt.Sprintf("write it like %q", "org:"+m.Role))
	}
	for _, p := range m.Permissions {
		if strings.Count(p, ":") != 2 || !strings.HasPrefix(p, "org:") {
			r.fault(item, fmt.Sprintf("permission %q is not one of Clerk's form", p), `write it like "org:notes:read"`)
		}
	}
	return m
}

// Apply puts what the file says in force on a running server.
func (f File) Apply(server *localclerk.Server) error {
	if err := server.SetSettings(f.Settings); err != nil {
		return err
	}
	return server.SetUsers(f.Users, f.Organizations)
}

// Watch applies the file at path to server each time that it has changed, until
// ctx ends. A file with faults changes nothing; they are logged.
func Watch(ctx context.Context, path string, server *localclerk.Server, logger *slog.Logger) {
	last, _ := os.ReadFile(path)
	var seen []byte // at the tick before
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		text, err := os.ReadFile(path)
		// Editors take a file away for a moment, or empty it before they write: what
		// counts is what was there twice.
		settled := err == nil && seen != nil && bytes.Equal(text, seen)
		if seen = text; !settled || bytes.Equal(text, last) {
			continue
		}
		last = text
		file, err := Parse(path, text)
		if err == nil {
			err = file.Apply(server)
		}
		if err != nil {
			logger.Warn("changes are not in force", "file", path, "error", err)
			continue
		}
		logger.Info("changes are in force", "file", path)
	}
}
