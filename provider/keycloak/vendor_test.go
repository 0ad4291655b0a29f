package keycloak

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// recorded is the realm of testdata/vendor.json.
var recorded = Config{ServerURL: "http://localhost:8080", Realm: "gatehouse"}

func loadVendor(t *testing.T) *gatehousetest.Vendor {
	t.Helper()
	vendor, err := gatehousetest.LoadVendor("testdata/vendor.json")
	if err != nil {
		t.Fatal(err)
	}
	return vendor
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

func TestVendorTokens(t *testing.T) {
	gatehousetest.TestProvider(t, recorded.provider(setting.From(nil)), loadVendor(t))
}

func TestServiceAccountIsAllowed(t *testing.T) {
	cfg := recorded
	cfg.AllowMachines = true
	vendor := lookAlike(t, loadVendor(t), "service account", gatehousetest.Wanted{Client: "robot", Kind: "machine"})
	gatehousetest.TestProvider(t, cfg.provider(setting.From(nil)), vendor)
}

// TestServiceAccountByName checks that the user name alone marks a service account.
func TestServiceAccountByName(t *testing.T) {
	vendor := loadVendor(t)
	for i := range vendor.LookAlikes {
		delete(vendor.LookAlikes[i].Claims, "clientHost")
		delete(vendor.LookAlikes[i].Claims, "clientAddress")
	}
	gatehousetest.TestProvider(t, recorded.provider(setting.From(nil)), vendor)
}

// TestAudience accepts the client of the audience mapper in place of the URL.
func TestAudience(t *testing.T) {
	cfg := recorded
	cfg.Audience = "mcp-server"
	const sample = "client without the scope that has the audience mapper"
	vendor := lookAlike(t, loadVendor(t), sample, gatehousetest.Wanted{Kind: "user"})
	gatehousetest.TestProvider(t, cfg.provider(setting.From(nil)), vendor)
}

func TestClientRoles(t *testing.T) {
	cfg := recorded
	cfg.ClientRoles = []string{"mcp-server"}
	vendor := loadVendor(t)
	vendor.Tokens[0].Want.Permissions = []string{"mcp-server:reader"}
	vendor.Tokens, vendor.LookAlikes = vendor.Tokens[:1], nil
	gatehousetest.TestProvider(t, cfg.provider(setting.From(nil)), vendor)
}

func TestUser(t *testing.T) {
	verdicts, err := loadVendor(t).Judge(t.Context(), recorded.provider(setting.From(nil)))
	if err != nil {
		t.Fatal(err)
	}
	id := verdicts[0].Identity
	got, ok := userOf(id)
	want := User{
		ID:            id.Subject,
		Username:      "ada",
		Name:          "Ada Lovelace",
		GivenName:     "Ada",
		FamilyName:    "Lovelace",
		Email:         "ada@example.com",
		EmailVerified: true,
		RealmRoles:    []string{"editor", "offline_access", "default-roles-gatehouse", "uma_authorization"},
		ClientRoles: map[string][]string{
			"account":    {"manage-account", "manage-account-links", "view-profile"},
			"mcp-server": {"reader"},
		},
		Organizations: []Organization{{ID: "acme", Alias: "acme"}},
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

func TestOrganizationForms(t *testing.T) {
	tests := []struct {
		name, claim string
		want        organizations
	}{
		{"aliases", `["acme","globex"]`, organizations{{"acme", "acme"}, {"globex", "globex"}}},
		{"IDs", `{"globex":{"id":"2"},"acme":{"id":"1"}}`, organizations{{"1", "acme"}, {"2", "globex"}}},
		{"attributes without an ID", `{"acme":{"site":["a"]}}`, organizations{{"acme", "acme"}}},
		{"one alias", `"acme"`, organizations{{"acme", "acme"}}},
		{"empty", `[]`, nil},
		{"null", `null`, nil},
		{"number", `7`, nil},
		{"list of numbers", `[7]`, nil},
		{"object of strings", `{"acme":"1"}`, nil},
	}
	for _, test := range tests {
		var got organizations
		if err := got.UnmarshalJSON([]byte(test.claim)); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
