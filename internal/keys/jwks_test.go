package keys_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/keys"
)

func okpJWK(kid string, key ed25519.PublicKey) member {
	return member{"kty": "OKP", "use": "sig", "kid": kid, "alg": "EdDSA", "crv": "Ed25519", "x": b64(key)}
}

func newEd25519() ed25519.PublicKey {
	key, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// modulus returns an odd number of so many bits.
func modulus(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return b64(n.SetBit(n, 0, 1).Bytes())
}

func set(k, v string) func(member)     { return func(m member) { m[k] = v } }
func put(k string, v any) func(member) { return func(m member) { m[k] = v } }
func without(k string) func(member)    { return func(m member) { delete(m, k) } }
func unchanged(member)                 {}
func edit(k string, f func([]byte) []byte) func(member) {
	return func(m member) {
		b, err := base64.RawURLEncoding.DecodeString(m[k].(string))
		if err != nil {
			panic(err)
		}
		m[k] = b64(f(b))
	}
}

// Each case changes one thing of a valid key.
func TestParseKey(t *testing.T) {
	t.Parallel()
	p384, p521, ed := newEC(elliptic.P384()), newEC(elliptic.P521()), newEd25519()
	rsaKey := func() member { return rsaJWK("k", rsaA()) }
	ecKey := func() member { return ecJWK("k", ecA) }
	okpKey := func() member { return okpJWK("k", ed) }
	type testCase struct {
		name    string
		base    func() member
		mutate  func(member)
		wantAlg string // of the usable key
		wantErr string // else why it is skipped
	}
	cases := []testCase{
		{"control: RSA", rsaKey, unchanged, "RS256", ""},
		{"control: P-256", ecKey, unchanged, "ES256", ""},
		{"control: P-384", func() member { return ecJWK("k", p384) }, unchanged, "ES384", ""},
		{"control: P-521", func() member { return ecJWK("k", p521) }, unchanged, "ES512", ""},
		{"control: Ed25519", okpKey, unchanged, "EdDSA", ""},

		{"alg absent: RSA", rsaKey, without("alg"), "RS256", ""},
		{"alg absent: EC", ecKey, without("alg"), "ES256", ""},
		{"alg absent: OKP", okpKey, without("alg"), "EdDSA", ""},
		{"alg null", rsaKey, put("alg", nil), "RS256", ""},
		{"alg PS512", rsaKey, set("alg", "PS512"), "PS512", ""},
		{"alg Ed25519", okpKey, set("alg", "Ed25519"), "EdDSA", ""},
		{"use absent", rsaKey, without("use"), "RS256", ""},
		{"key_ops verify", rsaKey, put("key_ops", []string{"verify"}), "RS256", ""},
		{"unknown member", rsaKey, put("x5c", []string{"abc"}), "RS256", ""},
		{"modulus with a leading zero", rsaKey, edit("n", func(b []byte) []byte { return append([]byte{0}, b...) }), "RS256", ""},
		{"exponent 3", rsaKey, set("e", "Aw"), "RS256", ""},
		{"modulus of 8192 bits", rsaKey, set("n", modulus(8192)), "RS256", ""},
		{"longest kid", rsaKey, set("kid", strings.Repeat("k", jose.MaxKeyID)), "RS256", ""},

		{"alg of another type", rsaKey, set("alg", "ES256"), "", `alg "ES256" does not fit its type`},
		{"alg of another curve", ecKey, set("alg", "ES384"), "", `alg "ES384" does not fit`},
		{"alg symmetric", rsaKey, set("alg", "HS256"), "", `alg "HS256" does not fit`},
		{"alg none", rsaKey, set("alg", "none"), "", `alg "none" does not fit`},
		{"alg empty", rsaKey, set("alg", ""), "", `alg "" does not fit`},
		{"alg for encryption", rsaKey, set("alg", "RSA-OAEP"), "", `alg "RSA-OAEP" does not fit`},
		{"alg not a string", rsaKey, put("alg", 5), "", `"alg": got a number, want a string`},
		{"alg in another case", rsaKey, set("alg", "rs256"), "", `alg "rs256" does not fit`},
		{"use enc", rsaKey, set("use", "enc"), "", `use is "enc", want "sig"`},
		{"use empty", rsaKey, set("use", ""), "", `use is "", want "sig"`},
		{"key_ops without verify", rsaKey, put("key_ops", []string{"sign", "encrypt"}), "", `key_ops is ["sign", "encrypt"], want "verify" among them`},
		{"key_ops not an array", rsaKey, put("key_ops", "verify"), "", `"key_ops" is not an array`},
		{"kid absent", rsaKey, without("kid"), "", `it has no "kid"`},
		{"kid empty", rsaKey, set("kid", ""), "", `it has no "kid"`},
		{"kid not a string", rsaKey, put("kid", 1), "", `"kid": got a number, want a string`},
		{"kid too long", rsaKey, set("kid", strings.Repeat("k", jose.MaxKeyID+1)), "", `"kid" is 257 bytes, want at most 256`},
		{"kty absent", rsaKey, without("kty"), "", `kty "" is not supported`},
		{"kty oct", rsaKey, set("kty", "oct"), "", `kty "oct" is not supported`},
		{"kty AKP", rsaKey, set("kty", "AKP"), "", `kty "AKP" is not supported`},
		{"kty in another case", rsaKey, set("kty", "rsa"), "", `kty "rsa" is not supported`},
		{"long kty", rsaKey, set("kty", strings.Repeat("x", 1000)), "", `x…" is not supported`},

		{"n absent", rsaKey, without("n"), "", `"n" is not base64url`},
		{"n malformed", rsaKey, set("n", "!!!"), "", `"n" is not base64url`},
		{"n padded", rsaKey, func(m member) { m["n"] = m["n"].(string) + "==" }, "", `"n" is not base64url`},
		{"n not a string", rsaKey, put("n", []int{1}), "", `"n": got an array, want a string`},
		{"n of 2047 bits", rsaKey, set("n", modulus(2047)), "", "modulus has 2047 bits, want 2048 to 8192"},
		{"n of 8193 bits", rsaKey, set("n", modulus(8193)), "", "modulus has 8193 bits"},
		{"n even", rsaKey, edit("n", func(b []byte) []byte { b[len(b)-1] &^= 1; return b }), "", "modulus is even"},
		{"e absent", rsaKey, without("e"), "", `"e" is not base64url`},
		{"e zero", rsaKey, set("e", "AA"), "", "exponent has 0 bits, want an odd number from 3"},
		{"e one", rsaKey, set("e", "AQ"), "", "exponent has 1 bits"},
		{"e even", rsaKey, set("e", "BA"), "", "exponent has 3 bits"},
		{"e huge", rsaKey, set("e", b64(bytes.Repeat([]byte{0xff}, 64))), "", "exponent has 512 bits"},
		{"e just too large", rsaKey, set("e", b64([]byte{0x80, 0, 0, 1})), "", "exponent has 32 bits"},

		{"crv absent", ecKey, without("crv"), "", `crv "" is not supported`},
		{"crv secp256k1", ecKey, set("crv", "secp256k1"), "", `crv "secp256k1" is not supported`},
		{"crv P-224", ecKey, set("crv", "P-224"), "", `crv "P-224" is not supported`},
		{"crv of another length", ecKey, set("crv", "P-384"), "", `"x" is 32 bytes, want 48`},
		{"x short", ecKey, edit("x", func(b []byte) []byte { return b[1:] }), "", `"x" is 31 bytes, want 32`},
		{"y long", ecKey, edit("y", func(b []byte) []byte { return append([]byte{0}, b...) }), "", `"y" is 33 bytes, want 32`},
		{"y absent", ecKey, without("y"), "", `"y" is not base64url`},
		{"point off the curve", ecKey, edit("y", func(b []byte) []byte { b[0] ^= 1; return b }), "", "point is not on P-256"},
		{"point of zeros", ecKey, func(m member) { m["x"], m["y"] = b64(make([]byte, 32)), b64(make([]byte, 32)) }, "", "point is not on P-256"},

		{"crv Ed448", okpKey, set("crv", "Ed448"), "", `crv "Ed448" is not supported`},
		{"crv X25519", okpKey, set("crv", "X25519"), "", `crv "X25519" is not supported`},
		{"Ed25519 short", okpKey, edit("x", func(b []byte) []byte { return b[1:] }), "", `"x" is 31 bytes, want 32`},
		{"Ed25519 zeros", okpKey, set("x", b64(make([]byte, 32))), "", "point is of low order"},
		{"Ed25519 zeros, other sign", okpKey, set("x", b64(append(make([]byte, 31), 0x80))), "", "point is of low order"},
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		cases = append(cases, testCase{
			"private member " + private, rsaKey, set(private, "AQAB"), "", fmt.Sprintf("private member %q", private),
		})
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			key := tc.base()
			tc.mutate(key)
			// The valid key next to it must still be usable.
			usable, skipped, err := keys.Parse([]byte(jwks(key, ecJWK("other", ecB))))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(usable, func(k keys.Key) bool { return k.KeyID == "other" && ecB.Equal(k.Public) }) {
				t.Errorf("the key next to it is lost")
			}
			if tc.wantErr != "" {
				if len(usable) != 1 || len(skipped) != 1 || !strings.Contains(skipped[0], tc.wantErr) {
					t.Errorf("skipped %q, want one with %q", skipped, tc.wantErr)
				}
				return
			}
			if len(usable) != 2 || len(skipped) != 0 {
				t.Fatalf("skipped %q, want none", skipped)
			}
			at := slices.IndexFunc(usable, func(k keys.Key) bool { return k.KeyID == key["kid"] })
			if at < 0 || usable[at].Algorithm != tc.wantAlg {
				t.Errorf("got %v, want kid %q for %q", usable, key["kid"], tc.wantAlg)
			}
		})
	}
}

func TestParsedKeysAreThePublishedOnes(t *testing.T) {
	t.Parallel()
	p384, p521, ed := newEC(elliptic.P384()), newEC(elliptic.P521()), newEd25519()
	usable, skipped, err := keys.Parse([]byte(jwks(
		rsaJWK("rsa", rsaA()), ecJWK("p256", ecA), ecJWK("p384", p384), ecJWK("p521", p521), okpJWK("ed", ed),
	)))
	if err != nil || len(skipped) != 0 {
		t.Fatalf("Parse = %q, %v", skipped, err)
	}
	for _, k := range usable {
		var same bool
		switch k.KeyID {
		case "rsa":
			same = rsaA().Equal(k.Public)
		case "p256":
			same = ecA.Equal(k.Public)
		case "p384":
			same = p384.Equal(k.Public)
		case "p521":
			same = p521.Equal(k.Public)
		case "ed":
			same = ed.Equal(k.Public)
		}
		if !same {
			t.Errorf("key %q is not the published one", k.KeyID)
		}
	}
	if len(usable) != 5 {
		t.Errorf("%d keys, want 5", len(usable))
	}
}

func TestParseKeepsWantedAlgorithmsOnly(t *testing.T) {
	t.Parallel()
	bare := rsaJWK("bare", rsaA())
	delete(bare, "alg")
	body := []byte(jwks(rsaJWK("rs", rsaA()), ecJWK("ec", ecA), okpJWK("ed", newEd25519()), bare))
	for _, tc := range []struct {
		algorithms []string
		want       []string
	}{
		{nil, []string{"bare RS256", "ec ES256", "ed EdDSA", "rs RS256"}},
		{[]string{"RS256"}, []string{"bare RS256", "rs RS256"}},
		{[]string{"PS256", "RS256"}, []string{"bare PS256", "rs RS256"}},
		{[]string{"Ed25519", "HS256", "none"}, []string{"ed EdDSA"}},
		{[]string{"ES256", "EdDSA"}, []string{"ec ES256", "ed EdDSA"}},
	} {
		usable, _, err := keys.Parse(body, tc.algorithms...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range usable {
			got = append(got, k.KeyID+" "+k.Algorithm)
		}
		slices.Sort(got)
		if !slices.Equal(got, tc.want) {
			t.Errorf("with %q got %q, want %q", tc.algorithms, got, tc.want)
		}
	}
}

func TestParseSet(t *testing.T) {
	t.Parallel()
	a := jwks(ecJWK("a", ecA))
	key := strings.TrimSuffix(strings.TrimPrefix(a, `{"keys":[`), `]}`)
	for _, tc := range []struct{ name, body, wantErr string }{
		{"control", a, ""},
		{"other members", `{"x":1,"keys":[` + key + `]}`, ""},
		{"odd elements", `{"keys":[1,null,"x",[],{},` + key + `]}`, ""},
		{"member twice", `{"keys":[],"keys":[` + key + `]}`, `member "keys" appears twice`},
		{"member of a key twice", `{"keys":[` + key + `,{"kty":"EC","kty":"RSA"}]}`, `member "kty" appears twice`},
		{"other member twice", `{"x":1,"x":1,"keys":[` + key + `]}`, `member "x" appears twice`},
		{"text after the set", a + a, "key set is not a JSON object"},
		{"most keys", `{"keys":[` + strings.Repeat("{},", keys.MaxKeys-1) + key + `]}`, ""},
		{"too many keys", `{"keys":[` + strings.Repeat("{},", keys.MaxKeys) + key + `]}`, "key set has 101 keys, want at most 100"},
		{"no keys", `{}`, `key set has no array "keys"`},
		{"keys null", `{"keys":null}`, `key set has no array "keys"`},
		{"keys in another case", strings.Replace(a, "keys", "Keys", 1), `key set has no array "keys"`},
		{"keys an object", `{"keys":` + key + `}`, `key set has no array "keys"`},
		{"empty", `{"keys":[]}`, "key set has no usable key"},
		{"unusable", `{"keys":[{"kty":"oct","kid":"a"}]}`, `key set has no usable key of 1; key 1: kid "a": kty "oct" is not supported`},
		{"single key", key, `key set has no array "keys"`},
		{"not an object", `[]`, "key set is not a JSON object"},
		{"not JSON", `x`, "key set is not a JSON object"},
	} {
		_, _, err := keys.Parse([]byte(tc.body))
		switch {
		case tc.wantErr == "" && err != nil:
			t.Errorf("%s: %v, want no error", tc.name, err)
		case tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)):
			t.Errorf("%s: got error %v, want one with %q", tc.name, err, tc.wantErr)
		}
	}
}

// Signatures that anyone can make verify under a point of low order: the table of such
// points is checked against crypto/ed25519.
func TestLowOrderPointsVerifyForgeries(t *testing.T) {
	t.Parallel()
	identity := append([]byte{1}, make([]byte, 63)...) // R the neutral point, S zero
	forged := func(key ed25519.PublicKey) bool {
		for m := range byte(255) {
			if ed25519.Verify(key, []byte{m}, identity) {
				return true
			}
		}
		return false
	}
	if forged(newEd25519()) {
		t.Error("a usable key verifies a forgery")
	}
	for _, point := range keys.LowOrderPoints {
		key, err := hex.DecodeString(point)
		if err != nil || !forged(key) {
			t.Errorf("%s: verifies no forgery, %v", point, err)
		}
		if _, skipped, _ := keys.Parse([]byte(jwks(okpJWK("k", key), ecJWK("a", ecA)))); len(skipped) != 1 {
			t.Errorf("%s: skipped %q, want one", point, skipped)
		}
	}
}

func FuzzParse(f *testing.F) {
	ed := newEd25519()
	for _, body := range []string{
		jwks(),
		jwks(rsaJWK("rsa", rsaA()), ecJWK("ec", ecA), okpJWK("ed", ed)),
		jwks(ecJWK("a", newEC(elliptic.P384())), ecJWK("a", newEC(elliptic.P521()))),
		jwks(member{"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AAAA"}),
		jwks(member{"kty": "oct", "kid": "a", "k": "AAAA"}),
		`{"keys":[null,1,{}]}`, `{`, ``,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		usable, skipped, err := keys.Parse(body)
		if (err == nil) != (len(usable) > 0) {
			t.Fatalf("%d keys and error %v", len(usable), err)
		}
		if len(usable)+len(skipped) > keys.MaxKeys {
			t.Errorf("%d keys, want at most %d", len(usable)+len(skipped), keys.MaxKeys)
		}
		if err == nil && !json.Valid(body) {
			t.Error("accepted what is not JSON")
		}
		for _, k := range usable {
			checkKey(t, k)
		}
	})
}

// checkKey checks what must hold of every usable key.
func checkKey(t *testing.T, k keys.Key) {
	t.Helper()
	if k.KeyID == "" || len(k.KeyID) > jose.MaxKeyID || !slices.Contains(jose.CanonicalNames(), k.Algorithm) {
		t.Errorf("kid %q, alg %q", k.KeyID, k.Algorithm)
	}
	switch key := k.Public.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 8192 || key.E < 3 || key.E%2 == 0 || key.N.Bit(0) == 0 {
			t.Errorf("RSA key of %d bits, exponent %d", bits, key.E)
		}
		if k.Algorithm[1:2] != "S" || k.Algorithm[0] == 'E' {
			t.Errorf("RSA key for %q", k.Algorithm)
		}
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err != nil {
			t.Errorf("EC key: %v", err)
		}
		if want := map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Params().BitSize]; k.Algorithm != want {
			t.Errorf("key on %s for %q, want %q", key.Params().Name, k.Algorithm, want)
		}
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize || k.Algorithm != "EdDSA" {
			t.Errorf("Ed25519 key of %d bytes for %q", len(key), k.Algorithm)
		}
	default:
		t.Errorf("key of type %T", key)
	}
}

func BenchmarkParse(b *testing.B) {
	body := []byte(jwks(rsaJWK("rsa", rsaA()), ecJWK("ec", ecA), okpJWK("ed", newEd25519())))
	b.ReportAllocs()
	for b.Loop() {
		if usable, _, err := keys.Parse(body); len(usable) != 3 || err != nil {
			b.Fatal(len(usable), err)
		}
	}
}
