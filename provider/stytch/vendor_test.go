package stytch

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

func TestVendorTokens(t *testing.T) {
	vendor, err := gatehousetest.LoadVendor("testdata/vendor.json")
	if err != nil {
		t.Fatal(err)
	}
	gatehousetest.TestProvider(t, config.provider(setting.From(nil)), vendor)
}

var config = Config{Domain: "https://example.customers.stytch.com", ProjectID: "project-test-6d902c62-fc8f-40ea-a4b1-c260966d4655"}
