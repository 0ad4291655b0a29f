package gatehouse_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/golang-jwt/jwt/v5"
)

// issuer is an authorization server for tests: metadata, keys, and any kind of token.
type issuer struct {
	url     string
	key     *rsa.PrivateKey
	down    atomic.Bool
	fetches atomic.Int64 // of keys
}

const keyID = "key-1"

var sharedKey = func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}()

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	is := &issuer{key: sharedKey}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/jwks.json", func(w http.ResponseWriter, r *http.Request) {
		is.fetches.Add(1)
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyID,
			"n": base64.RawURLEncoding.EncodeToString(is.key.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(is.key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, is.metadata())
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if is.down.Load() {
			http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	is.url = server.URL
	return is
}

// metadata returns a document with unusual spaces and order: the guard must pass it through
// unchanged.
func (is *issuer) metadata() string {
	return `{ "jwks_uri":"` + is.url + `/.well-known/jwks.json",  "issuer":"` + is.url + `" }`
}

// provider returns the provider for the tokens of is.
func (is *issuer) provider() gatehouse.Provider {
	p := gatehouse.OIDC(is.url, "profile", "email")
	p.JWKSURL = is.url + "/.well-known/jwks.json"
	return p
}

// change is one change of a valid token. A nil value removes the member.
type change struct {
	part  string // "header" or "claims"
	name  string
	value any
}

// token returns a valid access token for the resource, with changes.
func (is *issuer) token(resource string, changes ...change) string {
	now := time.Now()
	header := map[string]any{"typ": "at+jwt", "alg": "RS256", "kid": keyID}
	claims := jwt.MapClaims{
		"iss": is.url, "sub": "user_1", "aud": resource, "client_id": "client-1", "jti": "token-1",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scope": "profile email",
	}
	for _, c := range changes {
		part := map[string]map[string]any{"header": header, "claims": claims}[c.part]
		if c.value == nil {
			delete(part, c.name)
		} else {
			part[c.name] = c.value
		}
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header = maps.Clone(header)
	signed, err := token.SignedString(is.key)
	if err != nil {
		panic(err)
	}
	return signed
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

const resource = "http://localhost:3000/mcp"

// newGuard returns a guard for resource with the changes of configure.
func newGuard(t testing.TB, is *issuer, configure ...func(*gatehouse.Config)) *gatehouse.Guard {
	t.Helper()
	cfg := gatehouse.Config{Resource: resource, Provider: is.provider(), Logger: quiet()}
	for _, c := range configure {
		c(&cfg)
	}
	guard, err := gatehouse.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(guard.Close)
	return guard
}
