package okta

import (
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	issuer   = "https://acme.okta.com/oauth2/aus9o8wzkhckw9TLa0h7"
	resource = "https://mcp.example.com/mcp"
)

func TestSettings(t *testing.T) {
	tests := []struct {
		name       string
		config     Config
		env        map[string]string
		wantIssuer string
		wantErr    string // part of the text; empty means none
	}{
		{name: "issuer in the environment", env: map[string]string{issuerVariable: issuer}, wantIssuer: issuer},
		{
			name:       "explicit issuer wins",
			config:     Config{Issuer: "https://login.acme.example/oauth2/default"},
			env:        map[string]string{issuerVariable: issuer},
			wantIssuer: "https://login.acme.example/oauth2/default",
		},
		{name: "audience", config: Config{Issuer: issuer, Audience: "api://default"}, wantIssuer: issuer},

		{name: "nothing", wantErr: issuerVariable + " is missing; copy the issuer URI from the Okta Admin Console"},
		{
			name: "org authorization server",
			env:  map[string]string{issuerVariable: "https://acme.okta.com"},
			wantErr: issuerVariable + ` "https://acme.okta.com" is the org authorization server, ` +
				`whose access tokens are for Okta alone and cannot ` +
				`protect an MCP server; write "https://acme.okta.com/oauth2/default", or`,
		},
		{
			name:    "org with a slash",
			config:  Config{Issuer: "https://acme.okta.com/"},
			wantErr: `write "https://acme.okta.com/oauth2/default"`,
		},
		{
			name:    "org without a scheme",
			config:  Config{Issuer: "acme.okta.com"},
			wantErr: `write "https://acme.okta.com/oauth2/default"`,
		},
		{
			name:    "org in the older form",
			config:  Config{Issuer: "https://acme.okta.com/oauth2"},
			wantErr: "is the org authorization server",
		},
		{
			name:    "org endpoint",
			config:  Config{Issuer: "https://acme.okta.com/oauth2/v1"},
			wantErr: "is the org authorization server",
		},
		{
			name:    "org discovery",
			config:  Config{Issuer: "https://acme.okta.com/.well-known/openid-configuration"},
			wantErr: "is the org authorization server",
		},
		{
			name:    "Admin Console",
			config:  Config{Issuer: "https://acme-admin.okta.com/admin/dashboard"},
			wantErr: "is the address of the Admin Console",
		},
		{
			name:    "slash",
			config:  Config{Issuer: issuer + "/"},
			wantErr: `ends with a slash, which is not part of it; write "` + issuer + `"`,
		},
		{
			name:    "no scheme",
			config:  Config{Issuer: "acme.okta.com/oauth2/default"},
			wantErr: `has no scheme; write "https://acme.okta.com/oauth2/default"`,
		},
		{
			name:    "discovery",
			config:  Config{Issuer: issuer + "/.well-known/openid-configuration"},
			wantErr: `is the URL of a metadata document; write "` + issuer + `"`,
		},
		{
			name:    "metadata",
			config:  Config{Issuer: "https://acme.okta.com/.well-known/oauth-authorization-server/oauth2/default"},
			wantErr: `is the URL of a metadata document; write "https://acme.okta.com/oauth2/default"`,
		},
		{
			name:    "endpoint",
			config:  Config{Issuer: issuer + "/v1/token"},
			wantErr: `has more than the ID of an authorization server; write "` + issuer + `"`,
		},
		{
			name:    "other path",
			config:  Config{Issuer: "https://acme.okta.com/app/mcp"},
			wantErr: "is not the issuer of an authorization server",
		},
		{name: "plain http", config: Config{Issuer: "http://acme.okta.com/oauth2/default"}, wantErr: "is not https"},
		{name: "query", config: Config{Issuer: issuer + "?x=1"}, wantErr: "has a query"},
		{name: "no URL", config: Config{Issuer: "https://acme okta/oauth2/default"}, wantErr: `has the character ' '`},
		{
			name:    "audience is the issuer",
			env:     map[string]string{issuerVariable: issuer, audienceVariable: issuer},
			wantErr: audienceVariable + ` "` + issuer + `" is the issuer; copy the audience`,
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

// An audience that is a URL is for one server. Any other may be that of several.
func TestSharedAudienceIsARisk(t *testing.T) {
	for audience, want := range map[string]bool{"": false, resource: false, "api://default": true} {
		p := Config{Issuer: issuer, Audience: audience}.provider(setting.From(nil))
		if got := len(p.Risks) == 1; got != want {
			t.Errorf("audience %q: risks %q, want one: %v", audience, p.Risks, want)
		}
	}
}

// TestTokens checks the recorded tokens of the vendor, and those that look like them.
func TestTokens(t *testing.T) {
	for file, cfg := range map[string]Config{
		"vendor.json": {Issuer: issuer},
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
	t.Setenv(issuerVariable, issuer)
	for name, p := range map[string]gatehouse.Provider{
		"Provider": Provider("https://login.acme.example/oauth2/default"),
		"FromEnv":  FromEnv(),
		"New":      New(Config{GroupsClaim: "roles"}),
	} {
		if p.Err != nil {
			t.Errorf("%s: %v", name, p.Err)
		}
	}
}
