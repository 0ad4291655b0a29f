package providername

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every package below provider has a name.
func TestEveryProviderHasAName(t *testing.T) {
	folders, err := filepath.Glob("../../../../provider/*")
	if err != nil || len(folders) < 15 {
		t.Fatalf("found %d folders, %v", len(folders), err)
	}
	for _, folder := range folders {
		name := filepath.Base(folder)
		if info, err := os.Stat(folder); err != nil || !info.IsDir() || name == "internal" {
			continue
		}
		if !slices.Contains(Names(), name) {
			t.Errorf("provider %s has no name", name)
		}
	}
}

func TestNew(t *testing.T) {
	for name, issuer := range map[string]string{
		"auth0":      "https://tenant.eu.auth0.com/",
		"betterauth": "https://auth.example.com/api/auth",
		"clerk":      "https://verb-noun-42.clerk.accounts.dev",
		"cognito":    "https://cognito-idp.us-west-2.amazonaws.com/us-west-2_EXAMPLE1a",
		"keycloak":   "https://sso.example.com/realms/acme",
		"logto":      "https://acme.logto.app/oidc",
		"okta":       "https://acme.okta.com/oauth2/default",
		"scalekit":   "https://acme.scalekit.dev/resources/res_70123456789012345",
		"supabase":   "https://abcdefghijklmnopqrst.supabase.co/auth/v1",
		"workos":     "https://acme.authkit.app",
		"oidc":       "https://issuer.example.com",
	} {
		p, err := New(name, issuer)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// Cognito needs clients too, which the command line does not have.
		if p.Err != nil && name != "cognito" {
			t.Errorf("%s: %v", name, p.Err)
		}
		if p.Issuer != issuer {
			t.Errorf("%s: the issuer is %q, want %q", name, p.Issuer, issuer)
		}
	}
}

func TestNewFaults(t *testing.T) {
	for _, test := range []struct{ name, issuer, want string }{
		{"clrk", "", "--provider \"clrk\" is not known"},
		{"oidc", "", "--provider oidc needs an issuer"},
		{"google", "https://accounts.google.com", "--provider google has one issuer only"},
	} {
		if _, err := New(test.name, test.issuer); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New(%q, %q): got %v, want %s", test.name, test.issuer, err, test.want)
		}
	}
	if _, err := New("google", ""); err != nil { // its other faults are in Err
		t.Errorf("the control: %v", err)
	}
}
