package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
)

var benchAlgorithms = []struct{ alg, kid string }{{"RS256", "rsa"}, {"ES256", "ec"}, {"EdDSA", "ed"}}

// BenchmarkFloor is what no verifier can do without: the hash and the mathematics.
func BenchmarkFloor(b *testing.B) {
	for _, bb := range benchAlgorithms {
		b.Run(bb.alg, func(b *testing.B) {
			raw := goodDraft().withHeader("alg", bb.alg).withHeader("kid", bb.kid).sign()
			dot := strings.LastIndexByte(raw, '.')
			input, signature := []byte(raw[:dot]), must(base64.RawURLEncoding.DecodeString(raw[dot+1:]))
			key := signingKeys()[bb.kid].Public()
			b.ReportAllocs()
			for b.Loop() {
				if !bareVerify(key, input, signature) {
					b.Fatal("bad signature")
				}
			}
		})
	}
}

func bareVerify(key crypto.PublicKey, input, signature []byte) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		digest := sha256.Sum256(input)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(input)
		return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	default:
		return ed25519.Verify(key.(ed25519.PublicKey), input, signature)
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, bb := range benchAlgorithms {
		b.Run(bb.alg, func(b *testing.B) {
			raw := goodDraft().withHeader("alg", bb.alg).withHeader("kid", bb.kid).sign()
			rules, ctx := strictRules(), context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rules.Verify(ctx, raw, find, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
