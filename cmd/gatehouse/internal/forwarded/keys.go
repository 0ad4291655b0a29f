package forwarded

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// KeysPath is the path at which the gateway publishes the keys of its assertions: a JSON Web
// Key Set (RFC 7517 §5).
const KeysPath = "/.well-known/gatehouse-jwks.json"

const (
	// rotateAfter is how long a random key signs. The next one has been published as long
	// before, so that backends which cache the key set know it.
	rotateAfter = 24 * time.Hour
	// publishedAfter is how long a key is published after its last signature: longer than an
	// assertion lives, and clocks differ.
	publishedAfter = 10 * time.Minute
	// maxFileKeys bounds the keys in a file.
	maxFileKeys = 8
	// keysMaxAge is how long backends may cache the key set.
	keysMaxAge = "max-age=300"
)

// Keys are the keys that sign assertions (ES256). They are random for each process and replaced
// each day, or from a file that several replicas share. It is safe for concurrent use.
type Keys struct {
	mu       sync.Mutex
	signing  *key
	since    time.Time // when signing began to sign
	others   []*key    // published: those that sign next, or the others of a file
	retired  []*key    // published until the time until, and sign no more
	until    time.Time
	fromFile bool
}

// key is a private key with its identifier.
type key struct {
	private *ecdsa.PrivateKey
	id      string // the thumbprint (RFC 7638)
	jwk     jwk
}

// Format prints a placeholder for every verb, so that no log shows a private key.
func (*Keys) Format(s fmt.State, _ rune) { io.WriteString(s, "[assertion keys]") }

// jwk is the public part of a key (RFC 7517 §4, RFC 7518 §6.2).
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	ID        string `json:"kid"`
}

// RandomKeys returns keys of this process alone, which replaces them by itself.
func RandomKeys() (*Keys, error) {
	k := &Keys{since: time.Now()}
	var err error
	if k.signing, err = randomKey(); err != nil {
		return nil, err
	}
	next, err := randomKey()
	k.others = []*key{next}
	return k, err
}

func randomKey() (*key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return newKey(private)
}

func newKey(private *ecdsa.PrivateKey) (*key, error) {
	point, err := private.PublicKey.Bytes()
	if err != nil || len(point) != 65 {
		return nil, errors.New("the key is not on the curve P-256")
	}
	k := &key{private: private, jwk: jwk{
		Type: "EC", Curve: "P-256", Algorithm: "ES256", Use: "sig",
		X: base64.RawURLEncoding.EncodeToString(point[1:33]), Y: base64.RawURLEncoding.EncodeToString(point[33:]),
	}}
	// The members in the order of RFC 7638 §3.2.
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + k.jwk.X + `","y":"` + k.jwk.Y + `"}`))
	k.id = base64.RawURLEncoding.EncodeToString(sum[:])
	k.jwk.ID = k.id
	return k, nil
}

// ParseKeys returns the keys of a file: private keys on the curve P-256 as PEM. The first one
// signs, and all of them are published. To replace a key, add the new one after it in the files
// of all replicas, then make it the first, and later remove the old one.
func ParseKeys(text []byte) (*Keys, error) {
	k := &Keys{fromFile: true}
	var all []*key
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type == "EC PARAMETERS" { // openssl ecparam -genkey writes it first
			continue
		}
		private, err := parsePrivate(block)
		if err != nil {
			return nil, err
		}
		parsed, err := newKey(private)
		if err != nil {
			return nil, err
		}
		if all = append(all, parsed); len(all) > maxFileKeys {
			return nil, fmt.Errorf("there are more than %d keys", maxFileKeys)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there is no private key in PEM")
	}
	k.signing, k.others = all[0], all[1:]
	return k, nil
}

func parsePrivate(block *pem.Block) (*ecdsa.PrivateKey, error) {
	var parsed any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("got a PEM block %q, want a private key", block.Type)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || private.Curve != elliptic.P256() {
		return nil, errors.New("a key is not an EC private key on the curve P-256")
	}
	return private, nil
}

// Replace makes k use the keys of other, which must not be used afterwards. What k signed with
// before stays published for a while.
func (k *Keys) Replace(other *Keys) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retired = append(slices.Clone(k.retired), k.signing)
	k.retired = slices.DeleteFunc(append(k.retired, k.others...), func(old *key) bool {
		return old.id == other.signing.id || slices.ContainsFunc(other.others, func(o *key) bool { return o.id == old.id })
	})
	k.retired = k.retired[:min(len(k.retired), maxFileKeys)]
	k.signing, k.others, k.fromFile = other.signing, other.others, other.fromFile
	k.since = time.Now()
	k.until = k.since.Add(publishedAfter)
}

// current returns the key that signs at the time now. It replaces a random key that has signed
// for long enough.
func (k *Keys) current(now time.Time) (*key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signing, k.rotate(now)
}

// rotate replaces a random key that has signed for long enough. k.mu must be held.
func (k *Keys) rotate(now time.Time) error {
	if now.After(k.until) {
		k.retired = nil
	}
	if k.fromFile || now.Sub(k.since) < rotateAfter {
		return nil
	}
	following, err := randomKey()
	if err != nil {
		return err
	}
	k.retired, k.until = []*key{k.signing}, now.Add(publishedAfter)
	k.signing, k.others, k.since = k.others[0], []*key{following}, now
	return nil
}

// sign returns the claims as a signed JWT.
func (k *Keys) sign(c claims, now time.Time) (string, error) {
	signing, err := k.current(now)
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, c)
	token.Header["typ"] = AssertionType
	token.Header["kid"] = signing.id
	return token.SignedString(signing.private)
}

// document returns the key set at the time now.
func (k *Keys) document(now time.Time) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.rotate(now); err != nil {
		return nil, err
	}
	set := struct {
		Keys []jwk `json:"keys"`
	}{[]jwk{k.signing.jwk}}
	for _, other := range slices.Concat(k.others, k.retired) {
		set.Keys = append(set.Keys, other.jwk)
	}
	return json.Marshal(set)
}

// ServeHTTP serves the key set. It is public.
func (k *Keys) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	document, err := k.document(time.Now())
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", keysMaxAge)
	w.Write(document)
}
