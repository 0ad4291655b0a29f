package gatehousetest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

const clerkSamples = "../provider/clerk/testdata/vendor.json"

func clerkProvider() gatehouse.Provider {
	return clerk.Provider("https://verb-noun-42.clerk.accounts.dev")
}

// TestJudge checks that the suite finds what is wrong with a provider: one that accepts a
// look-alike, one that rejects a token, and one that reads another identity.
func TestJudge(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*gatehouse.Provider)
		want   []string // parts of the problems; empty means that there is none
	}{
		{"control", func(*gatehouse.Provider) {}, nil},
		{"every type", func(p *gatehouse.Provider) { p.Tokens.Types = []string{"at+jwt", "JWT", ""} },
			[]string{"ID token: got reason missing_claim"}},
		{"no categories", func(p *gatehouse.Provider) { p.Tokens.RejectedHeader = nil },
			[]string{"token of a JWT template: got accepted, want reason wrong_type"}},
		{"another required claim", func(p *gatehouse.Provider) { p.Tokens.RequiredClaims = []string{"tid"} },
			[]string{`access token: got reason missing_claim (token has no "tid"), want it accepted`}},
		{"another client", func(p *gatehouse.Provider) { p.Claims.Client = []string{"azp", "scope"} },
			[]string{`access token: client is "email profile", want "dGd3hVEbAbMZNBbK"`}},
		{"another issuer", func(p *gatehouse.Provider) { p.TokenIssuers = []string{p.Issuer, p.Issuer + "/"} },
			[]string{"access token, with a slash more or less in iss: got accepted, want reason wrong_issuer"}},
	} {
		v, err := gatehousetest.LoadVendor(clerkSamples)
		if err != nil {
			t.Fatal(err)
		}
		p := clerkProvider()
		test.change(&p)
		verdicts, err := v.Judge(t.Context(), p)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		var problems []string
		for _, verdict := range verdicts {
			if verdict.Problem != "" {
				problems = append(problems, verdict.Sample.Name+": "+verdict.Problem)
			}
		}
		all := strings.Join(problems, "\n")
		if len(test.want) == 0 && all != "" {
			t.Errorf("%s: got problems\n%s", test.name, all)
		}
		for _, want := range test.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s: got problems\n%s\nwant %q among them", test.name, all, want)
			}
		}
	}
}

// Documents of another issuer, and faults of the provider, are errors.
func TestJudgeErrors(t *testing.T) {
	t.Parallel()
	v, err := gatehousetest.LoadVendor(clerkSamples)
	if err != nil {
		t.Fatal(err)
	}
	p := clerkProvider()
	p.Issuer, p.JWKSURL = "https://other.example.com", ""
	if _, err := v.Judge(t.Context(), p); err == nil || !strings.Contains(err.Error(), "with the documents of Clerk") {
		t.Errorf("another issuer: got %v", err)
	}
	if _, err := v.Judge(t.Context(), gatehouse.Provider{}); err == nil {
		t.Error("no provider: got no error")
	}
}

func TestLoadVendorFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"unknown member":            {`{"vendr": "Acme"}`, `unknown field "vendr"`},
		"look-alike without reason": {`{"tokens":[{"name":"a","header":{"alg":"RS256"},"claims":{}}],"lookalikes":[{"name":"b"}]}`, `look-alike "b": has no reason`},
		"look-alike of nothing":     {`{"tokens":[{"name":"a","header":{"alg":"RS256"},"claims":{}}],"lookalikes":[{"name":"b","like":"c","reason":"expired"}]}`, `there is no JWT "c" among the tokens`},
		"missing file":              {`{"documents":{"https://x.example.com":"missing.json"}}`, "missing.json"},
	} {
		file := filepath.Join(t.TempDir(), "vendor.json")
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := gatehousetest.LoadVendor(file); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
	}
}
