// Package entra is the provider for users who sign in with Microsoft Entra ID
// (https://entra.microsoft.com, formerly Azure Active Directory).
//
// The guard verifies Entra ID's access tokens, of version 2.0, for the app registration of your MCP
// server. MCP clients cannot register themselves at Entra ID, so each of them needs an application
// of its own there, or one that its maker registered.
//
// In the Microsoft Entra admin center (App registrations), register the server, set its Application
// ID URI to the URL of the server and add a scope (Expose an API), and set
// requestedAccessTokenVersion to 2 (Manifest). Then copy the IDs (Overview):
//
//	AZURE_TENANT_ID=8eaef023-2b34-4da1-9baa-8bc8c9d6a490
//	AZURE_CLIENT_ID=00001111-aaaa-2222-bbbb-3333cccc4444
//	AZURE_APP_ID_URI=https://mcp.example.com/mcp
//	AZURE_SCOPES=Tools.Read
//
// docs/entra.md has the steps in full.
package entra

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	name = "Microsoft Entra ID"

	tenantVariable   = "AZURE_TENANT_ID"
	clientVariable   = "AZURE_CLIENT_ID"
	appIDURIVariable = "AZURE_APP_ID_URI"
	scopesVariable   = "AZURE_SCOPES"

	// issuerV2 and issuerV1 are the issuers of a tenant, by the version of the tokens.
	issuerV2 = "https://login.microsoftonline.com/{tenantid}/v2.0"
	issuerV1 = issuerV1Host + "{tenantid}/"

	issuerV1Host = "https://sts.windows.net/"

	// PersonalAccounts is the tenant of personal Microsoft accounts.
	PersonalAccounts = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

// Config describes an app registration of Microsoft Entra ID and the tenants whose users may use
// it. An explicit value overrides the environment, and the environment a .env file in the working
// directory.
type Config struct {
	_ [0]func()

	// TenantID is the directory (tenant) ID, a GUID. In the environment it is AZURE_TENANT_ID. For
	// several tenants, use Tenants.
	TenantID string

	// Tenants are the IDs of the tenants whose users are accepted, if there are several. TenantID
	// must then be empty, or one of "common", "organizations" and "consumers", which stand for
	// tenants that the server does not know and which say nothing in addition to this list.
	// [PersonalAccounts] has keys of its own, and so must be the only one.
	Tenants []string

	// ClientID is the application (client) ID of the registration of the server, a GUID: the
	// audience of its tokens. In the environment it is AZURE_CLIENT_ID.
	ClientID string

	// AppIDURI is the Application ID URI of the registration. Clients put it and a slash before the
	// scopes that they request. It should be the URL of the server, because Entra ID rejects the
	// resource parameter of MCP clients if it is anything else. In the environment it is
	// AZURE_APP_ID_URI. Empty means "api://" and ClientID.
	AppIDURI string

	// ScopesSupported are the scopes that the server asks clients to request: those under Expose
	// an API, without AppIDURI: "Tools.Read". At least one is required, because a client that
	// requests none gets a token for Microsoft Graph. In the environment they are AZURE_SCOPES,
	// separated by spaces.
	ScopesSupported []string

	// AcceptV1 also accepts tokens of version 1.0, for a registration that must keep
	// requestedAccessTokenVersion at 1 because other services use it.
	AcceptV1 bool

	// AllowMachines accepts app-only tokens, of applications and agents that act for themselves.
	// Their identity has the kind [gatehouse.KindMachine], app roles, and no scopes.
	AllowMachines bool
}

// FromEnv returns the app registration that the environment names, or else a .env file in the
// working directory: AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_SCOPES and AZURE_APP_ID_URI. It never
// fails: gatehouse.New reports what is wrong with them.
func FromEnv() gatehouse.Provider { return New(Config{}) }

// Provider returns the app registration with a client ID in a tenant, with at least one scope,
// like "Tools.Read". Its Application ID URI is "api://" and the client ID, unless the environment
// has AZURE_APP_ID_URI.
func Provider(tenantID, clientID string, scopes ...string) gatehouse.Provider {
	return New(Config{TenantID: tenantID, ClientID: clientID, ScopesSupported: scopes})
}

// New returns the app registration of cfg, completed from the environment. It never fails:
// gatehouse.New reports what is wrong with cfg.
func New(cfg Config) gatehouse.Provider { return cfg.provider(setting.Load()) }

func (cfg Config) provider(r *setting.Reader) gatehouse.Provider {
	tenants := cfg.tenants(r)
	clientID := parseClientID(r, r.Require(findClient, "ClientID", cfg.ClientID, clientVariable), tenants)
	appIDURI := parseAppIDURI(r, r.Get("AppIDURI", cfg.AppIDURI, appIDURIVariable), clientID)
	p := gatehouse.Provider{
		Name:            name,
		Issuer:          issuerV2,
		Tenants:         tenants,
		ScopesSupported: cfg.scopes(r, appIDURI),
		ScopePrefix:     appIDURI + "/",
		AllowMachines:   cfg.AllowMachines,
		NoPermissions:   true,
		Complete:        complete,
		Hints:           hints,

		Tokens: gatehouse.TokenRules{
			Algorithms:     []string{"RS256"},
			Types:          []string{"JWT"},
			RequiredClaims: []string{"azp"}, // ID tokens do not have it
			RequiredValues: map[string][]string{"ver": {"2.0"}},
			RejectedClaims: idTokenClaims,
			MachineClaims:  map[string][]string{"idtyp": {"app", "device"}},
			Audiences:      []string{clientID},
		},
		Claims: gatehouse.ClaimNames{
			Client: []string{"azp", "appid"},
			Scopes: []string{"scp"},
			Roles:  []gatehouse.ClaimPath{{"roles"}},
		},
	}
	if strings.HasPrefix(appIDURI, apiScheme) {
		p.Risks = []string{fmt.Sprintf("the Application ID URI is %q: Entra ID rejects the sign-in of MCP clients, which send the URL of "+
			"the server as the resource parameter (AADSTS9010010); make the URL the Application ID URI (App registrations → the "+
			"server → Expose an API), and set %s to it", appIDURI, appIDURIVariable)}
	}
	if cfg.AcceptV1 {
		p.TokenIssuers = []string{issuerV2, issuerV1}
		p.Tokens.RequiredClaims = nil // azp or appid: complete checks that there is a client
		p.Tokens.RequiredValues = map[string][]string{"ver": {"2.0", "1.0"}}
		p.Tokens.Audiences = []string{clientID, appIDURI}
	}
	return r.Finish(p)
}

// idTokenClaims mark ID tokens, which are signed with the same keys as access tokens and have the
// same type. Those of the registration itself even have the same audience.
var idTokenClaims = map[string]map[string]string{
	"nonce":   {"": "ID token"},
	"at_hash": {"": "ID token"},
	"c_hash":  {"": "ID token"},
}

// unscoped is what app-only tokens of agents have as their scope.
const unscoped = "/"

// complete is the Complete function of the provider. It checks what lists of claims cannot say: that
// the tenant is that of the issuer, and that there is a client, which an ID token does not have. It
// sets the organization, and the kind: the tokens of users have scopes. The account of an agent is a
// user for Entra ID, but not a person.
func complete(id *gatehouse.Identity) error {
	var c struct {
		TenantID      string `json:"tid"`
		Version       string `json:"ver"`
		SubjectFacets string `json:"xms_sub_fct"`
	}
	if err := id.Claims(&c); err != nil {
		return err
	}
	tenant := tenantOf(id.Issuer)
	switch {
	case c.TenantID != "" && c.TenantID != tenant:
		return fmt.Errorf("claim tid is %q, want the tenant of iss, %q", c.TenantID, tenant)
	case strings.HasPrefix(id.Issuer, issuerV1Host) != (c.Version == "1.0"):
		return fmt.Errorf("claim ver is %q, which is not the version of the tokens of iss", c.Version)
	case id.ClientID == "":
		return errors.New("claims azp and appid are missing, as in ID tokens")
	}
	id.Organization.ID = tenant
	if len(id.Scopes) == 0 || slices.Equal(id.Scopes, []string{unscoped}) ||
		hasFacet(c.SubjectFacets, agentIdentity) || hasFacet(c.SubjectFacets, agentUser) {
		id.Kind = gatehouse.KindMachine
	}
	return nil
}

// tenantOf returns the tenant in an issuer of Entra ID: the first part of its path.
func tenantOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return tenant
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// anyTenant are the names that stand for tenants which the server does not know.
var anyTenant = []string{"common", "organizations", "consumers"}

const (
	exampleTenant = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"

	findTenant = `copy the tenant ID from the Microsoft Entra admin center (Entra ID → Overview), like "` + exampleTenant + `"`
	findClient = "copy the application (client) ID of the server from the Microsoft Entra admin center (App " +
		"registrations → the server → Overview)"
)

// tenants returns the tenants of cfg, or reports a fault.
func (cfg Config) tenants(r *setting.Reader) []string {
	if len(cfg.Tenants) > 0 {
		return cfg.listedTenants(r)
	}
	v := r.Require(findTenant, "TenantID", cfg.TenantID, tenantVariable)
	tenant := strings.ToLower(v.Text)
	switch {
	case guid.MatchString(tenant):
		return []string{tenant}
	case tenant == "": // reported
	case slices.Contains(anyTenant, tenant):
		r.Fault(v, "accepts everyone with a Microsoft account",
			fmt.Sprintf("list the IDs of the tenants whose users may sign in as Tenants in place of it, like %q", exampleTenant))
	case guid.MatchString(tenantOf(tenant)):
		r.Fault(v, "is a URL", fmt.Sprintf("write %q", tenantOf(tenant)))
	case strings.Contains(tenant, "."):
		r.Fault(v, "is the domain of a tenant, and tokens contain its ID", findTenant)
	default:
		r.Fault(v, "is not the ID of a tenant", findTenant)
	}
	return nil
}

// listedTenants returns cfg.Tenants, or reports faults.
func (cfg Config) listedTenants(r *setting.Reader) []string {
	if cfg.TenantID != "" && !slices.Contains(anyTenant, strings.ToLower(cfg.TenantID)) {
		r.Fault(setting.Value{Name: "TenantID", Text: cfg.TenantID}, "is set in addition to Tenants", "write it as one of Tenants")
	}
	var tenants []string
	for _, tenant := range cfg.Tenants {
		v := setting.Value{Name: "Tenants", Text: tenant}
		switch lower := strings.ToLower(tenant); {
		case slices.Contains(anyTenant, lower):
			r.Fault(v, "accepts everyone with a Microsoft account", "list the IDs of the tenants whose users may sign in")
		case !guid.MatchString(lower):
			r.Fault(v, "is not the ID of a tenant", findTenant)
		case slices.Contains(tenants, lower):
			r.Fault(v, "appears twice", "remove one of the two")
		case lower == PersonalAccounts && len(cfg.Tenants) > 1:
			r.Fault(v, "is the tenant of personal accounts, which has keys of its own",
				"use a second provider for it: Providers of gatehouse.Config")
		default:
			tenants = append(tenants, lower)
		}
	}
	return tenants
}

// parseClientID returns the client ID that v is, or reports a fault.
func parseClientID(r *setting.Reader, v setting.Value, tenants []string) string {
	id := strings.ToLower(v.Text)
	bare := strings.TrimPrefix(id, apiScheme)
	switch {
	case id == "":
	case bare != id && guid.MatchString(bare):
		r.Fault(v, "is an Application ID URI", fmt.Sprintf("write %q", bare))
	case !guid.MatchString(id):
		r.Fault(v, "is not a GUID", findClient)
	case slices.Contains(tenants, id):
		r.Fault(v, "is the ID of the tenant", findClient)
	}
	return id
}

// apiScheme begins the usual Application ID URI, before the client ID.
const apiScheme = "api://"

// parseAppIDURI returns the Application ID URI that v is, or else the usual one of the client ID,
// or reports a fault.
func parseAppIDURI(r *setting.Reader, v setting.Value, clientID string) string {
	const find = "copy it from the Microsoft Entra admin center (App registrations → the server → Expose an API), " +
		`like "https://mcp.example.com/mcp"`
	uri := v.Text
	if uri == "" {
		return apiScheme + clientID
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" || strings.ContainsAny(uri, " \t\"\\"):
		r.Fault(v, "is not an Application ID URI", find)
	case strings.HasSuffix(uri, "/"):
		r.Fault(v, "ends with a slash", fmt.Sprintf("write %q", strings.TrimRight(uri, "/")))
	case u.Host == "login.microsoftonline.com" || u.Host == "sts.windows.net":
		r.Fault(v, "is the issuer", find)
	}
	return uri
}

// scopes returns the scopes of cfg, without the Application ID URI, or reports a fault.
func (cfg Config) scopes(r *setting.Reader, appIDURI string) []string {
	const fix = `set it to a scope of the server (App registrations → the server → Expose an API), like "Tools.Read"; ` +
		"a client that requests none gets a token for Microsoft Graph"
	scopes, field := r.List("ScopesSupported", cfg.ScopesSupported, scopesVariable)
	v := setting.Value{Name: field, Text: strings.Join(scopes, " ")}
	var out []string
	own := false
	for _, scope := range scopes {
		scope = strings.TrimPrefix(scope, appIDURI+"/")
		if strings.Contains(scope, "://") {
			r.Fault(v, "has a scope of another Application ID URI",
				fmt.Sprintf("write the name of the scope alone, or set AppIDURI, which is %q", appIDURI))
			return nil
		}
		own = own || !slices.Contains([]string{"openid", "profile", "email", "offline_access"}, scope)
		out = append(out, scope)
	}
	switch {
	case len(out) == 0:
		r.Fault(v, "is missing", fix)
	case !own:
		r.Fault(v, "has no scope of the server", fix)
	}
	return out
}

// hints replace the guard's own advice about a reason with the settings of Entra ID.
var hints = map[gatehouse.Reason]string{
	"wrong_issuer": "if iss in the log begins with https://sts.windows.net/, set requestedAccessTokenVersion to 2 in " +
		"the manifest of the server's app registration, or set AcceptV1; otherwise the user is of another tenant: add " +
		"its ID to Tenants if they may use the server",
	"wrong_audience": "compare aud in the log with the client ID of the server (App registrations → the server → " +
		"Overview); it must be that of the server, not of the client, and clients must request a scope of the server",
	"wrong_type":      "have the client send its access token; ID tokens of Entra ID are signed with the same keys",
	"missing_claim":   "have the client send its access token for the server; ID tokens of Entra ID lack azp and scp",
	"machine_token":   "sign in as a user; AllowMachines accepts app-only tokens",
	"unusable_claims": "have the client send its access token for the server; read the detail in the log",
	"bad_signature":   "nothing, if aud is 00000003-0000-0000-c000-000000000000: only Microsoft Graph can verify its own tokens",
	"insufficient_scope": "add the scope to the server's app registration (Expose an API) and to the permissions of " +
		"the client's (API permissions), and have the client request it with the Application ID URI before it",
	"insufficient_permission": "give the user the app role: App registrations → the server → App roles, then " +
		"Enterprise applications → the server → Users and groups",
	"registration_unavailable": "enter the client ID of an app registration in the MCP client (see docs/entra.md); " +
		"Entra ID has no registration endpoint",
}
