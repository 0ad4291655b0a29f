package localclerk

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"

	"github.com/golang-jwt/jwt/v5"
)

const keyBits = 2048

// keyring is the instance's signing key, and what the JWKS shows of it.
type keyring struct {
	kid       string // the instance id, as at Clerk
	private   *rsa.PrivateKey
	published []publishedKey // the current one first
}

type publishedKey struct {
	kid    string
	public *rsa.PublicKey
}

// newKeyring returns a ring of one key, a new one if private is nil.
func newKeyring(private *rsa.PrivateKey) (keyring, error) {
	if private == nil {
		var err error
		if private, err = rsa.GenerateKey(rand.Reader, keyBits); err != nil {
			return keyring{}, fmt.Errorf("localclerk: generating the signing key: %w", err)
		}
	}
	if got := private.N.BitLen(); got < keyBits {
		return keyring{}, fmt.Errorf("localclerk: SigningKey has %d bits, want at least %d", got, keyBits)
	}
	kid := newID("ins_")
	return keyring{kid: kid, private: private, published: []publishedKey{{kid, &private.PublicKey}}}, nil
}

func (k keyring) header(typ string) map[string]any {
	return map[string]any{"alg": jwt.SigningMethodRS256.Alg(), "kid": k.kid, "typ": typ}
}

// sign returns a compact JWT of claims under header, whatever that says.
func (k keyring) sign(header map[string]any, claims jwt.MapClaims) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header = header
	signed, err := token.SignedString(k.private)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed, nil
}

// verificationKeys is a jwt.Keyfunc: the published keys under the token's kid.
func (k keyring) verificationKeys(token *jwt.Token) (any, error) {
	var set jwt.VerificationKeySet
	for _, key := range k.published {
		if key.kid == token.Header["kid"] {
			set.Keys = append(set.Keys, key.public)
		}
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("no key under this kid")
	}
	return set, nil
}

func (s *Server) currentKeys() keyring {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys
}

// jwk is a public key of RFC 7517, its members in Clerk's order.
type jwk struct {
	Use string `json:"use"`
	Kty string `json:"kty"`
	Kid string `json:"kid"`
	Alg string `json:"alg"`
	N   string `json:"n"`
	E   string `json:"e"`
}

type jwks struct {
	Keys []jwk `json:"keys"`
}

func (k keyring) jwks() jwks {
	set := jwks{Keys: []jwk{}}
	for _, key := range k.published {
		set.Keys = append(set.Keys, jwk{
			Use: "sig",
			Kty: "RSA",
			Kid: key.kid,
			Alg: jwt.SigningMethodRS256.Alg(),
			N:   base64.RawURLEncoding.EncodeToString(key.public.N.Bytes()),
			E:   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.public.E)).Bytes()),
		})
	}
	return set
}

func (s *Server) serveJWKS(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, s.currentKeys().jwks())
}
