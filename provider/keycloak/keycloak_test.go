package keycloak

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

func TestSettings(t *testing.T) {
	const server = "https://sso.example.com"
	variables := map[string]string{serverURLVariable: server, realmVariable: "demo"}
	tests := []struct {
		name       string
		config     Config
		env        map[string]string
		wantIssuer string
		wantErrs   []string // parts of the text; none means valid
	}{
		{name: "environment", env: variables, wantIssuer: server + "/realms/demo"},
		{
			name:       "explicit values win",
			config:     Config{ServerURL: "https://other.example.com", Realm: "other"},
			env:        variables,
			wantIssuer: "https://other.example.com/realms/other",
		},
		{
			name:       "path of old versions",
			config:     Config{ServerURL: server + "/auth", Realm: "demo"},
			wantIssuer: server + "/auth/realms/demo",
		},
		{
			name:       "local",
			config:     Config{ServerURL: "http://localhost:8080", Realm: "demo"},
			wantIssuer: "http://localhost:8080/realms/demo",
		},
		{
			name:       "realm with a space",
			config:     Config{ServerURL: server, Realm: "my realm"},
			wantIssuer: server + "/realms/my%20realm",
		},

		{
			name:       "host that begins with admin",
			config:     Config{ServerURL: "https://admin.example.com/administration", Realm: "demo"},
			wantIssuer: "https://admin.example.com/administration/realms/demo",
		},

		{
			name:     "admin console below a path",
			config:   Config{ServerURL: server + "/auth/admin/master/console/", Realm: "demo"},
			wantErrs: []string{`is the address of the admin console; write "` + server + `/auth"`},
		},
		{
			name:     "admin console without a slash",
			config:   Config{ServerURL: server + "/admin", Realm: "demo"},
			wantErrs: []string{`is the address of the admin console; write "` + server + `"`},
		},
		{
			name: "nothing",
			wantErrs: []string{
				serverURLVariable + ` is missing; set it to the URL of Keycloak, like "https://sso.example.com"`,
				realmVariable + ` is missing; set it to the name of the realm`,
			},
		},
		{
			name:   "realm URL as the server URL",
			env:    map[string]string{serverURLVariable: server + "/realms/demo", realmVariable: "demo"},
			config: Config{},
			wantErrs: []string{
				`is the URL of a realm; write ` + serverURLVariable + `=` + server + ` and ` + realmVariable + `=demo`,
			},
		},
		{
			name:   "discovery URL as the server URL",
			config: Config{ServerURL: server + "/auth/realms/demo/.well-known/openid-configuration", Realm: "demo"},
			wantErrs: []string{
				`is the URL of a realm; write ` + serverURLVariable + `=` + server + `/auth and ` + realmVariable + `=demo`,
			},
		},
		{
			name:     "realm URL as the realm",
			config:   Config{ServerURL: server, Realm: server + "/realms/demo"},
			wantErrs: []string{`is the URL of a realm; write ` + serverURLVariable + `=` + server + ` and ` + realmVariable + `=demo`},
		},
		{
			name:     "server URL as the realm",
			config:   Config{ServerURL: server, Realm: server},
			wantErrs: []string{`Realm "https://sso.example.com" is not the name of a realm; write the name`},
		},
		{
			name:     "path as the realm",
			config:   Config{ServerURL: server, Realm: "realms/demo"},
			wantErrs: []string{`Realm "realms/demo" is not the name of a realm`},
		},
		{
			name:     "admin console",
			config:   Config{ServerURL: server + "/admin/master/console/", Realm: "demo"},
			wantErrs: []string{`is the address of the admin console; write "https://sso.example.com"`},
		},
		{
			name:     "slash",
			config:   Config{ServerURL: server + "/", Realm: "demo"},
			wantErrs: []string{`ends with a slash, which is not part of it; write "https://sso.example.com"`},
		},
		{
			name:     "no scheme",
			config:   Config{ServerURL: "sso.example.com", Realm: "demo"},
			wantErrs: []string{`has no scheme; write "https://sso.example.com"`},
		},
		{
			name:     "plain http",
			config:   Config{ServerURL: "http://sso.example.com", Realm: "demo"},
			wantErrs: []string{"is not https"},
		},
		{
			name:     "query",
			config:   Config{ServerURL: server + "?x=1", Realm: "demo"},
			wantErrs: []string{"has a query"},
		},
		{
			name:     "audience is the account console",
			config:   Config{ServerURL: server, Realm: "demo", Audience: "account"},
			wantErrs: []string{`Audience "account" is in most tokens of a realm`},
		},
		{
			name:     "audience is the issuer",
			env:      map[string]string{serverURLVariable: server, realmVariable: "demo", audienceVariable: server + "/realms/demo"},
			wantErrs: []string{audienceVariable + ` "https://sso.example.com/realms/demo" is the issuer; remove it`},
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

func TestProvider(t *testing.T) {
	p := Provider("https://sso.example.com", "demo", "mcp:tools")
	if p.Err != nil || p.Issuer != "https://sso.example.com/realms/demo" || p.ScopesSupported[0] != "mcp:tools" || p.AllowMachines {
		t.Errorf("Provider returned %+v", p)
	}
}
