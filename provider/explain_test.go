package provider_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
)

// kindsByName are the kinds of the samples whose names begin or end in this way. The first one that
// fits counts; every other sample is an access token.
var kindsByName = []struct{ name, kind string }{
	{"session token with the type of access tokens", "session token"},
	{"token of a JWT template", "JWT template token"},
	{"token of a machine with the type of access tokens", "M2M token"},
	{"session JWT whose issuer and audience were set", "JWT"}, // it has no claim that only one kind has
	{"session JWT of the endpoint /token", "session token"},
	{"session token of an anonymous user", "session token"},
	{"AgentKit session token", "session token"},
	{"session token", "session token"},
	{"ID token", "ID token"},
	{"v1.0 ID token", "ID token"},
	{"logout token", "logout token"},
	{"refresh token", "refresh token"},
	{"offline token", "refresh token"},
	{"access token of a service account", "opaque access token"},
	{"personal access token of a service account", "opaque token"},
	{"service account", "access token of a machine"},
	{"client credentials", "access token of a machine"},
	{"app-only", "access token of a machine"},
	{"v1.0 app-only", "access token of a machine"},
	{"agent that acts for itself", "access token of a machine"},
	{"machine-to-machine application", "access token of a machine"},
	{"access key", "access token of a machine"},
	{"M2M client", "access token of a machine"},
	{"anonymous user", "token of an anonymous user"}, // the rules of the provider say so
	{"API key", "API key"},
	{"anon key", "API key"},
	{"service_role", "API key"},
	{"token of an identity pool", "identity pool token"},
}

// kindOf returns the kind of a sample. Machine tokens of Clerk have a name of their own.
func kindOf(v *gatehousetest.Vendor, s *gatehousetest.Sample) string {
	if strings.HasPrefix(s.Name, "M2M token") {
		if v.Vendor == "Clerk" {
			return "M2M token"
		}
		return "access token of a machine"
	}
	for _, k := range kindsByName {
		if strings.HasPrefix(s.Name, k.name) {
			return k.kind
		}
	}
	switch {
	case s.Opaque != "" && strings.Count(s.Opaque, ".") == 4:
		return "encrypted token"
	case strings.HasPrefix(s.Opaque, "ya29."):
		return "opaque access token"
	case s.Opaque != "":
		return "opaque token"
	case s.Want.Kind == "machine":
		return "access token of a machine"
	}
	return "access token"
}

// TestExplain checks for each sample that package diagnose names its kind and says what the guard
// says: with the keys of the provider, and, if the issuer shows which provider it is, without a
// configuration.
func TestExplain(t *testing.T) {
	t.Parallel()
	for _, vendor := range vendors {
		t.Run(vendor.file, func(t *testing.T) {
			t.Parallel()
			v := vendor.load(t)
			p := vendor.provider(v)
			verdicts, err := v.Judge(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			for _, verdict := range verdicts {
				if !verdict.Generic {
					checkExplanation(t, v, p, &verdict)
				}
			}
		})
	}
}

func checkExplanation(t *testing.T, v *gatehousetest.Vendor, p gatehouse.Provider, verdict *gatehousetest.Verdict) {
	t.Helper()
	name := verdict.Sample.Name
	raw, err := v.Sign(verdict.Sample)
	if err != nil {
		t.Fatal(err)
	}
	report, err := diagnose.Token(t.Context(), diagnose.TokenConfig{
		Text:       []byte(raw + "\n"),
		Server:     gatehouse.Config{Resource: v.Resource, Provider: p, HTTPClient: v.Client()},
		FetchKeys:  true,
		Introspect: true,
	})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if want := kindOf(v, &verdict.Sample); report.Kind != want {
		t.Errorf("%s: got the kind %q, want %q", name, report.Kind, want)
	}
	if report.Reason != verdict.Got || (report.Verdict == diagnose.Accepted) != (verdict.Got == "") {
		t.Errorf("%s: got %s %q, want what the guard says: %q", name, report.Verdict, report.Reason, verdict.Got)
	}
	alone, err := diagnose.Token(t.Context(), diagnose.TokenConfig{Text: []byte(raw)})
	if err != nil {
		t.Fatalf("%s: without a configuration: %v", name, err)
	}
	// Some kinds are known from the rules of the provider alone.
	byRules := verdict.Got == "machine_token" || verdict.Got == "wrong_type"
	if want := kindOf(v, &verdict.Sample); alone.Kind != want && alone.Kind != "JWT" && !(byRules && alone.Kind == "access token") {
		t.Errorf("%s: without a configuration: got the kind %q, want %q", name, alone.Kind, want)
	}
	if alone.Verdict == diagnose.Accepted {
		t.Errorf("%s: without a configuration: got accepted, want that the signature is unchecked", name)
	}
}

// TestExplainRecognizesIssuers checks for which providers the issuer alone shows the rules.
func TestExplainRecognizesIssuers(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		"https://verb-noun-42.clerk.accounts.dev":                                       "Clerk",
		"https://clerk.example.com":                                                     "Clerk",
		"https://acme.eu.auth0.com/":                                                    "Auth0",
		"https://acme.okta.com/oauth2/aus9o8wzkhckw9TLa0h7":                             "Okta",
		"http://localhost:8080/realms/gatehouse":                                        "Keycloak",
		"https://tenant.authkit.app":                                                    "WorkOS AuthKit",
		"https://abcdefghijklmnopqrst.supabase.co/auth/v1":                              "Supabase Auth",
		"https://acme.logto.app/oidc":                                                   "Logto",
		"https://auth.example.com/api/auth":                                             "Better Auth",
		"https://cognito-idp.us-west-2.amazonaws.com/us-west-2_EXAMPLE1a":               "Amazon Cognito",
		"https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0":   "Microsoft Entra ID",
		"https://acme.eu.auth0.com":                                                     "https://acme.eu.auth0.com",
		"https://evil.example/https://verb-noun-42.clerk.accounts.dev":                  "https://evil.example/https://verb-noun-42.clerk.accounts.dev",
		"https://verb-noun-42.clerk.accounts.dev.evil.example":                          "https://verb-noun-42.clerk.accounts.dev.evil.example",
		"https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0/x": "https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0/x",
	} {
		if got := diagnose.ProviderOf(issuer); got.Name != want || got.Issuer != issuer && len(got.Tenants) == 0 {
			t.Errorf("ProviderOf(%q) is %q of %q, want %q", issuer, got.Name, got.Issuer, want)
		}
	}
}
