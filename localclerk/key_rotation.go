package localclerk

import (
	"crypto/rsa"
	"slices"
)

// maxPublishedKeys is the maximum number of keys in the JWKS. The oldest are removed.
const maxPublishedKeys = 4

// Rotation configures RotateKey. The zero value replaces the key by a new one with a
// new kid and removes the old key from the JWKS, so that earlier tokens no longer
// verify.
type Rotation struct {
	// SameKeyID keeps the kid. Clerk uses the instance ID as kid, so a new key
	// may have the same kid as the old one.
	SameKeyID bool

	// Overlap keeps the old keys in the JWKS after the new one, 4 keys in total.
	Overlap bool

	// Key is the new signing key, of at least 2048 bits. Nil means a new
	// RSA-2048 key.
	Key *rsa.PrivateKey
}

// RotateKey replaces the signing key. Tokens signed earlier verify only as long as
// their key is in the JWKS.
func (s *Server) RotateKey(r Rotation) error {
	next, err := newKeyring(r.Key)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.SameKeyID {
		next.kid = s.keys.kid
		next.publishedKeys[0].kid = next.kid
	}
	if r.Overlap {
		next.publishedKeys = slices.Concat(next.publishedKeys, s.keys.publishedKeys)
		next.publishedKeys = next.publishedKeys[:min(len(next.publishedKeys), maxPublishedKeys)]
	}
	s.keys = next
	return nil
}
