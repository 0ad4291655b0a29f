package recipes

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
)

const resource = gatehousetest.VendorResource

// providers are the recipes, as testdata has samples for them.
var providers = map[string]func(*http.Client) gatehouse.Provider{
	"authentik": func(*http.Client) gatehouse.Provider {
		return Authentik("https://id.example.com/application/o/my-mcp/", "7bM0u2KVQYw1vSx3Xr9cPpLhZt5nEa8dFgJiBoCk")
	},
	"dex":     func(*http.Client) gatehouse.Provider { return Dex("https://dex.example.com/dex", resource) },
	"generic": func(*http.Client) gatehouse.Provider { return Generic("https://id.example.com", "my-mcp-server") },
	"hydra-jwt": func(*http.Client) gatehouse.Provider {
		return HydraJWT("https://hydra.example.com", "notes:read")
	},
	"hydra-opaque": func(client *http.Client) gatehouse.Provider {
		return HydraOpaque("https://hydra.example.com", "https://hydra-admin.example.com:4445", client, "notes:read")
	},
	"kinde": func(*http.Client) gatehouse.Provider {
		return Kinde("https://acme.kinde.com", "1d6f36e6433141c9a2b9b8f5d3c2a1b0")
	},
	"pingone": func(*http.Client) gatehouse.Provider {
		return PingOne("https://auth.pingone.eu/3e8a0c2b-5a53-4d1b-9c9e-6d2f7f5c1a11/as", "notes:read")
	},
	"propelauth": func(client *http.Client) gatehouse.Provider {
		return PropelAuth("https://auth.example.com", "id", "secret", client, "read:notes")
	},
}

// TestRecipes checks each recipe with tokens of the forms that its provider issues.
func TestRecipes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(providers) {
		t.Errorf("there are %d files of samples for %d recipes", len(files), len(providers))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := gatehousetest.LoadVendor(file)
			if err != nil {
				t.Fatal(err)
			}
			recipe := providers[name]
			if recipe == nil {
				t.Fatal("there is no recipe for the samples")
			}
			gatehousetest.TestProvider(t, recipe(v.Client()), v)
		})
	}
}
