package scalekit

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
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
	environment = "https://acme.scalekit.dev"
	resource    = "res_70123456789012345"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	const (
		copyEnvironment = `copy the Environment URL from Settings → API Credentials, like "https://acme.scalekit.dev"`
		copyResource    = `copy the value below the name of the server (Scalekit dashboard, MCP Servers), like "res_70123456789012345"`
	)
	for _, tt := range []struct {
		name      string
		cfg       Config
		variables map[string]string
		want      string // error; empty means none
	}{
		{
			name: "fields",
			cfg:  Config{EnvironmentURL: environment, ResourceID: resource},
		},
		{
			name:      "environment",
			variables: map[string]string{environmentVariable: environment, resourceVariable: resource},
		},
		{
			name:      "a field overrides the environment",
			cfg:       Config{EnvironmentURL: environment, ResourceID: resource},
			variables: map[string]string{environmentVariable: "nonsense", resourceVariable: "nonsense"},
		},
		{
			name: "nothing",
			want: environmentVariable + ` is missing; set it to the Environment URL (Scalekit dashboard, Settings → API Credentials), like "https://acme.scalekit.dev"` + "\n" +
				resourceVariable + ` is missing; ` + copyResource,
		},
		{
			name: "client ID in place of the resource",
			cfg:  Config{EnvironmentURL: environment, ResourceID: "skc_70087756327420046"},
			want: `ResourceID "skc_70087756327420046" is not the ID of a resource; ` + copyResource,
		},
		{
			name: "URL in place of the resource",
			cfg:  Config{EnvironmentURL: environment, ResourceID: "https://mcp.example.com/mcp"},
			want: `ResourceID "https://mcp.example.com/mcp" is not the ID of a resource; ` + copyResource,
		},
		{
			name: "prefix only",
			cfg:  Config{EnvironmentURL: environment, ResourceID: "res_"},
			want: `ResourceID "res_" is not the ID of a resource; ` + copyResource,
		},
		{
			name:      "dashboard",
			variables: map[string]string{environmentVariable: "https://app.scalekit.com/ws/environments", resourceVariable: resource},
			want:      environmentVariable + ` "https://app.scalekit.com/ws/environments" is not an environment; ` + copyEnvironment,
		},
		{
			name: "issuer of the resource",
			cfg:  Config{EnvironmentURL: environment + "/resources/" + resource, ResourceID: resource},
			want: `EnvironmentURL "https://acme.scalekit.dev/resources/res_70123456789012345" has a path; write "https://acme.scalekit.dev"`,
		},
		{
			name: "metadata document",
			cfg:  Config{EnvironmentURL: environment + "/.well-known/oauth-authorization-server/resources/" + resource, ResourceID: resource},
			want: `EnvironmentURL "https://acme.scalekit.dev/.well-known/oauth-authorization-server/resources/res_70123456789012345" has a path; write "https://acme.scalekit.dev"`,
		},
		{
			name: "slash",
			cfg:  Config{EnvironmentURL: environment + "/", ResourceID: resource},
			want: `EnvironmentURL "https://acme.scalekit.dev/" ends with a slash, which is not part of it; write "https://acme.scalekit.dev"`,
		},
		{
			name: "no scheme",
			cfg:  Config{EnvironmentURL: "acme.scalekit.dev", ResourceID: resource},
			want: `EnvironmentURL "acme.scalekit.dev" has no scheme; write "https://acme.scalekit.dev"`,
		},
		{
			name: "http",
			cfg:  Config{EnvironmentURL: "http://acme.scalekit.dev", ResourceID: resource},
			want: `EnvironmentURL "http://acme.scalekit.dev" is not https; use https, or http only on localhost, like "https://acme.scalekit.dev"`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := tt.cfg.provider(setting.From(tt.variables))
			got := ""
			if p.Err != nil {
				got = strings.ReplaceAll(p.Err.Error(), "gatehouse: ", "")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatalf("fault (-want +got):\n%s", diff)
			}
			if tt.want != "" {
				return
			}
			if want := environment + "/resources/" + resource; p.Issuer != want {
				t.Errorf("Issuer is %q, want %q", p.Issuer, want)
			}
			if want := []string{environment, p.Issuer}; !slices.Equal(p.TokenIssuers, want) {
				t.Errorf("TokenIssuers are %q, want %q", p.TokenIssuers, want)
			}
			if want := []string{resource}; !slices.Equal(p.Tokens.Audiences, want) {
				t.Errorf("Audiences are %q, want %q", p.Tokens.Audiences, want)
			}
		})
	}
}

func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	scopes := []string{"todo:read"}
	p := New(Config{EnvironmentURL: environment, ResourceID: resource, ScopesSupported: scopes, AllowMachines: true})
	scopes[0] = "changed"
	if want := []string{"todo:read"}; !slices.Equal(p.ScopesSupported, want) || !p.AllowMachines {
		t.Errorf("ScopesSupported are %q and AllowMachines is %t, want %q and true", p.ScopesSupported, p.AllowMachines, want)
	}
}

// TestPackageComment checks that the package comment has the variables that are read.
func TestPackageComment(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("scalekit.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range []string{environmentVariable, resourceVariable} {
		if !regexp.MustCompile(`(?m)^//\t` + variable + `=`).Match(source) {
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

func TestTokens(t *testing.T) {
	t.Parallel()
	gatehousetest.TestProvider(t, New(Config{EnvironmentURL: environment, ResourceID: resource}), vendor(t))
}

// TestMachines checks that the token of an M2M client is accepted with AllowMachines, and that
// the other look-alikes are not.
func TestMachines(t *testing.T) {
	t.Parallel()
	v := vendor(t)
	for i := range v.LookAlikes {
		if s := &v.LookAlikes[i]; s.Reason == "machine_token" {
			s.Reason, s.Want = "", gatehousetest.Wanted{Subject: "m2morg_69038819013296423", Organization: "org_59615193906282635", Kind: "machine"}
		}
	}
	gatehousetest.TestProvider(t, New(Config{EnvironmentURL: environment, ResourceID: resource, AllowMachines: true}), v)
}

// TestOrganizationOfAnotherType checks that a claim of another type does not lock the user out.
func TestOrganizationOfAnotherType(t *testing.T) {
	t.Parallel()
	v := vendor(t)
	for i := range v.Tokens {
		v.Tokens[i].Claims["oid"] = 7.0
		v.Tokens[i].Want.Organization = ""
	}
	gatehousetest.TestProvider(t, New(Config{EnvironmentURL: environment, ResourceID: resource}), v)
}

func TestUser(t *testing.T) {
	t.Parallel()
	verdicts, err := vendor(t).Judge(t.Context(), New(Config{EnvironmentURL: environment, ResourceID: resource}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]User{
		"user, issuer of the environment": {
			ID:        "usr_96194455173923084",
			SessionID: "ses_54390917827362910",
		},
		"user, issuer of the resource, with organization, roles and permissions": {
			ID:             "usr_96194455173923084",
			OrganizationID: "org_84213988219092123",
			SessionID:      "ses_54390917827362910",
			Roles:          []string{"admin"},
			Permissions:    []string{"users:read", "users:write"},
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
		p := New(Config{EnvironmentURL: environment, ResourceID: resource})
		p.Name, p.OpaqueOnly = providerName, true
		p.Introspect = func(context.Context, string) (json.RawMessage, error) {
			return json.Marshal(map[string]any{
				"active": true, "iss": p.Issuer, "exp": time.Now().Add(time.Hour).Unix(),
				"sub": "usr_96194455173923084", "aud": resource, "client_id": "m2m_70123456789099999",
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
		"caller":           {requestOf(name), "usr_96194455173923084"},
		"another provider": {requestOf("another provider"), ""},
		"no guard":         {&mcp.CallToolRequest{}, ""},
	} {
		if user, ok := UserOf(test.req); user.ID != test.want || ok != (test.want != "") {
			t.Errorf("%s: UserOf = %+v, %t, want the ID %q", name, user, ok, test.want)
		}
	}
}
