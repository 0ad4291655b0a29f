package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// sample is a valid token to measure with, and the parts of its signature.
type sample struct {
	alg, raw         string
	key              crypto.PublicKey // for HS256, the secret
	input, signature []byte
}

func samples() []sample {
	const kid = "ins_37gTt6cGHQSQTzK1SsVdVsUrVGW" // as long as Clerk's
	var all []sample
	add := func(alg, raw string, key crypto.PublicKey) {
		dot := strings.LastIndexByte(raw, '.')
		all = append(all, sample{
			alg: alg, raw: raw, key: key,
			input: []byte(raw[:dot]), signature: must(base64.RawURLEncoding.DecodeString(raw[dot+1:])),
		})
	}
	for _, kind := range []struct{ alg, key string }{{"RS256", "rsa"}, {"ES256", "ec"}, {"EdDSA", "ed"}} {
		d := validDraft().withHeader("alg", kind.alg).withHeader("kid", kid)
		add(kind.alg, d.signedBy(kind.key), signingKeys()[kind.key].Public())
	}
	secret := []byte(strings.Repeat("s", token.MinSecret))
	d := validDraft().withHeader("alg", "HS256").withHeader("kid", kid)
	d.key = secret
	add("HS256", d.sign(), secret) // whose signature costs almost nothing, so this is the rest of the work
	return all
}

// bare verifies only the signature: the hash and the mathematics, which every verifier needs.
func (s *sample) bare() bool {
	switch key := s.key.(type) {
	case *rsa.PublicKey:
		digest := sha256.Sum256(s.input)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], s.signature) == nil
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(s.input)
		return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(s.signature[:32]), new(big.Int).SetBytes(s.signature[32:]))
	case []byte:
		mac := hmac.New(sha256.New, key)
		mac.Write(s.input)
		return hmac.Equal(mac.Sum(nil), s.signature)
	default:
		return ed25519.Verify(key.(ed25519.PublicKey), s.input, s.signature)
	}
}

// verify returns a function that verifies the token.
func (s *sample) verify() func() bool {
	ctx := context.Background()
	m := token.Member{Verifier: strictVerifier(), Keys: always(s.key)}
	if key, ok := s.key.([]byte); ok {
		m.Secret = key
	}
	set := token.NewSet(m)
	return func() bool {
		_, _, err := set.Verify(ctx, s.raw, now)
		return err == nil
	}
}

func BenchmarkBare(b *testing.B) {
	for _, s := range samples() {
		b.Run(s.alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !s.bare() {
					b.Fatal("rejected")
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, s := range samples() {
		b.Run(s.alg, func(b *testing.B) {
			verify := s.verify()
			b.ReportAllocs()
			for b.Loop() {
				if !verify() {
					b.Fatal("rejected")
				}
			}
		})
	}
}

// BenchmarkOverBare measures the bare signature check and Verify alternately, so that
// other load slows both, and reports the medians and their ratio.
func BenchmarkOverBare(b *testing.B) {
	for _, s := range samples() {
		b.Run(s.alg, func(b *testing.B) {
			verify := s.verify()
			var bare, whole []time.Duration
			for b.Loop() {
				start := time.Now()
				ok := s.bare()
				middle := time.Now()
				ok = verify() && ok
				end := time.Now()
				if !ok {
					b.Fatal("rejected")
				}
				bare, whole = append(bare, middle.Sub(start)), append(whole, end.Sub(middle))
			}
			slices.Sort(bare)
			slices.Sort(whole)
			f, w := bare[len(bare)/2], whole[len(whole)/2]
			b.ReportMetric(float64(f), "bare-ns")
			b.ReportMetric(float64(w), "verify-ns")
			b.ReportMetric(float64(w)/float64(f), "ratio")
		})
	}
}

// BenchmarkReject measures one token for each reason.
func BenchmarkReject(b *testing.B) {
	for _, want := range tokenReasons() {
		b.Run(string(want), func(b *testing.B) {
			i := slices.IndexFunc(corpus(), func(s specimen) bool { return s.Want == want })
			raw, v, ctx := corpus()[i].Raw, strictVerifier(), context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(ctx, raw, published, now); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}
