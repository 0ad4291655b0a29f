package diagnose_test

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// TestClientsOfRun checks the verdicts with what the probes see, not with what a test writes.
func TestClientsOfRun(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		set  func(r *rig)
		want map[string]string // the verdict, by the name of the client; others sign in
	}{
		{"healthy", func(r *rig) { r.config.Origin = "https://app.example.com" }, nil},
		{"no origin is given", func(*rig) {}, map[string]string{"TypeScript SDK 2 in a web page": diagnose.Unknown}},
		{"the page's origin is not allowed", func(r *rig) { r.config.Origin = "https://other.example.com" },
			map[string]string{"TypeScript SDK 2 in a web page": diagnose.WillNotSignIn}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			test.set(r)
			for _, c := range r.run().Clients {
				want := test.want[c.Name]
				if want == "" {
					want = diagnose.WillSignIn
				}
				if c.Verdict != want {
					t.Errorf("%s: got %q (%s), want %q", c.Name, c.Verdict, c.Why, want)
				}
			}
		})
	}
}
