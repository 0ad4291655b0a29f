package localclerk

import (
	"crypto/rsa"
	"slices"
)

// maxPublishedKeys bounds the JWKS. The oldest key goes first.
const maxPublishedKeys = 4

// Rotation says how RotateKey changes keys. The zero value is the harshest one
// Clerk may do: a new key under a new kid, and the old one gone.
type Rotation struct {
	// SameKeyID keeps the kid. A Clerk kid is the instance id, so a new key
	// may well come under the old one.
	SameKeyID bool

	// Overlap keeps the old keys in the JWKS, after the new one.
	Overlap bool

	// Key is the new signing key. Nil means a new RSA-2048 key.
	Key *rsa.PrivateKey
}

// RotateKey changes the signing key. Tokens signed before verify only while
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
