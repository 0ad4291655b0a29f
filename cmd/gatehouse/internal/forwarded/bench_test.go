package forwarded

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// BenchmarkSet measures what a request costs whose token is known, one with a new token of a known
// user, and one of a new user, for whom an assertion is signed.
func BenchmarkSet(b *testing.B) {
	known := callerOf(b, testissuer.Claim("roles", []string{"reader"}))
	for _, name := range []string{"seen token", "new token", "new user"} {
		b.Run(name, func(b *testing.B) {
			f, h, id := newForwarder(b), http.Header{}, known
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if name != "seen token" {
					id.Fingerprint = strconv.Itoa(n)
				}
				if name == "new user" {
					id.Subject = id.Fingerprint
				}
				if err := f.Set(h, id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
