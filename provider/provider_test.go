// Package provider_test tests all packages below provider with the samples in their folders.
package provider_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/auth0"
	"github.com/gatehouse-mcp/gatehouse/provider/betterauth"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/provider/cognito"
	"github.com/gatehouse-mcp/gatehouse/provider/descope"
	"github.com/gatehouse-mcp/gatehouse/provider/entra"
	"github.com/gatehouse-mcp/gatehouse/provider/google"
	"github.com/gatehouse-mcp/gatehouse/provider/keycloak"
	"github.com/gatehouse-mcp/gatehouse/provider/logto"
	"github.com/gatehouse-mcp/gatehouse/provider/okta"
	"github.com/gatehouse-mcp/gatehouse/provider/scalekit"
	"github.com/gatehouse-mcp/gatehouse/provider/stytch"
	"github.com/gatehouse-mcp/gatehouse/provider/supabase"
	"github.com/gatehouse-mcp/gatehouse/provider/workos"
	"github.com/gatehouse-mcp/gatehouse/provider/zitadel"
)

// vendor is one provider package, configured for the samples in a file.
type vendor struct {
	file     string // in the folder of the package and testdata
	provider func(v *gatehousetest.Vendor) gatehouse.Provider
}

// vendors has a row for each file with samples, in the order of docs/providers.md.
var vendors = []vendor{
	{"clerk/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		return clerk.Provider("https://verb-noun-42.clerk.accounts.dev")
	}},
	{"entra/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider { return entra.New(entraConfig) }},
	{"entra/vendor_tenants.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		cfg := entraConfig
		cfg.TenantID, cfg.Tenants = "", []string{entraConfig.TenantID, "72f988bf-86f1-41af-91ab-2d7cd011db47"}
		return entra.New(cfg)
	}},
	{"entra/vendor_v1.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		cfg := entraConfig
		cfg.AppIDURI, cfg.AcceptV1 = "", true
		return entra.New(cfg)
	}},
	{"entra/vendor_machines.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		cfg := entraConfig
		cfg.AllowMachines = true
		return entra.New(cfg)
	}},
	{"keycloak/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		return keycloak.New(keycloak.Config{ServerURL: "http://localhost:8080", Realm: "gatehouse"})
	}},
	{"auth0/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		return auth0.New(auth0.Config{Domain: "acme.eu.auth0.com"})
	}},
	{"google/vendor.json", func(v *gatehousetest.Vendor) gatehouse.Provider {
		return google.New(google.Config{ClientIDs: []string{"32555940559.apps.googleusercontent.com"}, HTTPClient: v.Client()})
	}},
	{"okta/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		return okta.New(okta.Config{Issuer: "https://acme.okta.com/oauth2/aus9o8wzkhckw9TLa0h7"})
	}},
	{"cognito/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider { return cognito.New(cognitoConfig) }},
	{"cognito/vendor_machines.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		cfg := cognitoConfig
		cfg.AllowMachines = true
		return cognito.New(cfg)
	}},
	{"workos/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		return workos.New(workos.Config{Domain: "tenant.authkit.app"})
	}},
	{"supabase/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		return supabase.New(supabase.Config{
			ProjectID: "abcdefghijklmnopqrst",
			Roles:     []gatehouse.ClaimPath{{"app_metadata", "roles"}},
		})
	}},
	{"descope/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		return descope.New(descope.Config{
			DiscoveryURL: "https://api.descope.com/v1/apps/agentic/P2abcdefghijklmnopqrstuvwxyz/MS2abcdefghijklmnopqrstuvwxyz/.well-known/openid-configuration",
			Tenants:      []string{"T2abcdefghijklmnopqrstuvwxyz"},
		})
	}},
	{"stytch/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		return stytch.New(stytch.Config{
			Domain:    "https://example.customers.stytch.com",
			ProjectID: "project-test-6d902c62-fc8f-40ea-a4b1-c260966d4655",
		})
	}},
	{"scalekit/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		return scalekit.New(scalekit.Config{EnvironmentURL: "https://acme.scalekit.dev", ResourceID: "res_70123456789012345"})
	}},
	{"logto/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		return logto.New(logto.Config{Endpoint: "https://acme.logto.app"})
	}},
	{"zitadel/vendor.json", func(v *gatehousetest.Vendor) gatehouse.Provider {
		return zitadel.New(zitadel.Config{
			Domain:       "https://acme-k2x9qd.us1.zitadel.cloud",
			ProjectID:    "328859038097867422",
			ClientID:     "391190000000000001",
			ClientSecret: "the secret",
			HTTPClient:   v.Client(),
		})
	}},
	{"betterauth/vendor.json", func(*gatehousetest.Vendor) gatehouse.Provider {
		return betterauth.New(betterauth.Config{URL: "https://auth.example.com/api/auth", OrganizationClaim: "https://example.com/org"})
	}},
}

var entraConfig = entra.Config{
	TenantID:        "8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
	ClientID:        "00001111-aaaa-2222-bbbb-3333cccc4444",
	AppIDURI:        gatehousetest.VendorResource,
	ScopesSupported: []string{"Tools.Read"},
}

var cognitoConfig = cognito.Config{
	UserPoolID:     "us-west-2_EXAMPLE1a",
	ClientIDs:      []string{"57cbishk4j24pabc1234567890", "2ezlovlfnsfoe8oqr2mc4fgqv4"},
	ResourceServer: gatehousetest.VendorResource,
}

func TestProviders(t *testing.T) {
	t.Parallel()
	for _, vendor := range vendors {
		t.Run(vendor.file, func(t *testing.T) {
			t.Parallel()
			v := vendor.load(t)
			gatehousetest.TestProvider(t, vendor.provider(v), v)
		})
	}
}

// TestHints checks that every hint of a provider is for a reason that exists, and says more than
// the guard's own advice.
func TestHints(t *testing.T) {
	t.Parallel()
	advice := make(map[gatehouse.Reason]string)
	for _, info := range gatehouse.Reasons() {
		advice[info.Reason] = info.Do
	}
	for _, vendor := range vendors {
		p := vendor.provider(vendor.load(t))
		if len(p.Hints) == 0 {
			t.Errorf("%s: there are no hints", vendor.file)
		}
		for reason, hint := range p.Hints {
			if own, ok := advice[reason]; !ok || hint == "" || hint == own {
				t.Errorf("%s: the hint for %q is %q, and the guard's own advice is %q (exists: %t)", vendor.file, reason, hint, own, ok)
			}
		}
	}
}

// TestEveryFileIsTested checks that no samples are forgotten in vendors.
func TestEveryFileIsTested(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*/testdata/vendor*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		file := strings.Replace(filepath.ToSlash(path), "testdata/", "", 1)
		if !slices.ContainsFunc(vendors, func(v vendor) bool { return v.file == file }) {
			t.Errorf("%s has no row in vendors", file)
		}
	}
}

func (v *vendor) load(t *testing.T) *gatehousetest.Vendor {
	t.Helper()
	samples, err := gatehousetest.LoadVendor(strings.Replace(v.file, "/", "/testdata/", 1))
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

var update = flag.Bool("update", false, "rewrite the table in docs/providers.md")

const (
	page       = "../docs/providers.md"
	tableBegin = "<!-- tokens -->\n"
	tableEnd   = "<!-- end of tokens -->\n"
)

// TestTokensDocument checks that the table of tokens in docs/providers.md is what the tests say.
func TestTokensDocument(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	sections := make(map[string]bool) // by the name of the provider
	for _, vendor := range vendors {
		v := vendor.load(t)
		verdicts, err := v.Judge(t.Context(), vendor.provider(v))
		if err != nil {
			t.Fatal(err)
		}
		writeTable(&table, v, verdicts, !sections[v.Vendor])
		sections[v.Vendor] = true
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no %q and %q", page, tableBegin, tableEnd)
	}
	want := before + tableBegin + table.String() + tableEnd + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s is out of date; run go test ./provider -run TokensDocument -update", page)
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeTable writes the tokens of one file. The first file of a provider begins its section, and
// has its sources.
func writeTable(w *strings.Builder, v *gatehousetest.Vendor, verdicts []gatehousetest.Verdict, first bool) {
	if first {
		fmt.Fprintf(w, "\n### %s\n", v.Vendor)
	}
	fmt.Fprintln(w)
	if v.Configured != "" {
		fmt.Fprintf(w, "Configured: %s.\n\n", strings.TrimSuffix(v.Configured, "."))
	}
	fmt.Fprintf(w, "| token | verdict | form from |\n| --- | --- | --- |\n")
	for _, verdict := range verdicts {
		if verdict.Generic {
			continue
		}
		what := "accepted: " + describe(verdict.Identity)
		if verdict.Got != "" {
			what = "`" + string(verdict.Got) + "`"
		}
		fmt.Fprintf(w, "| %s | %s | %s |\n", cell(verdict.Sample.Name), cell(what), cell(verdict.Sample.Source))
	}
	if len(v.Sources) == 0 || !first {
		return
	}
	fmt.Fprintf(w, "\nSources:\n\n")
	for _, source := range v.Sources {
		fmt.Fprintf(w, "- %s (%s): %s\n", source.URL, source.Date, source.What)
	}
}

// describe returns what an identity contains.
func describe(id gatehouse.Identity) string {
	parts := []string{id.Kind.String()}
	add := func(name string, has bool) {
		if has {
			parts = append(parts, name)
		}
	}
	add("client", id.ClientID != "")
	add("scopes", len(id.Scopes) > 0)
	add("roles", len(id.Roles) > 0)
	add("permissions", len(id.Permissions) > 0)
	add("organization", id.Organization.ID != "")
	return strings.Join(parts, ", ")
}

func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }
