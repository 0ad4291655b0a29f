package descope

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
			name:       "Discovery URL in the environment",
			env:        map[string]string{discoveryURLVariable: issuerExample + "/.well-known/openid-configuration"},
			wantIssuer: issuerExample,
		},
		{name: "issuer", config: Config{DiscoveryURL: issuerExample}, wantIssuer: issuerExample},
		{
			name:       "IDs in the environment",
			env:        map[string]string{projectIDVariable: projectExample, serverIDVariable: serverExample},
			wantIssuer: issuerExample,
		},
		{
			name:       "explicit ID wins over the Discovery URL in the environment",
			config:     Config{ProjectID: projectExample},
			env:        map[string]string{discoveryURLVariable: "https://api.descope.com/v1/apps/P2bbbbbbbbbbbbbbbbbbbbbbbbbb"},
			wantIssuer: "https://api.descope.com/v1/apps/" + projectExample,
		},
		{
			name:       "custom domain",
			config:     Config{ProjectID: projectExample, MCPServerID: serverExample, BaseURL: "https://auth.example.com"},
			wantIssuer: "https://auth.example.com/v1/apps/agentic/" + projectExample + "/" + serverExample,
		},
		{
			name:       "region",
			config:     Config{ProjectID: "Peuc12abcdefghijklmnopqrstuvwxyz"},
			wantIssuer: "https://api.euc1.descope.com/v1/apps/Peuc12abcdefghijklmnopqrstuvwxyz",
		},
		{
			name:       "project",
			config:     Config{DiscoveryURL: "https://api.descope.com/v1/apps/" + projectExample + "/.well-known/openid-configuration"},
			wantIssuer: "https://api.descope.com/v1/apps/" + projectExample,
		},

		{name: "nothing", wantErrs: []string{discoveryURLVariable + " is missing; copy the Discovery URL"}},
		{
			name:     "project ID as the Discovery URL",
			env:      map[string]string{discoveryURLVariable: projectExample},
			wantErrs: []string{"is the ID of a project; write " + projectIDVariable + "=" + projectExample},
		},
		{
			name:     "Discovery URL as the project ID",
			env:      map[string]string{projectIDVariable: issuerExample},
			wantErrs: []string{projectIDVariable + ` "` + issuerExample + `" is a URL; remove it and write ` + discoveryURLVariable + "="},
		},
		{
			name:     "two wrong IDs",
			config:   Config{ProjectID: "my-project", MCPServerID: projectExample},
			wantErrs: []string{`ProjectID "my-project" is not the ID of a project`, "is not the ID of an MCP server"},
		},
		{
			name:     "other URL",
			config:   Config{DiscoveryURL: "https://api.descope.com/" + projectExample + "/.well-known/jwks.json"},
			wantErrs: []string{"is not a Discovery URL; copy the Discovery URL"},
		},
		{
			name:     "origin with a slash",
			config:   Config{DiscoveryURL: "https://api.descope.com/"},
			wantErrs: []string{"is not a Discovery URL; copy the Discovery URL"},
		},
		{
			name:     "without a server",
			config:   Config{DiscoveryURL: "https://api.descope.com/v1/apps/agentic/" + projectExample},
			wantErrs: []string{"does not name an MCP server"},
		},
		{
			name:     "without a project",
			config:   Config{DiscoveryURL: "https://api.descope.com/v1/apps/x"},
			wantErrs: []string{"does not name a project"},
		},
		{name: "slash", config: Config{DiscoveryURL: issuerExample + "/"}, wantErrs: []string{`ends with a slash`}},
		{
			name:     "base URL with a path",
			config:   Config{ProjectID: projectExample, BaseURL: "https://auth.example.com/v1"},
			wantErrs: []string{`BaseURL "https://auth.example.com/v1" has a path; write "https://auth.example.com"`},
		},
		{
			name:     "base URL without a scheme",
			env:      map[string]string{projectIDVariable: projectExample, baseURLVariable: "auth.example.com"},
			wantErrs: []string{baseURLVariable + ` "auth.example.com" has no scheme`},
		},
		{
			name:     "tenant",
			config:   Config{DiscoveryURL: issuerExample, Tenants: []string{"https://tenant.example.com"}},
			wantErrs: []string{`Tenants "https://tenant.example.com" is not the ID of a tenant`},
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
