package zitadel

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	domain  = "https://acme-k2x9qd.us1.zitadel.cloud"
	project = "328859038097867422"
	client  = "391190000000000001"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	const (
		copyProject = `copy the Resource ID on the page of the project (Management Console, Projects), like "328859038097867422"`
		copyDomain  = `copy the URL of the instance, like "https://acme-k2x9qd.us1.zitadel.cloud"`
	)
	for _, tt := range []struct {
		name      string
		cfg       Config
		variables map[string]string
		want      string // error; empty means none
	}{
		{
			name: "fields",
			cfg:  Config{Domain: domain, ProjectID: project},
		},
		{
			name:      "environment",
			variables: map[string]string{domainVariable: domain, projectVariable: project},
		},
		{
			name:      "a field overrides the environment",
			cfg:       Config{Domain: domain, ProjectID: project},
			variables: map[string]string{domainVariable: "nonsense", projectVariable: "non sense"},
		},
		{
			name: "nothing",
			want: `ZITADEL_DOMAIN is missing; set it to the URL of the instance, like "https://acme-k2x9qd.us1.zitadel.cloud"` + "\n" +
				"ZITADEL_PROJECT_ID is missing; " + copyProject,
		},
		{
			name: "name of the project",
			cfg:  Config{Domain: domain, ProjectID: "My MCP server"},
			want: `ProjectID "My MCP server" is not the ID of a project; ` + copyProject,
		},
		{
			name: "client of the older form in place of the project",
			cfg:  Config{Domain: domain, ProjectID: "223281939119866113@mcp"},
			want: `ProjectID "223281939119866113@mcp" is not the ID of a project; ` + copyProject,
		},
		{
			name: "website",
			cfg:  Config{Domain: "https://zitadel.com/admin/instances", ProjectID: project},
			want: `Domain "https://zitadel.com/admin/instances" is not an instance; ` + copyDomain,
		},
		{
			name:      "console",
			cfg:       Config{ProjectID: project},
			variables: map[string]string{domainVariable: domain + "/ui/console"},
			want:      `ZITADEL_DOMAIN "https://acme-k2x9qd.us1.zitadel.cloud/ui/console" has a path; write "https://acme-k2x9qd.us1.zitadel.cloud"`,
		},
		{
			name: "metadata document",
			cfg:  Config{Domain: domain + "/.well-known/openid-configuration", ProjectID: project},
			want: `Domain "https://acme-k2x9qd.us1.zitadel.cloud/.well-known/openid-configuration" has a path; write "https://acme-k2x9qd.us1.zitadel.cloud"`,
		},
		{
			name: "slash",
			cfg:  Config{Domain: domain + "/", ProjectID: project},
			want: `Domain "https://acme-k2x9qd.us1.zitadel.cloud/" ends with a slash, which is not part of it; write "https://acme-k2x9qd.us1.zitadel.cloud"`,
		},
		{
			name: "no scheme",
			cfg:  Config{Domain: "acme-k2x9qd.us1.zitadel.cloud", ProjectID: project},
			want: `Domain "acme-k2x9qd.us1.zitadel.cloud" has no scheme; write "https://acme-k2x9qd.us1.zitadel.cloud"`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := tt.cfg.provider(setting.From(tt.variables))
			checkFault(t, p, tt.want)
			if tt.want == "" && (p.Issuer != domain || !slices.Equal(p.Tokens.Audiences, []string{project})) {
				t.Errorf("Issuer is %q and Audiences are %q, want %q and %q", p.Issuer, p.Tokens.Audiences, domain, project)
			}
		})
	}
}

// A fault of the project is not also one of the scopes, which contain it.
func TestFaultOfTheProjectIsReportedOnce(t *testing.T) {
	t.Parallel()
	_, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: Config{Domain: domain, ProjectID: "My project"}.provider(setting.From(nil)),
	})
	if err == nil || strings.Count(err.Error(), "gatehouse: ") != 1 {
		t.Errorf("got %v, want one fault", err)
	}
}

// checkFault checks the text of the fault in the settings of p.
func checkFault(t *testing.T, p gatehouse.Provider, want string) {
	t.Helper()
	got := ""
	if p.Err != nil {
		got = strings.ReplaceAll(p.Err.Error(), "gatehouse: ", "")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("fault (-want +got):\n%s", diff)
	}
}

func TestScopesAreAdded(t *testing.T) {
	t.Parallel()
	scopes := []string{"profile", "openid"}
	p := New(Config{Domain: domain, ProjectID: project, ScopesSupported: scopes})
	scopes[0] = "changed"
	want := []string{
		"openid", "urn:zitadel:iam:org:project:id:328859038097867422:aud", "urn:zitadel:iam:org:projects:roles",
		"urn:zitadel:iam:user:resourceowner", "profile",
	}
	if diff := cmp.Diff(want, p.ScopesSupported); diff != "" {
		t.Errorf("ScopesSupported (-want +got):\n%s", diff)
	}
}

// TestRequirements checks what can be required of a caller. A requirement that would reject every
// caller is an error, and one for an organization makes clients ask for it.
func TestRequirements(t *testing.T) {
	t.Parallel()
	p := New(Config{Domain: domain, ProjectID: project})
	if p.OrganizationScope != OrganizationScope {
		t.Errorf("OrganizationScope is %q, want %q", p.OrganizationScope, OrganizationScope)
	}
	for name, test := range map[string]struct {
		requirement gatehouse.Requirement
		wantFault   bool
	}{
		"role":         {gatehouse.Requirement{Tool: "notes", Require: gatehouse.Require{Roles: []string{"editor"}}}, false},
		"organization": {gatehouse.Requirement{Tool: "notes", Require: gatehouse.Require{Organization: true}}, false},
		"permission":   {gatehouse.Requirement{Tool: "notes", Require: gatehouse.Require{Permissions: []string{"notes:write"}}}, true},
	} {
		guard, err := gatehouse.New(gatehouse.Config{
			Resource: gatehousetest.VendorResource, Provider: p, Requirements: []gatehouse.Requirement{test.requirement},
		})
		if (err != nil) != test.wantFault {
			t.Errorf("%s: fault %v, want one: %t", name, err, test.wantFault)
		}
		if err == nil {
			guard.Close()
		}
	}
}

// TestPackageComment checks that the package comment has the variables that are read.
func TestPackageComment(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("zitadel.go")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ := strings.Cut(string(source), "\npackage ")
	for _, variable := range []string{domainVariable, projectVariable, clientVariable, clientSecretVariable, keyFileVariable} {
		if !strings.Contains(comment, variable) {
			t.Errorf("the package comment does not have %s", variable)
		}
	}
}

func vendor(t *testing.T) *gatehousetest.Vendor {
	t.Helper()
	v, err := gatehousetest.LoadVendor("testdata/vendor.json")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// configured returns the configuration that the samples of v are for.
func configured(v *gatehousetest.Vendor) Config {
	return Config{Domain: domain, ProjectID: project, ClientID: client, ClientSecret: "the secret", HTTPClient: v.Client()}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	v := vendor(t)
	gatehousetest.TestProvider(t, New(configured(v)), v)
}

// TestMachines checks that tokens of service accounts are accepted with AllowMachines, and that
// the other look-alikes are not.
func TestMachines(t *testing.T) {
	t.Parallel()
	v := vendor(t)
	for i := range v.LookAlikes {
		if s := &v.LookAlikes[i]; s.Reason == "machine_token" {
			s.Reason, s.Want = "", gatehousetest.Wanted{Subject: "259241944654282754", Kind: "machine"}
		}
	}
	cfg := configured(v)
	cfg.AllowMachines = true
	gatehousetest.TestProvider(t, New(cfg), v)
}

// TestOpaqueWithoutCredentials checks that opaque tokens are rejected if there are no credentials
// for introspection, both forms with a hint.
func TestOpaqueWithoutCredentials(t *testing.T) {
	t.Parallel()
	v := vendor(t)
	verdicts, err := v.Judge(t.Context(), Config{Domain: domain, ProjectID: project}.provider(setting.From(nil)))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]gatehouse.Reason{
		"user, JWT": "",
		"user, opaque, of a client that registered itself":                     "encrypted",
		"user, opaque in the older form, of a client with a metadata document": "opaque",
	}
	for _, verdict := range verdicts {
		if reason, ok := want[verdict.Sample.Name]; ok {
			if verdict.Got != reason {
				t.Errorf("reason of %q is %q, want %q", verdict.Sample.Name, verdict.Got, reason)
			}
			delete(want, verdict.Sample.Name)
		}
	}
	if len(want) > 0 {
		t.Errorf("there is no sample for %v", want)
	}
}

func TestUser(t *testing.T) {
	t.Parallel()
	v := vendor(t)
	verdicts, err := v.Judge(t.Context(), New(configured(v)))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]User{
		"user, JWT with roles and organization": {
			ID:    "383942323576245195",
			Roles: []string{"editor"},
			Organization: Organization{
				ID: "223281939119866113", Name: "Acme", PrimaryDomain: "acme.acme-k2x9qd.us1.zitadel.cloud",
			},
		},
		"user, JWT, client of another project that is an administrator there": {ID: "383942323576245195"}, // no role here
		"user, opaque, of a client that registered itself": {
			ID:       "383942323576245195",
			Username: "ada@acme.acme-k2x9qd.us1.zitadel.cloud",
			Roles:    []string{"editor"},
		},
	}
	for _, verdict := range verdicts {
		if user, ok := want[verdict.Sample.Name]; ok {
			if diff := cmp.Diff(user, userOf(verdict.Identity)); diff != "" {
				t.Errorf("user of %q (-want +got):\n%s", verdict.Sample.Name, diff)
			}
			delete(want, verdict.Sample.Name)
		}
	}
	if len(want) > 0 {
		t.Errorf("there is no sample for %v", want)
	}
}

func TestUserOf(t *testing.T) {
	t.Parallel()
	requestOf := func(providerName string) *mcp.CallToolRequest {
		p := New(Config{Domain: domain, ProjectID: project})
		p.Name, p.OpaqueOnly = providerName, true
		p.Introspect = func(context.Context, string) (json.RawMessage, error) {
			return json.Marshal(map[string]any{
				"active": true, "iss": p.Issuer, "exp": time.Now().Add(time.Hour).Unix(),
				"sub": "383942323576245195", "aud": []string{client, project}, "client_id": client,
			})
		}
		guard, err := gatehouse.New(gatehouse.Config{Resource: gatehousetest.VendorResource, Provider: p})
		if err != nil {
			t.Fatal(err)
		}
		defer guard.Close()
		info, err := guard.Verify(t.Context(), "token", nil)
		if err != nil {
			t.Fatal(err)
		}
		return &mcp.CallToolRequest{Extra: &mcp.RequestExtra{TokenInfo: info}}
	}
	for name, test := range map[string]struct {
		req  *mcp.CallToolRequest
		want string
	}{
		"caller":           {requestOf(name), "383942323576245195"},
		"another provider": {requestOf("another provider"), ""},
		"no guard":         {&mcp.CallToolRequest{}, ""},
	} {
		if user, ok := UserOf(test.req); user.ID != test.want || ok != (test.want != "") {
			t.Errorf("%s: UserOf = %+v, %t, want the ID %q", name, user, ok, test.want)
		}
	}
}
