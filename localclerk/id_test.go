package localclerk

import "testing"

func TestRandomString(t *testing.T) {
	t.Parallel()
	seen := map[rune]bool{}
	for _, c := range randomString(base62, 10_000) {
		seen[c] = true
	}
	if len(seen) != len(base62) {
		t.Errorf("%d characters come up, want %d", len(seen), len(base62))
	}
}
