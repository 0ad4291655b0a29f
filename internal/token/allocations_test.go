//go:build !race

package token_test

import "testing"

// TestVerifyAllocations checks that the verification of a token allocates little in
// addition to its signature check. With the race detector, a sync.Pool drops a part of
// what it is given, so the numbers would vary.
func TestVerifyAllocations(t *testing.T) {
	most := map[string]float64{"RS256": 18, "ES256": 24, "EdDSA": 8, "HS256": 14}
	for _, s := range samples() {
		verify := s.verify()
		if got := testing.AllocsPerRun(100, func() { verify() }); got > most[s.alg] {
			t.Errorf("%s: %v allocations, want at most %v", s.alg, got, most[s.alg])
		}
	}
}
