package supabase

import (
	"errors"
	"fmt"
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
			name:       "ID in the environment",
			env:        map[string]string{projectIDVariable: projectExample},
			wantIssuer: urlExample + "/auth/v1",
		},
		{
			name:       "explicit ID wins",
			config:     Config{ProjectID: "zyxwvutsrqponmlkjihg"},
			env:        map[string]string{projectIDVariable: projectExample},
			wantIssuer: "https://zyxwvutsrqponmlkjihg.supabase.co/auth/v1",
		},
		{
			name:       "URL wins over the ID",
			env:        map[string]string{projectIDVariable: projectExample, urlVariable: "https://auth.example.com"},
			wantIssuer: "https://auth.example.com/auth/v1",
		},
		{name: "local CLI", config: Config{URL: "http://127.0.0.1:54321"}, wantIssuer: "http://127.0.0.1:54321/auth/v1"},
		{
			name:       "legacy secret",
			config:     Config{ProjectID: projectExample},
			env:        map[string]string{secretVariable: "super-secret-jwt-token-with-at-least-32-characters-long"},
			wantIssuer: urlExample + "/auth/v1",
		},

		{
			name:       "roles of app_metadata",
			config:     Config{ProjectID: projectExample, Roles: []gatehouse.ClaimPath{{"app_metadata", "roles"}}},
			wantIssuer: urlExample + "/auth/v1",
		},
		{
			name:     "roles of user_metadata",
			config:   Config{ProjectID: projectExample, Roles: []gatehouse.ClaimPath{{"user_metadata", "roles"}}},
			wantErrs: []string{`Roles "user_metadata > roles" is in user_metadata, which users change themselves; write roles into app_metadata`},
		},
		{name: "nothing", wantErrs: []string{projectIDVariable + " is missing; copy the ID of the project"}},
		{
			name:     "URL as the ID",
			env:      map[string]string{projectIDVariable: urlExample},
			wantErrs: []string{projectIDVariable + ` "` + urlExample + `" is the URL of the project; write "` + projectExample + `"`},
		},
		{
			name:     "host as the ID",
			config:   Config{ProjectID: projectExample + ".supabase.co"},
			wantErrs: []string{`is the URL of the project; write "` + projectExample + `"`},
		},
		{
			name:     "custom domain as the ID",
			config:   Config{ProjectID: "https://auth.example.com"},
			wantErrs: []string{"is a URL; remove it and write " + urlVariable + "=https://auth.example.com"},
		},
		{name: "name as the ID", config: Config{ProjectID: "My Project"}, wantErrs: []string{"is not the ID of a project"}},
		{
			name:     "ID as the URL",
			config:   Config{URL: projectExample},
			wantErrs: []string{"is the ID of a project; remove it and write " + projectIDVariable + "=" + projectExample},
		},
		{
			name:     "issuer as the URL",
			config:   Config{URL: urlExample + "/auth/v1"},
			wantErrs: []string{`is the issuer, not the URL of the project; write "` + urlExample + `"`},
		},
		{
			name:     "discovery URL",
			config:   Config{URL: urlExample + "/auth/v1/.well-known/openid-configuration"},
			wantErrs: []string{`write "` + urlExample + `"`},
		},
		{name: "slash", config: Config{URL: urlExample + "/"}, wantErrs: []string{`write "` + urlExample + `"`}},
		{name: "path", config: Config{URL: urlExample + "/rest/v1"}, wantErrs: []string{`has a path; write "` + urlExample + `"`}},
		{
			name:     "dashboard",
			config:   Config{URL: "https://supabase.com/dashboard/project/" + projectExample},
			wantErrs: []string{"is the address of Supabase; write the URL of the project"},
		},
		{name: "no scheme", config: Config{URL: "auth.example.com"}, wantErrs: []string{`has no scheme; write "https://auth.example.com"`}},
		{name: "plain http", config: Config{URL: "http://auth.example.com"}, wantErrs: []string{"is not https"}},
		{
			name:     "short secret",
			config:   Config{ProjectID: projectExample, JWTSecret: "hush"},
			wantErrs: []string{"JWTSecret is 4 bytes long, want at least 32; rotate to signing keys"},
		},
		{
			name:     "anon key as the secret",
			config:   Config{ProjectID: projectExample},
			env:      map[string]string{secretVariable: "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.aaaaaaaa"},
			wantErrs: []string{secretVariable + " is a JWT, such as the anon key; remove it"},
		},
		{
			name:     "API key as the secret",
			config:   Config{ProjectID: projectExample, JWTSecret: "sb_secret_hush_hush_hush_hush_hush_hush"},
			wantErrs: []string{"JWTSecret is an API key; remove it"},
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

// TestRolesCannotBeRequiredWithoutClaims checks that a requirement for a role is an error if the
// tokens have no roles.
func TestRolesCannotBeRequiredWithoutClaims(t *testing.T) {
	requirements := []gatehouse.Requirement{{Tool: "delete", Require: gatehouse.Require{Roles: []string{"admin"}}}}
	for _, test := range []struct {
		name    string
		config  Config
		wantErr string // part of the text; empty means none
	}{
		{"control", Config{ProjectID: projectExample, Roles: []gatehouse.ClaimPath{{"app_metadata", "roles"}}}, ""},
		{"no claims", Config{ProjectID: projectExample}, "Requirements[0].Roles"},
	} {
		_, err := gatehouse.New(gatehouse.Config{
			Resource:     "https://mcp.example.com/mcp",
			Provider:     test.config.provider(setting.From(nil)),
			Requirements: requirements,
		})
		if got := fmt.Sprint(err); test.wantErr == "" && err != nil || !strings.Contains(got, test.wantErr) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.wantErr)
		}
	}
}
