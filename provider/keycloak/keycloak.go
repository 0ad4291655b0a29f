// Package keycloak is the provider for users who sign in with Keycloak
// (https://www.keycloak.org).
//
// MCP clients register themselves with a realm and sign the user in there. The guard
// verifies the realm's access tokens against the keys of the realm.
//
// By default, Keycloak does not write into a token for which server it is. To change that, create
// a client scope of the type Optional, such as "mcp:tools", with a mapper of the type Audience whose
// Included Custom Audience is the URL of the MCP server, and name the scope in
// [Config].ScopesSupported. With --features=resource-indicators, the mapper can include a client
// whose attribute resource_url is that URL. In both cases, allow the hosts of MCP clients
// under Clients → Client registration → Trusted Hosts, without which they cannot register.
// Then set
//
//	MCP_USE_OAUTH_KEYCLOAK_SERVER_URL=https://sso.example.com
//	MCP_USE_OAUTH_KEYCLOAK_REALM=demo
//
// [UserOf] returns the user as the token describes it.
package keycloak

import (
	"net/url"
	"slices"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Keycloak"

	serverURLVariable = "MCP_USE_OAUTH_KEYCLOAK_SERVER_URL"
	realmVariable     = "MCP_USE_OAUTH_KEYCLOAK_REALM"
	audienceVariable  = "MCP_USE_OAUTH_KEYCLOAK_AUDIENCE"

	serverURLExample = "https://sso.example.com"
)

// Config describes a realm. A field that is empty here is taken from the environment, or else
// from a .env file in the working directory.
type Config struct {
	_ [0]func()

	// ServerURL is the URL of Keycloak without the realm: "https://sso.example.com". Versions
	// before 17, and servers with the option http-relative-path, have a path:
	// "https://sso.example.com/auth". In the environment it is
	// MCP_USE_OAUTH_KEYCLOAK_SERVER_URL.
	ServerURL string

	// Realm is the name of the realm, as in /realms/NAME. In the environment it is
	// MCP_USE_OAUTH_KEYCLOAK_REALM.
	Realm string

	// Audience is a value of aud that is accepted in addition to the URL of the MCP server:
	// the ID of a client, if the audience mapper includes a client. In the environment it is
	// MCP_USE_OAUTH_KEYCLOAK_AUDIENCE. Empty means that aud must be the URL.
	Audience string

	// ScopesSupported are the scopes that clients are asked to request: those of the
	// client scope with the audience mapper, above all. A client that registers with scopes
	// does not get the default scopes of the realm, so without it tokens would name no
	// server. Leave openid out: Keycloak rejects the registration of clients that name it. The
	// scopes of [gatehouse.Config].Requirements are always added.
	ScopesSupported []string

	// ClientRoles are the IDs of the clients whose roles become
	// [gatehouse.Identity].Permissions, each as "client:role". Empty means all clients.
	ClientRoles []string

	// AllowMachines accepts tokens of service accounts. See [gatehouse.Provider].
	AllowMachines bool
}

// FromEnv returns the realm that the environment names, or else a .env file in the working
// directory. It never fails: gatehouse.New reports what is wrong with the settings.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the realm of the Keycloak at serverURL, like "https://sso.example.com".
// scopes becomes [Config].ScopesSupported.
func Provider(serverURL, realm string, scopes ...string) gatehouse.Provider {
	return New(Config{ServerURL: serverURL, Realm: realm, ScopesSupported: scopes})
}

// New returns the realm of cfg, completed from the environment. It never fails: gatehouse.New
// reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider {
	return cfg.provider(setting.Load())
}

func (cfg Config) provider(r *setting.Reader) gatehouse.Provider {
	issuer := cfg.issuer(r)
	return r.Finish(gatehouse.Provider{
		Name:            name,
		Issuer:          issuer,
		ScopesSupported: slices.Clone(cfg.ScopesSupported),
		Tokens:          cfg.rules(r, issuer),
		Claims:          gatehouse.ClaimNames{Roles: []gatehouse.ClaimPath{{"realm_access", "roles"}}},
		Complete:        completer(slices.Clone(cfg.ClientRoles)),
		AllowMachines:   cfg.AllowMachines,
		Hints:           hints,

		// A client that registers with scopes cannot ask for others, unless an administrator
		// adds them.
		ScopesFixedAtRegistration: true,
	})
}

// issuer returns the issuer of the realm, or "" if a setting has a fault.
func (cfg Config) issuer(r *setting.Reader) string {
	const (
		findServer = `set it to the URL of Keycloak, like "` + serverURLExample + `"`
		findRealm  = `set it to the name of the realm, like "demo"`
	)
	server := serverURL(r, r.Require(findServer, "ServerURL", cfg.ServerURL, serverURLVariable))
	realm := realmName(r, r.Require(findRealm, "Realm", cfg.Realm, realmVariable))
	if server == "" || realm == "" {
		return ""
	}
	return server + realmPath + url.PathEscape(realm)
}

func (cfg Config) rules(r *setting.Reader, issuer string) gatehouse.TokenRules {
	rules := gatehouse.TokenRules{
		// Access tokens have the type at+jwt if the client has the attribute
		// access.token.header.type.rfc9068, which registered clients do not have.
		Types: []string{"JWT", "at+jwt"},

		// The claim typ is what distinguishes Keycloak's tokens. Those that are bound to a key
		// have "DPoP".
		RejectedClaims: map[string]map[string]string{"typ": otherTypes},
		RequiredValues: map[string][]string{"typ": {"Bearer"}},
		RequiredClaims: []string{"azp"},

		// The client scope service_account adds these claims.
		MachineClaims: map[string][]string{"clientHost": {""}, "clientAddress": {""}},
	}
	audience := r.Get("Audience", cfg.Audience, audienceVariable)
	switch audience.Text {
	case "":
	case "account":
		r.Fault(audience, "is in most tokens of a realm, so every client could call this server",
			"remove it, and add an audience mapper with the URL of this server to a client scope")
	case issuer:
		r.Fault(audience, "is the issuer", "remove it, or write the ID of the client that the audience mapper includes")
	default:
		rules.Audiences = []string{audience.Text}
	}
	return rules
}

// otherTypes are the values of the claim typ that mark Keycloak's other kinds of token.
var otherTypes = map[string]string{
	"ID":                      "ID token",
	"Refresh":                 "refresh token",
	"Offline":                 "offline token",
	"Logout":                  "logout token",
	"RegistrationAccessToken": "registration access token",
	"InitialAccessToken":      "initial access token",
}

// audienceHint says how a token comes to name this server.
const audienceHint = "in Keycloak, add a mapper of the type Audience, with the URL of this server as Included Custom Audience, to a client scope of the type Optional " +
	"(Client scopes → … → Mappers), and name the scope in ScopesSupported, so that clients request it; " +
	"or use --features=resource-indicators, with a client whose attribute resource_url is the URL, and a mapper that includes this client"

// hints replace the guard's own advice about a reason with Keycloak's settings.
var hints = map[gatehouse.Reason]string{
	"unbound":        audienceHint,
	"wrong_audience": audienceHint + "; if the mapper includes a client, set " + audienceVariable + " to its ID",
	"wrong_type":     "send the access token; ID tokens, refresh tokens and logout tokens of Keycloak are not access tokens",
	"wrong_claim":    "send a bearer token; a client with the setting Require DPoP bound tokens gets tokens that are bound to a key",
	"wrong_issuer":   "compare the server URL and the realm with iss in the detail; Keycloak writes its hostname (KC_HOSTNAME) into tokens, and the path /auth only in old versions or with http-relative-path",
	"missing_claim":  "turn off lightweight access tokens for the client (Clients → … → Advanced), or give it the client scope basic, which adds sub",
	"machine_token":  "sign in as a user; the token is of a service account, which AllowMachines of keycloak.Config accepts",
	"unknown_key":    "sign in again; the realm has removed the key, or the token is from another realm",

	"insufficient_scope":      "create a client scope of that name, of the type Optional (Client scopes), which new clients may request; then have the client register again",
	"insufficient_permission": "give the user the role (Users → … → Role mapping); a client that registered itself also needs a client scope with role mappers and the role on its Scope tab, named in ScopesSupported; then the user must sign in again",
}
