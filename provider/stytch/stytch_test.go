package stytch

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
			env:        map[string]string{domainVariable: "https://acme.customers.stytch.com", projectIDVariable: projectExample},
			wantIssuer: "https://acme.customers.stytch.com",
		},
		{
			name:       "explicit values win",
			config:     recorded,
			env:        map[string]string{domainVariable: "https://acme.customers.stytch.com", projectIDVariable: "project-live-0"},
			wantIssuer: "https://example.customers.stytch.com",
		},
		{
			name:       "host",
			config:     Config{Domain: "login.example.com", ProjectID: projectExample},
			wantIssuer: "https://login.example.com",
		},

		{
			name: "nothing",
			wantErrs: []string{
				domainVariable + " is missing; copy the project domain",
				projectIDVariable + " is missing; copy the project ID",
			},
		},
		{
			name:     "slash",
			config:   Config{Domain: "https://example.customers.stytch.com/", ProjectID: projectExample},
			wantErrs: []string{`write "https://example.customers.stytch.com"`},
		},
		{
			name:     "discovery URL",
			config:   Config{Domain: "https://example.customers.stytch.com/.well-known/openid-configuration", ProjectID: projectExample},
			wantErrs: []string{`is the URL of a metadata document; write "https://example.customers.stytch.com"`},
		},
		{
			name:     "plain http",
			config:   Config{Domain: "http://example.customers.stytch.com", ProjectID: projectExample},
			wantErrs: []string{"is not https"},
		},
		{
			name:     "API",
			env:      map[string]string{domainVariable: "https://test.stytch.com", projectIDVariable: projectExample},
			wantErrs: []string{domainVariable + ` "https://test.stytch.com" is Stytch's API; copy the project domain`},
		},
		{
			name:     "issuer of stytch.com",
			config:   Config{Domain: "stytch.com/" + projectExample, ProjectID: projectExample},
			wantErrs: []string{"is the address of Stytch; copy the project domain"},
		},
		{
			name:     "project ID as the domain",
			config:   Config{Domain: projectExample, ProjectID: projectExample},
			wantErrs: []string{"is a project ID; write " + projectIDVariable + "=" + projectExample},
		},
		{
			name:     "domain as the project ID",
			config:   Config{Domain: "login.example.com", ProjectID: "login.example.com"},
			wantErrs: []string{`ProjectID "login.example.com" is not a project ID; copy the project ID`},
		},
		{
			name:     "secret as the project ID",
			config:   Config{Domain: "login.example.com", ProjectID: "secret-test-hush"},
			wantErrs: []string{"ProjectID is a secret; copy the project ID"},
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
