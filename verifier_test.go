package gatehouse_test

import (
	"context"
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
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
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
	rsaKey := testissuer.RSAKey(keyID)
	is := &bareIssuer{rsa: rsaKey}
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
		{"kty": "RSA", "n": text(rsaKey.N.Bytes()), "e": text(big.NewInt(int64(rsaKey.E)).Bytes())},
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

func TestMaxBytes(t *testing.T) {
	is := newIssuer(t)
	ofSize := func(size int) string {
		missing := size - len(is.token(resource, testissuer.Claim("groups", "")))
		for padding := missing * 3 / 4; ; padding-- {
			raw := is.token(resource, testissuer.Claim("groups", strings.Repeat("x", padding)))
			if len(raw) <= size {
				return raw
			}
		}
	}
	for _, test := range []struct {
		name       string
		maxBytes   int
		size       int
		wantReason gatehouse.Reason
		wantText   string
	}{
		{"control: the default", 0, 16 << 10, "", ""},
		{"above the default", 0, 17 << 10, "too_large", "bytes, want at most 16384"},
		{"raised", 40 << 10, 40 << 10, "", ""},
		{"above what it was raised to", 40 << 10, 41 << 10, "too_large", "bytes, want at most 40960"},
		{"the largest", 64 << 10, 64 << 10, "", ""},
		{"lowered", 2 << 10, 3 << 10, "too_large", "bytes, want at most 2048"},
	} {
		guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.Provider.Tokens.MaxBytes = test.maxBytes })
		_, err := guard.Verify(t.Context(), ofSize(test.size), nil)
		var rejected *gatehouse.TokenError
		switch isToken := errors.As(err, &rejected); {
		case test.wantReason == "" && err != nil:
			t.Errorf("%s: %v, want the token accepted", test.name, errors.Unwrap(err))
		case test.wantReason == "":
		case !isToken || rejected.Reason != test.wantReason || !strings.Contains(rejected.Error(), test.wantText):
			t.Errorf("%s: %v, want reason %q and %q", test.name, errors.Unwrap(err), test.wantReason, test.wantText)
		}
	}
}

func TestMaxBytesOfAnOpaqueToken(t *testing.T) {
	guard := newGuard(t, newIssuer(t), func(cfg *gatehouse.Config) {
		cfg.Provider.Tokens.MaxBytes = 64 << 10
		cfg.Provider.Introspect = func(context.Context, string) (json.RawMessage, error) { return nil, gatehouse.ErrInactive }
	})
	for size, want := range map[int]string{4 << 10: "token is not active", 4<<10 + 1: "token is 4097 bytes, want at most 4096"} {
		_, err := guard.Verify(t.Context(), strings.Repeat("x", size), nil)
		if err == nil || errors.Unwrap(err) == nil || errors.Unwrap(err).Error() != want {
			t.Errorf("%d bytes: %v, want %q", size, errors.Unwrap(err), want)
		}
	}
}

func TestMaxBytesOutOfRange(t *testing.T) {
	for value, ok := range map[int]bool{-1: false, 0: true, 1: true, 64 << 10: true, 64<<10 + 1: false} {
		p := gatehouse.OIDC("https://issuer.example.com")
		p.Tokens.MaxBytes = value
		_, err := gatehouse.New(gatehouse.Config{Resource: resource, Provider: p, Logger: quiet()})
		var fault *gatehouse.ConfigError
		if (err == nil) != ok || err != nil && (!errors.As(err, &fault) || fault.Field != "Provider.Tokens.MaxBytes") {
			t.Errorf("MaxBytes %d: %v, want it accepted: %t", value, err, ok)
		}
	}
}
