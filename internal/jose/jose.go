// Package jose lists the signature algorithms that access tokens and their keys may
// use (RFC 7518 §3.1, RFC 8037, RFC 9864) and the bounds of RSA keys.
//
// All algorithms are asymmetric. With HMAC or "none", anyone who has the issuer's
// public key could forge a token (RFC 8725 §2.1).
package jose

import (
	"crypto"
	"crypto/elliptic"
	"fmt"
	"maps"
	"slices"

	// The hash functions below.
	_ "crypto/sha256"
	_ "crypto/sha512"
)

const (
	// MinRSABits and MaxRSABits bound the modulus of an RSA key: RFC 7518 §3.3 and
	// §3.5 set the minimum, and the time that one verification takes the maximum.
	MinRSABits = 2048
	MaxRSABits = 8192
	// MinRSAExponent and MaxRSAExponent bound the public exponent, which must be odd.
	MinRSAExponent = 3
	MaxRSAExponent = 1<<31 - 1
)

// MaxKeyID is the longest "kid" of a token or a key, in bytes. A key id is opaque and is
// compared as it is.
const MaxKeyID = 256

// KeyType is the "kty" of a JSON Web Key (RFC 7518 §6.1, RFC 8037 §2).
type KeyType string

// The key types.
const (
	RSA KeyType = "RSA"
	EC  KeyType = "EC"
	OKP KeyType = "OKP" // with the curve Ed25519 only
)

// Algorithm is one signature algorithm.
type Algorithm struct {
	Name    string         // its canonical name
	KeyType KeyType        // of the keys that can use it
	Curve   elliptic.Curve // of an EC key; nil for other types
	Hash    crypto.Hash    // of the signing input; 0 for Ed25519, which hashes it itself
	PSS     bool           // RSASSA-PSS, not RSASSA-PKCS1-v1_5
}

// EdDSA is the canonical name of EdDSA with the curve Ed25519, whose other name is
// Ed25519 (RFC 9864 §2.2).
const EdDSA = "EdDSA"

// algorithms has each algorithm under each of its names.
var algorithms = map[string]Algorithm{
	"RS256":   {Name: "RS256", KeyType: RSA, Hash: crypto.SHA256},
	"RS384":   {Name: "RS384", KeyType: RSA, Hash: crypto.SHA384},
	"RS512":   {Name: "RS512", KeyType: RSA, Hash: crypto.SHA512},
	"PS256":   {Name: "PS256", KeyType: RSA, Hash: crypto.SHA256, PSS: true},
	"PS384":   {Name: "PS384", KeyType: RSA, Hash: crypto.SHA384, PSS: true},
	"PS512":   {Name: "PS512", KeyType: RSA, Hash: crypto.SHA512, PSS: true},
	"ES256":   {Name: "ES256", KeyType: EC, Hash: crypto.SHA256, Curve: elliptic.P256()},
	"ES384":   {Name: "ES384", KeyType: EC, Hash: crypto.SHA384, Curve: elliptic.P384()},
	"ES512":   {Name: "ES512", KeyType: EC, Hash: crypto.SHA512, Curve: elliptic.P521()},
	EdDSA:     {Name: EdDSA, KeyType: OKP},
	"Ed25519": {Name: EdDSA, KeyType: OKP},
}

// Names returns every "alg" value that has an algorithm here, sorted. EdDSA is there
// under both of its names.
func Names() []string { return slices.Sorted(maps.Keys(algorithms)) }

// CanonicalNames returns the name of each algorithm once, in the order of preference
// for an RSA key that does not say what it is for.
func CanonicalNames() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", EdDSA}
}

// DefaultNames returns the algorithms that a provider's tokens may use if the provider
// does not list its own.
func DefaultNames() []string { return []string{"RS256", "PS256", "ES256", "ES384", EdDSA} }

// Lookup returns the algorithm whose "alg" value is name, compared exactly.
func Lookup(name string) (alg Algorithm, ok bool) {
	alg, ok = algorithms[name]
	return alg, ok
}

// Canonical returns the canonical name of the algorithm that is called name, or name
// itself if there is none.
func Canonical(name string) string {
	if alg, ok := algorithms[name]; ok {
		return alg.Name
	}
	return name
}

// CheckRSABits returns an error unless the modulus of an RSA key may have so many bits.
func CheckRSABits(bits int) error {
	if bits < MinRSABits || bits > MaxRSABits {
		return fmt.Errorf("%d bits, want %d to %d", bits, MinRSABits, MaxRSABits)
	}
	return nil
}

// CoordinateSize returns the size in bytes of a coordinate of curve, and of each half
// of a signature by one of its keys (RFC 7518 §3.4 and §6.2.1.2).
func CoordinateSize(curve elliptic.Curve) int { return (curve.Params().BitSize + 7) / 8 }
