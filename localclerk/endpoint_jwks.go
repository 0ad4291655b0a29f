package localclerk

import (
	"encoding/base64"
	"math/big"
	"net/http"

	"github.com/golang-jwt/jwt/v5"
)

// jwk is a public key (RFC 7517), with its members in Clerk's order.
type jwk struct {
	Use string `json:"use"`
	Kty string `json:"kty"`
	Kid string `json:"kid"`
	Alg string `json:"alg"`
	N   string `json:"n"`
	E   string `json:"e"`
}

type jwks struct {
	Keys []jwk `json:"keys"`
}

func (k keyring) jwks() jwks {
	set := jwks{Keys: []jwk{}}
	for _, key := range k.publishedKeys {
		set.Keys = append(set.Keys, jwk{
			Use: "sig",
			Kty: "RSA",
			Kid: key.kid,
			Alg: jwt.SigningMethodRS256.Alg(),
			N:   base64.RawURLEncoding.EncodeToString(key.public.N.Bytes()),
			E:   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.public.E)).Bytes()),
		})
	}
	return set
}

func (s *Server) serveJWKS(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, s.currentKeys().jwks())
}
