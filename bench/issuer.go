package main

import (
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
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// resource is the public URL of every server here, and its path the endpoint.
	resource     = "https://mcp.example.com/mcp"
	resourceHost = "mcp.example.com"

	userID      = "user_2qPz8LmXcVbNjKwRtYsHdFgA4eQ"
	clientCount = 20 // clients that tokens are issued to, in turn
)

// algorithms are those that are measured, in the order of the table.
var algorithms = []string{"RS256", "ES256", "EdDSA"}

// issuer is as much of an OAuth server on loopback as verifiers need: metadata and a key
// set. Its tokens have the claims and the length of Clerk's.
type issuer struct {
	url  string
	keys map[string]crypto.Signer // by algorithm
}

func newIssuer() (*issuer, error) {
	i := &issuer{keys: make(map[string]crypto.Signer)}
	var err error
	if i.keys["RS256"], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if i.keys["ES256"], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if _, i.keys["EdDSA"], err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i.url = "http://" + l.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server", i.serveMetadata)
	mux.HandleFunc("/.well-known/openid-configuration", i.serveMetadata)
	mux.HandleFunc("/.well-known/jwks.json", i.serveKeys)
	go http.Serve(l, mux)
	return i, nil
}

func (i *issuer) jwksURL() string { return i.url + "/.well-known/jwks.json" }

func (i *issuer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{
		"issuer":                                i.url,
		"authorization_endpoint":                i.url + "/oauth/authorize",
		"token_endpoint":                        i.url + "/oauth/token",
		"jwks_uri":                              i.jwksURL(),
		"response_types_supported":              []string{"code"},
		"code_challenge_methods_supported":      []string{"S256"},
		"id_token_signing_alg_values_supported": algorithms,
	})
}

func (i *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	var keys []map[string]string
	for _, alg := range algorithms {
		key := publicJWK(i.keys[alg].Public())
		key["kid"], key["alg"], key["use"] = keyID(alg), alg, "sig"
		keys = append(keys, key)
	}
	writeJSON(w, map[string]any{"keys": keys})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// keyID is as long as Clerk's.
func keyID(alg string) string { return "ins_37gTt6cGHQSQTzK1SsVdVs" + alg }

// publicJWK returns key as a JWK (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).
func publicJWK(key crypto.PublicKey) map[string]string {
	text := base64.RawURLEncoding.EncodeToString
	switch k := key.(type) {
	case *rsa.PublicKey:
		return map[string]string{"kty": "RSA", "n": text(k.N.Bytes()), "e": text(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, _ := k.Bytes() // 4, x, y
		return map[string]string{"kty": "EC", "crv": "P-256", "x": text(point[1:33]), "y": text(point[33:])}
	default:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": text(key.(ed25519.PublicKey))}
	}
}

// draft is a token before it is signed.
type draft struct {
	alg    string
	header map[string]any
	claims jwt.MapClaims
}

// draft returns the nth valid token of one user. They differ in jti and have the same
// length.
func (i *issuer) draft(alg string, n int) draft {
	now := time.Now().Unix()
	return draft{
		alg:    alg,
		header: map[string]any{"alg": alg, "kid": keyID(alg), "typ": "at+jwt"},
		claims: jwt.MapClaims{
			"iss":       i.url,
			"sub":       userID,
			"aud":       []string{resource},
			"client_id": fmt.Sprintf("V1StGXR8Z5jdHi6Bmy%02d", n%clientCount),
			"jti":       tokenID(n),
			"scope":     "profile email offline_access",
			"iat":       now,
			"nbf":       now - 10,
			"exp":       now + 24*60*60,
		},
	}
}

func tokenID(n int) string { return fmt.Sprintf("oat_%010d7HsKqPz8LmXcVbNjKw", n) }

// sign signs d with the key of its algorithm, regardless of the header.
func (i *issuer) sign(d draft) (string, error) {
	token := jwt.NewWithClaims(jwt.GetSigningMethod(d.alg), d.claims)
	token.Header = d.header
	return token.SignedString(i.keys[d.alg])
}

// mint returns count valid tokens, starting with number from.
func (i *issuer) mint(alg string, from, count int) ([]string, error) {
	return i.signAll(count, func(n int) draft { return i.draft(alg, from+n) })
}

// mintUsers returns count valid tokens, each of another user.
func (i *issuer) mintUsers(alg string, from, count int) ([]string, error) {
	return i.signAll(count, func(n int) draft {
		d := i.draft(alg, from+n)
		d.claims["sub"] = fmt.Sprintf("%s%06d", userID[:len(userID)-6], from+n)
		return d
	})
}

// signAll returns the signed drafts 0 to count-1.
func (i *issuer) signAll(count int, draftOf func(n int) draft) ([]string, error) {
	tokens, faults := make([]string, count), make([]error, count)
	var work sync.WaitGroup
	const workers = 2
	for w := range workers {
		work.Go(func() {
			for n := w; n < count; n += workers {
				tokens[n], faults[n] = i.sign(draftOf(n))
			}
		})
	}
	work.Wait()
	for _, err := range faults {
		if err != nil {
			return nil, fmt.Errorf("minting a token: %w", err)
		}
	}
	return tokens, nil
}

// background is the context of everything that has no other.
var background = context.Background()
