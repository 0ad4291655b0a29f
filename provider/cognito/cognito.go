// Package cognito is the provider for users who sign in with an Amazon Cognito user pool
// (https://aws.amazon.com/cognito/).
//
// The guard verifies Cognito's access tokens against the keys of the user pool. They name no
// server, unless the client sends the resource parameter, so the configuration says what binds them
// to yours: the app clients that may use it, a resource server of the user pool, or both. MCP clients
// cannot register themselves at Cognito, so each of them needs an app client there.
//
// In the Cognito console, create a resource server whose identifier is the URL of your MCP server
// (Branding → Domain → Resource servers), and an app client for each MCP client. Then copy the IDs:
//
//	COGNITO_USER_POOL_ID=us-west-2_EXAMPLE1a
//	COGNITO_CLIENT_ID=57cbishk4j24pabc1234567890
//	COGNITO_RESOURCE_SERVER=https://mcp.example.com/mcp
//
// docs/cognito.md has the steps in full.
package cognito

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Amazon Cognito"

	userPoolVariable       = "COGNITO_USER_POOL_ID"
	clientVariable         = "COGNITO_CLIENT_ID"
	resourceServerVariable = "COGNITO_RESOURCE_SERVER"
	scopesVariable         = "COGNITO_SCOPES"
)

// Config describes a user pool and what binds its tokens to the MCP server. At least one of
// ClientIDs, ResourceServer and RequireAudience is required. An explicit value overrides the
// environment, and the environment a .env file in the working directory.
type Config struct {
	_ [0]func()

	// UserPoolID is the ID of the user pool, which begins with its region: "us-west-2_EXAMPLE1a". In
	// the environment it is COGNITO_USER_POOL_ID.
	UserPoolID string

	// ClientIDs are the app clients whose tokens are accepted, if the tokens have no audience. In the
	// environment they are COGNITO_CLIENT_ID, separated by spaces. Empty means every app client of
	// the user pool; ResourceServer then binds the tokens. Use app clients for this server alone:
	// if another service accepts the same one, a token that was stolen there works here.
	ClientIDs []string

	// ResourceServer is the identifier of the resource server in the user pool that represents the
	// MCP server: "https://mcp.example.com/mcp", or a name. A token without an audience then needs one
	// of its scopes: "https://mcp.example.com/mcp/tools.read". In the environment it is
	// COGNITO_RESOURCE_SERVER. Empty means that scopes bind nothing.
	ResourceServer string

	// RequireAudience accepts only tokens whose aud is the URL of the MCP server. Cognito writes it if
	// the client sends the resource parameter (resource binding), which needs managed login and the
	// plan Essentials or Plus. ClientIDs and ResourceServer must then be empty.
	RequireAudience bool

	// ScopesSupported are the scopes that the server asks clients to request, in full. In the
	// environment they are COGNITO_SCOPES, separated by spaces. Empty means none: a client that
	// requests none gets all scopes of its app client. The scopes of
	// [gatehouse.Config].Requirements are always added.
	ScopesSupported []string

	// AllowMachines accepts the tokens of app clients that act for themselves (client credentials).
	// Their identity has the kind [gatehouse.KindMachine].
	AllowMachines bool
}

// FromEnv returns the user pool that the environment names, or else a .env file in the working
// directory: COGNITO_USER_POOL_ID, COGNITO_CLIENT_ID, COGNITO_RESOURCE_SERVER and COGNITO_SCOPES. It
// never fails: gatehouse.New reports what is wrong with them.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the user pool with an ID, like "us-west-2_EXAMPLE1a", for the tokens of the app
// clients.
func Provider(userPoolID string, clientIDs ...string) gatehouse.Provider {
	return New(Config{UserPoolID: userPoolID, ClientIDs: clientIDs})
}

// New returns the user pool of cfg, completed from the environment. It never fails: gatehouse.New
// reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider { return cfg.provider(setting.Load()) }

func (cfg Config) provider(r *setting.Reader) gatehouse.Provider {
	issuer := parseUserPool(r, r.Require(findUserPool, "UserPoolID", cfg.UserPoolID, userPoolVariable))
	clients, field := r.List("ClientIDs", cfg.ClientIDs, clientVariable)
	server := r.Get("ResourceServer", cfg.ResourceServer, resourceServerVariable)
	cfg.checkBinding(r, setting.Value{Name: field, Text: strings.Join(clients, " ")}, server)
	checkServer(r, server)
	return r.Finish(gatehouse.Provider{
		Name:            name,
		Issuer:          issuer,
		ScopesSupported: cfg.scopes(r, scopePrefix(server.Text)),
		AllowMachines:   cfg.AllowMachines,
		NoPermissions:   true,
		Hints:           hints,

		Tokens: gatehouse.TokenRules{
			Algorithms:       []string{"RS256"},
			Types:            []string{""}, // Cognito writes no type
			RequiredValues:   map[string][]string{"token_use": {"access"}},
			BoundClients:     clients,
			BoundScopePrefix: scopePrefix(server.Text),
		},
		Claims: gatehouse.ClaimNames{
			Client: []string{"client_id"},
			Scopes: []string{"scope"},
			Roles:  []gatehouse.ClaimPath{{"cognito:groups"}},
		},
	})
}

// scopePrefix returns how the scopes of a resource server begin.
func scopePrefix(server string) string {
	if server == "" {
		return ""
	}
	return server + "/"
}

var (
	// userPoolID is the form of the ID of a user pool, as in aws-jwt-verify: a region, and an ID in it.
	userPoolID = regexp.MustCompile(`^([a-z]{2}-(?:gov-)?[a-z]+-[0-9])_[a-zA-Z0-9]+$`)

	// userPoolIDWithin is such an ID within other text, such as an ARN or an issuer.
	userPoolIDWithin = regexp.MustCompile(`(?:^|[/:])([a-z]{2}-(?:gov-)?[a-z]+-[0-9]_[a-zA-Z0-9]+)(?:/|$)`)
)

const findUserPool = `copy the user pool ID from the Cognito console (User pools → the pool → Overview), like "us-west-2_EXAMPLE1a"`

// parseUserPool returns the issuer of the user pool whose ID v is, or reports a fault.
func parseUserPool(r *setting.Reader, v setting.Value) string {
	if match := userPoolID.FindStringSubmatch(v.Text); match != nil {
		return "https://cognito-idp." + match[1] + ".amazonaws.com/" + v.Text
	}
	within := userPoolIDWithin.FindStringSubmatch(v.Text)
	switch {
	case v.Text == "":
	case within != nil && strings.HasPrefix(v.Text, "arn:"):
		r.Fault(v, "is the ARN of a user pool", fmt.Sprintf("write %q", within[1]))
	case within != nil && strings.Contains(v.Text, "://"):
		r.Fault(v, "is a URL", fmt.Sprintf("write %q", within[1]))
	case strings.Contains(v.Text, ".amazoncognito.com"):
		r.Fault(v, "is the domain of a user pool", findUserPool)
	case strings.Contains(v.Text, ":"):
		r.Fault(v, "is the ID of an identity pool", findUserPool)
	default:
		r.Fault(v, "is not the ID of a user pool", findUserPool)
	}
	return ""
}

// checkBinding reports a fault if nothing binds tokens to the server, or if two settings that
// contradict each other do.
func (cfg Config) checkBinding(r *setting.Reader, clients, server setting.Value) {
	const fix = "remove one of the two; RequireAudience is stricter"
	switch {
	case cfg.RequireAudience && clients.Text != "":
		r.Fault(clients, "has no effect with RequireAudience", fix)
	case cfg.RequireAudience && server.Text != "":
		r.Fault(server, "has no effect with RequireAudience", fix)
	case !cfg.RequireAudience && clients.Text == "" && server.Text == "":
		r.Fault(clients, "is missing", "set it to the app clients that may use the server (Cognito console: App clients → "+
			"the client → Client ID), or set ResourceServer; otherwise every token of the user pool would be accepted")
	}
}

// checkServer reports a fault if v is not the identifier of a resource server.
func checkServer(r *setting.Reader, v setting.Value) {
	const find = "copy the identifier from the Cognito console (Branding → Domain → Resource servers)"
	switch {
	case strings.HasSuffix(v.Text, "/"):
		r.Fault(v, "ends with a slash", fmt.Sprintf("write %q; if the identifier has the slash, create the resource server "+
			"anew without it", strings.TrimRight(v.Text, "/")))
	case strings.ContainsAny(v.Text, " \"\\"):
		r.Fault(v, "is not the identifier of a resource server", find)
	case strings.HasPrefix(v.Text, "https://cognito-idp."):
		r.Fault(v, "is the issuer", find)
	}
}

// scopes returns the scopes of cfg. It reports a fault if none of them begins with prefix, which
// every token needs.
func (cfg Config) scopes(r *setting.Reader, prefix string) []string {
	scopes, field := r.List("ScopesSupported", cfg.ScopesSupported, scopesVariable)
	hasPrefix := func(scope string) bool { return strings.HasPrefix(scope, prefix) }
	if len(scopes) > 0 && !slices.ContainsFunc(scopes, hasPrefix) {
		r.Fault(setting.Value{Name: field, Text: strings.Join(scopes, " ")},
			"has no scope of the resource server, so that every token would be rejected",
			fmt.Sprintf("write scopes in full, like %q", prefix+"tools.read"))
	}
	return scopes
}

// hints replace the guard's own advice about a reason with Cognito's settings.
var hints = map[gatehouse.Reason]string{
	"wrong_claim": "have the client send its access token; token_use of an ID token is id",
	"wrong_audience": "if the log names a client, add it to ClientIDs if it may use the server; if it names scopes, " +
		"allow the scopes of the resource server in the app client (App clients → the client → Login pages) and have " +
		"the client request one; otherwise the token is for another resource",
	"unbound": "use clients that send the resource parameter, and managed login with the plan Essentials or Plus; or " +
		"set ClientIDs or ResourceServer in place of RequireAudience",
	"wrong_issuer":  "compare the user pool of the server with iss in the log",
	"machine_token": "sign in as a user; AllowMachines accepts the tokens of app clients that act for themselves",
	"insufficient_scope": "add the scope to the resource server (Branding → Domain → Resource servers) and to the app " +
		"client (App clients → the client → Login pages), and name it in full in the requirement, with the identifier " +
		"of the resource server",
	"insufficient_permission": "add the user to the group (User management → Groups)",
	"registration_unavailable": "create an app client and enter its client ID in the MCP client (see docs/cognito.md); " +
		"Cognito has no registration endpoint",
}
