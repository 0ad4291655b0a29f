package localclerk

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

const keyBits = 2048

// keyring is the signing key of the instance and the public keys in its JWKS. It is
// immutable.
type keyring struct {
	kid           string // of the signing key
	signingKey    *rsa.PrivateKey
	publishedKeys []publishedKey // that of the signing key first
}

type publishedKey struct {
	kid    string
	public *rsa.PublicKey
}

// newKeyring returns a keyring with one key. If private is nil, it generates one. The
// kid is a new instance ID, as at Clerk.
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

// header returns the JOSE header of a token with this typ.
func (k keyring) header(typ string) map[string]any {
	return map[string]any{"alg": jwt.SigningMethodRS256.Alg(), "kid": k.kid, "typ": typ}
}

// sign returns a compact JWT with exactly this header and these claims, signed with
// RS256.
func (k keyring) sign(header map[string]any, claims jwt.MapClaims) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header = header
	signed, err := token.SignedString(k.signingKey)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed, nil
}

// verificationKeys is a jwt.Keyfunc. It returns the published keys that have the
// token's kid.
func (k keyring) verificationKeys(token *jwt.Token) (any, error) {
	var set jwt.VerificationKeySet
	for _, key := range k.publishedKeys {
		if key.kid == token.Header["kid"] {
			set.Keys = append(set.Keys, key.public)
		}
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("no key has this kid")
	}
	return set, nil
}

func (s *Server) currentKeys() keyring {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys
}
