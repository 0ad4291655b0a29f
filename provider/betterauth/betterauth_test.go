package betterauth

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

const server = "https://auth.example.com/api/auth"

func TestSettings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		cfg       Config
		variables map[string]string
		issuer    string
		want      string // error; empty means none
	}{
		{
			name:   "URL",
			cfg:    Config{URL: server},
			issuer: server,
		},
		{
			name:   "another base path",
			cfg:    Config{URL: "https://example.com/auth"},
			issuer: "https://example.com/auth",
		},
		{
			name:   "in development",
			cfg:    Config{URL: "http://localhost:3000/api/auth"},
			issuer: "http://localhost:3000/api/auth",
		},
		{
			name:   "no base path",
			cfg:    Config{URL: "https://auth.example.com", NoBasePath: true},
			issuer: "https://auth.example.com",
		},
		{
			name:      "environment",
			variables: map[string]string{urlVariable: server},
			issuer:    server,
		},
		{
			name:      "a field overrides the environment",
			cfg:       Config{URL: server},
			variables: map[string]string{urlVariable: "https://other.example.com/api/auth"},
			issuer:    server,
		},
		{
			name: "nothing",
			want: `MCP_USE_OAUTH_BETTER_AUTH_URL is missing; set it to the URL of Better Auth with its base path, like "https://auth.example.com/api/auth"`,
		},
		{
			name:      "base URL",
			variables: map[string]string{urlVariable: "https://auth.example.com"},
			want: `MCP_USE_OAUTH_BETTER_AUTH_URL "https://auth.example.com" has no path; write "https://auth.example.com/api/auth", ` +
				`or with the basePath of betterAuth(); set NoBasePath if it has none`,
		},
		{
			name: "base path in spite of NoBasePath",
			cfg:  Config{URL: server, NoBasePath: true},
			want: `URL "https://auth.example.com/api/auth" has a path, although NoBasePath is set; unset NoBasePath`,
		},
		{
			name: "slash",
			cfg:  Config{URL: server + "/"},
			want: `URL "https://auth.example.com/api/auth/" ends with a slash, which is not part of it; write "https://auth.example.com/api/auth"`,
		},
		{
			name: "metadata document",
			cfg:  Config{URL: "https://auth.example.com/.well-known/oauth-authorization-server/api/auth"},
			want: `URL "https://auth.example.com/.well-known/oauth-authorization-server/api/auth" is the URL of a metadata document; write "https://auth.example.com/api/auth"`,
		},
		{
			name: "no scheme",
			cfg:  Config{URL: "auth.example.com/api/auth"},
			want: `URL "auth.example.com/api/auth" has no scheme; write "https://auth.example.com/api/auth"`,
		},
		{
			name: "http",
			cfg:  Config{URL: "http://auth.example.com/api/auth"},
			want: `URL "http://auth.example.com/api/auth" is not https; use https, or http only on localhost, like "https://auth.example.com/api/auth"`,
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
	scopes := []string{"notes:read"}
	p := New(Config{URL: server, ScopesSupported: scopes, AllowMachines: true})
	scopes[0] = "changed"
	if want := []string{"notes:read"}; !slices.Equal(p.ScopesSupported, want) || !p.AllowMachines {
		t.Errorf("ScopesSupported are %q and AllowMachines is %t, want %q and true", p.ScopesSupported, p.AllowMachines, want)
	}
}

// TestOrganization checks that an organization can be required only if its claim is configured.
func TestOrganization(t *testing.T) {
	t.Parallel()
	for claim, wantFault := range map[string]bool{"": true, "https://example.com/org": false} {
		_, err := gatehouse.New(gatehouse.Config{
			Resource:     gatehousetest.VendorResource,
			Provider:     New(Config{URL: server, OrganizationClaim: claim}),
			Requirements: []gatehouse.Requirement{{Tool: "notes", Require: gatehouse.Require{Organization: true}}},
		})
		if (err != nil) != wantFault {
			t.Errorf("with the claim %q: fault %v, want one: %t", claim, err, wantFault)
		}
	}
}

// TestPackageComment checks that the package comment has the variable that is read.
func TestPackageComment(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("betterauth.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), "\n//\t"+urlVariable+"=") {
		t.Errorf("the package comment does not have %s", urlVariable)
	}
}

// configured is the configuration that the samples are for.
var configured = Config{URL: server, OrganizationClaim: "https://example.com/org"}

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
	gatehousetest.TestProvider(t, New(configured), vendor(t))
}

// TestMachines checks that the token of a client by client credentials is accepted with
// AllowMachines, and that the other look-alikes are not.
func TestMachines(t *testing.T) {
	t.Parallel()
	v := vendor(t)
	for i := range v.LookAlikes {
		if s := &v.LookAlikes[i]; s.Reason == "machine_token" {
			s.Reason, s.Want = "", gatehousetest.Wanted{Subject: "bZxUQmTgVJwRkYpNfHdLcSaEoIyWqKtM", Kind: "machine"}
		}
	}
	cfg := configured
	cfg.AllowMachines = true
	gatehousetest.TestProvider(t, New(cfg), v)
}

func TestUser(t *testing.T) {
	t.Parallel()
	v := vendor(t)
	for i := range v.Tokens {
		if s := &v.Tokens[i]; s.Name == "user, openid, with claims of customAccessTokenClaims" {
			s.Claims["email"], s.Claims["email_verified"] = "ada@example.com", true
			s.Claims["name"], s.Claims["picture"], s.Claims["isAnonymous"] = "Ada", "https://example.com/ada.png", true
		}
	}
	verdicts, err := v.Judge(t.Context(), New(configured))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]User{
		"user, EdDSA": {
			ID:        "Xk1Jt5BqWn8cVr2ZpL7mDs3Ha9Yf4Gut",
			SessionID: "o8Pq2Lm4Rt6Vw1Xz3By5Nc7Kd9Fg0HjS",
		},
		"user, openid, with claims of customAccessTokenClaims": {
			ID:             "Xk1Jt5BqWn8cVr2ZpL7mDs3Ha9Yf4Gut",
			SessionID:      "o8Pq2Lm4Rt6Vw1Xz3By5Nc7Kd9Fg0HjS",
			Email:          "ada@example.com",
			EmailVerified:  true,
			Name:           "Ada",
			Picture:        "https://example.com/ada.png",
			Anonymous:      true,
			Roles:          []string{"admin"},
			Permissions:    []string{"notes:write"},
			OrganizationID: "org_7Hk2",
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
		p := New(configured)
		p.Name, p.OpaqueOnly = providerName, true
		p.Introspect = func(context.Context, string) (json.RawMessage, error) {
			return json.Marshal(map[string]any{
				"active": true, "iss": p.Issuer, "exp": time.Now().Add(time.Hour).Unix(),
				"sub": "Xk1Jt5BqWn8cVr2ZpL7mDs3Ha9Yf4Gut", "aud": gatehousetest.VendorResource, "client_id": "bZxUQmTgVJwRkYpNfHdLcSaEoIyWqKtM",
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
		"caller":           {requestOf(name), "Xk1Jt5BqWn8cVr2ZpL7mDs3Ha9Yf4Gut"},
		"another provider": {requestOf("another provider"), ""},
		"no guard":         {&mcp.CallToolRequest{}, ""},
	} {
		if user, ok := UserOf(test.req); user.ID != test.want || ok != (test.want != "") {
			t.Errorf("%s: UserOf = %+v, %t, want the ID %q", name, user, ok, test.want)
		}
	}
}
