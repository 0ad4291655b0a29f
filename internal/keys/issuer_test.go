package keys_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/keys"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

const setURL = "https://issuer.example/.well-known/jwks.json"

// Keys for all tests. They differ, so that a test notices a wrong one.
var (
	ecA, ecB, ecC = newEC(elliptic.P256()), newEC(elliptic.P256()), newEC(elliptic.P256())
	rsaA          = func() *rsa.PublicKey { return &testissuer.RSAKey("a").PublicKey }
)

func newEC(curve elliptic.Curve) *ecdsa.PublicKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return &key.PublicKey
}

// member is one JSON Web Key as a test writes it.
type member map[string]any

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func ecJWK(kid string, key *ecdsa.PublicKey) member {
	point, err := key.Bytes()
	if err != nil {
		panic(err)
	}
	size := len(point) / 2
	alg := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[key.Params().Name]
	return member{
		"kty": "EC", "use": "sig", "kid": kid, "alg": alg, "crv": key.Params().Name,
		"x": b64(point[1 : 1+size]), "y": b64(point[1+size:]),
	}
}

func rsaJWK(kid string, key *rsa.PublicKey) member {
	return member{"kty": "RSA", "use": "sig", "kid": kid, "alg": "RS256", "n": b64(key.N.Bytes()), "e": "AQAB"}
}

// nameless returns key without its kid and its alg, which are both optional (RFC 7517
// sections 4.4 and 4.5).
func nameless(key member) member {
	delete(key, "kid")
	delete(key, "alg")
	return key
}

func jwks(list ...member) string {
	if list == nil {
		list = []member{}
	}
	text, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// issuer answers without a socket, so that it works with testing/synctest.
type issuer struct{ *testissuer.Transport }

func publishing(list ...member) *issuer {
	i := &issuer{testissuer.NewTransport()}
	i.publish(list...)
	return i
}

func (i *issuer) publish(list ...member) { i.Respond(http.StatusOK, jwks(list...)) }

func (i *issuer) down() { i.Fail(errors.New("connection refused")) }

func (i *issuer) fetches() int { return len(i.Requests("")) }

// open returns the set of i, closed at the end of the test.
func (i *issuer) open(t testing.TB, mutate ...func(*keys.Config)) *keys.Set {
	t.Helper()
	cfg := keys.Config{URL: setURL, Client: &http.Client{Transport: i}}
	for _, m := range mutate {
		m(&cfg)
	}
	s := keys.New(cfg)
	t.Cleanup(s.Close)
	return s
}

// answer is what a caller does with the result of Find and Newer.
type answer string

const (
	accepted answer = "accepted" // by the key that signed
	rejected answer = "rejected" // 401
	later    answer = "later"    // 503
)

// present looks up keys for a token signed by signer as internal/token does: with Find,
// and with Newer if none of the keys verifies.
func present(ctx context.Context, s *keys.Set, kid string, signer *ecdsa.PublicKey) (answer, time.Duration) {
	found, generation, err := s.Find(ctx, kid, "ES256")
	if err != nil {
		return unavailable(err)
	}
	if verifies(found, signer) {
		return accepted, 0
	}
	if len(found) == 0 {
		return rejected, 0
	}
	found, newest, err := s.Newer(ctx, kid, "ES256", generation)
	if err != nil {
		return unavailable(err)
	}
	if newest != generation && verifies(found, signer) {
		return accepted, 0
	}
	return rejected, 0
}

// unavailable returns the answer for an error of a set.
func unavailable(err error) (answer, time.Duration) {
	var hinted interface{ RetryAfter() time.Duration }
	if errors.As(err, &hinted) {
		return later, hinted.RetryAfter()
	}
	return answer(err.Error()), 0
}

func verifies(found []crypto.PublicKey, signer *ecdsa.PublicKey) bool {
	for _, key := range found {
		if signer.Equal(key) {
			return true
		}
	}
	return false
}

func wantAnswer(t *testing.T, s *keys.Set, kid string, signer *ecdsa.PublicKey, want answer) time.Duration {
	t.Helper()
	got, after := present(t.Context(), s, kid, signer)
	if got != want {
		t.Fatalf("token with kid %q is %s, want %s", kid, got, want)
	}
	return after
}
