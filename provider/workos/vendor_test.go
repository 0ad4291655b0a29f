package workos

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// recorded is the environment of testdata/vendor.json.
var recorded = Config{Domain: "tenant.authkit.app"}

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

// environmentID is the client ID of the environment of testdata/vendor.json.
const environmentID = "client_01JP8A0000000000000000ENV0"

// TestClientID accepts the tokens that AuthKit issues for the whole environment, with a risk.
func TestClientID(t *testing.T) {
	cfg := recorded
	cfg.ClientID = environmentID
	p := cfg.provider(setting.From(nil))
	gatehousetest.TestProvider(t, p, lookAlike(t, loadVendor(t), "user, no resource indicator", gatehousetest.Wanted{Kind: "user"}))
	if len(p.Risks) != 1 {
		t.Errorf("got risks %q, want one", p.Risks)
	}
	if p := recorded.provider(setting.From(nil)); len(p.Risks) != 0 {
		t.Errorf("without ClientID, got risks %q", p.Risks)
	}
}

func TestMachineIsAllowed(t *testing.T) {
	cfg := recorded
	cfg.ClientID, cfg.AllowMachines = environmentID, true
	want := gatehousetest.Wanted{Kind: "machine", Organization: "org_01HRDMC6CM357W30QMHMQ96Q0S"}
	gatehousetest.TestProvider(t, cfg.provider(setting.From(nil)), lookAlike(t, loadVendor(t), "M2M token", want))
}

func TestUser(t *testing.T) {
	verdicts, err := loadVendor(t).Judge(t.Context(), recorded.provider(setting.From(nil)))
	if err != nil {
		t.Fatal(err)
	}
	id := verdicts[0].Identity
	got, ok := userOf(id)
	want := User{
		ID:             "user_01JPXN6KA7622KJ4VP83X1NTKX",
		OrganizationID: "org_01HRDMC6CM357W30QMHMQ96Q0S",
		ConsentID:      "app_consent_01JPXN6KAQW83AMXXY5WX3RHTJ",
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
