package stytch

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// recorded is the project of testdata/vendor.json.
var recorded = Config{Domain: "https://example.customers.stytch.com", ProjectID: projectExample}

const projectExample = "project-test-6d902c62-fc8f-40ea-a4b1-c260966d4655"

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

func TestUser(t *testing.T) {
	verdicts, err := loadVendor(t).Judge(t.Context(), recorded.provider(setting.From(nil)))
	if err != nil {
		t.Fatal(err)
	}
	id := verdicts[1].Identity
	got, ok := userOf(id)
	want := User{
		ID:               "member-test-32fc5024-9c09-4da3-bd2e-c9ce4da9375f",
		OrganizationID:   "organization-test-07971b06-ac8b-4cdb-9c15-63b17e653931",
		OrganizationSlug: "acme",
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
