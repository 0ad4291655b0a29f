package conformance

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

const clientsTask = "This step is between the client and the authorization server; S7 and S8 perform it with the client of go-sdk."

var flowRows = []row{
	{
		id:          "S1",
		requirement: "The first request has no token: 401 with the challenge, without a session, readable by web pages, for every method",
		revisions:   all,
		test:        testFirstRequest,
	},
	{
		id:          "S2",
		requirement: "The client fetches the metadata from the URL as given, with any version header or query, by GET, HEAD and OPTIONS",
		revisions:   since2506,
		test:        testMetadataIsRead,
	},
	{
		id:          "S3",
		requirement: "Without the challenge: the client finds the metadata at the well-known URL of the endpoint's path, then at that of the root",
		revisions:   since2511,
		test:        testMetadataIsEverywhere,
		except:      "both documents name the endpoint; see A6",
	},
	{
		id:          "S4",
		requirement: "A client of 2025-03-26 signs in with what it finds at the server's origin, and sends no resource parameter",
		revisions:   "2025-03-26",
		test:        testFirstRevisionClient,
	},
	{
		id:            "S5",
		requirement:   "The client fetches the authorization server's metadata",
		revisions:     all,
		notApplicable: clientsTask,
	},
	{
		id:            "S6",
		requirement:   "The client registers",
		revisions:     all,
		notApplicable: clientsTask,
	},
	{
		id:          "S7",
		requirement: "The client requests exactly the scopes and the resource that the server named, with PKCE S256",
		revisions:   since2506,
		test:        testAuthorizationRequest,
	},
	{
		id:          "S8",
		requirement: "The token names the server as its audience",
		revisions:   since2506,
		test:        testTokenNamesServer,
	},
	{
		id:          "S9",
		requirement: "With the token, the first request succeeds and sessions and streams open; each further request still needs the token",
		revisions:   all,
		test:        testSignedIn,
	},
	{
		id:          "S10",
		requirement: "A call that needs more scopes leads to one step-up and then succeeds",
		revisions:   since2511,
		test:        testStepUp,
	},
	{
		id:          "S11",
		requirement: "A token that was accepted expires: 401 invalid_token",
		revisions:   all,
		test:        testExpiry,
	},
	{
		id:          "S12",
		requirement: "Hostile tokens: each yields 401 invalid_token, no session and no data",
		revisions:   all,
		test:        testHostileTokens,
	},
	{
		id:          "S13",
		requirement: "Malformed credentials yield 400 and other schemes 401 without an error; the scheme is accepted in any case",
		revisions:   all,
		test:        testCredentials,
	},
	{
		id:          "S14",
		requirement: "A stolen session ID is useless, on POST, GET and DELETE",
		revisions:   "until 2025-11-25",
		test:        testSessionTheft,
	},
	{
		id:          "S15",
		requirement: "A web page: a preflight needs no token, the challenge is readable, a foreign Origin or Host is rejected with and without a token",
		revisions:   all,
		test:        testBrowser,
	},
	{
		id:          "S16",
		requirement: "In a batch, each message is authorized",
		revisions:   "2025-03-26",
		test:        testBatch,
	},
	{
		id:          "S17",
		requirement: "Unavailable keys: 503, and recovery without a restart; a new key works at once and a removed key no longer",
		revisions:   all,
		test:        testKeys,
	},
	{
		id:          "S18",
		requirement: "Other servers never receive the client's token",
		revisions:   since2506,
		test:        testNoPassthrough,
	},
}

// What TypeScript clients search for anywhere in a challenge.
var (
	anyMetadata = regexp.MustCompile(`resource_metadata=(?:"([^"]+)"|([^\s,]+))`)
	anyScope    = regexp.MustCompile(`scope=(?:"([^"]+)"|([^\s,]+))`)
	anyError    = regexp.MustCompile(`error=(?:"([^"]+)"|([^\s,]+))`)
)

func testFirstRequest(t *testing.T) {
	s := start(t)
	first := []request{discover(), initialize(), initialize().withTarget("/mcp/"), initialize().withTarget("/mcp?x=1")}
	for _, method := range methods {
		first = append(first, endpointRequest(method))
	}
	for _, q := range first {
		a := s.wantRejected(t, q.with("Origin", s.base), noCredentials)
		want := map[string]string{"resource_metadata": metadataURL(s.host), "scope": "profile email"}
		if diff := cmp.Diff(want, parameters(t, a)); diff != "" {
			t.Errorf("%s %s: parameters (-want +got):\n%s", q.method, q.target, diff)
		}
		header := a.header.Get("WWW-Authenticate")
		for pattern, want := range map[*regexp.Regexp]string{
			anyMetadata: metadataURL(s.host),
			anyScope:    "profile email",
			anyError:    "",
		} {
			got := ""
			if match := pattern.FindStringSubmatch(header); match != nil {
				got = match[1] + match[2]
			}
			if got != want {
				t.Errorf("%s %s: %s finds %q, want %q", q.method, q.target, pattern, got, want)
			}
		}
		if got := a.header.Get("Access-Control-Allow-Origin"); got != s.base {
			t.Errorf("%s %s: Access-Control-Allow-Origin %q", q.method, q.target, got)
		}
	}
	if a := s.send(t, initialize().withTarget("/mcp/below")); a.status != http.StatusNotFound {
		t.Errorf("below the endpoint: status %d, want 404", a.status)
	}
}

func testMetadataIsRead(t *testing.T) {
	s := start(t)
	target := strings.TrimPrefix(parameters(t, s.send(t, discover()))["resource_metadata"], s.base)
	for _, version := range []string{"2024-11-05", "2025-03-26", "2025-06-18", stateful, stateless} {
		s.wantDocument(t, get(target).with("MCP-Protocol-Version", version), s.URL())
	}
	s.wantDocument(t, get(target), s.URL())
	s.wantDocument(t, get(target+"?x=1"), s.URL())
	s.wantDocument(t, get(target).with("Authorization", "Bearer a b"), s.URL())
	s.wantDocument(t, get(target).with("Origin", "https://any.example.com"), s.URL())
	if a := s.send(t, request{method: http.MethodHead, target: target}); a.status != http.StatusOK {
		t.Errorf("HEAD: status %d, want 200", a.status)
	}
	if a := s.send(t, request{method: http.MethodOptions, target: target}); a.status != http.StatusNoContent {
		t.Errorf("OPTIONS: status %d, want 204", a.status)
	}
}

// startWithClerk runs a server with a local Clerk that has the given settings.
func startWithClerk(t *testing.T, settings localclerk.Settings, requireAudience bool, configure ...func(*serve.Config)) *server {
	t.Helper()
	local := gatehousetest.Clerk(t)
	if err := local.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	provider := clerk.New(clerk.Config{FrontendAPIURL: local.Issuer(), RequireAudience: requireAudience})
	// requirements has a permission, and scopes that are not default scopes of the instance.
	// These tests use neither.
	provider.NoPermissions, provider.ScopesFixedAtRegistration = false, false
	return startWith(t, provider, configure...)
}

func testAuthorizationRequest(t *testing.T) {
	s := startWithClerk(t, localclerk.DefaultSettings(), false)
	_, port, _ := strings.Cut(s.host, ":")
	for _, version := range []string{stateless, stateful} {
		for _, endpoint := range []string{s.URL(), "http://127.0.0.1:" + port + "/mcp"} {
			u := newUser(t)
			mustCall(t, u.connect(t, endpoint, version), openTool)
			requests := u.authorizationRequests()
			if len(requests) != 1 {
				t.Fatalf("%s: %d sign-ins, want one", version, len(requests))
			}
			if got := sorted(requests[0].Get("scope")); got != "email profile" {
				t.Errorf("%s: scope is %q, want profile and email", version, got)
			}
			for name, want := range map[string]string{"resource": endpoint, "code_challenge_method": "S256", "response_type": "code"} {
				if got := requests[0][name]; len(got) != 1 || got[0] != want {
					t.Errorf("%s: %s is %q, want %q", version, name, got, want)
				}
			}
		}
	}
}

func testTokenNamesServer(t *testing.T) {
	settings := localclerk.DefaultSettings()
	settings.AudClaimEnabled = true
	bound := startWithClerk(t, settings, true)
	mustCall(t, newUser(t).connect(t, bound.URL(), stateless), openTool)
	if got := bound.Guard().Stats(); got.Unbound != 0 || got.Accepted == 0 {
		t.Errorf("%d of %d requests were unbound, want none", got.Unbound, got.Accepted)
	}
	unbound := startWithClerk(t, localclerk.DefaultSettings(), false)
	mustCall(t, newUser(t).connect(t, unbound.URL(), stateless), openTool)
	if got := unbound.Guard().Stats(); got.Unbound == 0 || got.Unbound != got.Accepted {
		t.Errorf("%d of %d requests were unbound, want all", got.Unbound, got.Accepted)
	}
}

// testFirstRevisionClient plays a client of the first revision that has authorization, request
// by request, because current clients do not support that revision alone.
func testFirstRevisionClient(t *testing.T) {
	s := startWithClerk(t, localclerk.DefaultSettings(), false)
	if a := s.send(t, initialize()); a.status != http.StatusUnauthorized {
		t.Fatalf("without a token: status %d, want 401", a.status)
	}
	var metadata struct {
		Issuer                string
		RegistrationEndpoint  string `json:"registration_endpoint"`
		AuthorizationEndpoint string `json:"authorization_endpoint"`
		TokenEndpoint         string `json:"token_endpoint"`
	}
	if err := json.Unmarshal([]byte(s.wantAccepted(t, get(oauthPath)).body), &metadata); err != nil {
		t.Fatal(err)
	}
	body := `{"client_name":"old","redirect_uris":["` + redirectURI + `"],"token_endpoint_auth_method":"none"}`
	registration := request{method: http.MethodPost, body: body}.with("Content-Type", "application/json")
	registered := send(t, metadata.RegistrationEndpoint, registration).object(t)
	clientID, _ := registered["client_id"].(string)

	const verifier = "a-verifier-of-forty-three-characters-or-more-0"
	sum := sha256.Sum256([]byte(verifier))
	params := url.Values{
		"response_type":         {"code"},
		"client_id":             {clientID},
		"redirect_uri":          {redirectURI},
		"state":                 {"state-of-the-client"},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(sum[:])},
		"code_challenge_method": {"S256"},
	}
	got, err := authorize(t.Context(), "ada", metadata.AuthorizationEndpoint+"?"+params.Encode())
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {got.Get("code")},
		"redirect_uri":  {redirectURI},
		"client_id":     {clientID},
		"code_verifier": {verifier},
	}
	exchange := request{method: http.MethodPost, body: form.Encode()}.with("Content-Type", "application/x-www-form-urlencoded")
	token, _ := send(t, metadata.TokenEndpoint, exchange).object(t)["access_token"].(string)
	session := s.open(t, token)
	if got := s.wantCall(t, callToolIn(session, openTool).bearer(token)); !strings.HasPrefix(got.Subject, "user_") {
		t.Errorf("the tool saw %q, want a user", got.Subject)
	}
}

func testSignedIn(t *testing.T) {
	s := start(t)
	token := s.token()
	s.wantRejected(t, discover(), noCredentials)
	s.wantAccepted(t, discover().bearer(token))
	s.wantRejected(t, initialize(), noCredentials)
	session := s.open(t, token)
	stream := endpointRequest(http.MethodGet).with("MCP-Protocol-Version", stateful).with("Mcp-Session-Id", session)
	stream.stream = true
	a := s.send(t, stream.bearer(token))
	if got := a.header.Get("Content-Type"); a.status != http.StatusOK || got != "text/event-stream" {
		t.Errorf("stream: status %d, Content-Type %q; want an event stream", a.status, got)
	}
	stream.stream = false
	s.wantRejected(t, stream, noCredentials)
	s.wantRejected(t, callToolIn(session, openTool), noCredentials)
	s.wantCall(t, callToolIn(session, openTool).bearer(token))
}

func testStepUp(t *testing.T) {
	settings := localclerk.DefaultSettings()
	settings.CustomScopes = []string{"notes:write"}
	settings.DefaultScopes = []string{"profile", "email", "notes:write"}
	s := startWithClerk(t, settings, false)
	for _, version := range []string{stateless, stateful} {
		u := newUser(t)
		session := u.connect(t, s.URL(), version)
		mustCall(t, session, openTool)
		mustCall(t, session, notesTool)
		mustCall(t, session, notesTool)
		mustCall(t, session, openTool)
		var scopes []string
		for _, q := range u.authorizationRequests() {
			scopes = append(scopes, sorted(q.Get("scope")))
		}
		if diff := cmp.Diff([]string{"email profile", "email notes:write profile"}, scopes); diff != "" {
			t.Errorf("%s: requested scopes (-want +got):\n%s", version, diff)
		}
	}
}

func testExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startInProcess(t)
		token := p.token()
		p.wantStatus(t, token, http.StatusOK)
		time.Sleep(time.Hour + gatehouse.DefaultLeeway - time.Second)
		p.wantStatus(t, token, http.StatusOK)
		time.Sleep(2 * time.Second)
		a := p.wantStatus(t, token, http.StatusUnauthorized)
		want := `Bearer resource_metadata="` + metadataURL(inProcessHost) + `", scope="profile email", ` +
			`error="invalid_token", error_description="the token has expired"`
		if got := a.header.Get("WWW-Authenticate"); got != want {
			t.Errorf("challenge\n got %s\nwant %s", got, want)
		}
		p.wantStatus(t, p.token(), http.StatusOK)
	})
}

// publicKeyPEM returns the public key of k in PEM, as an attacker would use it as the
// secret of an HMAC (RFC 8725 section 2.1).
func publicKeyPEM(k testissuer.Key) []byte {
	der, err := x509.MarshalPKIXPublicKey(&k.Private.PublicKey)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// hostileToken is a token that must be rejected, and for which reason.
type hostileToken struct {
	name       string
	token      string
	wantReason gatehouse.Reason
}

// wrongClaims returns tokens that differ from a valid one in one claim or header parameter.
func wrongClaims(s *server) []hostileToken {
	future := time.Now().Add(time.Hour).Unix()
	past := time.Now().Add(-time.Minute).Unix()
	return []hostileToken{
		{"aud of another server", s.token(claim("aud", "https://other.example.com/mcp")), "wrong_audience"},
		{"aud that begins like ours", s.token(claim("aud", s.URL()+"2")), "wrong_audience"},
		{"aud with a slash", s.token(claim("aud", s.URL()+"/")), "wrong_audience"},
		{"aud array without us", s.token(claim("aud", []string{"a", "b"})), "wrong_audience"},
		{"no aud", s.token(claim("aud", nil)), "unbound"},
		{"iss of another issuer", s.token(claim("iss", "https://evil.example.com")), "wrong_issuer"},
		{"iss with a slash", s.token(claim("iss", s.issuer.URL()+"/")), "wrong_issuer"},
		{"no iss", s.token(claim("iss", nil)), "missing_claim"},
		{"expired", s.token(claim("exp", past)), "expired"},
		{"no exp", s.token(claim("exp", nil)), "missing_claim"},
		{"nbf in the future", s.token(claim("nbf", future)), "not_yet_valid"},
		{"iat in the future", s.token(claim("iat", future)), "not_yet_valid"},
		{"no sub", s.token(claim("sub", nil)), "missing_claim"},
		{"no client_id", s.token(claim("client_id", nil)), "missing_claim"},
		{"sub of a machine", s.token(claim("sub", "mch_1")), "wrong_subject"},
		{"cnf", s.token(claim("cnf", map[string]any{"jkt": "x"})), "sender_constrained"},
		{"ID token", s.token(headerParameter("typ", "JWT")), "wrong_type"},
		{"ID-JAG", s.token(headerParameter("typ", "oauth-id-jag+jwt")), "wrong_type"},
		{"logout token", s.token(headerParameter("typ", "logout+jwt")), "wrong_type"},
		{"no typ", s.token(headerParameter("typ", nil)), "wrong_type"},
		{"session token of Clerk", s.token(headerParameter("cat", "cl_B7d4PD111AAA")), "wrong_type"},
		{"crit", s.token(headerParameter("crit", []string{"exp"})), "critical_header"},
		{"no kid", s.token(headerParameter("kid", nil)), "missing_key_id"},
	}
}

// wrongSignatures returns tokens with the claims of a valid one whose signature, algorithm
// or encoding is wrong.
func wrongSignatures(s *server) []hostileToken {
	valid, is := s.token(), s.issuer
	key := is.Keys()[0]
	secret, stolen := publicKeyPEM(key), testissuer.RSAKey("stolen")
	truncated := func(n int) string { return valid[:len(valid)-n] }
	lastDot := strings.LastIndex(valid, ".")
	jwk := headerParameter("jwk", map[string]any{"kty": "RSA"})
	return []hostileToken{
		{"alg none", is.Sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, s.URL()), "wrong_algorithm"},
		{"HS256 with the public key", is.Sign(jwt.SigningMethodHS256, secret, s.URL()), "wrong_algorithm"},
		{"RS512", is.Sign(jwt.SigningMethodRS512, key.Private, s.URL()), "wrong_algorithm"},
		{"PS256", is.Sign(jwt.SigningMethodPS256, key.Private, s.URL()), "wrong_algorithm"},
		{"another key under our kid", is.Sign(jwt.SigningMethodRS256, stolen, s.URL()), "bad_signature"},
		{"jwk of the attacker", is.Sign(jwt.SigningMethodRS256, stolen, s.URL(), jwk), "bad_signature"},
		{"truncated by one byte", truncated(1), "malformed"},
		{"truncated by half the signature", truncated(170), "bad_signature"},
		{"without signature", valid[:lastDot+1], "bad_signature"},
		{"two parts", valid[:lastDot], "opaque"},
		{"four parts", valid + ".x", "opaque"},
		{"five parts", valid + ".x.y", "encrypted"},
		{"padding", valid + "==", "malformed"},
		{"opaque", "oat_8XOIeoaNnGh5A4xx", "opaque"},
	}
}

func testHostileTokens(t *testing.T) {
	s := start(t)
	for _, test := range append(wrongClaims(s), wrongSignatures(s)...) {
		t.Run(test.name, func(t *testing.T) {
			a := s.wantRejected(t, initialize().bearer(test.token), invalidToken(test.wantReason))
			if strings.Contains(a.body, "serverInfo") {
				t.Errorf("body %s has data", a.body)
			}
		})
	}
	// An unknown kid may belong to a key that was just published, so the answer is 401
	// only after the issuer has been asked; see S17.
	unknown := s.issuer.Sign(jwt.SigningMethodRS256, secondKey().Private, s.URL(), headerParameter("kid", "ins_unknown"))
	a := s.send(t, initialize().bearer(unknown))
	if a.status != http.StatusServiceUnavailable && a.status != http.StatusUnauthorized {
		t.Errorf("unknown kid: status %d, want 401, or 503 while it is too soon to ask the issuer", a.status)
	}
	s.wantAccepted(t, initialize().bearer(s.token()))
	s.wantAccepted(t, initialize().bearer(s.token(headerParameter("typ", "application/at+JWT"))))
}

func testCredentials(t *testing.T) {
	testMalformed(t)
	testNoErrorWithoutCredentials(t)
	testTokenInQuery(t)
	testScheme(t)
}

func testSessionTheft(t *testing.T) {
	s := start(t)
	ada, bob := s.token(), s.token(claim("sub", "user_bob"))
	session := s.open(t, ada)
	inSession := func(method string) request {
		return endpointRequest(method).with("MCP-Protocol-Version", stateful).with("Mcp-Session-Id", session)
	}
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		s.wantRejected(t, inSession(method).bearer(bob), sessionOfAnotherUser)
		s.wantRejected(t, inSession(method).bearer(s.token(claim("iss", "https://other.example.com"))), invalidToken("wrong_issuer"))
		s.wantRejected(t, inSession(method), noCredentials)
	}
	s.wantRejected(t, callToolIn(session, openTool).bearer(bob), sessionOfAnotherUser)
	// None of these requests ended the session: the user who opened it continues, also
	// with a newer token.
	if got := s.wantCall(t, callToolIn(session, openTool).bearer(s.token(claim("jti", "oat_2")))); got.Subject != "user_ada" {
		t.Errorf("the tool saw %q, want user_ada", got.Subject)
	}
	if got := s.wantCall(t, callToolIn(s.open(t, bob), openTool).bearer(bob)); got.Subject != "user_bob" {
		t.Errorf("the tool saw %q, want user_bob", got.Subject)
	}
}

func testBrowser(t *testing.T) {
	s := start(t)
	testPreflight(t, s)
	a := s.wantRejected(t, discover().with("Origin", "http://localhost:6274"), noCredentials)
	if got := a.header.Get("Access-Control-Expose-Headers"); !strings.HasPrefix(got, "WWW-Authenticate,") {
		t.Errorf("Access-Control-Expose-Headers %q: a page cannot read the challenge", got)
	}
	if got := a.header.Get("Access-Control-Allow-Origin"); got != "http://localhost:6274" {
		t.Errorf("Access-Control-Allow-Origin %q", got)
	}
	for _, q := range []request{discover(), discover().bearer(s.token())} {
		s.wantRejected(t, q.with("Origin", "https://evil.example.com"), forbiddenOrigin)
		s.wantRejected(t, q.withHost("evil.example.com"), forbiddenHost)
	}
	s.wantRejected(t, preflight("https://evil.example.com"), forbiddenOrigin)
}

func testBatch(t *testing.T) {
	s := start(t)
	token := s.token()
	batch := func(names ...string) string {
		var calls []string
		for i, name := range names {
			calls = append(calls, strings.Replace(toolCall(name), `"id":1`, `"id":`+string(rune('1'+i)), 1))
		}
		return " [" + strings.Join(calls, ",") + "]"
	}
	session := s.open(t, token)
	for _, version := range []string{"", "2025-03-26"} {
		in := func(names ...string) request {
			q := post(batch(names...)).with("Mcp-Session-Id", session).bearer(token)
			if version != "" {
				q = q.with("MCP-Protocol-Version", version)
			}
			return q
		}
		s.wantRejected(t, in(openTool, notesTool), insufficientScope("profile email notes:write"))
		s.wantRejected(t, in(notesTool, openTool), insufficientScope("profile email notes:write"))
		s.wantRejected(t, in(openTool, billingTool), insufficientPermission)
		s.wantRejected(t, in(notesTool, billingTool), insufficientPermission)
		before := s.calls(openTool)
		s.wantAccepted(t, in(openTool, openTool))
		if got := s.calls(openTool) - before; got != 2 {
			t.Errorf("version %q: a batch of two calls made %d", version, got)
		}
	}
	if n := s.calls(notesTool) + s.calls(billingTool); n != 0 {
		t.Errorf("tools ran %d times", n)
	}
}

// The keys that an issuer rotates to.
func secondKey() testissuer.Key { return testissuer.NewKey("second") }
func thirdKey() testissuer.Key  { return testissuer.NewKey("third") }

func testKeys(t *testing.T) {
	testRecovery(t)
	synctest.Test(t, func(t *testing.T) {
		p := startInProcess(t)
		first := p.token()
		p.wantStatus(t, first, http.StatusOK)

		time.Sleep(time.Minute)
		p.issuer.Publish(secondKey())
		p.wantStatus(t, p.token(), http.StatusOK)
		p.wantStatus(t, first, http.StatusUnauthorized)

		// The guard has just fetched the keys. An unknown kid may be published any
		// moment, so the client must come back later.
		p.issuer.Publish(thirdKey())
		third := p.token(claim("jti", "oat_3"))
		a := p.wantStatus(t, third, http.StatusServiceUnavailable)
		time.Sleep(retryAfter(t, a))
		p.wantStatus(t, third, http.StatusOK)

		time.Sleep(time.Minute)
		unknown := p.issuer.Sign(jwt.SigningMethodRS256, secondKey().Private, inProcessURL, headerParameter("kid", "ins_unknown"))
		p.wantStatus(t, unknown, http.StatusUnauthorized)

		p.issuer.SetDown(true)
		time.Sleep(time.Hour)
		p.wantStatus(t, p.token(claim("jti", "oat_4")), http.StatusOK)
	})
}
