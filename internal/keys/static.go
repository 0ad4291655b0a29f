package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"
)

// staticGeneration is the generation of keys that never change.
const staticGeneration = 1

// forever is when static keys expire.
var forever = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// NewStatic returns a set of keys that never changes and is never fetched. text is a JSON
// Web Key Set (RFC 7517 section 5), or PEM: public keys ("PUBLIC KEY", "RSA PUBLIC KEY") and
// certificates, of which only the key counts. A key from PEM has no kid and is for every
// algorithm of its type. Unlike in a set that is fetched, a key that cannot be used is an
// error, unless it is for another use.
func NewStatic(text []byte, algorithms []string) (*Set, error) {
	text = bytes.TrimSpace(text)
	if len(text) > maxDocument {
		return nil, fmt.Errorf("%d bytes, want at most %d", len(text), maxDocument)
	}
	if !bytes.HasPrefix(text, []byte("{")) {
		var err error
		if text, err = setOfPEM(text); err != nil {
			return nil, err
		}
	}
	wanted := wantedAlgorithms(algorithms)
	parsed, err := parseSet(text, wanted)
	if err != nil {
		return nil, err
	}
	if len(parsed.skipped) > 0 {
		return nil, errors.New(parsed.skipped[0])
	}
	s := &Set{log: slog.New(slog.DiscardHandler), algorithms: wanted}
	s.current.Store(&snapshot{keySet: parsed, generation: staticGeneration, expires: forever})
	return s, nil
}

// setOfPEM returns the keys in PEM as a JSON Web Key Set.
func setOfPEM(text []byte) ([]byte, error) {
	set := struct {
		Keys []map[string]string `json:"keys"`
	}{}
	for len(bytes.TrimSpace(text)) > 0 {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errors.New("neither a JSON Web Key Set nor PEM")
		}
		text = rest
		key, err := publicKeyOf(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", len(set.Keys)+1, err)
		}
		jwk, err := JWK(key)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", len(set.Keys)+1, err)
		}
		set.Keys = append(set.Keys, jwk)
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("no key")
	}
	return json.Marshal(set)
}

func publicKeyOf(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	}
	return nil, fmt.Errorf("it is a %q, want a public key or a certificate", block.Type)
}

// JWK returns a public key as the members of a JSON Web Key (RFC 7518 section 6, RFC 8037 section 2).
func JWK(key any) (map[string]string, error) {
	encode := base64.RawURLEncoding.EncodeToString
	switch k := key.(type) {
	case *rsa.PublicKey:
		return map[string]string{"kty": "RSA", "n": encode(k.N.Bytes()), "e": encode(big.NewInt(int64(k.E)).Bytes())}, nil
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 4, then the two coordinates
		if err != nil {
			return nil, err
		}
		half := len(point) / 2
		return map[string]string{
			"kty": "EC", "crv": k.Params().Name, "x": encode(point[1 : 1+half]), "y": encode(point[1+half:]),
		}, nil
	case ed25519.PublicKey:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": encode(k)}, nil
	}
	return nil, fmt.Errorf("the key is a %T, want RSA, EC or Ed25519", key)
}
