package token_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

const (
	issuer   = "https://verb-noun-42.clerk.accounts.dev"
	resource = "https://mcp.example.com/mcp"
)

// now is the time of every verification.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// strictVerifier checks the tokens of the test issuer.
func strictVerifier() *token.Verifier {
	return &token.Verifier{
		Rules: token.Rules{
			Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"},
			Types:      []string{"at+jwt"},
			RejectedHeader: map[string]map[string]string{"cat": {
				"cl_B7d4PD111AAA": "session token",
				"cl_B7d4PD333AAA": "M2M token",
			}},
			RequiredClaims: []string{"client_id", "iat", "jti"},
			SubjectPrefix:  "user_",
		},
		Issuers:   []string{issuer},
		Resources: []string{resource},
	}
}

// signingKeys are the private keys of the tests, by "kid".
var signingKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{
		"rsa":      must(rsa.GenerateKey(rand.Reader, 2048)),
		"ec":       must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"ed":       ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), // the same in every fuzzing process
		"stranger": must(rsa.GenerateKey(rand.Reader, 2048)),               // not a key of the issuer
		"weak":     must(rsa.GenerateKey(rand.Reader, 1024)),
		"p384":     must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"p521":     must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
	}
	// With "ed", one Ed25519 key more than are tried for a token without "kid".
	for i := range jose.MaxCandidates {
		keys[fmt.Sprint("ed-", i)] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize))
	}
	return keys
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// issuerKeys are what the issuer publishes.
var issuerKeys = sync.OnceValue(func() map[string][]crypto.PublicKey {
	keys := map[string][]crypto.PublicKey{}
	for kid, key := range signingKeys() {
		if kid != "stranger" {
			keys[kid] = []crypto.PublicKey{key.Public()}
		}
	}
	return keys
})

// keyFunc is a token.Keys. Find calls it with tried 0, Newer with the generation.
type keyFunc func(ctx context.Context, kid, alg string, tried uint64) ([]crypto.PublicKey, uint64, error)

func (f keyFunc) Find(ctx context.Context, kid, alg string) ([]crypto.PublicKey, uint64, error) {
	return f(ctx, kid, alg, 0)
}

func (f keyFunc) Newer(ctx context.Context, kid, alg string, generation uint64) ([]crypto.PublicKey, uint64, error) {
	return f(ctx, kid, alg, generation)
}

// published is the keys of the test issuer, which never change.
var published = keyFunc(func(_ context.Context, kid, alg string, _ uint64) ([]crypto.PublicKey, uint64, error) {
	if kid == "" {
		return keysFor(alg), 1, nil
	}
	return issuerKeys()[kid], 1, nil
})

// keysFor returns the keys that the issuer publishes for an algorithm.
func keysFor(name string) (list []crypto.PublicKey) {
	alg, _ := jose.Lookup(name)
	for _, kid := range slices.Sorted(maps.Keys(issuerKeys())) {
		for _, key := range issuerKeys()[kid] {
			fits := false
			switch k := key.(type) {
			case *rsa.PublicKey:
				fits = alg.KeyType == jose.RSA && k.N.BitLen() >= jose.MinRSABits
			case *ecdsa.PublicKey:
				fits = alg.KeyType == jose.EC && alg.Curve == k.Curve
			case ed25519.PublicKey:
				fits = alg.KeyType == jose.OKP
			}
			if fits {
				list = append(list, key)
			}
		}
	}
	return list
}

// always is a token.Keys that returns the same keys for every name.
func always(keys ...crypto.PublicKey) token.Keys {
	return keyFunc(func(context.Context, string, string, uint64) ([]crypto.PublicKey, uint64, error) {
		return keys, 1, nil
	})
}

// draft is a token that is not signed yet.
type draft struct {
	header, claims map[string]any
	headerText     string // instead of header, if not empty
	claimsText     string // instead of claims, if not empty
	method         string // the algorithm that signs; that of the header if empty
	key            any    // the key that signs; that of the header's "kid" if nil
}

// validDraft returns a draft of a token that strictVerifier accepts. Each call returns
// new maps.
func validDraft() draft {
	return draft{
		header: map[string]any{"alg": "RS256", "kid": "rsa", "typ": "at+jwt"},
		claims: map[string]any{
			"aud":       resource,
			"client_id": "dGd3hVEbAbMZNBbK",
			"exp":       now.Add(time.Hour).Unix(),
			"iat":       now.Add(-time.Hour).Unix(),
			"iss":       issuer,
			"jti":       "oat_T6R0A1C379HWAWRF",
			"nbf":       now.Add(-time.Hour - 10*time.Second).Unix(),
			"scope":     "email profile offline_access",
			"sub":       "user_3BJN08XElmDVNILqWw1IT4fXzUd",
		},
	}
}

// with returns a copy of d with one claim set; a nil value removes it.
func (d draft) with(claim string, v any) draft {
	d.claims = set(d.claims, claim, v)
	return d
}

// withHeader returns a copy of d with one header parameter set; a nil value removes it.
func (d draft) withHeader(name string, v any) draft {
	d.header = set(d.header, name, v)
	return d
}

func set(m map[string]any, name string, v any) map[string]any {
	m = maps.Clone(m)
	if v == nil {
		delete(m, name)
	} else {
		m[name] = v
	}
	return m
}

// claimsWith returns a valid draft with members added at the end of the claims.
func claimsWith(members string) draft {
	d := validDraft()
	d.claimsText = strings.TrimSuffix(d.claimsJSON(), "}") + "," + members + "}"
	return d
}

// headerWith returns a valid draft with members added at the end of the header.
func headerWith(members string) draft {
	d := validDraft()
	d.headerText = strings.TrimSuffix(d.headerJSON(), "}") + "," + members + "}"
	return d
}

// nested returns an array that is depth arrays deep.
func nested(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}

// raw is JSON that is written unchanged.
type raw = json.RawMessage

// null is a JSON null; nil removes a member.
var null = raw("null")

// sign returns the token.
func (d draft) sign() string {
	input := encode(d.headerJSON()) + "." + encode(d.claimsJSON())
	return input + "." + encode(d.signature(input))
}

// signedBy returns the token, signed by the private key of kid.
func (d draft) signedBy(kid string) string {
	d.key = signingKeys()[kid]
	return d.sign()
}

func (d draft) signature(input string) string {
	method := d.method
	if method == "" {
		method, _ = d.header["alg"].(string)
	}
	key := d.key
	if key == nil {
		kid, _ := d.header["kid"].(string)
		key = signingKeys()[kid]
	}
	return string(must(jwt.GetSigningMethod(method).Sign(input, key)))
}

func (d draft) headerJSON() string {
	if d.headerText != "" {
		return d.headerText
	}
	return string(must(json.Marshal(d.header)))
}

func (d draft) claimsJSON() string {
	if d.claimsText != "" {
		return d.claimsText
	}
	return string(must(json.Marshal(d.claims)))
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// verify verifies raw at the time now, with the keys that the issuer publishes.
func verify(t testing.TB, v *token.Verifier, raw string) (*token.Token, error) {
	t.Helper()
	return v.Verify(context.Background(), raw, published, now)
}
