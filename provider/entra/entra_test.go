package entra

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	tenant   = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
	tenant2  = "72f988bf-86f1-41af-91ab-2d7cd011db47"
	client   = "00001111-aaaa-2222-bbbb-3333cccc4444"
	issuer   = "https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0"
	resource = "https://mcp.example.com/mcp"
)

var scopes = []string{"Tools.Read"}

// with returns a valid configuration with a change.
func with(change func(*Config)) Config {
	cfg := Config{TenantID: tenant, ClientID: client, AppIDURI: resource, ScopesSupported: scopes}
	change(&cfg)
	return cfg
}

func TestSettings(t *testing.T) {
	tests := []struct {
		name       string
		config     Config
		env        map[string]string
		wantIssuer string
		wantErr    string // part of the text; empty means none
	}{
		{
			name:       "environment",
			env:        map[string]string{tenantVariable: tenant, clientVariable: client, scopesVariable: "Tools.Read Tools.Write"},
			wantIssuer: issuer,
		},
		{
			name:       "explicit",
			config:     with(func(*Config) {}),
			env:        map[string]string{tenantVariable: tenant2},
			wantIssuer: issuer,
		},
		{name: "upper case", config: with(func(c *Config) { c.TenantID = strings.ToUpper(tenant) }), wantIssuer: issuer},
		{
			name:       "tenants",
			config:     with(func(c *Config) { c.TenantID, c.Tenants = "", []string{tenant, tenant2} }),
			wantIssuer: issuer,
		},
		{
			name:       "common with tenants",
			config:     with(func(c *Config) { c.TenantID, c.Tenants = "common", []string{tenant} }),
			wantIssuer: issuer,
		},
		{
			name:       "personal accounts",
			config:     with(func(c *Config) { c.TenantID, c.Tenants = "", []string{PersonalAccounts} }),
			wantIssuer: "https://login.microsoftonline.com/" + PersonalAccounts + "/v2.0",
		},
		{
			name:       "scope with its Application ID URI",
			config:     with(func(c *Config) { c.ScopesSupported = []string{resource + "/Tools.Read"} }),
			wantIssuer: issuer,
		},
		{
			name:       "usual Application ID URI",
			config:     with(func(c *Config) { c.AppIDURI = "api://" + client }),
			wantIssuer: issuer,
		},

		{
			name:    "no tenant",
			config:  with(func(c *Config) { c.TenantID = "" }),
			wantErr: tenantVariable + " is missing; copy the tenant ID",
		},
		{
			name: "common",
			env:  map[string]string{tenantVariable: "common", clientVariable: client, scopesVariable: "Tools.Read"},
			wantErr: tenantVariable + ` "common" accepts everyone with a Microsoft account; ` +
				`list the IDs of the tenants whose users may sign in as Tenants in place of it, like "` + tenant + `"`,
		},
		{
			name:    "organizations",
			config:  with(func(c *Config) { c.TenantID = "organizations" }),
			wantErr: "accepts everyone with a Microsoft account",
		},
		{
			name:    "consumers",
			config:  with(func(c *Config) { c.TenantID = "consumers" }),
			wantErr: "accepts everyone with a Microsoft account",
		},
		{
			name:    "domain",
			config:  with(func(c *Config) { c.TenantID = "contoso.onmicrosoft.com" }),
			wantErr: "is the domain of a tenant, and tokens contain its ID",
		},
		{
			name:    "issuer",
			config:  with(func(c *Config) { c.TenantID = issuer }),
			wantErr: `is a URL; write "` + tenant + `"`,
		},
		{
			name:    "discovery",
			config:  with(func(c *Config) { c.TenantID = issuer + "/.well-known/openid-configuration" }),
			wantErr: `is a URL; write "` + tenant + `"`,
		},
		{
			name:    "tenant that is not a GUID",
			config:  with(func(c *Config) { c.TenantID = "contoso" }),
			wantErr: "is not the ID of a tenant",
		},
		{
			name:    "tenant and tenants",
			config:  with(func(c *Config) { c.Tenants = []string{tenant2} }),
			wantErr: `TenantID "` + tenant + `" is set in addition to Tenants; write it as one of Tenants`,
		},
		{
			name:    "common among tenants",
			config:  with(func(c *Config) { c.TenantID, c.Tenants = "", []string{tenant, "common"} }),
			wantErr: `Tenants "common" accepts everyone`,
		},
		{
			name:    "tenant twice",
			config:  with(func(c *Config) { c.TenantID, c.Tenants = "", []string{tenant, strings.ToUpper(tenant)} }),
			wantErr: "appears twice",
		},
		{
			name:    "domain among tenants",
			config:  with(func(c *Config) { c.TenantID, c.Tenants = "", []string{"contoso.com"} }),
			wantErr: "is not the ID of a tenant",
		},
		{
			name:    "personal accounts among tenants",
			config:  with(func(c *Config) { c.TenantID, c.Tenants = "", []string{tenant, PersonalAccounts} }),
			wantErr: "is the tenant of personal accounts, which has keys of its own; use a second provider",
		},
		{
			name:    "no client",
			config:  with(func(c *Config) { c.ClientID = "" }),
			wantErr: clientVariable + " is missing; copy the application (client) ID of the server",
		},
		{
			name:    "client is a URI",
			config:  with(func(c *Config) { c.ClientID = "api://" + client }),
			wantErr: `is an Application ID URI; write "` + client + `"`,
		},
		{
			name:    "client is the tenant",
			config:  with(func(c *Config) { c.ClientID = tenant }),
			wantErr: "is the ID of the tenant",
		},
		{name: "client is a name", config: with(func(c *Config) { c.ClientID = "my-server" }), wantErr: "is not a GUID"},
		{
			name:    "slash",
			config:  with(func(c *Config) { c.AppIDURI = resource + "/" }),
			wantErr: `AppIDURI "` + resource + `/" ends with a slash; write "` + resource + `"`,
		},
		{name: "URI is the issuer", config: with(func(c *Config) { c.AppIDURI = issuer }), wantErr: "is the issuer"},
		{
			name:    "URI without a scheme",
			config:  with(func(c *Config) { c.AppIDURI = "mcp.example.com/mcp" }),
			wantErr: "is not an Application ID URI",
		},
		{
			name:    "no scope",
			config:  with(func(c *Config) { c.ScopesSupported = nil }),
			wantErr: scopesVariable + ` is missing; set it to a scope of the server`,
		},
		{
			name:    "scopes of OpenID Connect alone",
			config:  with(func(c *Config) { c.ScopesSupported = []string{"openid", "profile"} }),
			wantErr: `ScopesSupported "openid profile" has no scope of the server`,
		},
		{
			name:    "scope of another API",
			config:  with(func(c *Config) { c.ScopesSupported = []string{"https://graph.microsoft.com/User.Read"} }),
			wantErr: "has a scope of another Application ID URI",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			guard, err := gatehouse.New(gatehouse.Config{Resource: resource, Provider: test.config.provider(setting.From(test.env))})
			switch {
			case test.wantErr == "" && err != nil:
				t.Error(err)
			case test.wantErr == "":
				if got := guard.Provider().Issuer; got != test.wantIssuer {
					t.Errorf("issuer %q, want %q", got, test.wantIssuer)
				}
			case err == nil || !strings.Contains(err.Error(), test.wantErr):
				t.Errorf("error %v, want %q", err, test.wantErr)
			}
		})
	}
}

// Clients request a scope with the Application ID URI, and tokens have it without.
func TestScopesAreRequestedWithTheURI(t *testing.T) {
	for uri, want := range map[string]string{"": "api://" + client + "/", resource: resource + "/"} {
		p := with(func(c *Config) { c.AppIDURI = uri }).provider(setting.From(nil))
		if p.ScopePrefix != want || !slices.Equal(p.ScopesSupported, scopes) {
			t.Errorf("AppIDURI %q: scopes %q with the prefix %q, want %q and %q", uri, p.ScopesSupported, p.ScopePrefix, scopes, want)
		}
	}
}

// An Application ID URI with which Entra ID rejects the sign-in of MCP clients is named at start.
func TestApplicationIDURIIsNamed(t *testing.T) {
	for uri, want := range map[string]string{resource: "", "": "AADSTS9010010", "api://mcp": "AADSTS9010010"} {
		p := with(func(c *Config) { c.AppIDURI = uri }).provider(setting.From(nil))
		if got := strings.Join(p.Risks, "\n"); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("AppIDURI %q: got risks %q, want %q in them", uri, got, want)
		}
	}
}

// TestTokens checks the recorded tokens of the vendor, and those that look like them.
func TestTokens(t *testing.T) {
	for file, cfg := range map[string]Config{
		"vendor.json":          with(func(*Config) {}),
		"vendor_machines.json": with(func(c *Config) { c.AllowMachines = true }),
		"vendor_v1.json":       with(func(c *Config) { c.AppIDURI, c.AcceptV1 = "", true }),
		"vendor_tenants.json":  with(func(c *Config) { c.TenantID, c.Tenants = "", []string{tenant, tenant2} }),
	} {
		t.Run(file, func(t *testing.T) {
			v, err := gatehousetest.LoadVendor("testdata/" + file)
			if err != nil {
				t.Fatal(err)
			}
			gatehousetest.TestProvider(t, cfg.provider(setting.From(nil)), v)
		})
	}
}

// TestConstructors checks that each of them reads the environment.
func TestConstructors(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv(tenantVariable, tenant)
	t.Setenv(clientVariable, client)
	t.Setenv(scopesVariable, "Tools.Read")
	for name, p := range map[string]gatehouse.Provider{
		"Provider": Provider(tenant, client, "Tools.Read"),
		"FromEnv":  FromEnv(),
		"New":      New(Config{AppIDURI: resource}),
	} {
		if p.Err != nil {
			t.Errorf("%s: %v", name, p.Err)
		}
	}
}
