// Package zitadel is the provider for users who sign in with ZITADEL (https://zitadel.com), in
// its cloud or hosted by yourself.
//
// MCP clients sign the user in at your ZITADEL instance. The guard verifies access tokens that
// are JWTs against the keys of the instance, and checks opaque ones at its introspection
// endpoint. Clients that registered themselves have opaque ones, always.
//
// In the Management Console, create a project for the MCP server, and an application of the type
// API in it, whose credentials are for introspection:
//
//	ZITADEL_DOMAIN=https://acme-k2x9qd.us1.zitadel.cloud
//	ZITADEL_PROJECT_ID=328859038097867422
//	ZITADEL_CLIENT_ID=391190000000000001
//	ZITADEL_CLIENT_SECRET=…
//
// With private key JWT, set ZITADEL_KEY_FILE in place of the last two. docs/zitadel.md has the
// steps in full.
//
// JWTs of ZITADEL have no scopes. Require roles, or set [Config].IntrospectAll.
package zitadel

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
	"github.com/gatehouse-mcp/gatehouse/provider/introspection"
)

const (
	name = "ZITADEL"

	domainVariable       = "ZITADEL_DOMAIN"
	projectVariable      = "ZITADEL_PROJECT_ID"
	clientVariable       = "ZITADEL_CLIENT_ID"
	clientSecretVariable = "ZITADEL_CLIENT_SECRET"
	keyFileVariable      = "ZITADEL_KEY_FILE"

	exampleDomain  = "https://acme-k2x9qd.us1.zitadel.cloud"
	exampleProject = "328859038097867422"
)

// OrganizationScope is the scope for which ZITADEL writes the organization of the user into
// tokens. Clients are asked to request it.
const OrganizationScope = "urn:zitadel:iam:user:resourceowner"

// Config describes a ZITADEL instance and the project that stands for the MCP server. Domain and
// ProjectID are required. They, and the credentials, may also be in the environment, or in a .env
// file in the working directory.
type Config struct {
	_ [0]func()

	// Domain is the URL of the instance, with https and without a path:
	// "https://acme-k2x9qd.us1.zitadel.cloud", or a custom domain. In the environment it is
	// ZITADEL_DOMAIN.
	Domain string

	// ProjectID is the ID of the project that stands for the MCP server:
	// "328859038097867422". Tokens are accepted if their aud has it. In the environment it is
	// ZITADEL_PROJECT_ID.
	ProjectID string

	// ClientID and ClientSecret are those of an application of the type API in the project,
	// with which opaque tokens are checked. In the environment they are ZITADEL_CLIENT_ID and
	// ZITADEL_CLIENT_SECRET. Without them and KeyFile, opaque tokens are rejected.
	ClientID     string
	ClientSecret gatehouse.Secret

	// KeyFile is the path of the key file of such an application, as it was downloaded from the
	// Management Console, in place of ClientID and ClientSecret. In the environment it is
	// ZITADEL_KEY_FILE.
	KeyFile string

	// IntrospectAll checks JWTs at the introspection endpoint too. Then all callers have
	// scopes, which JWTs of ZITADEL lack, and a revoked token is accepted for a minute at
	// most. Each token is asked about once a minute.
	IntrospectAll bool

	// ScopesSupported are scopes that clients are asked to request, in addition to those with
	// which ZITADEL writes the project, the roles and the organization into tokens: "profile"
	// and "email", for example.
	ScopesSupported []string

	// AllowMachines accepts the tokens of service accounts, except personal access tokens. See
	// [gatehouse.Provider].
	AllowMachines bool

	// HTTPClient sends the requests to the introspection endpoint. Nil means a default client.
	HTTPClient *http.Client
}

// FromEnv returns the ZITADEL instance and the project that the environment names, or else a .env
// file in the working directory: ZITADEL_DOMAIN and ZITADEL_PROJECT_ID, and for opaque tokens
// ZITADEL_CLIENT_ID and ZITADEL_CLIENT_SECRET, or ZITADEL_KEY_FILE. It never fails: gatehouse.New
// reports what is wrong with them.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the project with an ID, like "328859038097867422", of the ZITADEL instance at a
// URL, like "https://acme-k2x9qd.us1.zitadel.cloud". What is empty, and the credentials for opaque
// tokens, are taken from the environment.
func Provider(domain, projectID string) gatehouse.Provider {
	return New(Config{Domain: domain, ProjectID: projectID})
}

// New returns the project of cfg, completed from the environment. It never fails: gatehouse.New
// reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider { return cfg.provider(setting.Load()) }

func (cfg Config) provider(settings *setting.Reader) gatehouse.Provider {
	issuer := cfg.issuer(settings)
	project := cfg.project(settings)
	p := gatehouse.Provider{
		Name:              name,
		Issuer:            issuer,
		ScopesSupported:   cfg.scopes(project),
		OrganizationScope: OrganizationScope,
		AllowMachines:     cfg.AllowMachines,
		NoPermissions:     true,
		Complete:          complete,
		Hints:             hints,
		Claims: gatehouse.ClaimNames{
			Client: []string{"client_id"},
			Scopes: []string{"scope"},
			// The claim without a project is about the project of the client: who is an
			// administrator there need not be one here.
			Roles:            []gatehouse.ClaimPath{{"urn:zitadel:iam:org:project:" + project + ":roles"}},
			Organization:     gatehouse.ClaimPath{"urn:zitadel:iam:user:resourceowner:id"},
			OrganizationName: gatehouse.ClaimPath{"urn:zitadel:iam:user:resourceowner:name"},
			OrganizationSlug: gatehouse.ClaimPath{"urn:zitadel:iam:user:resourceowner:primary_domain"},
		},
		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"},
			Types:          []string{"JWT"},
			RequiredClaims: []string{"client_id"},
			// ID tokens have the type, the issuer, the audience and the client of access tokens.
			RejectedClaims: map[string]map[string]string{
				"azp":     {"": "ID token"},
				"at_hash": {"": "ID token"},
				"c_hash":  {"": "ID token"},
				"nonce":   {"": "ID token"},
			},
			Audiences: []string{project},
		},
		Risks: []string{fmt.Sprintf("tokens of ZITADEL are for the project %s: every server of the project accepts them, and every client of the "+
			"instance can ask for them; give this server a project of its own, and protect tools with roles", project)},
	}
	if asked, ok := cfg.introspection(settings, issuer); ok && !settings.Failed() {
		p.Introspect, p.Err = introspection.Func(asked)
		p.OpaqueOnly = cfg.IntrospectAll
	}
	return settings.Finish(p)
}

func (cfg Config) issuer(settings *setting.Reader) string {
	const where = `copy the URL of the instance, like "` + exampleDomain + `"`
	v := settings.Require("set it to the URL of the instance, like "+fmt.Sprintf("%q", exampleDomain), "Domain", cfg.Domain, domainVariable)
	if u, err := url.Parse(v.Text); err == nil {
		switch host := u.Hostname(); {
		case host == "zitadel.com" || host == "zitadel.cloud" || host == "www.zitadel.com":
			settings.Fault(v, "is not an instance", where)
			return ""
		case host != "" && strings.Trim(u.Path, "/") != "": // of the Console, or of a metadata document
			settings.Fault(v, "has a path", fmt.Sprintf("write %q", u.Scheme+"://"+u.Host))
			return ""
		}
	}
	return settings.NoSlash(v, exampleDomain)
}

var projectID = regexp.MustCompile(`^[0-9A-Za-z_-]+$`)

func (cfg Config) project(settings *setting.Reader) string {
	const fix = `copy the Resource ID on the page of the project (Management Console, Projects), like "` + exampleProject + `"`
	v := settings.Require(fix, "ProjectID", cfg.ProjectID, projectVariable)
	if v.Text != "" && !projectID.MatchString(v.Text) {
		settings.Fault(v, "is not the ID of a project", fix)
		return ""
	}
	return v.Text
}

// scopes returns the scopes that clients are asked to request. ZITADEL ignores the resource
// parameter, so a scope is what makes it write the project into aud. Without openid it shows the
// user an error.
func (cfg Config) scopes(project string) []string {
	scopes := []string{
		"openid",
		"urn:zitadel:iam:org:project:id:" + project + ":aud",
		"urn:zitadel:iam:org:projects:roles",
		OrganizationScope,
	}
	for _, scope := range cfg.ScopesSupported {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// complete is the Complete function of the provider. Service accounts have a client only by name:
// their user name or ID, which is in no aud. The client of a user is in aud, unless it has a
// metadata document, whose URL is its ID.
func complete(id *gatehouse.Identity) error {
	if !slices.Contains(id.Audience, id.ClientID) && !strings.HasPrefix(id.ClientID, "https://") {
		id.Kind = gatehouse.KindMachine
	}
	return nil
}

// hints replace the guard's own advice about a reason with ZITADEL's settings.
var hints = map[gatehouse.Reason]string{
	"opaque": "create an application of the type API in the project, and set ZITADEL_CLIENT_ID " +
		"and ZITADEL_CLIENT_SECRET to its credentials; clients that registered themselves have opaque tokens",
	"encrypted": "create an application of the type API in the project, and set ZITADEL_CLIENT_ID " +
		"and ZITADEL_CLIENT_SECRET to its credentials; this form is that of ZITADEL's opaque tokens",
	"inactive": "sign in again; if that does not help, check that the API application with whose " +
		"credentials tokens are checked is in the project of ZITADEL_PROJECT_ID",
	"wrong_type": "send the access token; ID tokens of ZITADEL are signed with the same key but are " +
		"not access tokens",
	"missing_claim": "sign in with a client; personal access tokens of ZITADEL name no client and are " +
		"not accepted",
	"wrong_issuer": "compare ZITADEL_DOMAIN with the instance that the client signed in at; a custom " +
		"domain is an issuer of its own",
	"wrong_audience": "have the client request the scopes that this server names, of which " +
		"urn:zitadel:iam:org:project:id:…:aud writes the project into aud, and compare the project in it with " +
		"ZITADEL_PROJECT_ID",
	"machine_token": "sign in as a user; if service accounts may call this server, set AllowMachines, " +
		"and Person in the requirements of what only people may do",
	"insufficient_scope": "require a role in place of the scope: JWTs of ZITADEL have no scopes, and ZITADEL " +
		"has no scopes of your own; for one of its own scopes, set IntrospectAll",
	"insufficient_permission": "give the user the role in the project (Management Console, the project → " +
		"Authorizations), and have the client request the scopes that this server names, then sign in again",
	"registration_unavailable": "turn on dynamic client registration, also without authentication (PUT " +
		"/v2/settings/security), or register an application and enter its client ID in the client",
	"unknown_key": "sign in again; the token was signed by another instance, or by a key that the " +
		"instance has removed",
}
