package window

import (
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// State is what GET state answers: everything about the local Clerk that is not
// a step.
type State struct {
	Boot          string         `json:"boot"` // another one after every start
	Issuer        string         `json:"issuer"`
	Endpoint      string         `json:"endpoint"` // what clients are pointed at
	Program       string         `json:"program"`
	Now           time.Time      `json:"now"` // by the local Clerk's clock
	Settings      []Setting      `json:"settings"`
	Faults        faultsChange   `json:"faults"`
	Users         []Person       `json:"users"`
	Organizations []Organization `json:"organizations"`
	Clients       []Application  `json:"clients"` // newest first
	Tokens        []Token        `json:"tokens"`  // that have not expired, newest first
	Kinds         []string       `json:"kinds"`   // of tokens to mint
}

// Setting is one switch, or list of scopes, of an instance.
type Setting struct {
	Name  string `json:"name"`  // in the Backend API
	Label string `json:"label"` // on Clerk's Dashboard
	Note  string `json:"note"`  // what happens without it
	Value any    `json:"value"` // bool or []string
}

// Person is a user.
type Person struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Username      string   `json:"username"`
	Email         string   `json:"email"`
	Banned        bool     `json:"banned"`
	Organizations []string `json:"organizations"` // slugs
}

// Organization is a group of users.
type Organization struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Slug    string   `json:"slug"`
	Members []Member `json:"members"`
}

// Member is a user's place in an organization.
type Member struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// Application is a registered client.
type Application struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	RedirectURIs []string  `json:"redirect_uris"`
	Scopes       []string  `json:"scopes"`
	Dynamic      bool      `json:"dynamic"`
	Public       bool      `json:"public"`
	Created      time.Time `json:"created"`
}

// Token is an access token that was issued, without its value.
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

// maxShown bounds each list of the state; the newest are shown.
const maxShown = 200

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
		Users:         w.people(),
		Organizations: w.organizations(),
		Clients:       w.applications(),
		Tokens:        w.tokens(),
		Kinds: []string{
			string(localclerk.OAuthToken), string(localclerk.IDToken), string(localclerk.SessionToken),
			string(localclerk.TemplateToken), string(localclerk.M2MToken), string(localclerk.APIKey),
		},
	}
}

// factoryScopes are Clerk's own default scopes, which a nil list stands for.
var factoryScopes = []string{localclerk.ScopeEmail, localclerk.ScopeOfflineAccess, localclerk.ScopeProfile}

func settingsOf(s localclerk.Settings) []Setting {
	if s.DefaultScopes == nil {
		s.DefaultScopes = factoryScopes
	}
	return []Setting{
		{"dynamic_oauth_client_registration", "Dynamic client registration", "Off, clients that Clerk does not know stop at registration.", s.DynamicOAuthClientRegistration},
		{"oauth_jwt_access_tokens", "Generate access tokens as JWTs", "Off, tokens are opaque and a server needs Clerk's secret key to read them.", s.OAuthJWTAccessTokens},
		{"aud_claim_enabled", "Audience claim", "Off, a token does not say which server it is for.", s.AudClaimEnabled},
		{"organizations_enabled", "Organizations", "Off, nobody can choose an organization.", !s.OrganizationsDisabled},
		{"pkce_required", "Require PKCE", "On, clients with a secret need PKCE too; public ones always do.", s.PKCERequired},
		{"client_id_metadata_documents_advertised", "Publish CIMD support", "On, a client may be known by the https URL of its description.", s.ClientIDMetadataDocumentsAdvertised},
		{"client_id_metadata_documents_only_allow_pre_registered_clients", "Only pre-registered CIMD clients", "On, such a URL must have been registered beforehand.", s.ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients},
		{"client_id_metadata_documents_block_implicitly_allowed_clients", "Block implicitly allowed CIMD clients", "On, URLs that were let in without registration are shut out.", s.ClientIDMetadataDocumentsBlockImplicitlyAllowedClients},
		{"default_scopes", "Default scopes for dynamic clients", "What a client holds that registers without naming scopes. Empty means offline_access alone.", list(s.DefaultScopes)},
		{"custom_scopes", "Scopes of your own", "Beside Clerk's.", list(s.CustomScopes)},
	}
}

func faultsOf(f localclerk.Faults) faultsChange {
	paths := list(f.Paths)
	return faultsChange{Latency: (*duration)(&f.Latency), Status: &f.Status, Paths: &paths, ClockOffset: (*duration)(&f.ClockOffset)}
}

func (w *Window) people() []Person {
	organizations := w.clerk.Organizations()
	people := []Person{}
	for _, u := range first(w.clerk.Users()) {
		p := Person{ID: u.ID, Name: u.Name(), Username: u.Username, Email: u.Email, Banned: u.Banned, Organizations: []string{}}
		for _, o := range organizations {
			if slices.ContainsFunc(o.Members, func(m localclerk.Membership) bool { return m.User == u.ID }) {
				p.Organizations = append(p.Organizations, o.Slug)
			}
		}
		people = append(people, p)
	}
	return people
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

func (w *Window) applications() []Application {
	clients := []Application{}
	for _, c := range newest(w.clerk.Clients()) {
		clients = append(clients, Application{ID: c.ID, Name: scrub(c.Name), RedirectURIs: list(c.RedirectURIs), Scopes: list(c.Scopes), Dynamic: c.Dynamic, Public: c.Public, Created: c.CreatedAt})
	}
	return clients
}

func (w *Window) tokens() []Token {
	now := w.clerkNow()
	names := map[string]string{}
	for _, c := range w.clerk.Clients() {
		names[c.ID] = scrub(c.Name)
	}
	tokens := slices.DeleteFunc(w.journal.issued(), func(t Token) bool { return now.After(t.Expires) })
	for _, t := range w.clerk.OpaqueTokens() {
		tokens = append(tokens, Token{
			// The id of an opaque token is none of its value.
			ID: t.ID, Form: "opaque", ClientID: t.ClientID, ClientName: names[t.ClientID], User: w.userName(t.User),
			Organization: t.Organization, Scopes: list(t.Scopes), Issued: t.IssuedAt, Expires: t.ExpiresAt, Revoked: t.Revoked,
		})
	}
	slices.SortStableFunc(tokens, func(a, b Token) int { return a.Issued.Compare(b.Issued) })
	return newest(tokens)
}

func first[T any](all []T) []T { return all[:min(len(all), maxShown)] }

// newest returns the last of all, in reverse.
func newest[T any](all []T) []T {
	shown := append([]T{}, all[max(0, len(all)-maxShown):]...)
	slices.Reverse(shown)
	return shown
}

// list is all as JSON wants it: never null.
func list(all []string) []string {
	if all == nil {
		return []string{}
	}
	return all
}

func seconds(unix int64) time.Time { return time.Unix(unix, 0).UTC() }
