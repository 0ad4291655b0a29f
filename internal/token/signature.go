package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

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
	s := signed{algorithm: alg, name: h.algorithm, input: []byte(c.signed), signature: signature, keyID: h.keyID}
	if err := s.checkLength(); err != nil {
		return 0, &Error{Reason: reason.BadSignature, Got: s.quotedKeyID(), Err: err}
	}
	found, generation, err := keys.Find(ctx, h.keyID, h.algorithm)
	if err != nil {
		return 0, &KeyError{KeyID: h.keyID, IssuedAt: issued, Err: err}
	}
	rejection := s.checkAny(found)
	if rejection == nil || len(found) == 0 || s.ambiguous(found) {
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

// secretGeneration is the generation of a Verifier.Secret, which never changes.
const secretGeneration = 1

// checkMAC checks that the signature is the HMAC with SHA-256 of the secret.
func (c *compact) checkMAC(secret []byte) error {
	signature, err := c.decodeSignature()
	if err != nil {
		return err
	}
	if len(secret) < MinSecret {
		return &Error{Reason: reason.BadSignature, Err: errors.New("the secret is too short")}
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(c.signed))
	if !hmac.Equal(mac.Sum(nil), signature) {
		return &Error{Reason: reason.BadSignature}
	}
	return nil
}

// signed is what a signature was made over, and how.
type signed struct {
	algorithm jose.Algorithm
	name      string // of the algorithm, as the header has it
	input     []byte
	signature []byte
	keyID     string // "kid"; may be empty
}

// ambiguous reports whether neither the header nor its algorithm says which of keys, all
// that fit, made the signature. Without "kid", which is optional (RFC 7515 §4.1.4), only a
// few keys are tried: each costs a signature check, and a token that anyone can write
// would cost them all.
func (s *signed) ambiguous(keys []crypto.PublicKey) bool {
	return s.keyID == "" && len(keys) > jose.MaxCandidates
}

// quotedKeyID returns "kid" for an error, or "" without one.
func (s *signed) quotedKeyID() string {
	if s.keyID == "" {
		return ""
	}
	return quote.String(s.keyID)
}

// checkAny returns nil if one of keys made the signature.
func (s *signed) checkAny(keys []crypto.PublicKey) error {
	if len(keys) == 0 {
		return &Error{Reason: reason.UnknownKey, Claim: "kid", Got: s.quotedKeyID()}
	}
	if s.ambiguous(keys) {
		return &Error{
			Reason: reason.MissingKeyID,
			Claim:  "kid",
			Got:    fmt.Sprintf("%d keys for its algorithm", len(keys)),
			Want:   fmt.Sprintf("at most %d", jose.MaxCandidates),
		}
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
			Got:    quote.String(s.name),
			Want:   strings.TrimSpace("that of key " + s.quotedKeyID()),
			Err:    unsuitable,
		}
	}
	return &Error{Reason: reason.BadSignature, Got: s.quotedKeyID()}
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

// derOverhead is how many bytes an ECDSA-Sig-Value is longer than its two numbers at most:
// three for the sequence, and three for each of them.
const derOverhead = 9

// asn1 returns the two halves of the signature (RFC 7518 §3.4) as an ECDSA-Sig-Value
// (RFC 3279 §2.2.3), or nil if one of them is zero, which is not a valid signature (FIPS
// 186-5 §6.4.2). crypto/ecdsa reads that directly; from big.Int values it would first
// write the same.
func (s *signed) asn1() []byte {
	half := len(s.signature) / 2
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, len(s.signature)+derOverhead))
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addInteger(b, s.signature[:half])
		addInteger(b, s.signature[half:])
	})
	encoded, err := b.Bytes()
	if err != nil {
		return nil
	}
	return encoded
}

// addInteger adds n, an unsigned number, as an ASN.1 INTEGER. Zero is an error.
func addInteger(b *cryptobyte.Builder, n []byte) {
	n = bytes.TrimLeft(n, "\x00")
	if len(n) == 0 {
		b.SetError(errors.New("zero"))
		return
	}
	b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) {
		if n[0] > 0x7f { // the first bit is the sign
			b.AddUint8(0)
		}
		b.AddBytes(n)
	})
}
