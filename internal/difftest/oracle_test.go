package difftest

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	gojosejwt "github.com/go-jose/go-jose/v4/jwt"
	golangjwt "github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

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
			key, ok := b.keys[kid]
			if !ok {
				return nil, fmt.Errorf("no key %q", kid)
			}
			return key, nil
		},
		golangjwt.WithValidMethods(b.verifier.Algorithms),
		golangjwt.WithIssuer(b.verifier.Issuer),
		golangjwt.WithAudience(b.verifier.Audiences...),
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
	key, ok := b.keys[parsed.Headers[0].KeyID]
	if !ok {
		return nil, fmt.Errorf("no key %q", parsed.Headers[0].KeyID)
	}
	var registered gojosejwt.Claims
	all := map[string]any{}
	if err := parsed.Claims(key, &registered, &all); err != nil {
		return nil, err
	}
	if registered.Expiry == nil {
		return nil, errors.New("no exp")
	}
	return all, registered.ValidateWithLeeway(gojosejwt.Expected{
		Issuer:      b.verifier.Issuer,
		AnyAudience: b.verifier.Audiences,
		Time:        b.now,
	}, token.DefaultLeeway)
}

func jwx(b *bench, raw string) (map[string]any, error) {
	set, err := b.jwxKeys()
	if err != nil {
		return nil, err
	}
	if err := jwxAlgorithm(b, raw); err != nil {
		return nil, err
	}
	parsed, err := jwxjwt.Parse([]byte(raw),
		jwxjwt.WithKeySet(set, jws.WithRequireKid(true), jws.WithInferAlgorithmFromKey(true)),
		jwxjwt.WithIssuer(b.verifier.Issuer),
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

// jwxAlgorithm checks the list of algorithms, for which jwx has no option.
func jwxAlgorithm(b *bench, raw string) error {
	message, err := jws.Parse([]byte(raw), jws.WithCompact())
	if err != nil {
		return err
	}
	name, ok := message.Signatures()[0].ProtectedHeaders().Algorithm()
	if !ok || !slices.Contains(b.verifier.Algorithms, name.String()) {
		return fmt.Errorf("algorithm %v", name)
	}
	return nil
}

// jwxAudience checks the list of audiences; jwx's option accepts only one.
func (b *bench) jwxAudience(_ context.Context, t jwxjwt.Token) error {
	audience, _ := t.Audience()
	if !slices.ContainsFunc(audience, func(name string) bool { return slices.Contains(b.verifier.Audiences, name) }) {
		return fmt.Errorf("audience %q", audience)
	}
	return nil
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
