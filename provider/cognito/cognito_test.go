package cognito

import (
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	pool     = "us-west-2_EXAMPLE1a"
	issuer   = "https://cognito-idp.us-west-2.amazonaws.com/us-west-2_EXAMPLE1a"
	client   = "57cbishk4j24pabc1234567890"
	machine  = "2ezlovlfnsfoe8oqr2mc4fgqv4"
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
			name:       "environment",
			env:        map[string]string{userPoolVariable: pool, clientVariable: client + ", " + machine},
			wantIssuer: issuer,
		},
		{
			name:       "explicit pool wins",
			config:     Config{UserPoolID: "us-gov-west-1_EXAMPLE1a"},
			env:        map[string]string{userPoolVariable: pool, clientVariable: client},
			wantIssuer: "https://cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_EXAMPLE1a",
		},
		{
			name:       "resource server with scopes",
			config:     Config{UserPoolID: pool, ResourceServer: resource, ScopesSupported: []string{"openid", resource + "/tools.read"}},
			wantIssuer: issuer,
		},
		{
			name:       "resource server with a name",
			config:     Config{UserPoolID: pool, ResourceServer: "tools"},
			wantIssuer: issuer,
		},
		{name: "resource binding", config: Config{UserPoolID: pool, RequireAudience: true}, wantIssuer: issuer},
		{
			name:       "scopes alone",
			config:     Config{UserPoolID: pool, ClientIDs: []string{client}, ScopesSupported: []string{"openid"}},
			wantIssuer: issuer,
		},

		{
			name:    "no pool",
			config:  Config{ClientIDs: []string{client}},
			wantErr: userPoolVariable + " is missing; copy the user pool ID",
		},
		{
			name:    "nothing binds",
			env:     map[string]string{userPoolVariable: pool},
			wantErr: clientVariable + " is missing; set it to the app clients that may use the server",
		},
		{
			name:    "ARN",
			config:  Config{UserPoolID: "arn:aws:cognito-idp:us-west-2:123456789012:userpool/us-west-2_EXAMPLE1a", ClientIDs: []string{client}},
			wantErr: `is the ARN of a user pool; write "us-west-2_EXAMPLE1a"`,
		},
		{
			name:    "issuer",
			config:  Config{UserPoolID: issuer, ClientIDs: []string{client}},
			wantErr: `is a URL; write "us-west-2_EXAMPLE1a"`,
		},
		{
			name:    "discovery",
			config:  Config{UserPoolID: issuer + "/.well-known/openid-configuration", ClientIDs: []string{client}},
			wantErr: `is a URL; write "us-west-2_EXAMPLE1a"`,
		},
		{
			name:    "domain",
			config:  Config{UserPoolID: "acme.auth.us-west-2.amazoncognito.com", ClientIDs: []string{client}},
			wantErr: "is the domain of a user pool",
		},
		{
			name:    "identity pool",
			config:  Config{UserPoolID: "us-west-2:11111111-2222-3333-4444-555555555555", ClientIDs: []string{client}},
			wantErr: "is the ID of an identity pool",
		},
		{
			name:    "name",
			config:  Config{UserPoolID: "acme-users", ClientIDs: []string{client}},
			wantErr: "is not the ID of a user pool",
		},
		{
			name:    "clients and audience",
			config:  Config{UserPoolID: pool, ClientIDs: []string{client}, RequireAudience: true},
			wantErr: `ClientIDs "` + client + `" has no effect with RequireAudience`,
		},
		{
			name:    "resource server and audience",
			config:  Config{UserPoolID: pool, ResourceServer: resource, RequireAudience: true},
			wantErr: `ResourceServer "` + resource + `" has no effect with RequireAudience`,
		},
		{
			name:    "slash",
			config:  Config{UserPoolID: pool, ResourceServer: resource + "/"},
			wantErr: `ends with a slash; write "` + resource + `"`,
		},
		{
			name:    "resource server is the issuer",
			config:  Config{UserPoolID: pool, ResourceServer: issuer},
			wantErr: "is the issuer",
		},
		{
			name:    "two resource servers",
			config:  Config{UserPoolID: pool, ResourceServer: "a b"},
			wantErr: "is not the identifier of a resource server",
		},
		{
			name:    "scopes of no resource server",
			config:  Config{UserPoolID: pool, ResourceServer: resource, ScopesSupported: []string{"tools.read"}},
			wantErr: `has no scope of the resource server, so that every token would be rejected; write scopes in full, like "` + resource + `/tools.read"`,
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

// Clients that are the only check are a risk, because they can be used for other servers.
func TestClientsAloneAreARisk(t *testing.T) {
	for _, test := range []struct {
		name   string
		config Config
		want   bool
	}{
		{"clients", Config{UserPoolID: pool, ClientIDs: []string{client}}, true},
		{"clients and resource server", Config{UserPoolID: pool, ClientIDs: []string{client}, ResourceServer: resource}, false},
		{"audience", Config{UserPoolID: pool, RequireAudience: true}, false},
	} {
		guard, err := gatehouse.New(gatehouse.Config{Resource: resource, Provider: test.config.provider(setting.From(nil))})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(guard.Warnings(), " "), "name no server"); got != test.want {
			t.Errorf("%s: warnings %q, want a risk: %v", test.name, guard.Warnings(), test.want)
		}
	}
}

// TestTokens checks the recorded tokens of the vendor, and those that look like them.
func TestTokens(t *testing.T) {
	for file, cfg := range map[string]Config{
		"vendor.json":          {UserPoolID: pool, ClientIDs: []string{client, machine}, ResourceServer: resource},
		"vendor_machines.json": {UserPoolID: pool, ClientIDs: []string{client, machine}, ResourceServer: resource, AllowMachines: true},
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
	t.Setenv(userPoolVariable, pool)
	t.Setenv(clientVariable, client)
	for name, p := range map[string]gatehouse.Provider{
		"Provider": Provider(pool, client),
		"FromEnv":  FromEnv(),
		"New":      New(Config{ResourceServer: resource}),
	} {
		if p.Err != nil {
			t.Errorf("%s: %v", name, p.Err)
		}
	}
}
