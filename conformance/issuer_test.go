package conformance

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer is an authorization server that signs whatever a test asks for. It has
// the documents and token claims of a Clerk instance.
type issuer struct {
	url     string
	signer  atomic.Pointer[signer] // whose key is published
	foreign atomic.Pointer[string] // issuer of its metadata, if not its own
	down    atomic.Bool

	metadataFetches atomic.Int64
	calls           atomic.Int64 // of anything at all
}

// signer is one signing key.
type signer struct {
	kid string
	key *rsa.PrivateKey
}

func generate(kid string) func() *signer {
	return sync.OnceValue(func() *signer {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return &signer{kid, key}
	})
}

var (
	firstKey    = generate("ins_first")
	secondKey   = generate("ins_second")
	thirdKey    = generate("ins_third")
	stolenKeyID = generate("ins_first") // another key under the name of the first
)

// newIssuer returns an issuer at url, for a server that the caller runs.
func newIssuer(url string) *issuer {
	is := &issuer{url: url}
	is.signer.Store(firstKey())
	return is
}

// serveIssuer runs an issuer on a free port of this machine.
func serveIssuer(t *testing.T) *issuer {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	is := newIssuer("http://" + front.Listener.Addr().String())
	front.Config.Handler = is
	front.Start()
	t.Cleanup(front.Close)
	return is
}

func (is *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	is.calls.Add(1)
	if is.down.Load() {
		http.Error(w, "upstream detail: database on 10.0.0.7 is away", http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/.well-known/jwks.json":
		is.signer.Load().publish(w)
	case "/.well-known/oauth-authorization-server":
		is.metadataFetches.Add(1)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, is.metadata())
	default:
		http.NotFound(w, r)
	}
}

// metadata has white space and an order of its own, to be passed on byte for byte.
func (is *issuer) metadata() string {
	name := is.url
	if foreign := is.foreign.Load(); foreign != nil {
		name = *foreign
	}
	return `{ "token_endpoint":"` + is.url + `/oauth/token",
		"authorization_endpoint":"` + is.url + `/oauth/authorize", "response_types_supported":["code"],
		"code_challenge_methods_supported":["S256"],  "issuer":"` + name + `", "x_unknown": [1,2 ] }`
}

func (s *signer) publish(w io.Writer) {
	json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": s.kid,
		"n": base64.RawURLEncoding.EncodeToString(s.key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(s.key.E)).Bytes()),
	}}})
}

// change alters one thing of a good token.
type change func(header, claims map[string]any)

// claim sets a claim; nil removes it.
func claim(name string, value any) change {
	return func(_, claims map[string]any) { set(claims, name, value) }
}

// parameter sets a header parameter; nil removes it.
func parameter(name string, value any) change {
	return func(header, _ map[string]any) { set(header, name, value) }
}

func set(m map[string]any, name string, value any) {
	if value == nil {
		delete(m, name)
	} else {
		m[name] = value
	}
}

// unsigned is a good access token for the resource, with changes, before it is
// signed.
func (is *issuer) unsigned(method jwt.SigningMethod, resource string, changes ...change) *jwt.Token {
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": is.url, "sub": "user_ada", "aud": resource, "client_id": "client_1", "jti": "oat_1",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scope": "profile email",
	}
	token := jwt.NewWithClaims(method, claims)
	token.Header = map[string]any{"typ": "at+jwt", "alg": method.Alg(), "kid": is.signer.Load().kid}
	for _, c := range changes {
		c(token.Header, claims)
	}
	return token
}

// token is a good access token for the resource, with changes.
func (is *issuer) token(resource string, changes ...change) string {
	return sign(is.unsigned(jwt.SigningMethodRS256, resource, changes...), is.signer.Load().key)
}

func sign(token *jwt.Token, key any) string {
	signed, err := token.SignedString(key)
	if err != nil {
		panic(err)
	}
	return signed
}
