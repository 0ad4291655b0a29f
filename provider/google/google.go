// Package google is the provider for users who sign in with a Google account.
//
// Google's access tokens are for Google's APIs: they are opaque, and they name a client and not a
// server. The guard asks Google about each of them, and accepts those of the clients that the
// configuration names. MCP clients cannot register themselves at Google, so each of them needs an
// OAuth client there, with its secret.
//
// In the Google Cloud console (Google Auth Platform → Clients), create an OAuth client for each MCP
// client. Then copy the client IDs:
//
//	GOOGLE_CLIENT_ID=32555940559-example.apps.googleusercontent.com
//
// docs/google.md has the steps in full, and says what does not work.
package google

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/endpoint"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Google"

	clientVariable = "GOOGLE_CLIENT_ID"

	// clientSuffix ends the client IDs of Google, and secretPrefix begins the client secrets.
	clientSuffix = ".apps.googleusercontent.com"
	secretPrefix = "GOCSPX-"
	// clientCharacters are those of a client ID.
	clientCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-."

	// EmailScope is the scope with which tokens say the email address of the user.
	EmailScope = "https://www.googleapis.com/auth/userinfo.email"
)

// Config describes the OAuth clients whose tokens are accepted. An explicit value overrides the
// environment, and the environment a .env file in the working directory.
type Config struct {
	_ [0]func()

	// ClientIDs are the OAuth clients whose tokens are accepted, "….apps.googleusercontent.com". At
	// least one is required. In the environment they are GOOGLE_CLIENT_ID, separated by spaces or commas. Use
	// clients for this server alone: a token that such a client sends to another server works here
	// too.
	ClientIDs []string

	// ScopesSupported are the scopes that the server asks clients to request. Empty means openid,
	// without which a token does not say who the user is, and [EmailScope].
	ScopesSupported []string

	// HTTPClient asks Google about tokens. Nil means a client of the package's own.
	HTTPClient *http.Client
}

// FromEnv returns the OAuth clients that the environment names, or else a .env file in the working
// directory: GOOGLE_CLIENT_ID. It never fails: gatehouse.New reports what is wrong with it.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns Google as the provider for the tokens of the OAuth clients.
func Provider(clientIDs ...string) gatehouse.Provider { return New(Config{ClientIDs: clientIDs}) }

// New returns the OAuth clients of cfg, completed from the environment. It never fails:
// gatehouse.New reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider { return cfg.provider(setting.Load()) }

func (cfg Config) provider(r *setting.Reader) gatehouse.Provider {
	clients := cfg.clientIDs(r)
	info := &tokenInfo{clientIDs: clients, client: endpoint.Client(cfg.HTTPClient)}
	p := gatehouse.Provider{
		Name:            name,
		Issuer:          issuer,
		ScopesSupported: slices.Clone(cfg.ScopesSupported),
		OpaqueOnly:      true,
		OpaquePrefixes:  []string{accessTokenPrefix},
		Introspect:      info.introspect,
		Hints:           hints,

		Tokens: gatehouse.TokenRules{Audiences: clients},
		Claims: gatehouse.ClaimNames{Client: []string{"client_id"}, Scopes: []string{"scope"}},
		Risks: []string{"access tokens of Google name a client and not a server: if one of the clients " + strings.Join(clients, ", ") +
			" is used for another server too, a token that was stolen there works here; use these clients for this server " +
			"only, or sign in with a provider that binds tokens to a server"},
	}
	if len(p.ScopesSupported) == 0 {
		p.ScopesSupported = []string{"openid", EmailScope}
	}
	return r.Finish(p)
}

// clientIDs returns the client IDs of cfg, or reports a fault.
func (cfg Config) clientIDs(r *setting.Reader) []string {
	const find = "copy the client IDs from the Google Cloud console (Google Auth Platform → Clients)"
	ids, field := r.List("ClientIDs", cfg.ClientIDs, clientVariable)
	if len(ids) == 0 {
		r.Fault(setting.Value{Name: field}, "is missing",
			find+"; otherwise the tokens of every application that uses Google would be accepted")
	}
	for _, id := range ids {
		v := setting.Value{Name: field, Text: id}
		switch {
		case strings.HasPrefix(id, secretPrefix):
			r.SecretFault(v, "has a client secret", find+", and reset the secret if it was published")
		case !strings.HasSuffix(id, clientSuffix) || strings.Trim(id, clientCharacters) != "":
			r.Fault(v, "is not a client ID of Google", find+"; they end in "+clientSuffix)
		}
	}
	return ids
}

// hints replace the guard's own advice about a reason with Google's settings.
var hints = map[gatehouse.Reason]string{
	"inactive": "nothing, if the token has expired or was revoked: the client signs in again; an ID token, which " +
		"begins with ey, is not an access token",
	"wrong_audience": "if the client in the log may use the server, add its client ID to " + clientVariable + " " +
		"(Google Auth Platform → Clients); otherwise the token was issued to another application",
	"missing_claim": "have the client request the scope openid; without it, Google does not say who the user is",
	"insufficient_scope": "add the scope to the consent screen (Google Auth Platform → Data Access), and name it in " +
		"requirements as tokeninfo does, like " + EmailScope + " in place of email",
	"registration_unavailable": "create an OAuth client and enter its client ID and secret in the MCP client (see " +
		"docs/google.md); Google has no registration endpoint",
}
