package testissuer

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Paths that an Issuer serves.
const (
	KeysPath     = "/.well-known/jwks.json"
	MetadataPath = "/.well-known/oauth-authorization-server"
)

// DownBody is the body of the answers of an Issuer that is down. It has details that a
// guard must not pass on.
const DownBody = "upstream detail: the database on 10.0.0.7 is unavailable\n"

// Issuer is a fake authorization server. Its documents and tokens are those of a Clerk
// instance. Make one with [New] or [Start]. It is safe for concurrent use.
type Issuer struct {
	url string

	mu             sync.Mutex
	keys           []Key
	metadataIssuer string
	down           bool
	requests       map[string]int // by path
}

// New returns an issuer with the identifier url, which publishes the key "key-1". The
// caller serves it.
func New(url string) *Issuer {
	return &Issuer{url: url, metadataIssuer: url, keys: []Key{NewKey("key-1")}, requests: make(map[string]int)}
}

// Start serves an issuer on a free loopback port until t ends.
func Start(t testing.TB) *Issuer {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	is := New("http://" + server.Listener.Addr().String())
	server.Config.Handler = is
	server.Start()
	t.Cleanup(server.Close)
	return is
}

// URL returns the issuer identifier.
func (is *Issuer) URL() string { return is.url }

// JWKSURL returns the address of the key set.
func (is *Issuer) JWKSURL() string { return is.url + KeysPath }

// Publish replaces the keys that is publishes. [Issuer.Token] signs with the first one.
func (is *Issuer) Publish(keys ...Key) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys = keys
}

// Keys returns the keys that is publishes.
func (is *Issuer) Keys() []Key {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.keys
}

// SetMetadataIssuer sets the issuer that the metadata names. The issuer's own identifier,
// which is the default, is the only correct value (RFC 8414 section 3.3).
func (is *Issuer) SetMetadataIssuer(issuer string) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.metadataIssuer = issuer
}

// SetDown makes is answer everything with 503 and [DownBody], or ends that.
func (is *Issuer) SetDown(down bool) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.down = down
}

// Requests returns the number of requests for a path, or for all of them if path is
// empty. Requests while is was down count.
func (is *Issuer) Requests(path string) int {
	is.mu.Lock()
	defer is.mu.Unlock()
	if path != "" {
		return is.requests[path]
	}
	all := 0
	for _, n := range is.requests {
		all += n
	}
	return all
}

// Metadata returns the authorization server metadata. White space, the order of members
// and an unknown member make it visible whether a proxy passes it on byte for byte.
func (is *Issuer) Metadata() string {
	is.mu.Lock()
	defer is.mu.Unlock()
	return `{ "token_endpoint":"` + is.url + `/oauth/token", "jwks_uri":"` + is.url + KeysPath + `",
		"authorization_endpoint":"` + is.url + `/oauth/authorize", "response_types_supported":["code"],
		"code_challenge_methods_supported":["S256"],  "issuer":"` + is.metadataIssuer + `", "x_unknown": [1,2 ] }`
}

// ServeHTTP serves the metadata and the key set.
func (is *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	is.mu.Lock()
	is.requests[r.URL.Path]++
	down := is.down
	is.mu.Unlock()
	if down {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, DownBody)
		return
	}
	switch r.URL.Path {
	case KeysPath:
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, JWKS(is.Keys()...))
	case MetadataPath:
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, is.Metadata())
	default:
		http.NotFound(w, r)
	}
}
