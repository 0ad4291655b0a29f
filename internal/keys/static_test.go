package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/keys"
)

func pemOf(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// TestNewStatic reads keys in each form, and finds each under its algorithms and no others.
func TestNewStatic(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkix := func(key any) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		return pemOf(t, "PUBLIC KEY", der, err)
	}
	jwk, err := keys.JWK(ecKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	jwk["kid"] = "one"
	set, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	if err != nil {
		t.Fatal(err)
	}
	smallKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(edKey)
	for _, test := range []struct {
		name, text, kid, alg string
		want                 crypto.PublicKey // nil if the key must not be found
		wantError            string
	}{
		{"RSA", pkix(rsaKey.Public()), "any", "RS256", rsaKey.Public(), ""},
		{"RSA in PKCS 1", pemOf(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey), nil), "", "PS256", rsaKey.Public(), ""},
		{"EC", pkix(ecKey.Public()), "", "ES256", ecKey.Public(), ""},
		{"Ed25519", pkix(edPublic), "", "EdDSA", edPublic, ""},
		{"certificate", certificate(t, ecKey), "", "ES256", ecKey.Public(), ""},
		{"two keys", pkix(rsaKey.Public()) + "\n" + pkix(edPublic), "", "EdDSA", edPublic, ""},
		{"key set", string(set), "one", "ES256", ecKey.Public(), ""},
		{"another kid than in the key set", string(set), "two", "ES256", nil, ""},
		{"another algorithm", pkix(ecKey.Public()), "", "RS256", nil, ""},
		{"private key", pemOf(t, "PRIVATE KEY", private, err), "", "", nil, `it is a "PRIVATE KEY", want a public key`},
		{"small key", pkix(smallKey.Public()), "", "", nil, "1024 bits"},
		{"text", "hello", "", "", nil, "neither a JSON Web Key Set nor PEM"},
		{"text after PEM", pkix(edPublic) + "hello", "", "", nil, "neither a JSON Web Key Set nor PEM"},
		{"nothing", " \n", "", "", nil, "no key"},
		{"empty key set", `{"keys":[]}`, "", "", nil, "no usable key"},
		{"key set with one key that cannot be used", strings.Replace(string(set), `]}`, `,{"kty":"oct","k":"eA"}]}`, 1), "", "", nil, "private member"},
		{"too large", strings.Repeat("x", 1<<20+1), "", "", nil, "want at most"},
	} {
		s, err := keys.NewStatic([]byte(test.text), nil)
		if test.wantError != "" {
			if err == nil || !strings.Contains(err.Error(), test.wantError) {
				t.Errorf("%s: got %v, want an error with %q", test.name, err, test.wantError)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		found, generation, err := s.Find(t.Context(), test.kid, test.alg)
		if err != nil || generation == 0 || generation != s.Generation() || s.Ready(t.Context()) != nil {
			t.Errorf("%s: generation %d, %v", test.name, generation, err)
		}
		if test.want == nil && len(found) > 0 || test.want != nil && (len(found) != 1 || !test.want.(interface {
			Equal(crypto.PublicKey) bool
		}).Equal(found[0])) {
			t.Errorf("%s: found %v, want %v", test.name, found, test.want)
		}
		if _, newest, err := s.Newer(t.Context(), test.kid, test.alg, generation); err != nil || newest != generation {
			t.Errorf("%s: Newer returns generation %d, %v", test.name, newest, err)
		}
		s.Close()
	}
}

func certificate(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "issuer"},
		NotAfter:     time.Now().Add(-time.Hour), // only the key counts
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return pemOf(t, "CERTIFICATE", der, err)
}
