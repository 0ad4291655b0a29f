package descope

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// recorded is the MCP server of testdata/vendor.json.
var recorded = Config{DiscoveryURL: issuerExample + "/.well-known/openid-configuration", Tenants: []string{tenantExample}}

const (
	projectExample = "P2abcdefghijklmnopqrstuvwxyz"
	serverExample  = "MS2abcdefghijklmnopqrstuvwxyz"
	tenantExample  = "T2abcdefghijklmnopqrstuvwxyz"
	issuerExample  = "https://api.descope.com/v1/apps/agentic/" + projectExample + "/" + serverExample
)

func loadVendor(t *testing.T) *gatehousetest.Vendor {
	t.Helper()
	vendor, err := gatehousetest.LoadVendor("testdata/vendor.json")
	if err != nil {
		t.Fatal(err)
	}
	return vendor
}

func TestVendorTokens(t *testing.T) {
	gatehousetest.TestProvider(t, recorded.provider(setting.From(nil)), loadVendor(t))
}

// lookAlike returns the look-alike with the name as a token that must be accepted.
func lookAlike(t *testing.T, v *gatehousetest.Vendor, name string, want gatehousetest.Wanted) *gatehousetest.Vendor {
	t.Helper()
	for _, s := range v.LookAlikes {
		if s.Name == name {
			s.Reason, s.Want = "", want
			v.Tokens, v.LookAlikes = []gatehousetest.Sample{s}, nil
			return v
		}
	}
	t.Fatalf("there is no look-alike %q", name)
	return nil
}

// TestProjectAudience accepts tokens for the whole project, with a risk.
func TestProjectAudience(t *testing.T) {
	cfg := recorded
	cfg.AcceptProjectAudience = true
	p := cfg.provider(setting.From(nil))
	vendor := lookAlike(t, loadVendor(t), "MCP server without a URL in the console", gatehousetest.Wanted{Kind: "user"})
	gatehousetest.TestProvider(t, p, vendor)
	if len(p.Risks) != 1 {
		t.Errorf("got risks %q, want one", p.Risks)
	}
	if p := recorded.provider(setting.From(nil)); len(p.Risks) != 0 {
		t.Errorf("without AcceptProjectAudience, got risks %q", p.Risks)
	}
}

func TestMachineIsAllowed(t *testing.T) {
	cfg := recorded
	cfg.AllowMachines = true
	for _, name := range []string{"client credentials", "access key"} {
		vendor := lookAlike(t, loadVendor(t), name, gatehousetest.Wanted{Kind: "machine"})
		gatehousetest.TestProvider(t, cfg.provider(setting.From(nil)), vendor)
	}
}

func TestUser(t *testing.T) {
	verdicts, err := loadVendor(t).Judge(t.Context(), recorded.provider(setting.From(nil)))
	if err != nil {
		t.Fatal(err)
	}
	id := verdicts[1].Identity
	got, ok := userOf(id)
	want := User{
		ID:                "U2abcdefghijklmnopqrstuvwxyz",
		Tenant:            tenantExample,
		Tenants:           []string{tenantExample, "T2bbbbbbbbbbbbbbbbbbbbbbbbbb"},
		Roles:             []string{"staff", "Tenant Admin"},
		Permissions:       []string{"reports"},
		TenantPermissions: []string{"User Admin", "SSO Admin"},
	}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("ok %v, user (-want +got):\n%s", ok, diff)
	}
	id.Provider = "another"
	if user, ok := userOf(id); ok {
		t.Errorf("the caller of another provider is %+v", user)
	}
	if user, ok := UserOf(&mcp.CallToolRequest{}); ok {
		t.Errorf("the caller of a request without a guard is %+v", user)
	}
}
