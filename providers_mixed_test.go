package gatehouse_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/golang-jwt/jwt/v5"
)

// mixed is a guard with four providers, each with other rules. Two of them publish a key
// with the same ID, and all of them have a user with the same ID.
//
//	first   RFC 9068: at+jwt, RS256, aud is the resource; opaque tokens begin with "first_"
//	second  JWT, PS256, aud is "api-second", token_use is required, cid and scp; opaque
//	        tokens begin with "second_"
//	secret  HS256 with a shared secret
//	opaque  opaque tokens only, which begin with "opaque_"
type mixed struct {
	first, second *issuer
	guard         *gatehouse.Guard
	handler       http.Handler
}

// secretIssuer and opaqueIssuer are issuers without keys, so no one serves them.
const (
	secretIssuer  = "https://secret.example.com"
	opaqueIssuer  = "https://opaque.example.com"
	secondAPI     = "api-second"
	firstAPI      = "api-first"
	sharedSecret  = "a shared secret of more than 32 bytes"
	anotherSecret = "another secret of more than 32 bytes."
	sharedKeyID   = "shared"
)

func newMixed(t *testing.T, requirements ...gatehouse.Requirement) *mixed {
	t.Helper()
	m := &mixed{first: newIssuer(t), second: newIssuer(t)}
	m.first.Publish(testissuer.NewKey("first"), testissuer.Key{ID: sharedKeyID, Private: testissuer.RSAKey("first, shared")})
	m.second.Publish(testissuer.NewKey("second"), testissuer.Key{ID: sharedKeyID, Private: testissuer.RSAKey("second, shared")})
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: resource, Providers: m.providers(t), Requirements: requirements, Logger: quiet(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	m.guard = guard
	m.handler = guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := gatehouse.IdentityOfHTTP(r)
		fmt.Fprintf(w, "%s %s %s %s", id.Provider, id.Issuer, id.Subject, id.ClientID)
	}))
	return m
}

// keysURL serves the keys of the second provider without alg, so that they fit PS256 too.
func (m *mixed) keysURL(t *testing.T) string {
	t.Helper()
	var keys []map[string]any
	for _, key := range m.second.Keys() {
		jwk := key.JWK()
		delete(jwk, "alg")
		keys = append(keys, jwk)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (m *mixed) providers(t *testing.T) []gatehouse.Provider {
	t.Helper()
	first := m.first.provider()
	first.Name = "first"
	first.Tokens.Algorithms = []string{"RS256"}
	first.Tokens.Audiences = []string{firstAPI}
	first.Claims.Roles = []gatehouse.ClaimPath{{"roles"}}
	first.Introspect = introspecting(map[string]map[string]any{
		"first_1":               {"iss": m.first.URL(), "aud": resource, "client_id": "client_1"},
		"first_other_issuer":    {"iss": m.second.URL(), "aud": secondAPI, "cid": "client_1", "token_use": "access"},
		"first_other_api":       {"iss": m.first.URL(), "aud": secondAPI, "client_id": "client_1"},
		"first_without_issuer":  {"aud": resource, "client_id": "client_1"},
		"first_opaque_issuer":   {"iss": opaqueIssuer, "aud": resource, "client_id": "client_1"},
		"second_known_to_first": {"iss": m.first.URL(), "aud": resource, "client_id": "client_1"},
	})
	first.OpaquePrefixes = []string{"first_"}

	second := gatehouse.Provider{Name: "second", Issuer: m.second.URL(), JWKSURL: m.keysURL(t)}
	second.Tokens = gatehouse.TokenRules{
		Algorithms:     []string{"PS256"},
		Types:          []string{"JWT"},
		Audiences:      []string{secondAPI},
		RequiredValues: map[string][]string{"token_use": {"access"}},
		RejectedClaims: map[string]map[string]string{"nonce": {"": "ID token"}},
		MachineClaims:  map[string][]string{"gty": {"client-credentials"}},
	}
	second.Claims = gatehouse.ClaimNames{
		Client: []string{"cid"},
		Scopes: []string{"scp"},
		Roles:  []gatehouse.ClaimPath{{"realm_access", "roles"}},
	}
	second.Introspect = introspecting(map[string]map[string]any{
		"second_1":              {"iss": m.second.URL(), "aud": secondAPI, "cid": "client_1", "token_use": "access"},
		"first_known_to_second": {"iss": m.second.URL(), "aud": secondAPI, "cid": "client_1", "token_use": "access"},
	})
	second.OpaquePrefixes = []string{"second_"}

	secret := gatehouse.Provider{Name: "secret", Issuer: secretIssuer, SharedSecret: sharedSecret}
	secret.Tokens.Types = []string{"JWT"}
	secret.Tokens.RequiredClaims = []string{"client_id"}

	opaque := gatehouse.Provider{Name: "opaque", Issuer: opaqueIssuer, OpaqueOnly: true, OpaquePrefixes: []string{"opaque_"}}
	opaque.Introspect = introspecting(map[string]map[string]any{
		"opaque_1": {"iss": opaqueIssuer, "aud": resource, "client_id": "client_1"},
	})
	return []gatehouse.Provider{first, second, secret, opaque}
}

// introspecting returns a function that knows the tokens of answers. Each is one of user_1,
// and is active for an hour.
func introspecting(answers map[string]map[string]any) func(context.Context, string) (json.RawMessage, error) {
	return func(_ context.Context, token string) (json.RawMessage, error) {
		answer, ok := answers[token]
		if !ok {
			return json.RawMessage(`{"active":false}`), nil
		}
		claims := map[string]any{"active": true, "sub": "user_1", "exp": time.Now().Add(time.Hour).Unix()}
		for name, value := range answer {
			claims[name] = value
		}
		return json.Marshal(claims)
	}
}

// secondShape are the claims and the type of a token of the second provider.
var secondShape = []testissuer.Change{
	testissuer.Header("typ", "JWT"),
	testissuer.Claim("sub", "user_1"),
	testissuer.Claim("client_id", nil),
	testissuer.Claim("cid", "client_1"),
	testissuer.Claim("scope", nil),
	testissuer.Claim("scp", []string{"profile"}),
	testissuer.Claim("token_use", "access"),
}

// ofFirst and ofSecond return a valid token with changes. signer is the name of the key.
func (m *mixed) ofFirst(signer string, changes ...testissuer.Change) string {
	changes = append([]testissuer.Change{testissuer.Claim("sub", "user_1")}, changes...)
	return m.first.Sign(jwt.SigningMethodRS256, testissuer.RSAKey(signer), resource, changes...)
}

func (m *mixed) ofSecond(signer string, changes ...testissuer.Change) string {
	changes = slices.Concat(secondShape, changes)
	return m.second.Sign(jwt.SigningMethodPS256, testissuer.RSAKey(signer), secondAPI, changes...)
}

// ofSecret returns a valid token of the issuer with the shared secret, with changes.
func (m *mixed) ofSecret(method jwt.SigningMethod, key any, changes ...testissuer.Change) string {
	changes = append([]testissuer.Change{
		testissuer.Header("typ", "JWT"),
		testissuer.Header("kid", nil),
		testissuer.Claim("iss", secretIssuer),
		testissuer.Claim("sub", "user_1"),
	}, changes...)
	return m.first.Sign(method, key, resource, changes...)
}

// publicKeyPEM returns the public key of a name, which anyone can read.
func publicKeyPEM(t *testing.T, name string) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&testissuer.RSAKey(name).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// reasonOf returns the reason why the guard rejects a request, or the caller if it accepts it.
func (m *mixed) reasonOf(t *testing.T, rq request) (reason gatehouse.Reason, caller string) {
	t.Helper()
	resp := send(m.handler, rq)
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		return "", string(text)
	}
	var rejection struct{ Reason gatehouse.Reason }
	var ofOperation struct {
		Error struct {
			Data struct{ Reason gatehouse.Reason }
		}
	}
	if err := json.Unmarshal(text, &rejection); err != nil {
		t.Fatalf("got status %d and %q, want JSON", resp.StatusCode, text)
	}
	if rejection.Reason == "" && json.Unmarshal(text, &ofOperation) == nil {
		rejection.Reason = ofOperation.Error.Data.Reason
	}
	if rejection.Reason == "" {
		t.Fatalf("got status %d and %q, want a reason", resp.StatusCode, text)
	}
	return rejection.Reason, ""
}

// TestMixedTokensAreAccepted is the control of TestMixedTokensAreRejected: each provider's own
// tokens are accepted, although some have the same user, client and token ID.
func TestMixedTokensAreAccepted(t *testing.T) {
	m := newMixed(t)
	shared := testissuer.Header("kid", sharedKeyID)
	strangeToSecond := []testissuer.Change{
		testissuer.Claim("nonce", "n"),
		testissuer.Claim("gty", "client-credentials"),
		testissuer.Claim("cid", "user_1"),
		testissuer.Claim("token_use", "id"),
	}
	for _, test := range []struct{ name, token, want string }{
		{"first", m.ofFirst("first"), "first " + m.first.URL() + " user_1 client_1"},
		{"first, shared key ID", m.ofFirst("first, shared", shared), "first " + m.first.URL() + " user_1 client_1"},
		{"first, own API", m.ofFirst("first", testissuer.Claim("aud", firstAPI)), "first " + m.first.URL() + " user_1 client_1"},
		{"first, claims that mean something to second", m.ofFirst("first", strangeToSecond...), "first " + m.first.URL() + " user_1 client_1"},
		{"second", m.ofSecond("second"), "second " + m.second.URL() + " user_1 client_1"},
		{"second, shared key ID", m.ofSecond("second, shared", shared), "second " + m.second.URL() + " user_1 client_1"},
		{"second, a client in the claim of first", m.ofSecond("second", testissuer.Claim("client_id", "user_1")),
			"second " + m.second.URL() + " user_1 client_1"},
		{"secret", m.ofSecret(jwt.SigningMethodHS256, []byte(sharedSecret)), "secret " + secretIssuer + " user_1 client_1"},
		{"opaque token of first", "first_1", "first " + m.first.URL() + " user_1 client_1"},
		{"opaque token of second", "second_1", "second " + m.second.URL() + " user_1 client_1"},
		{"opaque token of opaque", "opaque_1", "opaque " + opaqueIssuer + " user_1 client_1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if reason, caller := m.reasonOf(t, request{header: bearer(test.token)}); reason != "" || caller != test.want {
				t.Errorf("got reason %q and caller %q, want %q", reason, caller, test.want)
			}
		})
	}
}

// mixedToken is a token that mixes something of two providers.
type mixedToken struct {
	name, token string
	want        gatehouse.Reason
}

// TestMixedTokensAreRejected mixes up keys, issuers, rules and audiences of several providers.
func TestMixedTokensAreRejected(t *testing.T) {
	m := newMixed(t)
	var tests []mixedToken
	for _, group := range [][]mixedToken{m.mixedKeys(), m.mixedIssuers(), m.mixedRules(), m.mixedSecrets(t), m.mixedOpaque()} {
		tests = append(tests, group...)
	}
	for _, token := range []string{m.ofFirst("first"), m.ofSecond("second")} { // fetch the keys, and fill the cache
		if reason, _ := m.reasonOf(t, request{header: bearer(token)}); reason != "" {
			t.Fatalf("a valid token is rejected: %s", reason)
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // the second answer may come from a cache
				if reason, caller := m.reasonOf(t, request{header: bearer(test.token)}); reason != test.want {
					t.Errorf("got reason %q and caller %q, want reason %q", reason, caller, test.want)
				}
			}
		})
	}
	const wantTests = 30
	if len(tests) < wantTests {
		t.Errorf("%d tokens, want at least %d", len(tests), wantTests)
	}
}

// mixedKeys are tokens whose signature is made with a key of another provider.
func (m *mixed) mixedKeys() []mixedToken {
	kid := func(id any) testissuer.Change { return testissuer.Header("kid", id) }
	// A token with an unknown key is rejected for good only if it is older than the keys.
	old := testissuer.Claim("iat", time.Now().Add(-time.Hour).Unix())
	key := testissuer.NewKey("second").JWK()
	return []mixedToken{
		{"first signed by second", m.ofFirst("second"), "bad_signature"},
		{"second signed by first", m.ofSecond("first"), "bad_signature"},
		{"first signed by second, key ID of second", m.ofFirst("second", kid("second"), old), "unknown_key"},
		{"second signed by first, key ID of first", m.ofSecond("first", kid("first"), old), "unknown_key"},
		{"first signed by second, without a key ID", m.ofFirst("second", kid(nil)), "bad_signature"},
		{"second signed by first, without a key ID", m.ofSecond("first", kid(nil)), "bad_signature"},
		{"first signed by second's key of the same ID", m.ofFirst("second, shared", kid(sharedKeyID)), "bad_signature"},
		{"second signed by first's key of the same ID", m.ofSecond("first, shared", kid(sharedKeyID)), "bad_signature"},
		{"first with another own key's ID", m.ofFirst("first", kid(sharedKeyID)), "bad_signature"},
		{"first with second's key in the header", m.ofFirst("second", testissuer.Header("jwk", key)), "bad_signature"},
		{"first with second's key set in the header", m.ofFirst("second", kid("second"), old,
			testissuer.Header("jku", m.second.JWKSURL())), "unknown_key"},
		{"first with the signature of second", withSignatureOf(m.ofFirst("first"), m.ofSecond("second")), "bad_signature"},
		{"second with the claims of first", withClaimsOf(m.ofSecond("second"), m.ofFirst("first")), "wrong_algorithm"},
		{"first with the claims of second", withClaimsOf(m.ofFirst("first"), m.ofSecond("second")), "wrong_algorithm"},
	}
}

// mixedIssuers are tokens whose iss is that of another provider, or none.
func (m *mixed) mixedIssuers() []mixedToken {
	iss := func(value any) testissuer.Change { return testissuer.Claim("iss", value) }
	disguise := slices.Concat(secondShape, []testissuer.Change{iss(m.second.URL()), testissuer.Header("kid", sharedKeyID)})
	unknown := "https://unknown.example.com"
	return []mixedToken{
		{"token of first with iss of second", m.ofFirst("first", iss(m.second.URL())), "wrong_algorithm"},
		{"token of second with iss of first", m.ofSecond("second", iss(m.first.URL())), "wrong_algorithm"},
		{
			"token of first in the shape of second",
			m.first.Sign(jwt.SigningMethodPS256, testissuer.RSAKey("first, shared"), secondAPI, disguise...),
			"bad_signature",
		},
		{"token of first with iss of opaque", m.ofFirst("first", iss(opaqueIssuer)), "wrong_issuer"},
		{"token of first with iss of secret", m.ofFirst("first", iss(secretIssuer)), "wrong_algorithm"},
		{"iss with a slash at the end", m.ofFirst("first", iss(m.first.URL()+"/")), "wrong_issuer"},
		{"iss in upper case", m.ofFirst("first", iss(strings.ToUpper(m.first.URL()))), "wrong_issuer"},
		{"iss of both", m.ofFirst("first", iss(m.first.URL()+" "+m.second.URL())), "wrong_issuer"},
		{"array of both issuers", m.ofFirst("first", iss([]string{m.first.URL(), m.second.URL()})), "malformed"},
		{"without iss", m.ofFirst("first", iss(nil)), "missing_claim"},
		{"empty iss", m.ofFirst("first", iss("")), "missing_claim"},
		{"unknown iss", m.ofFirst("first", iss(unknown)), "wrong_issuer"},
		{"iss in the header only", m.ofFirst("first", iss(unknown), testissuer.Header("iss", m.first.URL())), "wrong_issuer"},
	}
}

// mixedRules are tokens that satisfy the rules of another provider.
func (m *mixed) mixedRules() []mixedToken {
	aud := func(value any) testissuer.Change { return testissuer.Claim("aud", value) }
	firstPS256 := m.first.Sign(jwt.SigningMethodPS256, testissuer.RSAKey("first"), resource)
	secondRS256 := m.second.Sign(jwt.SigningMethodRS256, testissuer.RSAKey("second"), secondAPI, secondShape...)
	return []mixedToken{
		{"first for the API of second", m.ofFirst("first", aud(secondAPI)), "wrong_audience"},
		{"second for the API of first", m.ofSecond("second", aud(firstAPI)), "wrong_audience"},
		{"first for second itself", m.ofFirst("first", aud(m.second.URL())), "wrong_audience"},
		{"first without aud", m.ofFirst("first", aud(nil)), "unbound"},
		{"first with the type of second", m.ofFirst("first", testissuer.Header("typ", "JWT")), "wrong_type"},
		{"second with the type of first", m.ofSecond("second", testissuer.Header("typ", "at+jwt")), "wrong_type"},
		{"first with the algorithm of second", firstPS256, "wrong_algorithm"},
		{"second with the algorithm of first", secondRS256, "wrong_algorithm"},
		{"second without what only second requires", m.ofSecond("second", testissuer.Claim("token_use", nil)), "missing_claim"},
		{"ID token of second", m.ofSecond("second", testissuer.Claim("token_use", "id")), "wrong_claim"},
		{"ID token of second, by its nonce", m.ofSecond("second", testissuer.Claim("nonce", "n")), "wrong_type"},
		{"machine at second", m.ofSecond("second", testissuer.Claim("gty", "client-credentials")), "machine_token"},
		{"machine at second, by the claim for the client", m.ofSecond("second", testissuer.Claim("cid", "user_1")), "machine_token"},
		{"machine at first, by the claim for the client", m.ofFirst("first", testissuer.Claim("client_id", "user_1")), "machine_token"},
	}
}

// mixedSecrets are tokens that mix a shared secret with public keys.
func (m *mixed) mixedSecrets(t *testing.T) []mixedToken {
	t.Helper()
	first := func(secret []byte) string {
		return m.first.Sign(jwt.SigningMethodHS256, secret, resource, testissuer.Claim("sub", "user_1"))
	}
	return []mixedToken{
		{"first signed with the secret of another provider", first([]byte(sharedSecret)), "wrong_algorithm"},
		{"first signed with its own public key as the secret", first(publicKeyPEM(t, "first")), "wrong_algorithm"},
		{"secret signed by first", m.ofSecret(jwt.SigningMethodRS256, testissuer.RSAKey("first")), "wrong_algorithm"},
		{"secret signed with the public key of first", m.ofSecret(jwt.SigningMethodHS256, publicKeyPEM(t, "first")), "bad_signature"},
		{"secret signed with another secret", m.ofSecret(jwt.SigningMethodHS256, []byte(anotherSecret)), "bad_signature"},
		{"secret signed with HS512", m.ofSecret(jwt.SigningMethodHS512, []byte(sharedSecret)), "wrong_algorithm"},
		{"secret without a signature", m.ofSecret(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType), "wrong_algorithm"},
	}
}

// mixedOpaque are opaque tokens that another provider than that of their prefix knows, and
// answers about them that are those of another provider.
func (m *mixed) mixedOpaque() []mixedToken {
	return []mixedToken{
		{"prefix of second, known to first only", "second_known_to_first", "inactive"},
		{"prefix of first, known to second only", "first_known_to_second", "inactive"},
		{"prefix of opaque, token of first", "opaque_first_1", "inactive"},
		{"no prefix", "1", "opaque"},
		{"prefix in another case", "FIRST_1", "opaque"},
		{"JWT of first behind the prefix of second", "second_" + m.ofFirst("first"), "inactive"},
		{"answer of first with iss and rules of second", "first_other_issuer", "wrong_issuer"},
		{"answer of first with iss of opaque", "first_opaque_issuer", "wrong_issuer"},
		{"answer of first for the API of second", "first_other_api", "wrong_audience"},
		{"answer of first without iss", "first_without_issuer", "missing_claim"},
	}
}

// withSignatureOf and withClaimsOf return token with a part of other.
func withSignatureOf(token, other string) string {
	return token[:strings.LastIndex(token, ".")] + other[strings.LastIndex(other, "."):]
}

func withClaimsOf(token, other string) string {
	parts := strings.Split(token, ".")
	return parts[0] + "." + strings.Split(other, ".")[1] + "." + parts[2]
}

// TestSameIDsAtTwoProviders checks that the user, the token ID and the client of one provider
// are not those of another one, although they have the same names.
func TestSameIDsAtTwoProviders(t *testing.T) {
	later := time.Now().Add(time.Hour)
	for name, denial := range map[string]gatehouse.Denial{
		"subject":  {Subject: "user_1"},
		"token ID": {TokenID: "oat_1"},
		"client":   {ClientID: "client_1"},
	} {
		t.Run("denial of a "+name, func(t *testing.T) {
			m := newMixed(t)
			denial.Issuer, denial.Until = m.first.URL(), later
			if err := m.guard.Deny(denial); err != nil {
				t.Fatal(err)
			}
			if reason, _ := m.reasonOf(t, request{header: bearer(m.ofFirst("first"))}); reason != "revoked" {
				t.Errorf("first: got reason %q, want revoked", reason)
			}
			if reason, _ := m.reasonOf(t, request{header: bearer(m.ofSecond("second"))}); reason != "" {
				t.Errorf("second: got reason %q, want none", reason)
			}
		})
	}
	t.Run("role in the claim of the other provider", func(t *testing.T) {
		m := newMixed(t, gatehouse.Requirement{Tool: "edit", Require: gatehouse.Require{Roles: []string{"editor"}}})
		const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"edit","arguments":{}}}`
		edit := func(token string) gatehouse.Reason {
			reason, _ := m.reasonOf(t, request{header: with(bearer(token), "Content-Type", "application/json"), body: call})
			return reason
		}
		flat := testissuer.Claim("roles", []string{"editor"})
		nested := testissuer.Claim("realm_access", map[string]any{"roles": []string{"editor"}})
		for _, test := range []mixedToken{
			{"first", m.ofFirst("first", flat), ""},
			{"first, claim of second", m.ofFirst("first", nested), "insufficient_permission"},
			{"second", m.ofSecond("second", nested), ""},
			{"second, claim of first", m.ofSecond("second", flat), "insufficient_permission"},
		} {
			if got := edit(test.token); got != test.want {
				t.Errorf("%s: got reason %q, want %q", test.name, got, test.want)
			}
		}
	})
	t.Run("session", func(t *testing.T) { checkSessionAtTwoProviders(t, newMixed(t)) })
}

// checkSessionAtTwoProviders opens a session as user_1 of the first provider, which user_1 of
// the second one cannot use.
func checkSessionAtTwoProviders(t *testing.T, m *mixed) {
	t.Helper()
	m.handler = m.guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Mcp-Session-Id", "session-1")
	}))
	header := with(bearer(m.ofFirst("first")), "Content-Type", "application/json")
	const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},` +
		`"clientInfo":{"name":"test","version":"1"}}}`
	id := send(m.handler, request{header: header, body: initialize}).Header.Get("Mcp-Session-Id")
	if id == "" {
		t.Fatal("no session was opened")
	}
	const list = `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`
	for _, test := range []mixedToken{
		{"first", m.ofFirst("first"), ""},
		{"second", m.ofSecond("second"), "session_of_another_user"},
	} {
		header := with(with(bearer(test.token), "Content-Type", "application/json"), "Mcp-Session-Id", id)
		if reason, _ := m.reasonOf(t, request{header: header, body: list}); reason != test.want {
			t.Errorf("%s: got reason %q, want %q", test.name, reason, test.want)
		}
	}
}
