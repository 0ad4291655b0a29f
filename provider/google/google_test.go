package google

import (
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	client   = "32555940559.apps.googleusercontent.com"
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
			env:        map[string]string{clientVariable: client + " 1-abc.apps.googleusercontent.com"},
			wantIssuer: issuer,
		},
		{
			name:       "explicit",
			config:     Config{ClientIDs: []string{client}},
			env:        map[string]string{clientVariable: "x"},
			wantIssuer: issuer,
		},

		{
			name: "nothing",
			wantErr: clientVariable + " is missing; copy the client IDs from the Google Cloud console (Google Auth " +
				"Platform → Clients); otherwise the tokens of every application",
		},
		{
			name:    "project",
			config:  Config{ClientIDs: []string{client, "my-project"}},
			wantErr: `ClientIDs "my-project" is not a client ID of Google`,
		},
		{name: "URL", config: Config{ClientIDs: []string{"https://" + client}}, wantErr: "is not a client ID of Google"},
		{
			name:    "secret",
			env:     map[string]string{clientVariable: "GOCSPX-hush"},
			wantErr: clientVariable + " has a client secret; copy the client IDs",
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

// The error about a client secret must not contain it.
func TestSecretIsNotPrinted(t *testing.T) {
	p := Config{ClientIDs: []string{"GOCSPX-hush"}}.provider(setting.From(nil))
	if p.Err == nil || strings.Contains(p.Err.Error(), "hush") {
		t.Errorf("error %v, want one without the secret", p.Err)
	}
}

func TestClientsAreARisk(t *testing.T) {
	p := Config{ClientIDs: []string{client}}.provider(setting.From(nil))
	if len(p.Risks) != 1 || !strings.Contains(p.Risks[0], client) {
		t.Errorf("risks %q, want one that names the client", p.Risks)
	}
}

// TestTokens checks the recorded tokens of Google, and those that look like them.
func TestTokens(t *testing.T) {
	v, err := gatehousetest.LoadVendor("testdata/vendor.json")
	if err != nil {
		t.Fatal(err)
	}
	gatehousetest.TestProvider(t, Config{ClientIDs: []string{client}, HTTPClient: v.Client()}.provider(setting.From(nil)), v)
}

// TestConstructors checks that each of them reads the environment.
func TestConstructors(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv(clientVariable, client)
	for name, p := range map[string]gatehouse.Provider{
		"Provider": Provider(client),
		"FromEnv":  FromEnv(),
		"New":      New(Config{ScopesSupported: []string{"openid"}}),
	} {
		if p.Err != nil {
			t.Errorf("%s: %v", name, p.Err)
		}
	}
}
