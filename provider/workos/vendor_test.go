package workos

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

var config = Config{Domain: "tenant.authkit.app"}
