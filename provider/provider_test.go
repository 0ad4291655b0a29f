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
	"github.com/gatehouse-mcp/gatehouse/provider/betterauth"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/provider/descope"
	"github.com/gatehouse-mcp/gatehouse/provider/keycloak"
	"github.com/gatehouse-mcp/gatehouse/provider/logto"
	"github.com/gatehouse-mcp/gatehouse/provider/scalekit"
	"github.com/gatehouse-mcp/gatehouse/provider/stytch"
	"github.com/gatehouse-mcp/gatehouse/provider/supabase"
	"github.com/gatehouse-mcp/gatehouse/provider/workos"
	"github.com/gatehouse-mcp/gatehouse/provider/zitadel"
)

// vendor is one provider package, configured for the samples in its folder.
type vendor struct {
	folder   string
	provider func(v *gatehousetest.Vendor) gatehouse.Provider
}

// vendors has a row for each folder with samples.
var vendors = []vendor{
	{"clerk", func(*gatehousetest.Vendor) gatehouse.Provider {
		return clerk.Provider("https://verb-noun-42.clerk.accounts.dev")
	}},
	{"keycloak", func(*gatehousetest.Vendor) gatehouse.Provider {
		return keycloak.New(keycloak.Config{ServerURL: "http://localhost:8080", Realm: "gatehouse"})
	}},
	{"workos", func(*gatehousetest.Vendor) gatehouse.Provider {
		return workos.New(workos.Config{Domain: "tenant.authkit.app"})
	}},
	{"supabase", func(*gatehousetest.Vendor) gatehouse.Provider {
		return supabase.New(supabase.Config{
			ProjectID: "abcdefghijklmnopqrst",
			Roles:     []gatehouse.ClaimPath{{"app_metadata", "roles"}},
		})
	}},
	{"descope", func(*gatehousetest.Vendor) gatehouse.Provider {
		return descope.New(descope.Config{
			DiscoveryURL: "https://api.descope.com/v1/apps/agentic/P2abcdefghijklmnopqrstuvwxyz/MS2abcdefghijklmnopqrstuvwxyz/.well-known/openid-configuration",
			Tenants:      []string{"T2abcdefghijklmnopqrstuvwxyz"},
		})
	}},
	{"stytch", func(*gatehousetest.Vendor) gatehouse.Provider {
		return stytch.New(stytch.Config{
			Domain:    "https://example.customers.stytch.com",
			ProjectID: "project-test-6d902c62-fc8f-40ea-a4b1-c260966d4655",
		})
	}},
	{"scalekit", func(*gatehousetest.Vendor) gatehouse.Provider {
		return scalekit.New(scalekit.Config{EnvironmentURL: "https://acme.scalekit.dev", ResourceID: "res_70123456789012345"})
	}},
	{"logto", func(*gatehousetest.Vendor) gatehouse.Provider {
		return logto.New(logto.Config{Endpoint: "https://acme.logto.app"})
	}},
	{"zitadel", func(v *gatehousetest.Vendor) gatehouse.Provider {
		return zitadel.New(zitadel.Config{
			Domain:       "https://acme-k2x9qd.us1.zitadel.cloud",
			ProjectID:    "328859038097867422",
			ClientID:     "391190000000000001",
			ClientSecret: "the secret",
			HTTPClient:   v.Client(),
		})
	}},
	{"betterauth", func(*gatehousetest.Vendor) gatehouse.Provider {
		return betterauth.New(betterauth.Config{URL: "https://auth.example.com/api/auth", OrganizationClaim: "https://example.com/org"})
	}},
}

func TestProviders(t *testing.T) {
	t.Parallel()
	for _, vendor := range vendors {
		t.Run(vendor.folder, func(t *testing.T) {
			t.Parallel()
			v := vendor.load(t)
			gatehousetest.TestProvider(t, vendor.provider(v), v)
		})
	}
}

// TestEveryFolderIsTested checks that no samples are forgotten in vendors.
func TestEveryFolderIsTested(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*/testdata/vendor.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		folder := filepath.Dir(filepath.Dir(file))
		if !slices.ContainsFunc(vendors, func(v vendor) bool { return v.folder == folder }) {
			t.Errorf("%s has samples, and no row in vendors", folder)
		}
	}
}

func (v *vendor) load(t *testing.T) *gatehousetest.Vendor {
	t.Helper()
	samples, err := gatehousetest.LoadVendor(v.folder + "/testdata/vendor.json")
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
	for _, vendor := range vendors {
		v := vendor.load(t)
		verdicts, err := v.Judge(t.Context(), vendor.provider(v))
		if err != nil {
			t.Fatal(err)
		}
		writeTable(&table, v, verdicts)
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

// writeTable writes the section of one provider.
func writeTable(w *strings.Builder, v *gatehousetest.Vendor, verdicts []gatehousetest.Verdict) {
	fmt.Fprintf(w, "\n### %s\n\n", v.Vendor)
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
	if len(v.Sources) == 0 {
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
