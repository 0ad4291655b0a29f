package localclerk

import (
	"crypto/rand"
	"crypto/sha256"
	"math/big"
)

const (
	base62    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	hex       = "0123456789abcdef"
)

const (
	resourceIDLength   = 27 // after user_, org_, ins_, …
	clientIDLength     = 16
	clientSecretLength = 32
	tokenIDLength      = 16 // after oat_, in a JWT
	opaqueTokenLength  = 32 // after oat_, 160 bits
	secretLength       = 43 // codes, refresh tokens, transactions: 256 bits
)

// randomString returns n characters of alphabet, all equally likely.
func randomString(alphabet string, n int) string {
	limit := 256 - 256%len(alphabet)
	out := make([]byte, 0, n)
	for buf := make([]byte, 2*n); len(out) < n; {
		rand.Read(buf) // never fails
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// newID returns a random resource id such as "user_" and 27 characters.
func newID(prefix string) string { return prefix + randomString(base62, resourceIDLength) }

func newSecret() string { return randomString(base62, secretLength) }

// derivedID returns an id in the form of newID that depends on prefix and name
// only.
func derivedID(prefix, name string) string {
	sum := sha256.Sum256([]byte("localclerk " + prefix + name))
	text := new(big.Int).SetBytes(sum[:]).Text(62)
	return prefix + text[:resourceIDLength]
}
