// Package clerkfile reads the settings, users and organizations of a local Clerk from a
// YAML file. The file holds what the Clerk Dashboard would, in a form that can be kept under
// version control.
package clerkfile

import (
	"errors"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/yamlfile"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"go.yaml.in/yaml/v3"
)

// Template is a file with the settings that a local Clerk has without one, two users and
// an organization.
const Template = `# Settings, users and organizations of the local Clerk.
# Edit this file while the local Clerk runs: changes apply within a second.
# A section that is missing has its default.

# The settings of the Clerk Dashboard (Configure > OAuth applications > Settings), with
# their names in the Backend API.
settings:
  # Clients may register themselves. Most MCP clients need this.
  dynamic_oauth_client_registration: true
  # Access tokens are JWTs. If false, they are opaque.
  oauth_jwt_access_tokens: true
  # Access tokens name the server that they are for (aud).
  aud_claim_enabled: false
  # Clients that have a secret need PKCE too. Public clients always need it.
  pkce_required: false
  # The scopes of clients that register without naming any.
  default_scopes: [profile, email, offline_access, "user:org:read"]
  # Users may choose an organization when they sign in.
  organizations: true
  # Your own scopes, in addition to Clerk's.
  custom_scopes: []

# A user needs a username or an email. Also possible: id, image_url, email_unverified,
# banned, public_metadata, private_metadata, unsafe_metadata.
users:
  - {username: ada, email: ada@example.com, first_name: Ada, last_name: Lovelace}
  - {username: grace, email: grace@example.com, first_name: Grace, last_name: Hopper}

# Members are users of this file, by id, username or email.
organizations:
  - name: Analytical Engines
    slug: analytical-engines
    members:
      - {user: ada, role: "org:admin", permissions: ["org:notes:write"]}
      - {user: grace, role: "org:member"}
`

// File is the content of a file. A section that is missing has the value that a local
// Clerk has without a file.
type File struct {
	Settings      localclerk.Settings
	Users         []localclerk.User
	Organizations []localclerk.Organization
}

// DefaultSettings returns the settings of a local Clerk without a file. They are those of a
// new instance, except that clients may request an organization without registering for it,
// so that the consent page shows the choice.
func DefaultSettings() localclerk.Settings {
	settings := localclerk.DefaultSettings()
	settings.DefaultScopes = []string{
		localclerk.ScopeProfile, localclerk.ScopeEmail, localclerk.ScopeOfflineAccess, localclerk.ScopeOrganization,
	}
	return settings
}

// Error describes one mistake in a file.
type Error = yamlfile.Error

// Load reads the file at path. Its error is a *[Error], or joins one for each mistake.
func Load(path string) (File, error) {
	text, err := yamlfile.Load(path)
	if err != nil {
		return File{}, err
	}
	return Parse(path, text)
}

// Parse reads text, the content of the file with the given name. Its error is a *[Error], or
// joins one for each mistake.
func Parse(name string, text []byte) (File, error) {
	file := File{Settings: DefaultSettings(), Users: localclerk.SeedUsers(), Organizations: localclerk.SeedOrganizations()}
	top, err := yamlfile.Parse(name, text, "remove users and organizations that you do not need")
	switch {
	case err != nil:
		return File{}, err
	case top == nil:
		return file, nil
	}
	r := &reader{file: name}
	r.mapping(top, "the file", members{
		"settings": func(n *yaml.Node) { r.settings(n, &file.Settings) },
		"users": func(n *yaml.Node) {
			file.Users = r.users(n)
			file.Organizations = nil // the default ones have other members
		},
		"organizations": func(*yaml.Node) {},
	})
	// Organizations refer to users, so they are read last.
	r.mapping(top, "", members{
		"organizations": func(n *yaml.Node) { file.Organizations = r.organizations(n, file.Users) },
	})
	return file, errors.Join(r.errors...)
}

// Apply applies f to a running server. If it returns an error, nothing has changed.
func (f File) Apply(server *localclerk.Server) error {
	before := server.Settings()
	if err := server.SetSettings(f.Settings); err != nil {
		return err
	}
	if err := server.SetUsers(f.Users, f.Organizations); err != nil {
		return errors.Join(err, server.SetSettings(before))
	}
	return nil
}
