package localclerk

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

const keyBits = 2048

// keyring is the instance's signing key, and what the JWKS shows of it.
type keyring struct {
	kid           string // the instance id, as at Clerk
	signingKey    *rsa.PrivateKey
	publishedKeys []publishedKey // the current one first
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
	return keyring{kid: kid, signingKey: private, publishedKeys: []publishedKey{{kid, &private.PublicKey}}}, nil
}

func (k keyring) header(typ string) map[string]any {
	return map[string]any{"alg": jwt.SigningMethodRS256.Alg(), "kid": k.kid, "typ": typ}
}

// sign returns a compact JWT of claims under header, whatever that says.
func (k keyring) sign(header map[string]any, claims jwt.MapClaims) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header = header
	signed, err := token.SignedString(k.signingKey)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed, nil
}

// verificationKeys is a jwt.Keyfunc: the published keys under the token's kid.
func (k keyring) verificationKeys(token *jwt.Token) (any, error) {
	var set jwt.VerificationKeySet
	for _, key := range k.publishedKeys {
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
