package gatehousetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-mcp/gatehouse/internal/keys"
)

// sampleKeys are the keys that sign samples, one for each kid and algorithm. It is safe for
// concurrent use.
type sampleKeys struct {
	mu   *sync.Mutex
	keys map[sampleKey]crypto.Signer
}

type sampleKey struct{ kid, alg string }

func newSampleKeys() sampleKeys {
	return sampleKeys{mu: new(sync.Mutex), keys: make(map[sampleKey]crypto.Signer)}
}

// sign returns the token with the header and the claims. Its key is published. With HS256, it
// is secret; with "none", there is no signature.
func (k sampleKeys) sign(header, claims map[string]any, secret string) (string, error) {
	alg, _ := header["alg"].(string)
	kid, _ := header["kid"].(string)
	return signed(header, claims, func() (any, error) {
		if alg == "HS256" {
			return []byte(secret), nil
		}
		return k.key(sampleKey{kid, alg})
	})
}

// signed returns the token with the header and the claims, signed with the key.
func signed(header, claims map[string]any, key func() (any, error)) (string, error) {
	alg, _ := header["alg"].(string)
	method := jwt.GetSigningMethod(alg)
	if method == nil {
		return "", fmt.Errorf("alg %q is not supported", alg)
	}
	if alg == "none" {
		key = func() (any, error) { return jwt.UnsafeAllowNoneSignatureType, nil }
	}
	material, err := key()
	if err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	t.Header = header
	return t.SignedString(material)
}

// key returns the key with the name, which is made if there is none.
func (k sampleKeys) key(name sampleKey) (crypto.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key := k.keys[name]; key != nil {
		return key, nil
	}
	key, err := newSampleKey(name.alg, publishedRSAKey)
	if err == nil {
		k.keys[name] = key
	}
	return key, err
}

// The RSA keys of all samples in the process, since generating a key takes longer than all
// checks of a provider together: one that is published, under every kid, and another one.
var (
	publishedRSAKey = sync.OnceValue(newKey)
	foreignRSAKey   = sync.OnceValue(newKey)
)

// newSampleKey returns a key for the algorithm: that of rsaKey, or a new one of another type.
func newSampleKey(alg string, rsaKey func() *rsa.PrivateKey) (crypto.Signer, error) {
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		return rsaKey(), nil
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EdDSA":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("alg %q is not supported", alg)
}

// document returns the key set (RFC 7517 §5).
func (k sampleKeys) document() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	set := struct {
		Keys []map[string]string `json:"keys"`
	}{Keys: []map[string]string{}}
	for name, key := range k.keys {
		public, err := keys.JWK(key.Public())
		if err != nil {
			panic("gatehousetest: writing a key: " + err.Error())
		}
		public["alg"], public["use"] = name.alg, "sig"
		if name.kid != "" {
			public["kid"] = name.kid
		}
		set.Keys = append(set.Keys, public)
	}
	text, err := json.Marshal(set)
	if err != nil {
		panic("gatehousetest: writing a key set: " + err.Error())
	}
	return text
}
