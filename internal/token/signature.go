package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// maxKeys is how many keys of one "kid" are tried.
const maxKeys = 16

// checkSignature checks that one of the issuer's keys made the signature, and returns
// the generation of that key. issued is the unverified "iat".
func (c *compact) checkSignature(ctx context.Context, h *header, issued time.Time, keys Keys) (generation uint64, err error) {
	signature, err := c.decodeSignature()
	if err != nil {
		return 0, err
	}
	alg, _ := jose.Lookup(h.algorithm)
	s := signed{algorithm: alg, input: []byte(c.signed), signature: signature, header: h}
	if err := s.checkLength(); err != nil {
		return 0, &Error{Reason: reason.BadSignature, Got: quote.String(h.keyID), Err: err}
	}
	found, generation, err := keys.Find(ctx, h.keyID, h.algorithm)
	if err != nil {
		return 0, &KeyError{KeyID: h.keyID, IssuedAt: issued, Err: err}
	}
	rejection := s.checkAny(found)
	if rejection == nil || len(found) == 0 {
		return generation, rejection
	}
	newer, newest, err := keys.Newer(ctx, h.keyID, h.algorithm, generation)
	if err != nil {
		return 0, &KeyError{KeyID: h.keyID, IssuedAt: issued, Err: err}
	}
	if newest == generation {
		return 0, rejection
	}
	return newest, s.checkAny(newer)
}

// signed is what a signature was made over, and how.
type signed struct {
	algorithm jose.Algorithm
	input     []byte
	signature []byte
	header    *header
}

// checkAny returns nil if one of keys made the signature.
func (s *signed) checkAny(keys []crypto.PublicKey) error {
	h := s.header
	if len(keys) == 0 {
		return &Error{Reason: reason.UnknownKey, Claim: "kid", Got: quote.String(h.keyID)}
	}
	var unsuitable error
	suitable := false
	for _, key := range keys[:min(len(keys), maxKeys)] {
		if err := s.checkKey(key); err != nil {
			unsuitable = err
			continue
		}
		suitable = true
		if s.isBy(key) {
			return nil
		}
	}
	if !suitable {
		return &Error{
			Reason: reason.WrongAlgorithm,
			Claim:  "alg",
			Got:    quote.String(h.algorithm),
			Want:   "that of key " + quote.String(h.keyID),
			Err:    unsuitable,
		}
	}
	return &Error{Reason: reason.BadSignature, Got: quote.String(h.keyID)}
}

// checkLength rejects a signature that no key can have made, before a key is looked up.
func (s *signed) checkLength() error {
	shortest, longest := jose.MinRSABits/8, jose.MaxRSABits/8
	switch s.algorithm.KeyType {
	case jose.EC:
		shortest = 2 * jose.CoordinateSize(s.algorithm.Curve)
		longest = shortest
	case jose.OKP:
		shortest, longest = ed25519.SignatureSize, ed25519.SignatureSize
	}
	if n := len(s.signature); n < shortest || n > longest {
		return fmt.Errorf("signature is %d bytes, want %d to %d", n, shortest, longest)
	}
	return nil
}

// checkKey rejects a key that is not for the algorithm. A key is used with algorithms
// of its own type only (RFC 8725 §3.1).
func (s *signed) checkKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if s.algorithm.KeyType != jose.RSA {
			return errors.New("the key is RSA")
		}
		if err := jose.CheckRSABits(k.N.BitLen()); err != nil {
			return fmt.Errorf("the RSA key has %w", err)
		}
	case *ecdsa.PublicKey:
		if s.algorithm.KeyType != jose.EC || k.Curve != s.algorithm.Curve {
			return fmt.Errorf("the key is EC on %s", k.Curve.Params().Name)
		}
	case ed25519.PublicKey:
		if s.algorithm.KeyType != jose.OKP {
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

// isBy reports whether key, which has passed checkKey, made the signature.
func (s *signed) isBy(key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if s.algorithm.PSS {
			sameLength := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash} // RFC 7518 §3.5
			return rsa.VerifyPSS(k, s.algorithm.Hash, s.digest(), s.signature, sameLength) == nil
		}
		return rsa.VerifyPKCS1v15(k, s.algorithm.Hash, s.digest(), s.signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, s.digest(), s.asn1())
	case ed25519.PublicKey:
		return ed25519.Verify(k, s.input, s.signature)
	}
	return false
}

func (s *signed) digest() []byte {
	switch s.algorithm.Hash {
	case crypto.SHA256:
		sum := sha256.Sum256(s.input)
		return sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384(s.input)
		return sum[:]
	default:
		sum := sha512.Sum512(s.input)
		return sum[:]
	}
}

// asn1 returns the two halves of the signature (RFC 7518 §3.4) as an ECDSA-Sig-Value
// (RFC 3279 §2.2.3). crypto/ecdsa reads that directly; from big.Int values it would
// first write the same.
func (s *signed) asn1() []byte {
	half := len(s.signature) / 2
	integers := make([]byte, 0, len(s.signature)+2*len("\x02\x20\x00"))
	integers = appendInteger(integers, s.signature[:half])
	integers = appendInteger(integers, s.signature[half:])
	length := []byte{byte(len(integers))}
	if len(integers) > 0x7f { // P-521
		length = []byte{0x81, byte(len(integers))}
	}
	return slices.Concat([]byte{0x30}, length, integers)
}

// appendInteger appends n, an unsigned number of at most 66 bytes, as an ASN.1 INTEGER.
func appendInteger(dst, n []byte) []byte {
	n = bytes.TrimLeft(n, "\x00")
	if len(n) == 0 || n[0] > 0x7f { // the first bit is the sign
		dst = append(dst, 2, byte(len(n)+1), 0)
	} else {
		dst = append(dst, 2, byte(len(n)))
	}
	return append(dst, n...)
}
