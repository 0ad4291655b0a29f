package token

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// Keys are the signing keys of one issuer. Its methods may be called concurrently.
// They are given text of a token that is not verified yet.
//
// Each returns the keys that "kid" names and that may be used with alg, and the
// generation of the key set that they are from, a number that changes with the set. If kid
// is empty, these are all keys for alg, of which Verify tries at most
// [jose.MaxCandidates]. If no key of the issuer has that kid, they can be keys that have
// none. No keys and no error mean that the issuer has no such key. An error means that the
// keys are not available now; it must not be an [*Error].
type Keys interface {
	// Find returns the keys of the current set.
	Find(ctx context.Context, kid, alg string) (keys []crypto.PublicKey, generation uint64, err error)

	// Newer returns the keys of a set that is newer than generation. Verify calls it
	// when no key that Find returned made the signature, because an issuer may replace
	// a key and keep its name. If there is no newer set, Newer returns the same
	// generation.
	Newer(ctx context.Context, kid, alg string, generation uint64) (keys []crypto.PublicKey, newest uint64, err error)
}

// KeyError is the error of a token whose key is not available. It says nothing about
// whether the token is valid.
type KeyError struct {
	KeyID    string    // "kid"; empty without one
	IssuedAt time.Time // "iat" of the token, which is not verified; zero without one
	Err      error     // of [Keys]
}

// Error returns the key id and the error of Keys.
func (e *KeyError) Error() string {
	if e.KeyID == "" {
		return fmt.Sprintf("looking up the keys for a token without kid: %v", e.Err)
	}
	return fmt.Sprintf("looking up key %s: %v", quote.String(e.KeyID), e.Err)
}

// Unwrap returns the error of Keys.
func (e *KeyError) Unwrap() error { return e.Err }
