package gatehouse_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/golang-jwt/jwt/v5"
)

// bareIssuer publishes keys with no more members than RFC 7517 and RFC 7518 require: no
// kid, no alg and no use.
type bareIssuer struct {
	url     string
	fetches atomic.Int64
	rsa     crypto.Signer
	ec      *ecdsa.PrivateKey
	ed      ed25519.PrivateKey
}

func newBareIssuer(t *testing.T, kid string) *bareIssuer {
	t.Helper()
	is := &bareIssuer{rsa: sharedKey}
	var err error
	if is.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, is.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	point, err := is.ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString
	keys := []map[string]string{
		{"kty": "RSA", "n": text(sharedKey.N.Bytes()), "e": text(big.NewInt(int64(sharedKey.E)).Bytes())},
		{"kty": "EC", "crv": "P-256", "x": text(point[1:33]), "y": text(point[33:])},
		{"kty": "OKP", "crv": "Ed25519", "x": text(is.ed.Public().(ed25519.PublicKey))},
	}
	for _, key := range keys {
		if kid != "" {
			key["kid"] = kid + "-" + key["kty"]
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		is.fetches.Add(1)
		json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	}))
	t.Cleanup(server.Close)
	is.url = server.URL
	return is
}

// token returns a valid token; its header names the algorithm alg and the key kid, unless
// that is empty.
func (is *bareIssuer) token(t *testing.T, alg, kid string) string {
	t.Helper()
	signers := map[string]any{"RS256": is.rsa, "PS256": is.rsa, "ES256": is.ec, "EdDSA": is.ed, "Ed25519": is.ed}
	method := alg
	if alg == "Ed25519" {
		method = "EdDSA"
	}
	now := time.Now()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(method), jwt.MapClaims{
		"iss": is.url, "sub": "user_1", "aud": resource, "client_id": "client-1", "jti": "token-1",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scope": "profile email",
	})
	token.Header = map[string]any{"typ": "at+jwt", "alg": alg}
	if kid != "" {
		token.Header["kid"] = kid
	}
	signed, err := token.SignedString(signers[alg])
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// Names of keys and algorithms are optional in a key set, and kid in a token. None of them
// costs a fetch.
func TestOptionalMembersOfKeys(t *testing.T) {
	keyTypes := map[string]string{"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
	for _, published := range []string{"", "k"} {
		for _, algorithms := range [][]string{nil, {"RS256", "PS256", "ES256", "Ed25519"}, {"RS256", "PS256", "ES256", "EdDSA"}} {
			is := newBareIssuer(t, published)
			p := gatehouse.OIDC(is.url)
			p.JWKSURL, p.Tokens.Algorithms = is.url, algorithms
			guard, err := gatehouse.New(gatehouse.Config{Resource: resource, Provider: p, Logger: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(guard.Close)
			if err := guard.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			for alg, keyType := range keyTypes {
				for _, kid := range []string{"", "k-" + keyType} {
					if _, err := guard.Verify(t.Context(), is.token(t, alg, kid), nil); err != nil {
						t.Errorf("keys named %q, algorithms %q, token with alg %s and kid %q: %v", published, algorithms, alg, kid, errors.Unwrap(err))
					}
				}
			}
			if n := is.fetches.Load(); n != 1 {
				t.Errorf("keys named %q, algorithms %q: %d fetches, want 1", published, algorithms, n)
			}
		}
	}
}

// A token without kid is verified like every other.
func TestTokenWithoutKeyIDIsVerified(t *testing.T) {
	is, other := newBareIssuer(t, "k"), newBareIssuer(t, "k")
	p := gatehouse.OIDC(is.url)
	p.JWKSURL = is.url
	guard, err := gatehouse.New(gatehouse.Config{Resource: resource, Provider: p, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	if _, err := guard.Verify(t.Context(), is.token(t, "ES256", ""), nil); err != nil {
		t.Errorf("control: %v", errors.Unwrap(err))
	}
	other.url = is.url // a token with the same claims by another key
	for _, kid := range []string{"", "k-EC"} {
		_, err := guard.Verify(t.Context(), other.token(t, "ES256", kid), nil)
		var rejected *gatehouse.TokenError
		if !errors.As(err, &rejected) || rejected.Reason != "bad_signature" {
			t.Errorf("kid %q, another key: %v, want reason bad_signature", kid, err)
		}
	}
}
