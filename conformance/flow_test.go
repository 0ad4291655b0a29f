package conformance

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const clientsStep = "The client's step, at the authorization server; S7 and S8 walk through it with the client of go-sdk."

var flowRows = []row{
	{id: "S1", level: "", requirement: "First request without a token: 401 with the challenge, no session, readable by pages, for every verb", revisions: all, test: testFirstRequest},
	{id: "S2", level: "", requirement: "The client reads the metadata: the URL as typed, with any version header or query, by GET, HEAD and OPTIONS", revisions: since2506, test: testMetadataIsRead},
	{id: "S3", level: "", requirement: "Without the header: the metadata at the path of the endpoint, then at the root", revisions: since2511, test: testMetadataIsEverywhere,
		except: "both name the endpoint; see A6"},
	{id: "S4", level: "", requirement: "A client of 2025-03-26 signs in by what it finds at the origin of the server, and sends no resource", revisions: "2025-03-26", test: testOldestClient},
	{id: "S5", level: "", requirement: "The client reads the authorization server's metadata", revisions: all, notApplicable: clientsStep},
	{id: "S6", level: "", requirement: "The client registers", revisions: all, notApplicable: clientsStep},
	{id: "S7", level: "", requirement: "The client asks for exactly the scopes and the resource that the server named, with S256", revisions: since2506, test: testAuthorizationRequest},
	{id: "S8", level: "", requirement: "The token names the server as its audience", revisions: since2506, test: testTokenNamesServer},
	{id: "S9", level: "", requirement: "With the token the first request succeeds, sessions and streams open, and each request still needs it", revisions: all, test: testSignedIn},
	{id: "S10", level: "", requirement: "A call that needs more: one step-up, then it succeeds", revisions: since2511, test: testStepUp},
	{id: "S11", level: "", requirement: "A token that worked until now expires: 401 invalid_token", revisions: all, test: testExpiry},
	{id: "S12", level: "", requirement: "Hostile tokens: each gets 401 invalid_token, no session and no data", revisions: all, test: testHostileTokens},
	{id: "S13", level: "", requirement: "Malformed credentials: 400; other schemes: 401 without error; the scheme in any case", revisions: all, test: testCredentials},
	{id: "S14", level: "", requirement: "A stolen session id opens nothing, on POST, GET or DELETE", revisions: "until 2025-11-25", test: testSessionTheft},
	{id: "S15", level: "", requirement: "A page: preflight without token, challenge readable, foreign Origin and Host refused with and without token", revisions: all, test: testBrowser},
	{id: "S16", level: "", requirement: "In a batch each element counts", revisions: "2025-03-26", test: testBatch},
	{id: "S17", level: "", requirement: "Keys out of reach: 503, and back without a restart; a new key works at once, a removed one no longer", revisions: all, test: testKeys},
	{id: "S18", level: "", requirement: "Upstreams never see the client's token", revisions: since2506, test: testNoPassthrough},
}

// What TypeScript clients look for in a challenge, wherever it stands.
var (
	anyMetadata = regexp.MustCompile(`resource_metadata=(?:"([^"]+)"|([^\s,]+))`)
	anyScope    = regexp.MustCompile(`scope=(?:"([^"]+)"|([^\s,]+))`)
	anyError    = regexp.MustCompile(`error=(?:"([^"]+)"|([^\s,]+))`)
)

func testFirstRequest(t *testing.T) {
	s := start(t)
	first := []request{discover(), initialize(), initialize().to("/mcp/"), initialize().to("/mcp?x=1")}
	for _, verb := range verbs {
		first = append(first, bare(verb))
	}
	for _, q := range first {
		a := s.refused(t, q.with("Origin", s.base), signIn)
		want := map[string]string{"resource_metadata": metadata(s.host), "scope": "profile email"}
		if diff := cmp.Diff(want, parameters(t, a)); diff != "" {
			t.Errorf("%s %s: parameters (-want +got):\n%s", q.method, q.target, diff)
		}
		header := a.header.Get("WWW-Authenticate")
		for pattern, want := range map[*regexp.Regexp]string{anyMetadata: metadata(s.host), anyScope: "profile email", anyError: ""} {
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
	if a := s.send(t, initialize().to("/mcp/below")); a.status != http.StatusNotFound {
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

// startWithClerk runs a server with a local Clerk.
func startWithClerk(t *testing.T, settings localclerk.Settings, requireAudience bool, configure ...func(*serve.Config)) *server {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	local, err := localclerk.New(localclerk.Config{
		Issuer:     "http://" + front.Listener.Addr().String(),
		Settings:   &settings,
		SigningKey: firstKey().key,
	})
	if err != nil {
		t.Fatal(err)
	}
	front.Config.Handler = local
	front.Start()
	t.Cleanup(front.Close)
	provider := clerk.New(clerk.Config{FrontendAPIURL: local.Issuer(), RequireAudience: requireAudience})
	return startWith(t, provider, configure...)
}

const redirectURI = "http://127.0.0.1:9/callback"

// signedIn asks the authorization endpoint as the browser of a signed-in user
// would, and returns the authorization response.
func signedIn(ctx context.Context, user, authorizationURL string) (url.Values, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, authorizationURL, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set(localclerk.SignInHeader, user)
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		return nil, err
	}
	return to.Query(), nil
}

// user is a person with the MCP client of go-sdk.
type user struct {
	handler auth.OAuthHandler

	mu    sync.Mutex
	asked []url.Values // authorization requests
}

func newUser(t *testing.T) *user {
	t.Helper()
	u := &user{}
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		RedirectURL: redirectURI,
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{ClientName: "client", RedirectURIs: []string{redirectURI}, TokenEndpointAuthMethod: "none"},
		},
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			to, err := url.Parse(args.URL)
			if err != nil {
				return nil, err
			}
			u.mu.Lock()
			u.asked = append(u.asked, to.Query())
			u.mu.Unlock()
			got, err := signedIn(ctx, "ada", args.URL)
			return &auth.AuthorizationResult{Code: got.Get("code"), State: got.Get("state"), Iss: got.Get("iss")}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	u.handler = handler
	return u
}

func (u *user) connect(t *testing.T, url, version string) *mcp.ClientSession {
	t.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	transport := &mcp.StreamableClientTransport{Endpoint: url, OAuthHandler: u.handler}
	session, err := c.Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatalf("connecting to %s: %v", url, err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

func (u *user) requests() []url.Values {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.asked
}

// sorted is a scope in an order of its own: the client of go-sdk keeps none.
func sorted(scope string) string {
	words := strings.Fields(scope)
	slices.Sort(words)
	return strings.Join(words, " ")
}

func mustCall(t *testing.T, session *mcp.ClientSession, tool string) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
	if err != nil || result.IsError {
		t.Errorf("calling %s: %+v, %v", tool, result, err)
	}
}

func testAuthorizationRequest(t *testing.T) {
	s := startWithClerk(t, localclerk.DefaultSettings(), false)
	_, port, _ := strings.Cut(s.host, ":")
	for _, version := range []string{stateless, stateful} {
		for _, typed := range []string{s.URL(), "http://127.0.0.1:" + port + "/mcp"} {
			u := newUser(t)
			mustCall(t, u.connect(t, typed, version), openTool)
			asked := u.requests()
			if len(asked) != 1 {
				t.Fatalf("%s: %d sign-ins, want one", version, len(asked))
			}
			if got := sorted(asked[0].Get("scope")); got != "email profile" {
				t.Errorf("%s: scope is %q, want profile and email", version, got)
			}
			for name, want := range map[string]string{"resource": typed, "code_challenge_method": "S256", "response_type": "code"} {
				if got := asked[0][name]; len(got) != 1 || got[0] != want {
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

// testOldestClient is a client of the first revision with authorization, by hand:
// nobody makes one any more.
func testOldestClient(t *testing.T) {
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
	if err := json.Unmarshal([]byte(s.accepted(t, get(oauthPath)).body), &metadata); err != nil {
		t.Fatal(err)
	}
	registration := request{method: http.MethodPost, body: `{"client_name":"old","redirect_uris":["` + redirectURI + `"],"token_endpoint_auth_method":"none"}`}
	registered := send(t, metadata.RegistrationEndpoint, registration.with("Content-Type", "application/json")).object(t)
	clientID, _ := registered["client_id"].(string)

	const verifier = "a-verifier-of-forty-three-characters-or-more-0"
	sum := sha256.Sum256([]byte(verifier))
	params := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "state": {"state-of-the-client"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	got, err := signedIn(t.Context(), "ada", metadata.AuthorizationEndpoint+"?"+params.Encode())
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {got.Get("code")}, "redirect_uri": {redirectURI},
		"client_id": {clientID}, "code_verifier": {verifier},
	}
	exchange := request{method: http.MethodPost, body: form.Encode()}.with("Content-Type", "application/x-www-form-urlencoded")
	token, _ := send(t, metadata.TokenEndpoint, exchange).object(t)["access_token"].(string)
	session := s.open(t, token)
	if got := s.called(t, callToolIn(session, openTool).bearer(token)); !strings.HasPrefix(got.Subject, "user_") {
		t.Errorf("the tool saw %q, want a user", got.Subject)
	}
}

func testSignedIn(t *testing.T) {
	s := start(t)
	token := s.token()
	s.refused(t, discover(), signIn)
	s.accepted(t, discover().bearer(token))
	s.refused(t, initialize(), signIn)
	session := s.open(t, token)
	stream := bare(http.MethodGet).with("MCP-Protocol-Version", stateful).with("Mcp-Session-Id", session)
	stream.stream = true
	a := s.send(t, stream.bearer(token))
	if got := a.header.Get("Content-Type"); a.status != http.StatusOK || got != "text/event-stream" {
		t.Errorf("stream: status %d, Content-Type %q; want an event stream", a.status, got)
	}
	stream.stream = false
	s.refused(t, stream, signIn)
	s.refused(t, callToolIn(session, openTool), signIn)
	s.called(t, callToolIn(session, openTool).bearer(token))
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
		for _, asked := range u.requests() {
			scopes = append(scopes, sorted(asked.Get("scope")))
		}
		if diff := cmp.Diff([]string{"email profile", "email notes:write profile"}, scopes); diff != "" {
			t.Errorf("%s: scopes asked for (-want +got):\n%s", version, diff)
		}
	}
}

func testExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t)
		token := b.token()
		b.wantStatus(t, token, http.StatusOK)
		time.Sleep(time.Hour + gatehouse.DefaultLeeway - time.Second)
		b.wantStatus(t, token, http.StatusOK)
		time.Sleep(2 * time.Second)
		a := b.wantStatus(t, token, http.StatusUnauthorized)
		want := `Bearer resource_metadata="` + metadata("localhost:3000") + `", scope="profile email", error="invalid_token", error_description="the token has expired"`
		if got := a.header.Get("WWW-Authenticate"); got != want {
			t.Errorf("challenge\n got %s\nwant %s", got, want)
		}
		b.wantStatus(t, b.token(), http.StatusOK)
	})
}

// publicKeyPEM is the public key as people paste it, and as a careless verifier
// would use it for HMAC.
func publicKeyPEM(s *signer) []byte {
	der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func testHostileTokens(t *testing.T) {
	s := start(t)
	is, key := s.issuer, firstKey().key
	good := s.token()
	with := func(c ...change) string { return s.token(c...) }
	by := func(other *signer, c ...change) string {
		return sign(is.unsigned(jwt.SigningMethodRS256, s.URL(), c...), other.key)
	}
	cut := func(n int) string { return good[:len(good)-n] }
	future := time.Now().Add(time.Hour).Unix()
	for _, test := range []struct {
		name   string
		token  string
		reason gatehouse.Reason
	}{
		{"aud of another", with(claim("aud", "https://other.example.com/mcp")), "wrong_audience"},
		{"aud as prefix", with(claim("aud", s.URL()+"2")), "wrong_audience"},
		{"aud with a slash", with(claim("aud", s.URL()+"/")), "wrong_audience"},
		{"aud array without us", with(claim("aud", []string{"a", "b"})), "wrong_audience"},
		{"no aud", with(claim("aud", nil)), "unbound"},
		{"iss of another", with(claim("iss", "https://evil.example.com")), "wrong_issuer"},
		{"iss with a slash", with(claim("iss", is.url+"/")), "wrong_issuer"},
		{"no iss", with(claim("iss", nil)), "missing_claim"},
		{"expired", with(claim("exp", time.Now().Add(-time.Minute).Unix())), "expired"},
		{"no exp", with(claim("exp", nil)), "missing_claim"},
		{"nbf in the future", with(claim("nbf", future)), "not_yet_valid"},
		{"iat in the future", with(claim("iat", future)), "not_yet_valid"},
		{"no sub", with(claim("sub", nil)), "missing_claim"},
		{"no client_id", with(claim("client_id", nil)), "missing_claim"},
		{"sub of a machine", with(claim("sub", "mch_1")), "wrong_subject"},
		{"cnf", with(claim("cnf", map[string]any{"jkt": "x"})), "sender_constrained"},
		{"ID token", with(parameter("typ", "JWT")), "wrong_type"},
		{"ID-JAG", with(parameter("typ", "oauth-id-jag+jwt")), "wrong_type"},
		{"logout token", with(parameter("typ", "logout+jwt")), "wrong_type"},
		{"no typ", with(parameter("typ", nil)), "wrong_type"},
		{"session token of Clerk", with(parameter("cat", "cl_B7d4PD111AAA")), "wrong_type"},
		{"crit", with(parameter("crit", []string{"exp"})), "critical_header"},
		{"no kid", with(parameter("kid", nil)), "missing_key_id"},
		{"alg none", sign(is.unsigned(jwt.SigningMethodNone, s.URL()), jwt.UnsafeAllowNoneSignatureType), "wrong_algorithm"},
		{"HS256 with the public key", sign(is.unsigned(jwt.SigningMethodHS256, s.URL()), publicKeyPEM(firstKey())), "wrong_algorithm"},
		{"RS512", sign(is.unsigned(jwt.SigningMethodRS512, s.URL()), key), "wrong_algorithm"},
		{"PS256", sign(is.unsigned(jwt.SigningMethodPS256, s.URL()), key), "wrong_algorithm"},
		{"key of another under our kid", by(stolenKeyID()), "bad_signature"},
		{"jwk of the attacker", by(stolenKeyID(), parameter("jwk", map[string]any{"kty": "RSA"})), "bad_signature"},
		{"cut short by one", cut(1), "malformed"},
		{"cut short by half", cut(170), "bad_signature"},
		{"without signature", good[:strings.LastIndex(good, ".")+1], "bad_signature"},
		{"two parts", good[:strings.LastIndex(good, ".")], "opaque"},
		{"four parts", good + ".x", "opaque"},
		{"five parts", good + ".x.y", "encrypted"},
		{"padding", good + "==", "malformed"},
		{"opaque", "oat_8XOIeoaNnGh5A4xx", "opaque"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := s.refused(t, initialize().bearer(test.token), badToken(test.reason))
			if strings.Contains(a.body, "serverInfo") {
				t.Errorf("body %s has data", a.body)
			}
		})
	}
	// A kid that nobody knows yet may be one just published, so the answer is not
	// that the token is bad until the issuer has been asked; see S17.
	unknown := by(secondKey(), parameter("kid", "ins_unknown"))
	if a := s.send(t, initialize().bearer(unknown)); a.status != http.StatusServiceUnavailable && a.status != http.StatusUnauthorized {
		t.Errorf("unknown kid: status %d, want 401, or 503 while it is too soon to ask", a.status)
	}
	s.accepted(t, initialize().bearer(good))
	s.accepted(t, initialize().bearer(with(parameter("typ", "application/at+JWT"))))
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
	inSession := func(verb string) request {
		return bare(verb).with("MCP-Protocol-Version", stateful).with("Mcp-Session-Id", session)
	}
	for _, verb := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		s.refused(t, inSession(verb).bearer(bob), notYours)
		s.refused(t, inSession(verb).bearer(s.token(claim("iss", "https://other.example.com"))), badToken("wrong_issuer"))
		s.refused(t, inSession(verb), signIn)
	}
	s.refused(t, callToolIn(session, openTool).bearer(bob), notYours)
	// Whoever opened it goes on, also with a newer token; so none of these ended it.
	if got := s.called(t, callToolIn(session, openTool).bearer(s.token(claim("jti", "oat_2")))); got.Subject != "user_ada" {
		t.Errorf("the tool saw %q, want user_ada", got.Subject)
	}
	if got := s.called(t, callToolIn(s.open(t, bob), openTool).bearer(bob)); got.Subject != "user_bob" {
		t.Errorf("the tool saw %q, want user_bob", got.Subject)
	}
}

func testBrowser(t *testing.T) {
	s := start(t)
	testPreflight(t, s)
	a := s.refused(t, discover().with("Origin", "http://localhost:6274"), signIn)
	if got := a.header.Get("Access-Control-Expose-Headers"); !strings.HasPrefix(got, "WWW-Authenticate,") {
		t.Errorf("Access-Control-Expose-Headers %q: a page cannot read the challenge", got)
	}
	if got := a.header.Get("Access-Control-Allow-Origin"); got != "http://localhost:6274" {
		t.Errorf("Access-Control-Allow-Origin %q", got)
	}
	for _, q := range []request{discover(), discover().bearer(s.token())} {
		s.refused(t, q.with("Origin", "https://evil.example.com"), badOrigin)
		s.refused(t, q.at("evil.example.com"), badHost)
	}
	s.refused(t, preflight("https://evil.example.com"), badOrigin)
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
		s.refused(t, in(openTool, notesTool), lacks("profile email notes:write"))
		s.refused(t, in(notesTool, openTool), lacks("profile email notes:write"))
		s.refused(t, in(openTool, bossTool), notAllowed)
		s.refused(t, in(notesTool, bossTool), notAllowed)
		before := s.calls(openTool)
		s.accepted(t, in(openTool, openTool))
		if got := s.calls(openTool) - before; got != 2 {
			t.Errorf("version %q: a batch of two calls made %d", version, got)
		}
	}
	if n := s.calls(notesTool) + s.calls(bossTool); n != 0 {
		t.Errorf("tools ran %d times", n)
	}
}

func testKeys(t *testing.T) {
	testRecovery(t)
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t)
		old := b.token()
		b.wantStatus(t, old, http.StatusOK)

		time.Sleep(time.Minute)
		b.issuer.signer.Store(secondKey())
		renewed := b.token()
		b.wantStatus(t, renewed, http.StatusOK)
		b.wantStatus(t, old, http.StatusUnauthorized)

		// Just asked: a kid that is unknown now may be published any moment.
		b.issuer.signer.Store(thirdKey())
		again := b.token(claim("jti", "oat_3"))
		a := b.wantStatus(t, again, http.StatusServiceUnavailable)
		time.Sleep(b.retryAfter(t, a))
		b.wantStatus(t, again, http.StatusOK)

		time.Sleep(time.Minute)
		unknown := sign(b.issuer.unsigned(jwt.SigningMethodRS256, bubbleURL, parameter("kid", "ins_unknown")), secondKey().key)
		b.wantStatus(t, unknown, http.StatusUnauthorized)

		b.issuer.down.Store(true)
		time.Sleep(time.Hour)
		b.wantStatus(t, b.token(claim("jti", "oat_4")), http.StatusOK)
	})
}
