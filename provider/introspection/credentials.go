package introspection

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// assertionLifetime is how long an assertion is valid. Each is used once.
	assertionLifetime = time.Minute
	// assertionType is the client_assertion_type of a JWT (RFC 7523 §2.2).
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// minRSABits is the smallest modulus of a key for assertions (RFC 7518 §3.3).
	minRSABits = 2048
)

// addCredentials adds the credentials that are sent in the body of a request.
func (i *introspector) addCredentials(form url.Values) error {
	switch cfg := &i.cfg; {
	case cfg.PrivateKey != nil:
		assertion, err := cfg.assertion(time.Now())
		if err != nil {
			return fmt.Errorf("signing the client assertion: %w", err)
		}
		form.Set("client_id", cfg.ClientID)
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
	case cfg.Post:
		form.Set("client_id", cfg.ClientID)
		form.Set("client_secret", string(cfg.ClientSecret))
	}
	return nil
}

// assertion returns a JWT that authenticates the client (RFC 7523 §3).
func (cfg *Config) assertion(now time.Time) (string, error) {
	method, err := signingMethod(cfg.PrivateKey)
	if err != nil {
		return "", err
	}
	audience := cfg.AssertionAudience
	if audience == "" {
		audience = cfg.Issuer
	}
	t := jwt.NewWithClaims(method, jwt.RegisteredClaims{
		Issuer:    cfg.ClientID,
		Subject:   cfg.ClientID,
		Audience:  jwt.ClaimStrings{audience},
		ID:        rand.Text(),
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(assertionLifetime)),
	})
	if cfg.KeyID != "" {
		t.Header["kid"] = cfg.KeyID
	}
	return t.SignedString(cfg.PrivateKey)
}

// signingMethod returns the algorithm for a key.
func signingMethod(key crypto.Signer) (jwt.SigningMethod, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("the RSA key has %d bits", bits)
		}
		return jwt.SigningMethodRS256, nil
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() {
			return nil, fmt.Errorf("the ECDSA key is on %s", k.Curve.Params().Name)
		}
		return jwt.SigningMethodES256, nil
	case ed25519.PrivateKey:
		return jwt.SigningMethodEdDSA, nil
	case nil:
		return nil, errors.New("there is no key")
	}
	return nil, fmt.Errorf("the key is a %T", key)
}
