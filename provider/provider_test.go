// Package provider_test tests all packages below provider with the samples in their folders.
package provider_test

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
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
}

func TestProviders(t *testing.T) {
	t.Parallel()
	for _, vendor := range vendors {
		t.Run(vendor.folder, func(t *testing.T) {
			t.Parallel()
			v, err := gatehousetest.LoadVendor(vendor.folder + "/testdata/vendor.json")
			if err != nil {
				t.Fatal(err)
			}
			gatehousetest.TestProvider(t, vendor.provider(v), v)
		})
	}
}
