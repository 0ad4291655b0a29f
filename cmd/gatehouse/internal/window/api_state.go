package window

import (
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// State is the response to GET state: the current state of the local Clerk.
type State struct {
	Boot          string         `json:"boot"` // another value in each process
	Issuer        string         `json:"issuer"`
	Endpoint      string         `json:"endpoint"` // the URL that clients connect to
	Program       string         `json:"program"`
	Now           time.Time      `json:"now"` // by the local Clerk's clock
	Settings      []Setting      `json:"settings"`
	Faults        faultsJSON     `json:"faults"`
	Users         []User         `json:"users"`
	Organizations []Organization `json:"organizations"`
	Clients       []Registration `json:"clients"` // newest first
	Tokens        []Token        `json:"tokens"`  // access tokens that have not expired, newest first
	Kinds         []string       `json:"kinds"`   // the kinds of tokens that can be minted
}

// Setting is a switch or a list of scopes of a Clerk instance.
type Setting struct {
	Name  string `json:"name"`  // in the Backend API
	Label string `json:"label"` // in the Clerk Dashboard
	Note  string `json:"note"`  // the effect of its current value, a sentence
	Value any    `json:"value"` // bool or []string
}

// User is a user of the local Clerk.
type User struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Username      string   `json:"username"`
	Email         string   `json:"email"`
	Banned        bool     `json:"banned"`
	Organizations []string `json:"organizations"` // slugs
}

// Organization is an organization of the local Clerk.
type Organization struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Slug    string   `json:"slug"`
	Members []Member `json:"members"`
}

// Member is a user in an organization.
type Member struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// Registration is a registered OAuth client.
type Registration struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	RedirectURIs []string  `json:"redirect_uris"`
	Scopes       []string  `json:"scopes"`
	Dynamic      bool      `json:"dynamic"` // whether it registered itself
	Public       bool      `json:"public"`  // whether it has no secret
	Created      time.Time `json:"created"`
}

// Token describes an access token that was issued. It does not have the token itself.
type Token struct {
	ID           string    `json:"id"`
	Form         string    `json:"form"` // "JWT" or "opaque"
	ClientID     string    `json:"client_id"`
	ClientName   string    `json:"client_name,omitempty"`
	User         string    `json:"user"`
	Organization string    `json:"organization,omitempty"`
	Scopes       []string  `json:"scopes"`
	Issued       time.Time `json:"issued"`
	Expires      time.Time `json:"expires"`
	Revoked      bool      `json:"revoked"`
	Claims       string    `json:"claims,omitempty"` // of a JWT, indented
}

// maxListed bounds each list of the state.
const maxListed = 200

func (w *Window) serveState(rw http.ResponseWriter, _ *http.Request) {
	writeJSON(rw, http.StatusOK, w.state())
}

func (w *Window) state() State {
	return State{
		Boot:          w.boot,
		Issuer:        w.clerk.Issuer(),
		Endpoint:      w.config.Endpoint,
		Program:       w.config.Program,
		Now:           w.clerkNow(),
		Settings:      settingsOf(w.clerk.Settings()),
		Faults:        faultsOf(w.clerk.Faults()),
		Users:         w.users(),
		Organizations: w.organizations(),
		Clients:       w.registrations(),
		Tokens:        w.tokens(),
		Kinds: []string{
			string(localclerk.OAuthToken), string(localclerk.IDToken), string(localclerk.SessionToken),
			string(localclerk.TemplateToken), string(localclerk.M2MToken), string(localclerk.APIKey),
		},
	}
}

// clerkDefaultScopes are the scopes that a nil list of default scopes means.
var clerkDefaultScopes = []string{localclerk.ScopeEmail, localclerk.ScopeOfflineAccess, localclerk.ScopeProfile}

// settings describes the settings of [localclerk.Settings], in the order of the page.
var settings = []struct {
	name, label string // see [Setting]
	on, off     string // the note while the setting is on or off; on is also that of a list
	value       func(localclerk.Settings) any
}{
	{
		name:  "dynamic_oauth_client_registration",
		label: "Dynamic client registration",
		on:    "Clients that Clerk does not know register themselves.",
		off:   "Clients that Clerk does not know stop at registration.",
		value: func(s localclerk.Settings) any { return s.DynamicOAuthClientRegistration },
	},
	{
		name:  "oauth_jwt_access_tokens",
		label: "Generate access tokens as JWTs",
		on:    "Access tokens are JWTs, which a server verifies with Clerk's public keys.",
		off:   "Access tokens are opaque; a server needs Clerk's secret key to verify them.",
		value: func(s localclerk.Settings) any { return s.OAuthJWTAccessTokens },
	},
	{
		name:  "aud_claim_enabled",
		label: "Audience claim",
		on:    "Access tokens name the server that they are for (aud), if the client sends resource.",
		off:   "Access tokens do not name the server that they are for (aud).",
		value: func(s localclerk.Settings) any { return s.AudClaimEnabled },
	},
	{
		name:  "organizations_enabled",
		label: "Organizations",
		on:    "Users can choose an organization on the consent page.",
		off:   "Users cannot choose an organization. Clients of a server that asks for user:org:read stop at registration.",
		value: func(s localclerk.Settings) any { return !s.OrganizationsDisabled },
	},
	{
		name:  "pkce_required",
		label: "Require PKCE",
		on:    "All clients need PKCE.",
		off:   "Clients with a secret do not need PKCE. Public clients always do.",
		value: func(s localclerk.Settings) any { return s.PKCERequired },
	},
	{
		name:  "client_id_metadata_documents_advertised",
		label: "Publish CIMD support",
		on:    "The https URL of a client's metadata document can be its client ID.",
		off:   "Clients cannot use the URL of a metadata document as their client ID.",
		value: func(s localclerk.Settings) any { return s.ClientIDMetadataDocumentsAdvertised },
	},
	{
		name:  "client_id_metadata_documents_only_allow_pre_registered_clients",
		label: "Only pre-registered CIMD clients",
		on:    "The URL of a metadata document must be registered before it can be a client ID.",
		off:   "The URL of a metadata document does not have to be registered.",
		value: func(s localclerk.Settings) any { return s.ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients },
	},
	{
		name:  "client_id_metadata_documents_block_implicitly_allowed_clients",
		label: "Block implicitly allowed CIMD clients",
		on:    "Metadata documents that were accepted without registration are blocked.",
		off:   "Metadata documents that were accepted without registration stay accepted.",
		value: func(s localclerk.Settings) any { return s.ClientIDMetadataDocumentsBlockImplicitlyAllowedClients },
	},
	{
		name:  "default_scopes",
		label: "Default scopes for dynamic clients",
		on:    "The scopes of clients that register without naming any. Empty means only offline_access.",
		value: func(s localclerk.Settings) any { return list(s.DefaultScopes) },
	},
	{
		name:  "custom_scopes",
		label: "Custom scopes",
		on:    "Your own scopes, in addition to Clerk's.",
		value: func(s localclerk.Settings) any { return list(s.CustomScopes) },
	},
}

func settingsOf(s localclerk.Settings) []Setting {
	if s.DefaultScopes == nil {
		s.DefaultScopes = clerkDefaultScopes
	}
	var all []Setting
	for _, setting := range settings {
		value, note := setting.value(s), setting.on
		if value == false {
			note = setting.off
		}
		all = append(all, Setting{setting.name, setting.label, note, value})
	}
	return all
}

func faultsOf(f localclerk.Faults) faultsJSON {
	paths := list(f.Paths)
	return faultsJSON{Latency: (*duration)(&f.Latency), Status: &f.Status, Paths: &paths, ClockOffset: (*duration)(&f.ClockOffset)}
}

func (w *Window) users() []User {
	organizations := w.clerk.Organizations()
	users := []User{}
	for _, u := range first(w.clerk.Users()) {
		user := User{ID: u.ID, Name: u.Name(), Username: u.Username, Email: u.Email, Banned: u.Banned, Organizations: []string{}}
		for _, o := range organizations {
			if slices.ContainsFunc(o.Members, func(m localclerk.Membership) bool { return m.User == u.ID }) {
				user.Organizations = append(user.Organizations, o.Slug)
			}
		}
		users = append(users, user)
	}
	return users
}

func (w *Window) organizations() []Organization {
	organizations := []Organization{}
	for _, o := range first(w.clerk.Organizations()) {
		shown := Organization{ID: o.ID, Name: o.Name, Slug: o.Slug, Members: []Member{}}
		for _, m := range first(o.Members) {
			shown.Members = append(shown.Members, Member{w.userName(m.User), m.Role})
		}
		organizations = append(organizations, shown)
	}
	return organizations
}

func (w *Window) registrations() []Registration {
	clients := []Registration{}
	for _, c := range newest(w.clerk.Clients()) {
		clients = append(clients, Registration{
			ID:           c.ID,
			Name:         redact(c.Name),
			RedirectURIs: list(c.RedirectURIs),
			Scopes:       list(c.Scopes),
			Dynamic:      c.Dynamic,
			Public:       c.Public,
			Created:      c.CreatedAt,
		})
	}
	return clients
}

func (w *Window) tokens() []Token {
	now := w.clerkNow()
	names := map[string]string{}
	for _, c := range w.clerk.Clients() {
		names[c.ID] = redact(c.Name)
	}
	tokens := slices.DeleteFunc(w.journal.issuedTokens(), func(t Token) bool { return now.After(t.Expires) })
	for _, t := range w.clerk.OpaqueTokens() {
		if t.ClientID == w.checkClient {
			continue // no client has it
		}
		tokens = append(tokens, Token{
			// The ID is not a part of the token's value.
			ID: t.ID, Form: "opaque", ClientID: t.ClientID, ClientName: names[t.ClientID], User: w.userName(t.User),
			Organization: t.Organization, Scopes: list(t.Scopes), Issued: t.IssuedAt, Expires: t.ExpiresAt, Revoked: t.Revoked,
		})
	}
	slices.SortStableFunc(tokens, func(a, b Token) int { return a.Issued.Compare(b.Issued) })
	return newest(tokens)
}

// first returns the first maxListed items.
func first[T any](all []T) []T { return all[:min(len(all), maxListed)] }

// newest returns the last maxListed items in reverse order.
func newest[T any](all []T) []T {
	shown := append([]T{}, all[max(0, len(all)-maxListed):]...)
	slices.Reverse(shown)
	return shown
}

// list returns items, or an empty list instead of nil, which would be null in JSON.
func list(items []string) []string {
	if items == nil {
		return []string{}
	}
	return items
}

func seconds(unix int64) time.Time { return time.Unix(unix, 0).UTC() }
