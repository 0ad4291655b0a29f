package workos

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

func TestSettings(t *testing.T) {
	tests := []struct {
		name       string
		config     Config
		env        map[string]string
		wantIssuer string
		wantErrs   []string // parts of the text; none means valid
	}{
		{
			name:       "environment",
			env:        map[string]string{domainVariable: "acme.authkit.app"},
			wantIssuer: "https://acme.authkit.app",
		},
		{
			name:       "explicit value wins",
			config:     Config{Domain: "other.authkit.app"},
			env:        map[string]string{domainVariable: "acme.authkit.app"},
			wantIssuer: "https://other.authkit.app",
		},
		{name: "first label", config: Config{Domain: "acme-staging"}, wantIssuer: "https://acme-staging.authkit.app"},
		{name: "custom domain", config: Config{Domain: "auth.example.com"}, wantIssuer: "https://auth.example.com"},
		{name: "origin", config: Config{Domain: "https://acme.authkit.app"}, wantIssuer: "https://acme.authkit.app"},
		{
			name:       "client ID of the environment",
			config:     Config{Domain: "acme.authkit.app", ClientID: environmentID},
			wantIssuer: "https://acme.authkit.app",
		},

		{name: "nothing", wantErrs: []string{domainVariable + ` is missing; copy the AuthKit domain from the WorkOS Dashboard (Domains)`}},
		{
			name:     "slash",
			config:   Config{Domain: "https://acme.authkit.app/"},
			wantErrs: []string{`write "https://acme.authkit.app"`},
		},
		{
			name:     "host with a path",
			config:   Config{Domain: "acme.authkit.app/oauth2/token"},
			wantErrs: []string{`Domain "acme.authkit.app/oauth2/token" has a path; write "acme.authkit.app"`},
		},
		{
			name:     "discovery URL",
			config:   Config{Domain: "https://acme.authkit.app/.well-known/oauth-authorization-server"},
			wantErrs: []string{`is the URL of a metadata document; write "https://acme.authkit.app"`},
		},
		{name: "upper case", config: Config{Domain: "Acme.authkit.app"}, wantErrs: []string{"is not the name of a host"}},
		{name: "plain http", config: Config{Domain: "http://acme.authkit.app"}, wantErrs: []string{"is not https"}},
		{
			name:     "API",
			env:      map[string]string{domainVariable: "api.workos.com"},
			wantErrs: []string{domainVariable + ` "api.workos.com" is WorkOS's API; copy the AuthKit domain`},
		},
		{
			name:     "issuer of session tokens",
			config:   Config{Domain: "https://api.workos.com/user_management/client_123"},
			wantErrs: []string{"is WorkOS's API; copy the AuthKit domain"},
		},
		{name: "dashboard", config: Config{Domain: "https://dashboard.workos.com"}, wantErrs: []string{"is the address of WorkOS"}},
		{
			name:     "client ID as the domain",
			config:   Config{Domain: environmentID},
			wantErrs: []string{"is a client ID; copy the AuthKit domain"},
		},
		{
			name:     "API key as the client ID",
			config:   Config{Domain: "acme.authkit.app", ClientID: "sk_test_1"},
			wantErrs: []string{`ClientID is an API key; copy the client ID`},
		},
		{
			name:     "organization as the client ID",
			config:   Config{Domain: "acme.authkit.app", ClientID: "org_1"},
			wantErrs: []string{`ClientID "org_1" is not a client ID`},
		},
		{
			name:     "machines without the client ID",
			config:   Config{Domain: "acme.authkit.app", AllowMachines: true},
			wantErrs: []string{`AllowMachines has no effect without ClientID`},
		},
		{
			name:     "two faults",
			config:   Config{Domain: "api.workos.com", AllowMachines: true},
			wantErrs: []string{"is WorkOS's API", "AllowMachines has no effect"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := test.config.provider(setting.From(test.env))
			_, err := gatehouse.New(gatehouse.Config{Resource: "http://localhost:3000/mcp", Provider: p})
			if len(test.wantErrs) == 0 {
				if err != nil || p.Issuer != test.wantIssuer {
					t.Errorf("issuer %q, error %v; want %q", p.Issuer, err, test.wantIssuer)
				}
				return
			}
			var fault *gatehouse.ConfigError
			if !errors.As(err, &fault) || fault.Fix == "" {
				t.Fatalf("error %v; want a ConfigError with a fix", err)
			}
			for _, want := range test.wantErrs {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error\n got %v\nwant %s", err, want)
				}
			}
		})
	}
}
