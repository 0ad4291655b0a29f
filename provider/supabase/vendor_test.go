package supabase

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// recorded is the project of testdata/vendor.json, whose application writes roles into app_metadata.
var recorded = Config{ProjectID: projectExample, Roles: []gatehouse.ClaimPath{{"app_metadata", "roles"}}}

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

func TestAnonymousUserIsAllowed(t *testing.T) {
	cfg := recorded
	cfg.AllowAnonymous = true
	vendor := lookAlike(t, loadVendor(t), "anonymous user", gatehousetest.Wanted{Kind: "user"})
	gatehousetest.TestProvider(t, cfg.provider(setting.From(nil)), vendor)
}

// TestRequireAudience rejects the tokens of the whole project, and has no risk.
func TestRequireAudience(t *testing.T) {
	cfg := recorded
	cfg.RequireAudience = true
	p := cfg.provider(setting.From(nil))
	vendor := loadVendor(t)
	project := vendor.Tokens[0]
	project.Reason = "wrong_audience"
	vendor.Tokens, vendor.LookAlikes = vendor.Tokens[2:], []gatehousetest.Sample{project}
	gatehousetest.TestProvider(t, p, vendor)
	if len(p.Risks) != 0 {
		t.Errorf("got risks %q, want none", p.Risks)
	}
	if p := recorded.provider(setting.From(nil)); len(p.Risks) != 1 {
		t.Errorf("without RequireAudience, got risks %q, want one", p.Risks)
	}
}

// TestLegacySecret checks that with the legacy secret, the API keys that it signs are still
// rejected.
func TestLegacySecret(t *testing.T) {
	const secret = "a-legacy-secret-of-more-than-32-bytes"
	cfg := recorded
	cfg.JWTSecret = secret
	vendor := loadVendor(t)
	vendor.Secret = secret
	rejected := map[string]string{
		"anon key":                         "wrong_issuer",
		"service_role key":                 "wrong_issuer",
		"session token of the application": "missing_claim",
	}
	var lookAlikes []gatehousetest.Sample
	for _, s := range vendor.LookAlikes {
		if reason, ok := rejected[s.Name]; ok {
			s.Header["alg"], s.Reason = "HS256", reason
			lookAlikes = append(lookAlikes, s)
		}
	}
	asymmetric := vendor.Tokens[0]
	asymmetric.Name, asymmetric.Reason = "signing key", "wrong_algorithm"
	accepted := vendor.Tokens[1]
	accepted.Header = map[string]any{"alg": "HS256", "typ": "JWT"}
	vendor.Tokens = []gatehousetest.Sample{accepted}
	vendor.LookAlikes = append(lookAlikes, asymmetric)
	p := cfg.provider(setting.From(nil))
	gatehousetest.TestProvider(t, p, vendor)
	if len(lookAlikes) != len(rejected) || len(p.Risks) != 2 {
		t.Errorf("%d look-alikes, risks %q; want %d and two risks", len(lookAlikes), p.Risks, len(rejected))
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
		ID:        id.Subject,
		Email:     "ada@example.com",
		Name:      "Ada Lovelace",
		AvatarURL: "https://example.com/ada.png",
		Role:      "authenticated",
		Roles:     []string{"editor"},
		AAL:       "aal2",
		SessionID: "7dbc283f-f00a-46b2-b808-99cb46b1ac66",
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
