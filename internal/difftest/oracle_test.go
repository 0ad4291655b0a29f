package difftest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	gojosejwt "github.com/go-jose/go-jose/v4/jwt"
	golangjwt "github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// bench is the input of every verifier: the same rules, keys and time.
type bench struct {
	verifier *token.Verifier
	keys     map[string]crypto.PublicKey
	now      time.Time
}

// oracle is an independent verifier, with its strictest options. It returns the claims.
type oracle struct {
	name   string
	verify func(b *bench, raw string) (map[string]any, error)
}

var oracles = []oracle{
	{"golang-jwt", golangJWT},
	{"go-jose", goJOSE},
	{"jwx", jwx},
}

func golangJWT(b *bench, raw string) (map[string]any, error) {
	claims := golangjwt.MapClaims{}
	_, err := golangjwt.ParseWithClaims(raw, claims,
		func(t *golangjwt.Token) (any, error) {
			kid, _ := t.Header["kid"].(string)
			found := b.find(kid, t.Method.Alg())
			if len(found) == 0 {
				return nil, fmt.Errorf("no key %q", kid)
			}
			var set golangjwt.VerificationKeySet
			for _, key := range found {
				set.Keys = append(set.Keys, key)
			}
			return set, nil
		},
		golangjwt.WithValidMethods(b.verifier.Algorithms),
		golangjwt.WithIssuer(b.verifier.Issuers[0]),
		golangjwt.WithAudience(b.verifier.Resources...),
		golangjwt.WithLeeway(token.DefaultLeeway),
		golangjwt.WithTimeFunc(func() time.Time { return b.now }),
		golangjwt.WithExpirationRequired(),
		golangjwt.WithIssuedAt(),
		golangjwt.WithStrictDecoding(),
	)
	return claims, err
}

func goJOSE(b *bench, raw string) (map[string]any, error) {
	var algorithms []gojose.SignatureAlgorithm
	for _, name := range b.verifier.Algorithms {
		algorithms = append(algorithms, gojose.SignatureAlgorithm(name))
	}
	parsed, err := gojosejwt.ParseSigned(raw, algorithms)
	if err != nil {
		return nil, err
	}
	var registered gojosejwt.Claims
	all := map[string]any{}
	err = fmt.Errorf("no key %q", parsed.Headers[0].KeyID)
	for _, key := range b.find(parsed.Headers[0].KeyID, parsed.Headers[0].Algorithm) {
		if err = parsed.Claims(key, &registered, &all); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if registered.Expiry == nil {
		return nil, errors.New("no exp")
	}
	return all, registered.ValidateWithLeeway(gojosejwt.Expected{
		Issuer:      b.verifier.Issuers[0],
		AnyAudience: b.verifier.Resources,
		Time:        b.now,
	}, token.DefaultLeeway)
}

func jwx(b *bench, raw string) (map[string]any, error) {
	set, err := b.jwxKeys()
	if err != nil {
		return nil, err
	}
	hasKeyID, err := jwxHeader(b, raw)
	if err != nil {
		return nil, err
	}
	parsed, err := jwxjwt.Parse([]byte(raw),
		jwxjwt.WithKeySet(set, jws.WithRequireKid(hasKeyID), jws.WithInferAlgorithmFromKey(true)),
		jwxjwt.WithIssuer(b.verifier.Issuers[0]),
		jwxjwt.WithAcceptableSkew(token.DefaultLeeway),
		jwxjwt.WithClock(jwxjwt.ClockFunc(func() time.Time { return b.now })),
		jwxjwt.WithRequiredClaim(jwxjwt.ExpirationKey),
		jwxjwt.WithValidator(jwxjwt.ValidatorFunc(b.jwxAudience)),
	)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(parsed)
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	return all, json.Unmarshal(text, &all)
}

// jwxHeader checks the list of algorithms, for which jwx has no option, and reports whether
// the token has a kid. Without one, jwx tries all keys only if an option says so.
func jwxHeader(b *bench, raw string) (hasKeyID bool, err error) {
	message, err := jws.Parse([]byte(raw), jws.WithCompact())
	if err != nil {
		return false, err
	}
	header := message.Signatures()[0].ProtectedHeaders()
	name, ok := header.Algorithm()
	if !ok || !slices.Contains(b.verifier.Algorithms, jose.Canonical(name.String())) {
		return false, fmt.Errorf("algorithm %v", name)
	}
	kid, _ := header.KeyID()
	return kid != "", nil
}

// jwxAudience checks the list of audiences; jwx's option accepts only one.
func (b *bench) jwxAudience(_ context.Context, t jwxjwt.Token) error {
	audience, _ := t.Audience()
	if !slices.ContainsFunc(audience, func(name string) bool { return slices.Contains(b.verifier.Resources, name) }) {
		return fmt.Errorf("audience %q", audience)
	}
	return nil
}

// find returns the keys with the kid, or, without a kid, those whose type alg is for.
func (b *bench) find(kid, name string) (found []crypto.PublicKey) {
	if key, ok := b.keys[kid]; ok {
		return []crypto.PublicKey{key}
	}
	if kid != "" {
		return nil
	}
	alg, _ := jose.Lookup(name)
	for _, kid := range slices.Sorted(maps.Keys(b.keys)) {
		fits := false
		switch k := b.keys[kid].(type) {
		case *rsa.PublicKey:
			fits = alg.KeyType == jose.RSA && k.N.BitLen() >= jose.MinRSABits
		case *ecdsa.PublicKey:
			fits = alg.KeyType == jose.EC && alg.Curve == k.Curve
		case ed25519.PublicKey:
			fits = alg.KeyType == jose.OKP
		}
		if fits {
			found = append(found, b.keys[kid])
		}
	}
	return found
}

// jwxKeys returns the keys that jwx accepts. It rejects a weak key on import.
func (b *bench) jwxKeys() (jwk.Set, error) {
	set := jwk.NewSet()
	for kid, public := range b.keys {
		key, err := jwk.Import(public)
		if err != nil {
			continue
		}
		if err := key.Set(jwk.KeyIDKey, kid); err != nil {
			return nil, err
		}
		if err := set.AddKey(key); err != nil {
			return nil, err
		}
	}
	return set, nil
}
