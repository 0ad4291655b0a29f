package logto

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

const endpoint = "https://acme.logto.app"

func TestSettings(t *testing.T) {
	t.Parallel()
	const where = `copy the Logto endpoint (Logto Console, an application → Endpoints & Credentials), like "https://acme.logto.app"`
	for _, tt := range []struct {
		name      string
		cfg       Config
		variables map[string]string
		issuer    string
		want      string // error; empty means none
	}{
		{
			name:   "endpoint",
			cfg:    Config{Endpoint: endpoint},
			issuer: "https://acme.logto.app/oidc",
		},
		{
			name:   "issuer",
			cfg:    Config{Endpoint: endpoint + "/oidc"},
			issuer: "https://acme.logto.app/oidc",
		},
		{
			name:   "self-hosted, in development",
			cfg:    Config{Endpoint: "http://localhost:3001"},
			issuer: "http://localhost:3001/oidc",
		},
		{
			name:      "environment",
			variables: map[string]string{endpointVariable: endpoint},
			issuer:    "https://acme.logto.app/oidc",
		},
		{
			name:      "a field overrides the environment",
			cfg:       Config{Endpoint: "https://auth.example.com"},
			variables: map[string]string{endpointVariable: endpoint},
			issuer:    "https://auth.example.com/oidc",
		},
		{
			name: "nothing",
			want: "LOGTO_ENDPOINT is missing; set it to the endpoint of the tenant; " + where,
		},
		{
			name: "console",
			cfg:  Config{Endpoint: "https://cloud.logto.io/acme/applications"},
			want: `Endpoint "https://cloud.logto.io/acme/applications" is not the endpoint of a tenant; ` + where,
		},
		{
			name: "slash",
			cfg:  Config{Endpoint: endpoint + "/"},
			want: `Endpoint "https://acme.logto.app/" ends with a slash, which is not part of it; write "https://acme.logto.app"`,
		},
		{
			name: "issuer with a slash",
			cfg:  Config{Endpoint: endpoint + "/oidc/"},
			want: `Endpoint "https://acme.logto.app/oidc/" has a path; write "https://acme.logto.app"`,
		},
		{
			name: "metadata document",
			cfg:  Config{Endpoint: endpoint + "/oidc/.well-known/openid-configuration"},
			want: `Endpoint "https://acme.logto.app/oidc/.well-known/openid-configuration" has a path; write "https://acme.logto.app"`,
		},
		{
			name:      "keys",
			variables: map[string]string{endpointVariable: endpoint + "/oidc/jwks"},
			want:      `LOGTO_ENDPOINT "https://acme.logto.app/oidc/jwks" has a path; write "https://acme.logto.app"`,
		},
		{
			name: "no scheme",
			cfg:  Config{Endpoint: "acme.logto.app"},
			want: `Endpoint "acme.logto.app" has no scheme; write "https://acme.logto.app"`,
		},
		{
			name: "http",
			cfg:  Config{Endpoint: "http://acme.logto.app"},
			want: `Endpoint "http://acme.logto.app" is not https; use https, or http only on localhost, like "https://acme.logto.app"`,
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
			if tt.want == "" && p.Issuer != tt.issuer {
				t.Errorf("Issuer is %q, want %q", p.Issuer, tt.issuer)
			}
		})
	}
}

func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	scopes := []string{"read:todos"}
	p := New(Config{Endpoint: endpoint, ScopesSupported: scopes, AllowMachines: true})
	scopes[0] = "changed"
	if want := []string{"read:todos"}; !slices.Equal(p.ScopesSupported, want) || !p.AllowMachines {
		t.Errorf("ScopesSupported are %q and AllowMachines is %t, want %q and true", p.ScopesSupported, p.AllowMachines, want)
	}
}

// TestPackageComment checks that the package comment has the variable that is read.
func TestPackageComment(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("logto.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), "\n//\t"+endpointVariable+"=") {
		t.Errorf("the package comment does not have %s", endpointVariable)
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
	gatehousetest.TestProvider(t, New(Config{Endpoint: endpoint}), vendor(t))
}

// TestMachines checks that the token of a machine-to-machine application is accepted with
// AllowMachines, and that the other look-alikes are not.
func TestMachines(t *testing.T) {
	t.Parallel()
	v := vendor(t)
	for i := range v.LookAlikes {
		if s := &v.LookAlikes[i]; s.Reason == "machine_token" {
			s.Reason, s.Want = "", gatehousetest.Wanted{Kind: "machine"}
		}
	}
	gatehousetest.TestProvider(t, New(Config{Endpoint: endpoint, AllowMachines: true}), v)
}

func TestUser(t *testing.T) {
	t.Parallel()
	verdicts, err := vendor(t).Judge(t.Context(), New(Config{Endpoint: endpoint}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]User{
		"user, ES384":              {ID: "vj8jmpsbrcb9"},
		"user, in an organization": {ID: "vj8jmpsbrcb9", OrganizationID: "org_1"},
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
		p := New(Config{Endpoint: endpoint})
		p.Name, p.OpaqueOnly = providerName, true
		p.Introspect = func(context.Context, string) (json.RawMessage, error) {
			return json.Marshal(map[string]any{
				"active": true, "iss": p.Issuer, "exp": time.Now().Add(time.Hour).Unix(),
				"sub": "vj8jmpsbrcb9", "aud": gatehousetest.VendorResource, "client_id": "ypon89z8rtrjdg5ta669l",
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
		"caller":           {requestOf(name), "vj8jmpsbrcb9"},
		"another provider": {requestOf("another provider"), ""},
		"no guard":         {&mcp.CallToolRequest{}, ""},
	} {
		if user, ok := UserOf(test.req); user.ID != test.want || ok != (test.want != "") {
			t.Errorf("%s: UserOf = %+v, %t, want the ID %q", name, user, ok, test.want)
		}
	}
}
