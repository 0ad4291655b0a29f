package localclerk

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJWKS(t *testing.T) {
	t.Parallel()
	keys := get(t, newServer(t, nil), "/.well-known/jwks.json").want(200).object()["keys"].([]any)
	if len(keys) != 1 {
		t.Fatalf("got %d keys, want 1", len(keys))
	}
	key := keys[0].(map[string]any)
	if kid := key["kid"].(string); !strings.HasPrefix(kid, "ins_") || len(kid) != len("ins_")+27 {
		t.Errorf("kid %q, want ins_ and 27 characters", kid)
	}
	delete(key, "kid")
	want := map[string]any{"use": "sig", "kty": "RSA", "alg": "RS256", "e": "AQAB", "n": jwkModulus(t)}
	if diff := cmp.Diff(want, key); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func jwkModulus(t *testing.T) string {
	t.Helper()
	ring, err := newKeyring(testKey())
	if err != nil {
		t.Fatal(err)
	}
	return ring.jwks().Keys[0].N
}
