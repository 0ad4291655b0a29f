package gatehouse_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/google/go-cmp/cmp"
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
			request:       request{header: bearer(valid[:strings.LastIndex(valid, ".")])},
			wantReason:    "opaque",
			wantStatus:    401,
			wantCode:      "invalid_token",
			wantChallenge: withError("invalid_token", "this server does not accept opaque tokens"),
		},
		{
			name:          "signature of another token",
			request:       request{header: bearer(valid[:strings.LastIndex(valid, ".")] + is.token(resource, change{"claims", "jti", "token-2"})[strings.LastIndex(valid, "."):])},
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

func TestPreflight(t *testing.T) {
	handler := newGuard(t, newIssuer(t)).Wrap(behind)
	header := http.Header{
		"Origin":                         {"http://localhost:6274"},
		"Access-Control-Request-Method":  {"POST"},
		"Access-Control-Request-Headers": {"authorization,content-type,mcp-param-region,mcp-param-bad\"name,x-evil"},
	}
	resp := send(handler, request{method: "OPTIONS", header: header})
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("status %d, want 204", resp.StatusCode)
	}
	allowed := resp.Header.Get("Access-Control-Allow-Headers")
	for _, name := range []string{"Authorization", "Mcp-Session-Id", "MCP-Protocol-Version", "Last-Event-ID", "mcp-param-region"} {
		if !strings.Contains(allowed, name) {
			t.Errorf("Access-Control-Allow-Headers %q lacks %s", allowed, name)
		}
	}
	for _, name := range []string{"evil", "bad"} {
		if strings.Contains(allowed, name) {
			t.Errorf("Access-Control-Allow-Headers %q has %s", allowed, name)
		}
	}
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "http://localhost:6274" {
		t.Errorf("Access-Control-Allow-Origin %q", got)
	}
	header.Set("Origin", "https://evil.example.com")
	if resp := send(handler, request{method: "OPTIONS", header: header}); resp.StatusCode != http.StatusForbidden {
		t.Errorf("preflight of a foreign origin: status %d, want 403", resp.StatusCode)
	}
}

func TestRejectionsAreReadableByBrowsers(t *testing.T) {
	handler := newGuard(t, newIssuer(t)).Wrap(behind)
	resp := send(handler, request{header: http.Header{"Origin": {"http://localhost:6274"}}})
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Access-Control-Allow-Origin") == "" ||
		!strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
		t.Errorf("status %d, headers %v; want a 401 that a page can read", resp.StatusCode, resp.Header)
	}
	if !slices.Contains(resp.Header.Values("Vary"), "Origin") {
		t.Errorf("Vary %q lacks Origin", resp.Header.Values("Vary"))
	}
}

func TestHandlerSeesNoToken(t *testing.T) {
	is := newIssuer(t)
	token := is.token(resource)
	handler := newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "" {
			t.Errorf("handler got Authorization %q", got)
		}
		info := auth.TokenInfoFromContext(r.Context())
		if info == nil || info.UserID != is.url+"|user_1" {
			t.Errorf("TokenInfo %+v, want the principal as UserID", info)
		}
		if text, _ := json.Marshal(info.Scopes); string(text) != `["profile","email"]` {
			t.Errorf("scopes %s", text)
		}
	}))
	r := request{header: bearer(token)}.make()
	handler.ServeHTTP(httptest.NewRecorder(), r)
	if got := r.Header.Get("Authorization"); got != "Bearer "+token {
		t.Errorf("the guard changed the header of the outer request to %q", got)
	}
}

// TestCallerPrintsAsPlaceholder prints every value that a handler can reach.
func TestCallerPrintsAsPlaceholder(t *testing.T) {
	is := newIssuer(t)
	token := is.token(resource)
	handler := newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := auth.TokenInfoFromContext(r.Context())
		asJSON, err := json.Marshal(info)
		if err != nil {
			t.Errorf("JSON of the TokenInfo: %v", err)
		}
		texts := []string{string(asJSON)}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			texts = append(texts, fmt.Sprintf(verb, info))
			for _, value := range info.Extra {
				texts = append(texts, fmt.Sprintf(verb, value))
			}
			id, _ := gatehouse.IdentityOfHTTP(r)
			texts = append(texts, fmt.Sprintf(verb, id))
		}
		signature := token[strings.LastIndex(token, ".")+1:]
		for _, text := range texts {
			if strings.Contains(text, signature) || strings.Contains(text, hex.EncodeToString([]byte(signature))) {
				t.Errorf("the token appears in %s", text)
			}
		}
	}))
	send(handler, request{header: bearer(token)})
}

func TestAnswersAreNotCached(t *testing.T) {
	is := newIssuer(t)
	for given, want := range map[string]string{"": "no-store", "no-cache, no-transform": "no-store, no-transform", "private, max-age=1": "private, max-age=1"} {
		handler := newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if given != "" {
				w.Header().Set("Cache-Control", given)
			}
			w.(http.Flusher).Flush()
		}))
		if got := send(handler, request{header: bearer(is.token(resource))}).Header.Get("Cache-Control"); got != want {
			t.Errorf("Cache-Control %q is sent as %q, want %q", given, got, want)
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

func TestSessionsAreBoundToTheirUser(t *testing.T) {
	is := newIssuer(t)
	opener := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Session-Id") == "" {
			w.Header().Set("Mcp-Session-Id", "session-1")
		}
		io.WriteString(w, "ok")
	})
	handler := newGuard(t, is).Wrap(opener)
	alice, bob := is.token(resource), is.token(resource, change{"claims", "sub", "user_2"})
	if resp := send(handler, request{header: bearer(alice)}); resp.Header.Get("Mcp-Session-Id") != "session-1" {
		t.Fatal("no session")
	}
	for _, method := range []string{"POST", "GET", "DELETE"} {
		if resp := send(handler, request{method: method, header: with(bearer(alice), "Mcp-Session-Id", "session-1")}); resp.StatusCode != 200 {
			t.Errorf("%s of the user who opened it: status %d, want 200", method, resp.StatusCode)
		}
		resp := send(handler, request{method: method, header: with(bearer(bob), "Mcp-Session-Id", "session-1")})
		if resp.StatusCode != 403 || resp.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s of another user: status %d, challenge %q; want 403 without a challenge", method, resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
		if resp := send(handler, request{method: method, header: http.Header{"Mcp-Session-Id": {"session-1"}}}); resp.StatusCode != 401 {
			t.Errorf("%s with the session id alone: status %d, want 401", method, resp.StatusCode)
		}
	}
}

func TestMetadata(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.ResourceName = "Notes" })
	mux := http.NewServeMux()
	guard.Mount(mux, behind)
	get := func(host, path string) *http.Response {
		return send(mux, request{method: "GET", target: path, host: host})
	}

	want := `{"resource":"http://localhost:3000/mcp","authorization_servers":["` + is.url + `"],"scopes_supported":["profile","email"],"bearer_methods_supported":["header"],"resource_name":"Notes"}`
	for _, path := range []string{"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"} {
		resp := get("", path)
		if got := body(t, resp); got != want || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: status %d\n got %s\nwant %s", path, resp.StatusCode, got, want)
		}
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s: Access-Control-Allow-Origin %q, want *", path, got)
		}
		if !strings.Contains(body(t, get("127.0.0.1:3000", path)), `"resource":"http://127.0.0.1:3000/mcp"`) {
			t.Errorf("%s under 127.0.0.1 names another resource", path)
		}
		if !strings.Contains(body(t, get("evil.example.com", path)), `"resource":"http://localhost:3000/mcp"`) {
			t.Errorf("%s takes its resource from Host", path)
		}
		if resp := send(mux, request{method: "HEAD", target: path}); resp.StatusCode != 200 || body(t, resp) != "" {
			t.Errorf("HEAD %s: status %d", path, resp.StatusCode)
		}
		if resp := send(mux, request{method: "OPTIONS", target: path}); resp.StatusCode != 204 || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "MCP-Protocol-Version") {
			t.Errorf("OPTIONS %s: status %d, headers %v", path, resp.StatusCode, resp.Header)
		}
		if resp := send(mux, request{method: "POST", target: path}); resp.StatusCode != 405 || resp.Header.Get("Allow") == "" {
			t.Errorf("POST %s: status %d", path, resp.StatusCode)
		}
	}
	if got := body(t, get("", "/.well-known/oauth-authorization-server")); got != is.metadata() {
		t.Errorf("pass-through\n got %s\nwant %s", got, is.metadata())
	}
	if resp := get("", "/.well-known/openid-configuration"); resp.StatusCode != 404 || !strings.Contains(body(t, resp), "not_found") {
		t.Errorf("a document that the issuer does not have: status %d, want 404", resp.StatusCode)
	}
	is.down.Store(true)
	if got := body(t, get("", "/.well-known/oauth-authorization-server")); got != is.metadata() {
		t.Errorf("in an outage: got %s, want the last valid copy", got)
	}
	fresh := http.NewServeMux()
	newGuard(t, is).Mount(fresh, behind)
	if resp := send(fresh, request{method: "GET", target: "/.well-known/oauth-authorization-server"}); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("in an outage, without a copy: status %d, want 503 with Retry-After", resp.StatusCode)
	}
}

func TestEveryReasonIsDescribed(t *testing.T) {
	seen := map[gatehouse.Reason]bool{}
	for _, row := range gatehouse.Reasons() {
		if seen[row.Reason] {
			t.Errorf("%s appears twice", row.Reason)
		}
		seen[row.Reason] = true
		if row.Status < 400 || row.Phrase == "" || row.When == "" || row.Do == "" {
			t.Errorf("%s has an incomplete description: %+v", row.Reason, row)
		}
		// Some clients search the whole header for "scope=" and similar text.
		if strings.ContainsAny(row.Phrase, "=\"\\") {
			t.Errorf("%s has a phrase that clients would misread: %s", row.Reason, row.Phrase)
		}
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

func TestConfigReportsAllFaultsAtOnce(t *testing.T) {
	_, err := gatehouse.New(gatehouse.Config{
		Resource:       "mcp.example.com/mcp",
		AllowedOrigins: []string{"app.example.com"},
		Leeway:         time.Hour,
		Requirements:   []gatehouse.Requirement{{Tool: "a", Prompt: "b", Scopes: []string{"x"}}},
	})
	var got []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var fault *gatehouse.ConfigError
		if !errors.As(e, &fault) || fault.Problem == "" || fault.Fix == "" {
			t.Errorf("%v is not a complete ConfigError", e)
			continue
		}
		got = append(got, fault.Field)
	}
	want := []string{"Resource", "Provider", "Requirements[0]", "AllowedOrigins", "Leeway"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields of the faults (-want +got):\n%s", diff)
	}
	if text := strings.SplitN(err.Error(), "\n", 2)[0]; text != `gatehouse: Resource "mcp.example.com/mcp" is not an absolute URL; write it in full, like "https://mcp.example.com/mcp"` {
		t.Errorf("first line is %s", text)
	}
}
