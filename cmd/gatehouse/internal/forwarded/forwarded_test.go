package forwarded

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

const resource = "https://mcp.example.com/mcp"

// callerOf returns the identity that a guard makes of a token with the changes.
func callerOf(t testing.TB, changes ...testissuer.Change) (id gatehouse.Identity) {
	t.Helper()
	is := testissuer.Start(t)
	provider := gatehouse.OIDC(is.URL())
	provider.AllowMachines = true
	provider.Claims.Roles = []gatehouse.ClaimPath{{"roles"}}
	provider.Claims.Organization = gatehouse.ClaimPath{"org_id"}
	guard, err := gatehouse.New(gatehouse.Config{Resource: resource, Provider: provider})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	handler := guard.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { id, _ = gatehouse.IdentityOfHTTP(r) }))
	r := httptest.NewRequest(http.MethodPost, resource, nil)
	r.Header.Set("Authorization", "Bearer "+is.Token(resource, changes...))
	w := httptest.NewRecorder()
	if handler.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return id
}

func newForwarder(t testing.TB, change ...func(*Config)) *Forwarder {
	t.Helper()
	keys, err := RandomKeys()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Headers: DefaultHeaders(), Resource: resource, Issuer: "https://mcp.example.com", Keys: keys}
	for _, c := range change {
		c(&cfg)
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func headersOf(t *testing.T, f *Forwarder, id gatehouse.Identity) http.Header {
	t.Helper()
	h := http.Header{}
	if err := f.Set(h, id); err != nil {
		t.Fatal(err)
	}
	return h
}

// published returns the keys of the key set that k serves, by kid.
func published(t *testing.T, k *Keys) map[string]*ecdsa.PublicKey {
	t.Helper()
	w := httptest.NewRecorder()
	k.ServeHTTP(w, httptest.NewRequest(http.MethodGet, KeysPath, nil))
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil || w.Code != http.StatusOK {
		t.Fatalf("status %d, %v", w.Code, err)
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, key := range set.Keys {
		if key["kty"] != "EC" || key["crv"] != "P-256" || key["alg"] != "ES256" || key["use"] != "sig" || key["d"] != "" {
			t.Errorf("a published key is %v, want a public key of ES256", key)
		}
		point := func(name string) *big.Int {
			raw, err := base64.RawURLEncoding.DecodeString(key[name])
			if err != nil || len(raw) != 32 {
				t.Errorf("%s of a published key has %d bytes, %v", name, len(raw), err)
			}
			return new(big.Int).SetBytes(raw)
		}
		keys[key["kid"]] = &ecdsa.PublicKey{Curve: elliptic.P256(), X: point("x"), Y: point("y")}
	}
	return keys
}

// verified returns the claims of an assertion that one of the published keys verifies.
func verified(t *testing.T, k *Keys, assertion string) jwt.MapClaims {
	t.Helper()
	keys := published(t, k)
	token, err := jwt.Parse(assertion, func(token *jwt.Token) (any, error) {
		key, ok := keys[token.Header["kid"].(string)]
		if !ok {
			return nil, fmt.Errorf("kid %v is not published", token.Header["kid"])
		}
		return key, nil
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience(resource), jwt.WithIssuer("https://mcp.example.com"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil {
		t.Fatalf("the assertion is not valid: %v", err)
	}
	if token.Header["typ"] != AssertionType {
		t.Errorf("typ is %v, want %s", token.Header["typ"], AssertionType)
	}
	return token.Claims.(jwt.MapClaims)
}

func TestAssertion(t *testing.T) {
	f := newForwarder(t)
	id := callerOf(t, testissuer.Claim("roles", []string{"admin"}), testissuer.Claim("org_id", "org_1"), testissuer.Claim("email", "ada@example.com"))
	assertion := headersOf(t, f, id).Get("X-Gatehouse-Assertion")
	claims := verified(t, f.Keys, assertion)
	for name, want := range map[string]any{
		"sub": "user_ada", "user_subject": "user_ada", "user_issuer": id.Issuer, "kind": "user", "client_id": "client_1",
		"scope": "profile email", "org_id": "org_1", "email": "ada@example.com", "roles": []any{"admin"},
	} {
		if fmt.Sprint(claims[name]) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	if lifetime := claims["exp"].(float64) - claims["iat"].(float64); lifetime != 60 {
		t.Errorf("the assertion is valid for %v seconds, want 60", lifetime)
	}
	if id, _ := claims["jti"].(string); len(id) < 20 {
		t.Errorf("jti is %q, want a random text", id)
	}
	other := newForwarder(t)
	if keys := published(t, other.Keys); keys[strings.Split(assertion, ".")[0]] != nil {
		t.Error("another process publishes the same key")
	}
}

// The assertion of a caller is used again for half of its life, and those of two callers differ.
func TestAssertionIsCached(t *testing.T) {
	ada, grace := callerOf(t), callerOf(t, testissuer.Claim("sub", "user_grace"))
	f := newForwarder(t)
	first := headersOf(t, f, ada).Get("X-Gatehouse-Assertion")
	if again := headersOf(t, f, ada).Get("X-Gatehouse-Assertion"); again != first {
		t.Error("the second request of a caller has another assertion")
	}
	if other := headersOf(t, f, grace).Get("X-Gatehouse-Assertion"); other == first || verified(t, f.Keys, other)["sub"] != "user_grace" {
		t.Error("another caller got the assertion of the first one")
	}
	ada.Fingerprint, grace.Fingerprint = "", ""
	if a, b := headersOf(t, f, ada), headersOf(t, f, grace); a.Get("X-Forwarded-User") == b.Get("X-Forwarded-User") ||
		a.Get("X-Gatehouse-Assertion") == b.Get("X-Gatehouse-Assertion") {
		t.Error("a caller without a fingerprint got the headers of another one")
	}
}

// Another token of the same user has the same assertion if it says the same, and not otherwise.
func TestAssertionOfAnotherToken(t *testing.T) {
	id := callerOf(t, testissuer.Claim("roles", []string{"reader"}), testissuer.Claim("org_id", "org_1"), testissuer.Claim("email", "ada@example.com"))
	synctest.Test(t, func(t *testing.T) {
		id.Expiry = time.Now().Add(time.Hour)
		f := newForwarder(t)
		assertion := func(change func(*gatehouse.Identity)) string {
			other := id
			change(&other)
			return headersOf(t, f, other).Get("X-Gatehouse-Assertion")
		}
		first := assertion(func(*gatehouse.Identity) {})
		newToken := func(id *gatehouse.Identity) { id.Fingerprint = "of another token" }
		if assertion(newToken) != first {
			t.Error("another token that says the same has another assertion")
		}
		for name, change := range map[string]func(*gatehouse.Identity){
			"issuer":       func(id *gatehouse.Identity) { id.Issuer += "/other" },
			"subject":      func(id *gatehouse.Identity) { id.Subject += "2" },
			"kind":         func(id *gatehouse.Identity) { id.Kind = gatehouse.KindMachine },
			"client":       func(id *gatehouse.Identity) { id.ClientID += "2" },
			"scopes":       func(id *gatehouse.Identity) { id.Scopes = []string{"profile"} },
			"roles":        func(id *gatehouse.Identity) { id.Roles = []string{"admin"} },
			"permissions":  func(id *gatehouse.Identity) { id.Permissions = []string{"write"} },
			"organization": func(id *gatehouse.Identity) { id.Organization.ID = "org_2" },
			"expiry":       func(id *gatehouse.Identity) { id.Expiry = time.Now().Add(lifetime - time.Second) },
		} {
			if assertion(func(id *gatehouse.Identity) { id.Fingerprint = name; change(id) }) == first {
				t.Errorf("%s: a token that says something else has the same assertion", name)
			}
		}
		time.Sleep(reuse)
		if again := assertion(newToken); again == first || assertion(func(*gatehouse.Identity) {}) != again {
			t.Error("after half of its life, the assertion is not replaced for both tokens")
		}
	})
}

// Callers that differ in one field have different hashes: the cache finds headers by them.
func TestCallersDiffer(t *testing.T) {
	other := map[reflect.Type]any{
		reflect.TypeFor[string](): "other", reflect.TypeFor[[]string](): []string{"other"}, reflect.TypeFor[bool](): true,
		reflect.TypeFor[time.Time](): time.Unix(1, 0),
	}
	var first, same caller
	if first.hash() != same.hash() {
		t.Fatal("equal callers have different hashes")
	}
	differ := func(name string, field func(*caller) reflect.Value) {
		var c caller
		v := field(&c)
		value, ok := other[v.Type()]
		if !ok {
			t.Fatalf("%s has the type %s; add a value of it to this test", name, v.Type())
		}
		v.Set(reflect.ValueOf(value))
		if c.hash() == first.hash() {
			t.Errorf("callers with another %s have the same hash", name)
		}
	}
	// These are of one assertion, not of the caller.
	ofAssertion := []string{"Expiry", "IssuedAt", "ID"}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[caller]()) {
		if f.Anonymous || slices.Contains(ofAssertion, f.Name) {
			continue
		}
		differ(f.Name, func(c *caller) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(f.Index) })
	}
}

// The headers of a token are not used for one that has other roles, even if the assertion has room
// for none of the roles that differ.
func TestGroupsOfAnotherToken(t *testing.T) {
	f := newForwarder(t)
	id := callerOf(t)
	var roles []string
	for size := 0; size < maxList-30; size += 8 { // 5 bytes each: the header counts 6, the assertion 8
		roles = append(roles, fmt.Sprintf("r%04d", size))
	}
	groups := func(last string) string {
		id.Fingerprint, id.Roles = last, append(slices.Clone(roles), strings.Repeat("x", 40), last)
		return headersOf(t, f, id).Get("X-Forwarded-Groups")
	}
	one, two := groups("one"), groups("two")
	if !strings.HasSuffix(one, ",one") || !strings.HasSuffix(two, ",two") {
		t.Errorf("the headers of two tokens end in %q and %q, want the role of each", one[len(one)-8:], two[len(two)-8:])
	}
}

// The assertion does not outlive the token by much.
func TestAssertionOfATokenThatExpires(t *testing.T) {
	f := newForwarder(t)
	id := callerOf(t, testissuer.Claim("exp", time.Now().Add(20*time.Second).Unix()))
	claims := verified(t, f.Keys, headersOf(t, f, id).Get("X-Gatehouse-Assertion"))
	if int64(claims["exp"].(float64)) != id.Expiry.Unix() {
		t.Errorf("exp is %v, want that of the token, %d", claims["exp"], id.Expiry.Unix())
	}
}

func TestAuthorizationHeader(t *testing.T) {
	f := newForwarder(t, func(cfg *Config) { cfg.Headers.Assertion = "Authorization" })
	scheme, assertion, _ := strings.Cut(headersOf(t, f, callerOf(t)).Get("Authorization"), " ")
	if scheme != "Bearer" {
		t.Errorf("the scheme is %q, want Bearer", scheme)
	}
	verified(t, f.Keys, assertion)
}

// A random key is published for a day before it signs, and for a while after its last signature.
func TestRotation(t *testing.T) {
	id := callerOf(t)
	synctest.Test(t, func(t *testing.T) {
		f := newForwarder(t)
		id.Expiry = time.Now().Add(1000 * time.Hour)
		id.Fingerprint = ""
		sign := func() string { return headersOf(t, f, id).Get("X-Gatehouse-Assertion") }
		kid := func(assertion string) string {
			token, _, err := jwt.NewParser().ParseUnverified(assertion, jwt.MapClaims{})
			if err != nil {
				t.Fatal(err)
			}
			return token.Header["kid"].(string)
		}
		first := sign()
		before := published(t, f.Keys)
		time.Sleep(rotateAfter - 30*time.Second)
		last := sign()
		if kid(last) != kid(first) {
			t.Error("the key was replaced too early")
		}
		time.Sleep(31 * time.Second)
		second := sign()
		if kid(second) == kid(first) || before[kid(second)] == nil {
			t.Errorf("the key is %s after a day, want another one that was published before: %v", kid(second), before)
		}
		verified(t, f.Keys, last) // signed half a minute ago with the old key
		verified(t, f.Keys, second)
		time.Sleep(publishedAfter + time.Second)
		sign()
		if published(t, f.Keys)[kid(first)] != nil {
			t.Error("the old key is still published")
		}
	})
}

// pemOf returns a new key as PEM.
func pemOf(t *testing.T, curve elliptic.Curve) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}))
}

func TestParseKeys(t *testing.T) {
	one, two := pemOf(t, elliptic.P256()), pemOf(t, elliptic.P256())
	for name, test := range map[string]struct {
		text  string
		valid bool
	}{
		"one key":         {one, true},
		"two keys":        {one + two, true},
		"with parameters": {"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + one, true},
		"nothing":         {"", false},
		"not PEM":         {"secret", false},
		"another curve":   {pemOf(t, elliptic.P384()), false},
		"a certificate":   {"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n", false},
		"too many":        {strings.Repeat(one, maxFileKeys+1), false},
	} {
		if _, err := ParseKeys([]byte(test.text)); (err == nil) != test.valid {
			t.Errorf("%s: %v, want valid: %v", name, err, test.valid)
		}
	}
	// Two replicas with the same file accept each other's assertions; the first key signs.
	a, _ := ParseKeys([]byte(one + two))
	b, _ := ParseKeys([]byte(two + one))
	id := callerOf(t)
	for _, signer := range []*Keys{a, b} {
		f := newForwarder(t, func(cfg *Config) { cfg.Keys = signer })
		assertion := headersOf(t, f, id).Get("X-Gatehouse-Assertion")
		verified(t, a, assertion)
		verified(t, b, assertion)
	}
	if a.signing.id == b.signing.id {
		t.Error("both sign with the same key, want each with the first of its file")
	}
}

// Keys that were replaced stay published for a while, and those of a file as long as they are
// in it.
func TestReplaceKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, err := RandomKeys()
		if err != nil {
			t.Fatal(err)
		}
		random := k.signing.id
		file, err := ParseKeys([]byte(pemOf(t, elliptic.P256()) + pemOf(t, elliptic.P256())))
		if err != nil {
			t.Fatal(err)
		}
		k.Replace(file)
		if keys := published(t, k); keys[random] == nil || len(keys) != 4 {
			t.Errorf("%d keys are published, want those of the file and the former ones", len(keys))
		}
		time.Sleep(publishedAfter + time.Second)
		if keys := published(t, k); keys[random] != nil || len(keys) != 2 {
			t.Errorf("%d keys are published after a while, want the 2 of the file", len(keys))
		}
		time.Sleep(2 * rotateAfter)
		if keys := published(t, k); keys[file.signing.id] == nil || len(keys) != 2 {
			t.Errorf("the keys of a file were replaced: %v", keys)
		}
	})
}

func TestKeysAreNotPrinted(t *testing.T) {
	k, err := RandomKeys()
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, k); got != "[assertion keys]" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

func TestEncode(t *testing.T) {
	for text, want := range map[string]string{
		"user_ada": "user_ada", "auth0|x@y": "auth0|x@y", "Zoë": "Zo%C3%AB", "50%": "50%25", "a b": "a%20b",
		"a\r\nX-Admin: 1": "a%0D%0AX-Admin:%201", "\x00\x7f": "%00%7F", "日": "%E6%97%A5", "": "",
	} {
		if got := encode(text); got != want {
			t.Errorf("encode(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestGroupsAreBounded(t *testing.T) {
	f := newForwarder(t)
	id := callerOf(t)
	for n, complete := range map[int]bool{2: true, 150: true, 300: false} {
		id.Fingerprint = ""
		id.Roles = nil
		for i := range n {
			id.Roles = append(id.Roles, fmt.Sprintf("group%03d", i))
		}
		h := headersOf(t, f, id)
		groups := strings.Split(h.Get("X-Forwarded-Groups"), ",")
		for i, group := range groups {
			if group != id.Roles[i] {
				t.Fatalf("%d groups: group %d is %q, want %q", n, i, group, id.Roles[i])
			}
		}
		if truncated := h.Get("X-Forwarded-Groups-Truncated"); (truncated == "") != complete || (len(groups) == n) != complete {
			t.Errorf("%d groups: got %d and truncated %q, want all: %v", n, len(groups), truncated, complete)
		}
		if len(h.Get("X-Forwarded-Groups")) > maxList {
			t.Errorf("%d groups: the header has %d bytes", n, len(h.Get("X-Forwarded-Groups")))
		}
		claims := verified(t, f.Keys, h.Get("X-Gatehouse-Assertion"))
		if truncated := claims["truncated"] == true; truncated == complete {
			t.Errorf("%d groups: truncated is %v in the assertion", n, truncated)
		}
	}
}

// An address that the provider has not verified may be that of someone else.
func TestEmailMustBeVerified(t *testing.T) {
	for _, test := range []struct {
		name     string
		verified any
		want     string
	}{{"no claim", nil, "ada@example.com"}, {"true", true, "ada@example.com"}, {"text", "true", "ada@example.com"}, {"false", false, ""}, {"other", "no", ""}} {
		id := callerOf(t, testissuer.Claim("email", "ada@example.com"), testissuer.Claim("email_verified", test.verified))
		f := newForwarder(t)
		h := headersOf(t, f, id)
		claims := verified(t, f.Keys, h.Get("X-Gatehouse-Assertion"))
		claim, _ := claims["email"].(string)
		if got := h.Get("X-Forwarded-Email"); got != test.want || claim != test.want {
			t.Errorf("%s: X-Forwarded-Email is %q and the claim %q, want %q", test.name, got, claim, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Headers)
		fault  string
	}{
		"default":             {func(*Headers) {}, ""},
		"none":                {func(h *Headers) { *h = Headers{} }, ""},
		"assertion as Bearer": {func(h *Headers) { h.Assertion = "Authorization" }, ""},
		"user as Bearer":      {func(h *Headers) { h.User = "authorization" }, "has another meaning"},
		"a space":             {func(h *Headers) { h.User = "X User" }, "is not the name"},
		"a line break":        {func(h *Headers) { h.User = "X\r\nY" }, "is not the name"},
		"an underscore":       {func(h *Headers) { h.User = "X_User" }, "has an underscore"},
		"cookie":              {func(h *Headers) { h.Email = "cookie" }, "has another meaning"},
		"twice":               {func(h *Headers) { h.Email = "x-forwarded-USER" }, "is already the header of user"},
	} {
		h := DefaultHeaders()
		test.change(&h)
		faults := h.Faults()
		switch {
		case test.fault == "" && len(faults) > 0:
			t.Errorf("%s: got %+v, want no fault", name, faults)
		case test.fault != "" && (len(faults) != 1 || !strings.Contains(faults[0].Problem, test.fault)):
			t.Errorf("%s: got %+v, want one fault that says %q", name, faults, test.fault)
		}
	}
}
