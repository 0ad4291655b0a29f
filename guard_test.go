package gatehouse_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
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

// TestChecks tests the checks in their order: the answer of each, and next to a rejected
// request one that differs in one thing and passes.
func TestChecks(t *testing.T) {
	is := newIssuer(t)
	valid := is.token(resource)
	unsigned := valid[:strings.LastIndex(valid, ".")]
	other := is.token(resource, change{"claims", "jti", "token-2"})
	withError := func(code, phrase string) string {
		return challenge + `, error="` + code + `", error_description="` + phrase + `"`
	}
	tests := []struct {
		name          string
		request       request
		wantReason    gatehouse.Reason // empty means that the request passes
		wantStatus    int
		wantCode      string
		wantChallenge string
	}{
		{name: "control", request: request{header: bearer(valid)}, wantStatus: 200},

		{
			name:       "foreign Host",
			request:    request{host: "evil.example.com", header: bearer(valid)},
			wantReason: "forbidden_host",
			wantStatus: 403,
			wantCode:   "forbidden",
		},
		{
			name:       "look-alike Host",
			request:    request{host: "localhost.evil.example.com:3000", header: bearer(valid)},
			wantReason: "forbidden_host",
			wantStatus: 403,
			wantCode:   "forbidden",
		},
		{name: "other loopback Host", request: request{host: "127.0.0.1:3000", header: bearer(valid)}, wantStatus: 200},
		{
			name:       "foreign Origin",
			request:    request{header: with(bearer(valid), "Origin", "https://evil.example.com")},
			wantReason: "forbidden_origin",
			wantStatus: 403,
			wantCode:   "forbidden",
		},
		{
			name:       "null Origin",
			request:    request{header: with(bearer(valid), "Origin", "null")},
			wantReason: "forbidden_origin",
			wantStatus: 403,
			wantCode:   "forbidden",
		},
		{
			name:       "loopback Origin",
			request:    request{header: with(bearer(valid), "Origin", "http://localhost:6274")},
			wantStatus: 200,
		},
		{
			name:       "foreign Origin without token",
			request:    request{header: http.Header{"Origin": {"https://evil.example.com"}}},
			wantReason: "forbidden_origin",
			wantStatus: 403,
			wantCode:   "forbidden",
		},

		{
			name:          "no credentials",
			wantReason:    "no_credentials",
			wantStatus:    401,
			wantCode:      "missing_token",
			wantChallenge: challenge,
		},
		{
			name:          "no credentials, GET",
			request:       request{method: "GET"},
			wantReason:    "no_credentials",
			wantStatus:    401,
			wantCode:      "missing_token",
			wantChallenge: challenge,
		},
		{
			name:          "no credentials, HEAD",
			request:       request{method: "HEAD"},
			wantReason:    "no_credentials",
			wantStatus:    401,
			wantChallenge: challenge,
		},
		{
			name:          "no credentials, DELETE",
			request:       request{method: "DELETE"},
			wantReason:    "no_credentials",
			wantStatus:    401,
			wantCode:      "missing_token",
			wantChallenge: challenge,
		},
		{
			name:          "no credentials, OPTIONS",
			request:       request{method: "OPTIONS"},
			wantReason:    "no_credentials",
			wantStatus:    401,
			wantCode:      "missing_token",
			wantChallenge: challenge,
		},
		{
			name:          "no credentials, made-up verb",
			request:       request{method: "BREW"},
			wantReason:    "no_credentials",
			wantStatus:    401,
			wantCode:      "missing_token",
			wantChallenge: challenge,
		},
		{
			name:          "no credentials, browser",
			request:       request{method: "GET", header: http.Header{"Accept": {"text/html"}}},
			wantReason:    "no_credentials",
			wantStatus:    401,
			wantCode:      "missing_token",
			wantChallenge: challenge,
		},
		{
			name:          "no credentials, 127.0.0.1",
			request:       request{host: "127.0.0.1:3000"},
			wantReason:    "no_credentials",
			wantStatus:    401,
			wantCode:      "missing_token",
			wantChallenge: strings.ReplaceAll(challenge, "localhost", "127.0.0.1"),
		},
		{
			name:          "empty header",
			request:       request{header: http.Header{"Authorization": {""}}},
			wantReason:    "no_credentials",
			wantStatus:    401,
			wantCode:      "missing_token",
			wantChallenge: challenge,
		},
		{
			name:          "Basic",
			request:       request{header: http.Header{"Authorization": {"Basic dTpw"}}},
			wantReason:    "wrong_scheme",
			wantStatus:    401,
			wantCode:      "missing_token",
			wantChallenge: challenge,
		},
		{
			name:          "DPoP",
			request:       request{header: http.Header{"Authorization": {"DPoP " + valid}}},
			wantReason:    "wrong_scheme",
			wantStatus:    401,
			wantCode:      "missing_token",
			wantChallenge: challenge,
		},
		{
			name:       "lower case scheme",
			request:    request{header: http.Header{"Authorization": {"bearer " + valid}}},
			wantStatus: 200,
		},
		{
			name:       "upper case scheme",
			request:    request{header: http.Header{"Authorization": {"BEARER  " + valid}}},
			wantStatus: 200,
		},

		{
			name:          "Bearer alone",
			request:       request{header: http.Header{"Authorization": {"Bearer"}}},
			wantReason:    "malformed_credentials",
			wantStatus:    400,
			wantCode:      "invalid_request",
			wantChallenge: withError("invalid_request", "the Authorization header must be one bearer token"),
		},
		{
			name:          "two tokens",
			request:       request{header: http.Header{"Authorization": {"Bearer " + valid + " " + valid}}},
			wantReason:    "malformed_credentials",
			wantStatus:    400,
			wantCode:      "invalid_request",
			wantChallenge: withError("invalid_request", "the Authorization header must be one bearer token"),
		},
		{
			name:          "comma",
			request:       request{header: http.Header{"Authorization": {"Bearer " + valid + ",Bearer x"}}},
			wantReason:    "malformed_credentials",
			wantStatus:    400,
			wantCode:      "invalid_request",
			wantChallenge: withError("invalid_request", "the Authorization header must be one bearer token"),
		},
		{
			name:          "two headers",
			request:       request{header: http.Header{"Authorization": {"Bearer " + valid, "Bearer " + valid}}},
			wantReason:    "malformed_credentials",
			wantStatus:    400,
			wantCode:      "invalid_request",
			wantChallenge: withError("invalid_request", "the Authorization header must be one bearer token"),
		},
		{
			name:          "binary",
			request:       request{header: http.Header{"Authorization": {"Bearer \x80\xff"}}},
			wantReason:    "malformed_credentials",
			wantStatus:    400,
			wantCode:      "invalid_request",
			wantChallenge: withError("invalid_request", "the Authorization header must be one bearer token"),
		},
		{
			name:          "token in the query",
			request:       request{target: "/mcp?access_token=" + valid},
			wantReason:    "token_in_query",
			wantStatus:    400,
			wantCode:      "invalid_request",
			wantChallenge: withError("invalid_request", "a token in the query is not accepted"),
		},
		{
			name:          "token in the query, escaped name",
			request:       request{target: "/mcp?%61ccess_token=" + valid},
			wantReason:    "token_in_query",
			wantStatus:    400,
			wantCode:      "invalid_request",
			wantChallenge: withError("invalid_request", "a token in the query is not accepted"),
		},
		{
			name:          "token in the query and the header",
			request:       request{target: "/mcp?access_token=" + valid, header: bearer(valid)},
			wantReason:    "token_in_query",
			wantStatus:    400,
			wantCode:      "invalid_request",
			wantChallenge: withError("invalid_request", "a token in the query is not accepted"),
		},
		{name: "another query", request: request{target: "/mcp?token=1", header: bearer(valid)}, wantStatus: 200},

		{
			name:          "not a JWT",
			request:       request{header: bearer("oat_8XOI")},
			wantReason:    "opaque",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "this server does not accept opaque tokens"),
		},
		{
			name:          "too long",
			request:       request{header: bearer(strings.Repeat("x", 20<<10))},
			wantReason:    "too_large",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "the token is too large"),
		},
		{
			name:          "too long, and binary",
			request:       request{header: bearer(strings.Repeat("\xff", 20<<10))},
			wantReason:    "too_large",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "the token is too large"),
		},
		{
			name:          "half a JWT",
			request:       request{header: bearer(unsigned)},
			wantReason:    "opaque",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "this server does not accept opaque tokens"),
		},
		{
			name:          "signature of another token",
			request:       request{header: bearer(unsigned + other[strings.LastIndex(other, "."):])},
			wantReason:    "bad_signature",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "the token signature does not verify"),
		},
		{
			name:          "expired",
			request:       request{header: bearer(is.token(resource, change{"claims", "exp", time.Now().Add(-time.Minute).Unix()}))},
			wantReason:    "expired",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "the token has expired"),
		},
		{
			name:       "expired within the leeway",
			request:    request{header: bearer(is.token(resource, change{"claims", "exp", time.Now().Add(-10 * time.Second).Unix()}))},
			wantStatus: 200,
		},
		{
			name:          "expired and without scope",
			request:       request{header: bearer(is.token(resource, change{"claims", "exp", 1}, change{"claims", "scope", nil}))},
			wantReason:    "expired",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "the token has expired"),
		},
		{
			name:          "another audience",
			request:       request{header: bearer(is.token("https://other.example.com/mcp"))},
			wantReason:    "wrong_audience",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "the token was issued for another server"),
		},
		{
			name:       "audience under another loopback name",
			request:    request{header: bearer(is.token("http://127.0.0.1:3000/mcp"))},
			wantStatus: 200,
		},
		{
			name:          "audience with a slash",
			request:       request{header: bearer(is.token(resource + "/"))},
			wantReason:    "wrong_audience",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "the token was issued for another server"),
		},
		{
			name:          "no audience",
			request:       request{header: bearer(is.token(resource, change{"claims", "aud", nil}))},
			wantReason:    "unbound",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "the token was not issued for a particular server"),
		},
		{
			name:          "ID token",
			request:       request{header: bearer(is.token(resource, change{"header", "typ", "JWT"}))},
			wantReason:    "wrong_type",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "this kind of token is not accepted"),
		},
		{
			name:          "another issuer",
			request:       request{header: bearer(is.token(resource, change{"claims", "iss", is.url + "/"}))},
			wantReason:    "wrong_issuer",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "the token is from another issuer"),
		},
		{
			name:          "sender constrained",
			request:       request{header: bearer(is.token(resource, change{"claims", "cnf", map[string]string{"jkt": "x"}}))},
			wantReason:    "sender_constrained",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "a sender-constrained token is not accepted as a bearer token"),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var rejections []gatehouse.Rejection
			guard := newGuard(t, is, func(cfg *gatehouse.Config) {
				cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { rejections = append(rejections, r) }
			})
			resp := send(guard.Wrap(behind), test.request)
			if resp.StatusCode != test.wantStatus {
				t.Errorf("status %d, want %d", resp.StatusCode, test.wantStatus)
			}
			if got := resp.Header.Get("WWW-Authenticate"); got != test.wantChallenge {
				t.Errorf("challenge\n got %s\nwant %s", got, test.wantChallenge)
			}
			if test.wantReason == "" {
				if got := body(t, resp); got != "user_1" || len(rejections) != 0 {
					t.Errorf("answer %q, rejections %v; want the subject and none", got, rejections)
				}
				return
			}
			if len(rejections) != 1 || rejections[0].Reason != test.wantReason || rejections[0].Status != test.wantStatus {
				t.Errorf("rejections %+v, want one with reason %q", rejections, test.wantReason)
			}
			if got := guard.Stats().Rejected[test.wantReason]; got != 1 {
				t.Errorf("Stats().Rejected[%q] = %d, want 1", test.wantReason, got)
			}
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", got)
			}
			if test.wantCode == "" {
				return
			}
			var answer struct {
				Error       string           `json:"error"`
				Description string           `json:"error_description"`
				Reason      gatehouse.Reason `json:"reason"`
			}
			text := body(t, resp)
			if err := json.Unmarshal([]byte(text), &answer); err != nil ||
				answer.Error != test.wantCode || answer.Description == "" || answer.Reason != test.wantReason {
				t.Errorf("body %s, want JSON with error %q and reason %q (%v)", text, test.wantCode, test.wantReason, err)
			}
			if strings.Contains(text, valid[:20]) || strings.Contains(text, is.url) {
				t.Errorf("body %s reveals the token or the issuer", text)
			}
		})
	}
}

func TestOutageIsNotTheCallersFault(t *testing.T) {
	is := newIssuer(t)
	is.down.Store(true)
	handler := newGuard(t, is).Wrap(behind)
	resp := send(handler, request{header: bearer(is.token(resource))})
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("status %d with challenge %q, want 503 without", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
	}
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if text := body(t, resp); strings.Contains(text, "127.0.0.1") || strings.Contains(text, "maintenance") {
		t.Errorf("body %s reveals details of the outage", text)
	}
	if resp := send(handler, request{header: bearer("not-a-jwt")}); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("invalid token in an outage: status %d, want 401", resp.StatusCode)
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
	removed := change{"header", "kid", "key-0"}
	old := is.token(resource, removed, change{"claims", "iat", time.Now().Add(-time.Hour).Unix()})
	if resp := send(handler, request{header: bearer(old)}); resp.StatusCode != 401 {
		t.Errorf("issued before the keys were fetched: status %d, want 401, so that the client signs in again", resp.StatusCode)
	}
	for _, issued := range []any{time.Now().Unix(), nil} {
		young := is.token(resource, removed, change{"claims", "iat", issued})
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
	is.down.Store(true)
	_, err = newGuard(t, is).Verify(t.Context(), is.token(resource), nil)
	if err == nil || errors.Is(err, auth.ErrInvalidToken) || strings.Contains(err.Error(), "http") {
		t.Errorf("Verify in an outage = %v, want neither auth.ErrInvalidToken nor details", err)
	}
}

func TestSkippedVerificationStaysOnLoopback(t *testing.T) {
	is := newIssuer(t)
	skip := func(cfg *gatehouse.Config) { cfg.Provider.DangerouslySkipVerification = true }
	forged := is.token("https://other.example.com", change{"claims", "exp", 1}, change{"claims", "sub", "user_forged"})
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
	tokens := []string{is.token(resource), is.token(resource, change{"claims", "sub", "user_2"})}
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
	if got := is.fetches.Load(); got != 1 {
		t.Errorf("keys were fetched %d times, want once", got)
	}
}
