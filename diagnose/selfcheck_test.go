package diagnose_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// TestSelfCheck checks what a server finds out about itself. The guard of the rig is its own.
func TestSelfCheck(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		set  func(r *rig)
		want []string
	}{
		{"healthy", func(*rig) {}, nil},
		{"Clerk", func(r *rig) { *r = *newClerkRig(r.t) }, nil},
		{"no registration", func(r *rig) { delete(r.issuer.metadata, "registration_endpoint") }, []string{"registration.closed"}},
		{"issuer is unreachable", func(r *rig) { r.issuer.url = "https://x.example.com" }, nil},
		{"public URL is unreachable", func(r *rig) { r.guard.Resource = "https://unknown.example.com/mcp" }, nil},
		{"public URL leads to a page", func(r *rig) { r.server = http.HandlerFunc(page) }, []string{"metadata.self"}},
		{"public URL leads to another server", func(r *rig) {
			r.server = newForeign(issuerURL).document(func(d map[string]any) { d["resource"] = "https://other.example.com/mcp" })
		}, []string{"metadata.self"}},
		{"public URL has no metadata", func(r *rig) { r.server = http.NotFoundHandler() }, []string{"metadata.self"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			test.set(r)
			r.start()
			guard, err := gatehouse.New(r.guard)
			if err != nil {
				t.Fatal(err)
			}
			defer guard.Close()
			var got []string
			for _, f := range diagnose.SelfCheck(t.Context(), r.config, guard) {
				got = append(got, f.ID)
				if f.Fix == "" || f.Consequence == "" || f.Evidence == "" {
					t.Errorf("%s lacks a text: %+v", f.ID, f)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
