package auth0

import (
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	domain   = "acme.eu.auth0.com"
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
		{
			name:       "domain in the environment",
			env:        map[string]string{domainVariable: domain},
			wantIssuer: "https://acme.eu.auth0.com/",
		},
		{
			name:       "explicit domain wins",
			config:     Config{Domain: "login.acme.example"},
			env:        map[string]string{domainVariable: domain},
			wantIssuer: "https://login.acme.example/",
		},
		{name: "upper case", config: Config{Domain: "Acme.EU.auth0.com"}, wantIssuer: "https://acme.eu.auth0.com/"},
		{
			name:       "audience of its own",
			config:     Config{Domain: domain, Audience: "https://acme.example/api"},
			wantIssuer: "https://acme.eu.auth0.com/",
		},
		{
			name:       "audience of another tenant's Management API is not recognized",
			config:     Config{Domain: domain, Audience: "https://other.eu.auth0.com/api/v2/"},
			wantIssuer: "https://acme.eu.auth0.com/",
		},

		{name: "nothing", wantErr: domainVariable + ` is missing; copy the domain from the Auth0 Dashboard`},
		{
			name:    "scheme",
			env:     map[string]string{domainVariable: "https://" + domain},
			wantErr: domainVariable + ` "https://acme.eu.auth0.com" is a URL, want a host; write "acme.eu.auth0.com"`,
		},
		{name: "issuer", config: Config{Domain: "https://" + domain + "/"}, wantErr: `write "acme.eu.auth0.com"`},
		{
			name:    "discovery",
			config:  Config{Domain: "https://" + domain + "/.well-known/openid-configuration"},
			wantErr: `write "acme.eu.auth0.com"`,
		},
		{
			name:    "slash",
			config:  Config{Domain: domain + "/"},
			wantErr: `Domain "acme.eu.auth0.com/" has a path; write "acme.eu.auth0.com"`,
		},
		{name: "path", config: Config{Domain: domain + "/authorize"}, wantErr: `has a path; write "acme.eu.auth0.com"`},
		{name: "port", config: Config{Domain: domain + ":443"}, wantErr: "is not a domain; copy the domain"},
		{name: "name of the tenant", config: Config{Domain: "acme"}, wantErr: `"acme" is not a domain; copy the domain`},
		{
			name:    "dashboard",
			config:  Config{Domain: "https://manage.auth0.com/dashboard/eu/acme"},
			wantErr: "is the address of the Auth0 Dashboard",
		},
		{name: "website", config: Config{Domain: "auth0.com"}, wantErr: "is the address of the Auth0 Dashboard"},
		{name: "space", config: Config{Domain: "acme eu.auth0.com"}, wantErr: "is not the name of a host"},
		{
			name:    "audience is the issuer",
			config:  Config{Domain: domain, Audience: "https://acme.eu.auth0.com/"},
			wantErr: "Audience \"https://acme.eu.auth0.com/\" is the issuer; write the identifier of the API",
		},
		{
			name:    "audience is the Management API",
			env:     map[string]string{domainVariable: domain, audienceVariable: "https://acme.eu.auth0.com/api/v2/"},
			wantErr: audienceVariable + ` "https://acme.eu.auth0.com/api/v2/" is the Management API`,
		},
		{
			name:    "audience is userinfo",
			config:  Config{Domain: domain, Audience: "https://acme.eu.auth0.com/userinfo"},
			wantErr: "is the userinfo endpoint",
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

// An API whose identifier is a URL is for one server. Any other may be that of several.
func TestSharedAudienceIsARisk(t *testing.T) {
	for audience, want := range map[string]bool{"": false, resource: false, "acme-api": true} {
		p := Config{Domain: domain, Audience: audience}.provider(setting.From(nil))
		if got := len(p.Risks) == 1; got != want {
			t.Errorf("audience %q: risks %q, want one: %v", audience, p.Risks, want)
		}
	}
}

// TestTokens checks the recorded tokens of the vendor, and those that look like them.
func TestTokens(t *testing.T) {
	for file, cfg := range map[string]Config{
		"vendor.json": {Domain: domain},
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
	t.Setenv(domainVariable, domain)
	for name, p := range map[string]gatehouse.Provider{
		"Provider": Provider("login.acme.example"),
		"FromEnv":  FromEnv(),
		"New":      New(Config{RolesClaim: "https://acme.example/roles"}),
	} {
		if p.Err != nil {
			t.Errorf("%s: %v", name, p.Err)
		}
	}
}
