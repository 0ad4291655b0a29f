package testissuer

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"sync"
)

const keyBits = 2048

var keyring struct {
	mu   sync.Mutex
	keys map[string]*rsa.PrivateKey
}

// RSAKey returns the RSA key of a name, of 2048 bits. It generates the key on the first
// call and returns the same one from then on, because generating a key takes longer than
// most tests. It is safe for concurrent use.
func RSAKey(name string) *rsa.PrivateKey {
	keyring.mu.Lock()
	defer keyring.mu.Unlock()
	if key, ok := keyring.keys[name]; ok {
		return key
	}
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		panic("testissuer: generating a key: " + err.Error())
	}
	if keyring.keys == nil {
		keyring.keys = make(map[string]*rsa.PrivateKey)
	}
	keyring.keys[name] = key
	return key
}

// Key is a signing key and the ID under which an issuer publishes it.
type Key struct {
	ID      string // kid
	Private *rsa.PrivateKey
}

// NewKey returns the key of a name, with the name as its ID.
func NewKey(name string) Key { return Key{name, RSAKey(name)} }

// JWK returns the public half of k as the members of a JSON Web Key (RFC 7517).
func (k Key) JWK() map[string]any {
	return map[string]any{
		"kty": "RSA",
		"use": "sig",
		"alg": "RS256",
		"kid": k.ID,
		"n":   base64.RawURLEncoding.EncodeToString(k.Private.N.Bytes()),
		"e":   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.Private.E)).Bytes()),
	}
}

// JWKS returns the public halves of keys as a JSON Web Key Set.
func JWKS(keys ...Key) string {
	set := struct {
		Keys []map[string]any `json:"keys"`
	}{[]map[string]any{}}
	for _, key := range keys {
		set.Keys = append(set.Keys, key.JWK())
	}
	text, err := json.Marshal(set)
	if err != nil {
		panic("testissuer: encoding a key set: " + err.Error())
	}
	return string(text)
}
