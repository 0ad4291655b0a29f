package gatehouse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

const (
	metadataURL = "http://localhost:3000/.well-known/oauth-protected-resource/mcp"
	challenge   = `Bearer resource_metadata="` + metadataURL + `", scope="profile email"`
)

// request describes a request to the endpoint. The zero value is a POST on loopback without
// credentials.
type request struct {
	method string
	target string
	host   string
	header http.Header
	body   string
	local  string // address at which the connection arrived
}

func (rq request) make() *http.Request {
	method, target := rq.method, rq.target
	if method == "" {
		method = http.MethodPost
	}
	if target == "" {
		target = "/mcp"
	}
	r := httptest.NewRequest(method, target, strings.NewReader(rq.body))
	r.Host = "localhost:3000"
	if rq.host != "" {
		r.Host = rq.host
	}
	for name, values := range rq.header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	local := rq.local
	if local == "" {
		local = "127.0.0.1:3000"
	}
	addr, err := net.ResolveTCPAddr("tcp", local)
	if err != nil {
		panic(err)
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, addr))
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func with(h http.Header, name, value string) http.Header {
	h = h.Clone()
	h.Set(name, value)
	return h
}

// behind is a handler that writes the subject of its caller.
var behind = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	id, _ := gatehouse.IdentityOfHTTP(r)
	io.WriteString(w, id.Subject)
})

func send(h http.Handler, rq request) *http.Response { return sendRaw(h, rq.make()) }

func sendRaw(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// checkTest is a request and the answer of the checks.
type checkTest struct {
	name      string
	request   request
	reason    gatehouse.Reason // empty means that the request passes
	status    int
	code      string
	challenge string
}

func passes(name string, rq request) checkTest {
	return checkTest{name: name, request: rq, status: http.StatusOK}
}

func forbidden(name string, rq request, reason gatehouse.Reason) checkTest {
	return checkTest{name: name, request: rq, reason: reason, status: http.StatusForbidden, code: "forbidden"}
}

// asksToSignIn expects a challenge without an error code (RFC 6750 §3.1).
func asksToSignIn(name string, rq request, reason gatehouse.Reason) checkTest {
	c := challenge
	if rq.host != "" {
		c = strings.ReplaceAll(challenge, "localhost:3000", rq.host)
	}
	return checkTest{name, rq, reason, http.StatusUnauthorized, "missing_token", c}
}

func invalidRequest(name string, rq request, reason gatehouse.Reason, phrase string) checkTest {
	c := challenge + `, error="invalid_request", error_description="` + phrase + `"`
	return checkTest{name, rq, reason, http.StatusBadRequest, "invalid_request", c}
}

func invalidToken(name, token string, reason gatehouse.Reason, phrase string) checkTest {
	c := challenge + `, error="invalid_token", error_description="` + phrase + `"`
	rq := request{header: bearer(token)}
	return checkTest{name, rq, reason, http.StatusUnauthorized, "invalid_token", c}
}

func authorization(values ...string) request {
	return request{header: http.Header{"Authorization": values}}
}

// requestTests are checks 1 to 5, in that order. Next to a rejected request there is one that
// differs in one thing and passes.
func requestTests(valid string) []checkTest {
	const malformed, inQuery = "the Authorization header must be one bearer token", "a token in the query is not accepted"
	from := func(origin string) request { return request{header: with(bearer(valid), "Origin", origin)} }
	at := func(host string) request { return request{host: host, header: bearer(valid)} }
	browser := http.Header{"Accept": {"text/html"}}
	foreign := http.Header{"Origin": {"https://evil.example.com"}}
	return []checkTest{
		passes("control", request{header: bearer(valid)}),

		forbidden("foreign Host", at("evil.example.com"), "forbidden_host"),
		forbidden("look-alike Host", at("localhost.evil.example.com:3000"), "forbidden_host"),
		passes("other loopback Host", at("127.0.0.1:3000")),
		forbidden("foreign Origin", from("https://evil.example.com"), "forbidden_origin"),
		forbidden("null Origin", from("null"), "forbidden_origin"),
		passes("loopback Origin", from("http://localhost:6274")),
		forbidden("foreign Origin without token", request{header: foreign}, "forbidden_origin"),

		asksToSignIn("no credentials", request{}, "no_credentials"),
		asksToSignIn("no credentials, GET", request{method: "GET"}, "no_credentials"),
		asksToSignIn("no credentials, HEAD", request{method: "HEAD"}, "no_credentials"),
		asksToSignIn("no credentials, DELETE", request{method: "DELETE"}, "no_credentials"),
		asksToSignIn("no credentials, OPTIONS", request{method: "OPTIONS"}, "no_credentials"),
		asksToSignIn("no credentials, unknown method", request{method: "BREW"}, "no_credentials"),
		asksToSignIn("no credentials, browser", request{method: "GET", header: browser}, "no_credentials"),
		asksToSignIn("no credentials, 127.0.0.1", request{host: "127.0.0.1:3000"}, "no_credentials"),
		asksToSignIn("empty header", authorization(""), "no_credentials"),
		asksToSignIn("Basic", authorization("Basic dTpw"), "wrong_scheme"),
		asksToSignIn("DPoP", authorization("DPoP "+valid), "wrong_scheme"),
		passes("lower case scheme", authorization("bearer "+valid)),
		passes("upper case scheme", authorization("BEARER  "+valid)),

		invalidRequest("Bearer alone", authorization("Bearer"), "malformed_credentials", malformed),
		invalidRequest("two tokens", authorization("Bearer "+valid+" "+valid), "malformed_credentials", malformed),
		invalidRequest("comma", authorization("Bearer "+valid+",Bearer x"), "malformed_credentials", malformed),
		invalidRequest("two headers", authorization("Bearer "+valid, "Bearer "+valid), "malformed_credentials", malformed),
		invalidRequest("binary", authorization("Bearer \x80\xff"), "malformed_credentials", malformed),
		invalidRequest("token in the query", request{target: "/mcp?access_token=" + valid}, "token_in_query", inQuery),
		invalidRequest("token in the query, escaped name",
			request{target: "/mcp?%61ccess_token=" + valid}, "token_in_query", inQuery),
		invalidRequest("token in the query and the header",
			request{target: "/mcp?access_token=" + valid, header: bearer(valid)}, "token_in_query", inQuery),
		passes("another query", request{target: "/mcp?token=1", header: bearer(valid)}),
	}
}

// tokenTests are check 6.
func tokenTests(is *issuer, valid string) []checkTest {
	unsigned := valid[:strings.LastIndex(valid, ".")]
	other := is.token(resource, testissuer.Claim("jti", "token-2"))
	claim := func(name string, value any) string { return is.token(resource, testissuer.Claim(name, value)) }
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	const tooLarge, opaque, expired, wrongAudience = "the token is too large", "this server does not accept opaque tokens",
		"the token has expired", "the token was issued for another server"
	return []checkTest{
		invalidToken("not a JWT", "oat_8XOI", "opaque", opaque),
		invalidToken("too long", strings.Repeat("x", 20<<10), "too_large", tooLarge),
		invalidToken("too long, and binary", strings.Repeat("\xff", 20<<10), "too_large", tooLarge),
		invalidToken("half a JWT", unsigned, "opaque", opaque),
		invalidToken("signature of another token", unsigned+other[strings.LastIndex(other, "."):],
			"bad_signature", "the token signature does not verify"),
		invalidToken("expired", claim("exp", ago(time.Minute)), "expired", expired),
		passes("expired within the leeway", request{header: bearer(claim("exp", ago(10*time.Second)))}),
		invalidToken("expired and without scope",
			is.token(resource, testissuer.Claim("exp", 1), testissuer.Claim("scope", nil)), "expired", expired),
		invalidToken("another audience", is.token("https://other.example.com/mcp"), "wrong_audience", wrongAudience),
		passes("audience under another loopback name", request{header: bearer(is.token("http://127.0.0.1:3000/mcp"))}),
		invalidToken("audience with a slash", is.token(resource+"/"), "wrong_audience", wrongAudience),
		invalidToken("no audience", claim("aud", nil), "unbound", "the token was not issued for a particular server"),
		invalidToken("ID token", is.token(resource, testissuer.Header("typ", "JWT")),
			"wrong_type", "this kind of token is not accepted"),
		invalidToken("another issuer", claim("iss", is.URL()+"/"), "wrong_issuer", "the token is from another issuer"),
		invalidToken("sender constrained", claim("cnf", map[string]string{"jkt": "x"}),
			"sender_constrained", "a sender-constrained token is not accepted as a bearer token"),
	}
}

func TestChecks(t *testing.T) {
	is := newIssuer(t)
	valid := is.token(resource)
	for _, test := range append(requestTests(valid), tokenTests(is, valid)...) {
		t.Run(test.name, func(t *testing.T) {
			var rejections []gatehouse.Rejection
			guard := newGuard(t, is, func(cfg *gatehouse.Config) {
				cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { rejections = append(rejections, r) }
			})
			resp := send(guard.Wrap(behind), test.request)
			if resp.StatusCode != test.status {
				t.Errorf("got status %d, want %d", resp.StatusCode, test.status)
			}
			if got := resp.Header.Get("WWW-Authenticate"); got != test.challenge {
				t.Errorf("challenge\n got %s\nwant %s", got, test.challenge)
			}
			if test.reason == "" {
				if got := body(t, resp); got != "user_1" || len(rejections) != 0 {
					t.Errorf("got answer %q and rejections %v, want the subject and none", got, rejections)
				}
				return
			}
			if len(rejections) != 1 || rejections[0].Reason != test.reason || rejections[0].Status != test.status {
				t.Errorf("got rejections %+v, want one with reason %q", rejections, test.reason)
			}
			if got := guard.Stats().Rejected[test.reason]; got != 1 {
				t.Errorf("Stats().Rejected[%q] = %d, want 1", test.reason, got)
			}
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("got Cache-Control %q, want no-store", got)
			}
			text := body(t, resp)
			if strings.Contains(text, valid[:20]) || strings.Contains(text, is.URL()) {
				t.Errorf("body %s reveals the token or the issuer", text)
			}
			test.checkBody(t, text)
		})
	}
}

// checkBody checks the JSON body of a rejection. The answer to HEAD has none.
func (test checkTest) checkBody(t *testing.T, text string) {
	t.Helper()
	if test.request.method == "HEAD" {
		if text != "" {
			t.Errorf("got body %s, want none", text)
		}
		return
	}
	var answer struct {
		Error       string           `json:"error"`
		Description string           `json:"error_description"`
		Reason      gatehouse.Reason `json:"reason"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil ||
		answer.Error != test.code || answer.Description == "" || answer.Reason != test.reason {
		t.Errorf("got body %s, want JSON with error %q and reason %q (%v)", text, test.code, test.reason, err)
	}
}

func TestOutageIsNotTheCallersFault(t *testing.T) {
	is := newIssuer(t)
	is.SetDown(true)
	handler := newGuard(t, is).Wrap(behind)
	resp := send(handler, request{header: bearer(is.token(resource))})
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("status %d with challenge %q, want 503 without", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
	}
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if text := body(t, resp); strings.Contains(text, "127.0.0.1") || strings.Contains(text, "upstream detail") {
		t.Errorf("body %s reveals details of the outage", text)
	}
	if resp := send(handler, request{header: bearer("not-a-jwt")}); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("invalid token in an outage: status %d, want 401", resp.StatusCode)
	}
}

// An introspection endpoint describes a revoked token too, with "active" false. A provider
// that passes its answer on must not sign the user in.
func TestIntrospectionAnswerMustBeActive(t *testing.T) {
	is := newIssuer(t)
	tests := []struct {
		name, active string // a member of the answer
		wantReason   gatehouse.Reason
	}{
		{"control", `"active":true,`, ""},
		{"false", `"active":false,`, "inactive"},
		{"the string false", `"active":"false",`, "inactive"},
		{"the string true", `"active":"true",`, "inactive"},
		{"null", `"active":null,`, "inactive"},
		{"zero", `"active":0,`, "inactive"},
		{"one", `"active":1,`, "inactive"},
		{"missing", ``, "inactive"},
	}
	for _, test := range tests {
		guard := newGuard(t, is, func(cfg *gatehouse.Config) {
			cfg.Provider.Introspect = func(context.Context, string) (json.RawMessage, error) {
				return fmt.Appendf(nil, `{%s"iss":%q,"sub":"user_1","aud":%q,"client_id":"client-1","exp":%d}`,
					test.active, is.URL(), resource, time.Now().Add(time.Hour).Unix()), nil
			}
		})
		_, err := guard.Verify(t.Context(), "opaque", nil)
		var rejected *gatehouse.TokenError
		switch isToken := errors.As(err, &rejected); {
		case test.wantReason == "" && err != nil:
			t.Errorf("%s: error %v, want the token accepted", test.name, err)
		case test.wantReason != "" && (!isToken || rejected.Reason != test.wantReason || rejected.Claim != "active"):
			t.Errorf("%s: error %v, want reason %q", test.name, err, test.wantReason)
		}
	}
}

// A panic in the provider's code fails the request, and does not end the process.
func TestProviderMayPanic(t *testing.T) {
	is := newIssuer(t)
	for name, value := range map[string]any{"a nil map": map[string]any(nil), "a token": "opaque.token"} {
		guard := newGuard(t, is, func(cfg *gatehouse.Config) {
			cfg.Provider.Introspect = func(context.Context, string) (json.RawMessage, error) {
				if m, ok := value.(map[string]any); ok {
					m["x"] = 1
				}
				panic(value)
			}
		})
		resp := send(guard.Wrap(behind), request{header: bearer("opaque")})
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d, want 503", name, resp.StatusCode)
		}
	}
}

// TestTokenOfARemovedKey is a restart of issuer and guard: the keys were fetched a moment
// ago, and a client has a token that was issued before that.
func TestTokenOfARemovedKey(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is).Wrap(behind)
	send(handler, request{header: bearer(is.token(resource))})
	removed := testissuer.Header("kid", "key-0")
	old := is.token(resource, removed, testissuer.Claim("iat", time.Now().Add(-time.Hour).Unix()))
	if resp := send(handler, request{header: bearer(old)}); resp.StatusCode != 401 {
		t.Errorf("issued before the keys were fetched: status %d, want 401, so that the client signs in again", resp.StatusCode)
	}
	for _, issued := range []any{time.Now().Unix(), nil} {
		young := is.token(resource, removed, testissuer.Claim("iat", issued))
		if resp := send(handler, request{header: bearer(young)}); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("issued at %v: status %d, want 503, since its key may be new", issued, resp.StatusCode)
		}
	}
}

func TestVerify(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is)
	if _, err := guard.Verify(t.Context(), is.token(resource), nil); err != nil {
		t.Errorf("Verify of a valid token: %v", err)
	}
	_, err := guard.Verify(t.Context(), is.token("https://other.example.com/mcp"), nil)
	if !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("Verify = %v, want auth.ErrInvalidToken", err)
	}
	var tokenError *gatehouse.TokenError
	if !errors.As(err, &tokenError) || tokenError.Reason != "wrong_audience" {
		t.Errorf("Verify = %v, want a *TokenError about the audience", err)
	}
	if strings.Contains(err.Error(), "example.com") {
		t.Errorf("go-sdk would send the details in %q to the client", err)
	}
	is.SetDown(true)
	_, err = newGuard(t, is).Verify(t.Context(), is.token(resource), nil)
	if err == nil || errors.Is(err, auth.ErrInvalidToken) || strings.Contains(err.Error(), "http") {
		t.Errorf("Verify in an outage = %v, want neither auth.ErrInvalidToken nor details", err)
	}
}

func TestSkippedVerificationStaysOnLoopback(t *testing.T) {
	is := newIssuer(t)
	skip := func(cfg *gatehouse.Config) { cfg.Provider.DangerouslySkipVerification = true }
	forged := is.token("https://other.example.com", testissuer.Claim("exp", 1), testissuer.Claim("sub", "user_forged"))
	forged = forged[:strings.LastIndex(forged, ".")] + ".AAAA"
	guard := newGuard(t, is, skip)
	if resp := send(guard.Wrap(behind), request{header: bearer(forged)}); resp.StatusCode != 200 || body(t, resp) != "user_forged" {
		t.Errorf("on loopback: status %d, want 200", resp.StatusCode)
	}
	if resp := send(guard.Wrap(behind), request{header: bearer(forged), local: "192.0.2.1:3000"}); resp.StatusCode != 403 {
		t.Errorf("from the network: status %d, want 403", resp.StatusCode)
	}
	if resp := send(newGuard(t, is).Wrap(behind), request{header: bearer(forged)}); resp.StatusCode != 401 {
		t.Errorf("not skipped: status %d, want 401", resp.StatusCode)
	}
	if resp := send(guard.Wrap(behind), request{header: bearer("malformed")}); resp.StatusCode != 401 {
		t.Errorf("malformed token: status %d, want 401", resp.StatusCode)
	}
	if _, err := guard.Verify(t.Context(), forged, request{local: "192.0.2.1:3000"}.make()); err == nil {
		t.Error("Verify from the network: accepted")
	}
	if _, err := guard.Verify(t.Context(), forged, nil); err == nil {
		t.Error("Verify without a request: accepted")
	}
	if _, err := guard.Verify(t.Context(), forged, request{}.make()); err != nil {
		t.Errorf("Verify on loopback: %v", err)
	}
	if len(guard.Warnings()) == 0 {
		t.Error("no warning")
	}
	cfg := gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: is.provider()}
	cfg.Provider.DangerouslySkipVerification = true
	if _, err := gatehouse.New(cfg); err == nil {
		t.Error("New accepts it for a public resource")
	}
}

func TestConcurrentUse(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is).Wrap(behind)
	tokens := []string{is.token(resource), is.token(resource, testissuer.Claim("sub", "user_2"))}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			want := []string{"user_1", "user_2"}[i%2]
			if got := body(t, send(handler, request{header: bearer(tokens[i%2])})); got != want {
				t.Errorf("answer %q, want %q", got, want)
			}
		}()
	}
	wg.Wait()
	if got := is.Requests(testissuer.KeysPath); got != 1 {
		t.Errorf("keys were fetched %d times, want once", got)
	}
}
