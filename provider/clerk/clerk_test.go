package clerk

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/google/go-cmp/cmp"
)

const (
	frontendAPI = "https://verb-noun-42.clerk.accounts.dev"
	// publishableKey is the example of Clerk's documentation, and keyFrontendAPI is what
	// it contains.
	publishableKey = "pk_test_Y2xlcmsuaW5zcGlyZWQucHVtYS03NC5sY2wuZGV2JA"
	keyFrontendAPI = "https://clerk.inspired.puma-74.lcl.dev"
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
			name:       "URL in the environment",
			env:        map[string]string{frontendAPIVariable: frontendAPI},
			wantIssuer: frontendAPI,
		},
		{
			name:       "key in the environment",
			env:        map[string]string{publishableKeyVariable: publishableKey},
			wantIssuer: keyFrontendAPI,
		},
		{
			name:       "explicit URL wins",
			config:     Config{FrontendAPIURL: "https://clerk.example.com"},
			env:        map[string]string{frontendAPIVariable: frontendAPI},
			wantIssuer: "https://clerk.example.com",
		},
		{
			name:       "explicit key wins over URL in the environment",
			config:     Config{PublishableKey: publishableKey},
			env:        map[string]string{frontendAPIVariable: frontendAPI},
			wantIssuer: keyFrontendAPI,
		},
		{
			name:       "local Clerk",
			config:     Config{FrontendAPIURL: "http://localhost:4000"},
			wantIssuer: "http://localhost:4000",
		},
		{
			name:       "proxy",
			config:     Config{FrontendAPIURL: "https://example.com/__clerk"},
			wantIssuer: "https://example.com/__clerk",
		},
		{
			name:       "upper case host",
			config:     Config{FrontendAPIURL: "https://Clerk.Example.com"},
			wantIssuer: "https://clerk.example.com",
		},

		{name: "nothing", wantErr: frontendAPIVariable + " is missing; set it to the Frontend API URL"},
		{
			name:    "bare subdomain",
			env:     map[string]string{frontendAPIVariable: "verb-noun-42"},
			wantErr: `"verb-noun-42" is a bare subdomain; paste "https://verb-noun-42.clerk.accounts.dev"`,
		},
		{
			name:    "no scheme",
			config:  Config{FrontendAPIURL: "verb-noun-42.clerk.accounts.dev"},
			wantErr: `has no scheme; paste "https://verb-noun-42.clerk.accounts.dev"`,
		},
		{
			name:    "trailing slash",
			config:  Config{FrontendAPIURL: frontendAPI + "/"},
			wantErr: `ends in a slash; paste "` + frontendAPI + `"`,
		},
		{
			name:    "path",
			config:  Config{FrontendAPIURL: frontendAPI + "/.well-known/jwks.json"},
			wantErr: `has a path; paste "` + frontendAPI + `"`,
		},
		{
			name:    "query",
			config:  Config{FrontendAPIURL: frontendAPI + "?x=1"},
			wantErr: `has more than a host; paste "` + frontendAPI + `"`,
		},
		{
			name:    "dashboard",
			config:  Config{FrontendAPIURL: "https://dashboard.clerk.com/apps/app_1"},
			wantErr: "is the address of the Clerk Dashboard; copy the Frontend API URL",
		},
		{
			name:    "account portal, development",
			config:  Config{FrontendAPIURL: "https://verb-noun-42.accounts.dev/sign-in"},
			wantErr: `is the Account Portal of the instance; paste "` + frontendAPI + `"`,
		},
		{
			name:    "account portal, production",
			config:  Config{FrontendAPIURL: "https://accounts.example.com"},
			wantErr: `is the Account Portal of the instance; paste "https://clerk.example.com"`,
		},
		{
			name:    "backend API",
			config:  Config{FrontendAPIURL: "https://api.clerk.com"},
			wantErr: "is Clerk's Backend API",
		},
		{
			name:    "key in place of URL",
			config:  Config{FrontendAPIURL: publishableKey},
			wantErr: "is a publishable key; set it as CLERK_PUBLISHABLE_KEY",
		},
		{name: "plain http", config: Config{FrontendAPIURL: "http://clerk.example.com"}, wantErr: "https"},
		{name: "damaged key", env: map[string]string{publishableKeyVariable: "pk_test_Y2xlcm"}, wantErr: "is damaged"},
		{
			name:    "cut key",
			env:     map[string]string{publishableKeyVariable: "pk_test"},
			wantErr: "is not a publishable key",
		},
		{
			name:    "key with another host form",
			config:  Config{PublishableKey: "pk_live_" + base64.StdEncoding.EncodeToString([]byte("evil.example.com/x$"))},
			wantErr: "is damaged",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := test.config.provider(&env.Env{File: test.env})
			_, err := gatehouse.New(gatehouse.Config{Resource: "http://localhost:3000/mcp", Provider: p})
			if test.wantErr == "" {
				if err != nil || p.Issuer != test.wantIssuer || p.JWKSURL != test.wantIssuer+"/.well-known/jwks.json" {
					t.Errorf("issuer %q, keys %q, error %v; want %q", p.Issuer, p.JWKSURL, err, test.wantIssuer)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.wantErr) {
				t.Fatalf("error\n got %v\nwant %s", err, test.wantErr)
			}
			var fault *gatehouse.ConfigError
			if !errors.As(err, &fault) || fault.Fix == "" {
				t.Errorf("%v is not a ConfigError with a fix", err)
			}
		})
	}
}

// TestTwoInstances sets the URL of one instance and the key of another. A place that
// comes first overrides the others; two values in one place contradict each other.
func TestTwoInstances(t *testing.T) {
	const local, proxy = "http://localhost:4000", "https://example.com/__clerk"
	var (
		urlVariable    = map[string]string{frontendAPIVariable: frontendAPI}
		keyVariable    = map[string]string{publishableKeyVariable: publishableKey}
		bothVariables  = map[string]string{frontendAPIVariable: frontendAPI, publishableKeyVariable: publishableKey}
		bothSame       = map[string]string{frontendAPIVariable: keyFrontendAPI, publishableKeyVariable: publishableKey}
		localVariables = map[string]string{frontendAPIVariable: local, publishableKeyVariable: publishableKey}
		damaged        = map[string]string{frontendAPIVariable: "verb-noun-42", publishableKeyVariable: "pk_test"}
	)
	tests := []struct {
		name              string
		config            Config
		environment, file map[string]string
		wantIssuer        string
		wantErrs          []string // parts of the text
	}{
		{
			name:       "control: same instance in Config",
			config:     Config{FrontendAPIURL: keyFrontendAPI, PublishableKey: publishableKey},
			wantIssuer: keyFrontendAPI,
		},
		{name: "control: same instance in the environment", environment: bothSame, wantIssuer: keyFrontendAPI},
		{
			name:       "local Clerk in Config",
			config:     Config{FrontendAPIURL: local, PublishableKey: publishableKey},
			wantIssuer: local,
		},
		{name: "local Clerk in the environment", environment: localVariables, wantIssuer: local},
		{
			name:       "proxy in Config",
			config:     Config{FrontendAPIURL: proxy, PublishableKey: publishableKey},
			wantIssuer: proxy,
		},
		{
			name:        "URL in Config, key in the environment",
			config:      Config{FrontendAPIURL: frontendAPI},
			environment: keyVariable,
			wantIssuer:  frontendAPI,
		},
		{
			name:        "key in Config, URL in the environment",
			config:      Config{PublishableKey: publishableKey},
			environment: urlVariable,
			wantIssuer:  keyFrontendAPI,
		},
		{
			name:        "URL in Config, both in the environment",
			config:      Config{FrontendAPIURL: frontendAPI},
			environment: bothVariables,
			wantIssuer:  frontendAPI,
		},
		{
			name:        "URL in the environment, key in .env",
			environment: urlVariable,
			file:        keyVariable,
			wantIssuer:  frontendAPI,
		},
		{
			name:        "key in the environment, URL in .env",
			environment: keyVariable,
			file:        urlVariable,
			wantIssuer:  keyFrontendAPI,
		},

		{
			name: "both in Config", config: Config{FrontendAPIURL: frontendAPI, PublishableKey: publishableKey},
			wantErrs: []string{`FrontendAPIURL "` + frontendAPI + `" and PublishableKey are for different Clerk instances: the key is for "` + keyFrontendAPI + `"; copy both`},
		},
		{
			name: "both in the environment", environment: bothVariables,
			wantErrs: []string{frontendAPIVariable + ` "` + frontendAPI + `" and ` + publishableKeyVariable + ` are for different Clerk instances: the key is for "` + keyFrontendAPI + `"; copy both`},
		},
		{
			name: "both in .env", file: bothVariables,
			wantErrs: []string{frontendAPIVariable + ` "` + frontendAPI + `" and ` + publishableKeyVariable + ` are for different Clerk instances`},
		},
		{
			name: "both invalid", environment: damaged,
			wantErrs: []string{frontendAPIVariable + ` "verb-noun-42" is a bare subdomain`, publishableKeyVariable + ` "pk_test" is not a publishable key`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := test.config.provider(&env.Env{
				Environment: func(name string) (string, bool) { value, ok := test.environment[name]; return value, ok },
				File:        test.file,
			})
			if len(test.wantErrs) == 0 {
				if p.Err != nil || p.Issuer != test.wantIssuer {
					t.Errorf("issuer %q, error %v; want %q", p.Issuer, p.Err, test.wantIssuer)
				}
				return
			}
			var fault *gatehouse.ConfigError
			if !errors.As(p.Err, &fault) || fault.Fix == "" || p.Issuer != "" {
				t.Fatalf("issuer %q, error %v; want a ConfigError with a fix", p.Issuer, p.Err)
			}
			for _, want := range test.wantErrs {
				if !strings.Contains(p.Err.Error(), want) {
					t.Errorf("error\n got %v\nwant %s", p.Err, want)
				}
			}
		})
	}
}

func TestSecretKeyStaysOutOfTheMessage(t *testing.T) {
	const secret = "sk_test_abcdef"
	for _, cfg := range []Config{{FrontendAPIURL: secret}, {PublishableKey: secret}} {
		err := cfg.provider(&env.Env{}).Err
		if err == nil || !strings.Contains(err.Error(), "secret key") || strings.Contains(err.Error(), secret) {
			t.Errorf("error %v; want one about the secret key and without it", err)
		}
	}
}

// TestExpandPermissions has the example of Clerk's documentation and invalid inputs.
func TestExpandPermissions(t *testing.T) {
	tests := []struct {
		name, features, permissions, masks string
		want                               []string
	}{
		{
			"documentation",
			"o:dashboard,o:teams",
			"manage,read",
			"3,2",
			[]string{"org:dashboard:manage", "org:dashboard:read", "org:teams:read"},
		},
		{"feature of the user only", "o:a,u:b", "read", "1,1", []string{"org:a:read"}},
		{"feature of both", "ou:a", "read", "1", []string{"org:a:read"}},
		{
			"mask of more than 64 bits",
			"o:a",
			strings.Repeat("x,", 69) + "last",
			"590295810358705651712",
			[]string{"org:a:last"},
		},
		{"more bits than permissions", "o:a", "read", "255", []string{"org:a:read"}},
		{"mask is not a number", "o:a", "read", "x", nil},
		{"negative mask", "o:a", "read", "-1", nil},
		{"fewer masks than features", "o:a,o:b", "read", "1", []string{"org:a:read"}},
		{"empty", "", "", "", nil},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, expandPermissions(test.features, test.permissions, test.masks)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func FuzzFrontendAPI(f *testing.F) {
	for _, seed := range []string{frontendAPI, "verb-noun-42", "https://accounts.example.com/", publishableKey, "http://[::1]:4000", "https://a@b", "://", "https://example.com/__clerk"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, parse := range []func(string, string) (string, error){parseFrontendAPI, parsePublishableKey} {
			issuer, err := parse("F", value)
			if err != nil {
				continue
			}
			if again, err := parseFrontendAPI("F", issuer); err != nil || again != issuer {
				t.Errorf("%q gives %q, which gives %q, %v", value, issuer, again, err)
			}
		}
	})
}

func FuzzExpandPermissions(f *testing.F) {
	f.Add("o:dashboard,o:teams", "manage,read", "3,2")
	f.Fuzz(func(t *testing.T, features, permissions, masks string) {
		for _, p := range expandPermissions(features, permissions, masks) {
			if !strings.HasPrefix(p, "org:") {
				t.Errorf("permission %q", p)
			}
		}
	})
}
