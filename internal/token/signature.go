package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unsafe"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const (
	minRSABits = 2048 // RFC 7518 §3.3, §3.5
	maxRSABits = 8192 // what a verification may cost

	maxKeys = 16 // keys of one "kid" that are tried
)

// Keys finds the issuer's keys that "kid" names and that may serve alg. Both are
// text of an unchecked token, and parts of a larger string: clone them to keep them.
//
// tried is 0 at first. When no key it gave made the signature, Verify asks once
// more with the generation of those keys, for issuers that replace a key under its
// old name. The same generation in answer means that there is nothing newer. A
// generation of 0 is that of keys that never change: Verify does not ask again.
//
// No keys and no error mean that the issuer has none of this name. An error means
// that the keys are out of reach; it must not be an [*Error].
type Keys func(ctx context.Context, kid, alg string, tried uint64) (keys []crypto.PublicKey, generation uint64, err error)

// algorithm is one signature algorithm of RFC 7518 §3.1, RFC 8037 or RFC 9864.
type algorithm struct {
	family string
	hash   crypto.Hash
	curve  elliptic.Curve // of EC keys
}

const (
	familyPKCS1 = "RSASSA-PKCS1-v1_5"
	familyPSS   = "RSASSA-PSS"
	familyECDSA = "ECDSA"
	familyEdDSA = "EdDSA"
)

// algorithms are all asymmetric: with a public key, a token that chooses HMAC or
// "none" would be its own witness (RFC 8725 §2.1).
var algorithms = map[string]algorithm{
	"RS256":   {family: familyPKCS1, hash: crypto.SHA256},
	"RS384":   {family: familyPKCS1, hash: crypto.SHA384},
	"RS512":   {family: familyPKCS1, hash: crypto.SHA512},
	"PS256":   {family: familyPSS, hash: crypto.SHA256},
	"PS384":   {family: familyPSS, hash: crypto.SHA384},
	"PS512":   {family: familyPSS, hash: crypto.SHA512},
	"ES256":   {family: familyECDSA, hash: crypto.SHA256, curve: elliptic.P256()},
	"ES384":   {family: familyECDSA, hash: crypto.SHA384, curve: elliptic.P384()},
	"ES512":   {family: familyECDSA, hash: crypto.SHA512, curve: elliptic.P521()},
	"EdDSA":   {family: familyEdDSA},
	"Ed25519": {family: familyEdDSA},
}

// Algorithms returns the "alg" values that Rules.Algorithms may list, sorted.
func Algorithms() []string { return slices.Sorted(maps.Keys(algorithms)) }

// checkSignature finds out whether a key of the issuer made the signature, and
// returns the generation of that key.
func (c *compact) checkSignature(ctx context.Context, h *header, find Keys) (generation uint64, err error) {
	var buffer [maxRSABits / 8]byte // on the stack
	signature, err := c.appendSignature(buffer[:0])
	if err != nil {
		return 0, err
	}
	if err := algorithms[h.algorithm].checkLength(signature); err != nil {
		return 0, &Error{Reason: reason.BadSignature, Got: quote(h.keyID), Err: err}
	}
	keys, generation, err := find.lookUp(ctx, h, 0)
	if err != nil {
		return 0, err
	}
	refusal := c.try(h, signature, keys)
	if refusal == nil || len(keys) == 0 || generation == 0 {
		return generation, refusal
	}
	newer, latest, err := find.lookUp(ctx, h, generation)
	if err != nil {
		return 0, err
	}
	if latest == generation {
		return 0, refusal
	}
	return latest, c.try(h, signature, newer)
}

func (find Keys) lookUp(ctx context.Context, h *header, tried uint64) ([]crypto.PublicKey, uint64, error) {
	keys, generation, err := find(ctx, h.keyID, h.algorithm, tried)
	if err != nil {
		return nil, 0, fmt.Errorf("looking up key %s: %w", quote(h.keyID), err)
	}
	return keys, generation, nil
}

// try returns nil if one of keys made signature.
func (c *compact) try(h *header, signature []byte, keys []crypto.PublicKey) error {
	if len(keys) == 0 {
		return &Error{Reason: reason.UnknownKey, Claim: "kid", Got: quote(h.keyID)}
	}
	alg := algorithms[h.algorithm]
	var misfit error
	fits := false
	for _, key := range keys[:min(len(keys), maxKeys)] {
		if err := alg.checkKey(key); err != nil {
			misfit = err
			continue
		}
		fits = true
		if alg.verify(key, c.signed, signature) {
			return nil
		}
	}
	if !fits {
		return &Error{Reason: reason.WrongAlgorithm, Claim: "alg", Got: quote(h.algorithm), Want: "that of key " + quote(h.keyID), Err: misfit}
	}
	return &Error{Reason: reason.BadSignature, Got: quote(h.keyID)}
}

// checkLength refuses a signature that no key can have made, before any is looked for.
func (a algorithm) checkLength(signature []byte) error {
	shortest, longest := minRSABits/8, maxRSABits/8
	switch a.family {
	case familyECDSA:
		shortest = 2 * a.coordinateSize()
		longest = shortest
	case familyEdDSA:
		shortest, longest = ed25519.SignatureSize, ed25519.SignatureSize
	}
	if n := len(signature); n < shortest || n > longest {
		return fmt.Errorf("signature is %d bytes, want %d to %d", n, shortest, longest)
	}
	return nil
}

// coordinateSize is the size in bytes of r and s (RFC 7518 §3.4).
func (a algorithm) coordinateSize() int { return (a.curve.Params().BitSize + 7) / 8 }

// checkKey refuses a key that is not for a. Each key serves its own kind of
// algorithm only (RFC 8725 §3.1).
func (a algorithm) checkKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if a.family != familyPKCS1 && a.family != familyPSS {
			return errors.New("the key is RSA")
		}
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("the RSA key has %d bits, want %d to %d", bits, minRSABits, maxRSABits)
		}
	case *ecdsa.PublicKey:
		if a.family != familyECDSA || k.Curve != a.curve {
			return fmt.Errorf("the key is EC on %s", k.Curve.Params().Name)
		}
	case ed25519.PublicKey:
		if a.family != familyEdDSA {
			return errors.New("the key is Ed25519")
		}
		if len(k) != ed25519.PublicKeySize {
			return fmt.Errorf("the Ed25519 key is %d bytes, want %d", len(k), ed25519.PublicKeySize)
		}
	default:
		return fmt.Errorf("the key is a %T", key)
	}
	return nil
}

// verify reports whether key, which has passed checkKey, made the signature.
func (a algorithm) verify(key crypto.PublicKey, signed string, signature []byte) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if a.family == familyPSS {
			sameLength := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash} // RFC 7518 §3.5
			return rsa.VerifyPSS(k, a.hash, a.digest(signed), signature, sameLength) == nil
		}
		return rsa.VerifyPKCS1v15(k, a.hash, a.digest(signed), signature) == nil
	case *ecdsa.PublicKey:
		n := a.coordinateSize()
		var buffer [maxASN1]byte // on the stack
		return ecdsa.VerifyASN1(k, a.digest(signed), appendASN1(buffer[:0], signature[:n], signature[n:]))
	case ed25519.PublicKey:
		return ed25519.Verify(k, readOnly(signed), signature)
	}
	return false
}

// readOnly returns the bytes of s without a copy. They must not be written to.
func readOnly(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

func (a algorithm) digest(signed string) []byte {
	switch a.hash {
	case crypto.SHA256:
		sum := sha256.Sum256(readOnly(signed))
		return sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384(readOnly(signed))
		return sum[:]
	default:
		sum := sha512.Sum512(readOnly(signed))
		return sum[:]
	}
}

// maxASN1 is the size of the longest ECDSA signature in ASN.1, that of P-521.
const maxASN1 = 3 + 2*(2+67)

// appendASN1 appends r and s as an ECDSA-Sig-Value (RFC 3279 §2.2.3), which is
// what the standard library takes without further copies.
func appendASN1(dst, r, s []byte) []byte {
	size := asn1Size(r) + asn1Size(s)
	dst = append(dst, 0x30)
	if size > 127 {
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(size))
	return appendInteger(appendInteger(dst, r), s)
}

func asn1Size(n []byte) int {
	var buffer [70]byte
	return len(appendInteger(buffer[:0], n))
}

func appendInteger(dst, n []byte) []byte {
	for len(n) > 1 && n[0] == 0 {
		n = n[1:]
	}
	if n[0] >= 0x80 {
		dst = append(dst, 2, byte(len(n)+1), 0)
	} else {
		dst = append(dst, 2, byte(len(n)))
	}
	return append(dst, n...)
}
