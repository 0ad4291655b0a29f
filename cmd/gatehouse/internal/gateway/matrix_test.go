package gateway_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/gatehouse-mcp/gatehouse/internal/teststream"
	"github.com/golang-jwt/jwt/v5"
)

// This file is the matrix of what a gateway in front of an MCP server must get right. Other
// gateways differ in each row: they accept tokens of another kind or for another server, pass on
// identity headers of the client or the token itself, or answer 401 when their issuer is
// unavailable, at which clients discard tokens that are valid.

const matrixResource = "https://mcp.example.com/mcp"

// matrixPing is a request of a client.
const matrixPing = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

// matrixTime bounds what a test waits for.
const matrixTime = 30 * time.Second

// matrixBackend is an MCP server that has sign-in and CORS of its own. It records the requests
// that reach it.
type matrixBackend struct {
	server   *httptest.Server
	requests chan *http.Request
	next     chan bool // each value lets a stream or an answer go on
	ended    chan bool // gets a value when the context of a request that waits has ended
}

func newMatrixBackend(t *testing.T) *matrixBackend {
	b := &matrixBackend{requests: make(chan *http.Request, 1000), next: make(chan bool), ended: make(chan bool, 10)}
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

func (b *matrixBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	b.requests <- r
	h := w.Header()
	h.Set("WWW-Authenticate", `Bearer resource_metadata="http://backend.example/.well-known/oauth-protected-resource"`)
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Mcp-Session-Id", "session-1")
	h.Set("X-Forwarded-User", "backend")
	h.Set("Content-Type", "application/json")
	switch {
	case strings.HasPrefix(r.URL.Path, "/.well-known/"):
		io.WriteString(w, `{"resource":"http://backend.example/mcp","authorization_servers":["http://backend.example"],"issuer":"http://backend.example"}`)
	case r.URL.RawQuery == "stream":
		h.Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":%d}}\n\n", i)
			http.NewResponseController(w).Flush()
			b.wait(r)
		}
	case r.URL.RawQuery == "wait":
		b.wait(r)
	default:
		io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}
}

// wait waits until the test lets the answer go on, or the request has ended.
func (b *matrixBackend) wait(r *http.Request) {
	select {
	case <-b.next:
	case <-r.Context().Done():
		b.ended <- true
	}
}

// reached returns the requests that have reached the backend since the last call.
func (b *matrixBackend) reached() (requests []*http.Request) {
	for len(b.requests) > 0 {
		requests = append(requests, <-b.requests)
	}
	return requests
}

// matrix is a gateway on a socket, with its issuer and its backend.
type matrix struct {
	issuer  *testissuer.Issuer
	backend *matrixBackend
	log     *testlog.Buffer
	address string
}

// newMatrix starts a gateway. change, if not nil, changes its endpoint.
func newMatrix(t *testing.T, change func(*matrix, *gateway.Endpoint)) *matrix {
	t.Helper()
	m := &matrix{issuer: testissuer.Start(t), backend: newMatrixBackend(t), log: &testlog.Buffer{}}
	upstream, err := url.Parse(m.backend.server.URL + "/mcp")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := gateway.Endpoint{
		Guard:     gatehouse.Config{Resource: matrixResource, Provider: gatehouse.OIDC(m.issuer.URL())},
		Upstreams: []gateway.Upstream{{URL: upstream}},
		Headers:   forwarded.DefaultHeaders(),
	}
	if change != nil {
		change(m, &endpoint)
	}
	gw, err := gateway.New(gateway.Config{Endpoints: []gateway.Endpoint{endpoint}, Logger: m.log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gw)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		gw.Close()
	})
	m.address = server.Listener.Addr().String()
	return m
}

// token returns a valid token with changes.
func (m *matrix) token(changes ...testissuer.Change) string {
	return m.issuer.Token(matrixResource, changes...)
}

// matrixRequest is what a client sends.
type matrixRequest struct {
	method, path, host string // POST, /mcp and mcp.example.com by default
	header             http.Header
	body               io.Reader
}

// newRequest returns the HTTP request.
func (m *matrix) newRequest(t *testing.T, ctx context.Context, r matrixRequest) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, cmp.Or(r.method, "POST"), "http://"+m.address+cmp.Or(r.path, "/mcp"), r.body)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = cmp.Or(r.host, "mcp.example.com")
	for name, values := range r.header {
		req.Header[name] = values
	}
	return req
}

// matrixAnswer is an answer that was read.
type matrixAnswer struct {
	*http.Response
	body string
}

// send sends a request and reads the answer.
func (m *matrix) send(t *testing.T, r matrixRequest) matrixAnswer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), matrixTime)
	defer cancel()
	resp, err := http.DefaultClient.Do(m.newRequest(t, ctx, r))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return matrixAnswer{resp, string(body)}
}

// bearer returns the header of a request with a token.
func bearer(token string, others ...string) http.Header {
	h := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	for i := 0; i < len(others); i += 2 {
		h[others[i]] = append(h[others[i]], others[i+1])
	}
	return h
}

// reason returns the member reason of a JSON body, also of a JSON-RPC error.
func (a matrixAnswer) reason(t *testing.T) string {
	t.Helper()
	var body struct {
		Reason string
		Error  json.RawMessage
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Errorf("the body %q with status %d is not JSON", a.body, a.StatusCode)
	}
	var rpc struct{ Data struct{ Reason string } }
	json.Unmarshal(body.Error, &rpc) // it is a text in the other form
	return cmp.Or(body.Reason, rpc.Data.Reason)
}

// want fails the test unless the answer has a status and a reason, and the backend was reached
// only if the status is that of success.
func (m *matrix) want(t *testing.T, a matrixAnswer, status int, reason string) {
	t.Helper()
	got := ""
	if a.StatusCode >= 400 && a.Request.Method != http.MethodHead {
		got = a.reason(t)
	}
	if a.StatusCode != status || got != reason && a.Request.Method != http.MethodHead {
		t.Errorf("got status %d and reason %q, want %d and %q", a.StatusCode, got, status, reason)
	}
	if n := len(m.backend.reached()); (n > 0) != (status < 400) {
		t.Errorf("%d requests have reached the backend", n)
	}
}

func TestMatrixChallenges(t *testing.T) {
	m := newMatrix(t, nil)
	valid := m.token()
	const document = matrixOrigin + "/.well-known/oauth-protected-resource/mcp"
	tests := []struct {
		name      string
		request   matrixRequest
		status    int
		reason    string
		challenge bool
	}{
		{"valid token", matrixRequest{header: bearer(valid)}, 200, "", false},
		{"bearer in lower case", matrixRequest{header: http.Header{"Authorization": {"bearer " + valid}}}, 200, "", false},
		{"no token", matrixRequest{}, 401, "no_credentials", true},
		{"invalid token", matrixRequest{header: bearer("x.y.z")}, 401, "malformed", true},
		{"another scheme", matrixRequest{header: http.Header{"Authorization": {"Basic eDp5"}}}, 401, "wrong_scheme", true},
		{"no token, GET", matrixRequest{method: "GET"}, 401, "no_credentials", true},
		{"no token, HEAD", matrixRequest{method: "HEAD"}, 401, "no_credentials", true},
		{"no token, DELETE", matrixRequest{method: "DELETE"}, 401, "no_credentials", true},
		{"no token, PUT", matrixRequest{method: "PUT"}, 401, "no_credentials", true},
		{"no token, PATCH", matrixRequest{method: "PATCH"}, 401, "no_credentials", true},
		{"no token, OPTIONS", matrixRequest{method: "OPTIONS"}, 401, "no_credentials", true},
		{"no token, TRACE", matrixRequest{method: "TRACE"}, 401, "no_credentials", true},
		{"two tokens, the first valid", matrixRequest{header: http.Header{"Authorization": {"Bearer " + valid, "Bearer x"}}}, 400, "malformed_credentials", true},
		{"two tokens, the second valid", matrixRequest{header: http.Header{"Authorization": {"Bearer x", "Bearer " + valid}}}, 400, "malformed_credentials", true},
		{"token in the query", matrixRequest{path: "/mcp?access_token=" + valid}, 400, "token_in_query", true},
		{"valid token, and one in the query", matrixRequest{path: "/mcp?access_token=x", header: bearer(valid)}, 400, "token_in_query", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := m.send(t, test.request)
			m.want(t, a, test.status, test.reason)
			challenges := a.Header.Values("WWW-Authenticate")
			if test.challenge != (len(challenges) == 1 && strings.Contains(challenges[0], `resource_metadata="`+document+`"`)) {
				t.Errorf("got challenges %q", challenges)
			}
		})
	}
}

const matrixOrigin = "https://mcp.example.com"

func TestMatrixDocuments(t *testing.T) {
	m := newMatrix(t, nil)
	evil := []struct {
		name, host string
		header     http.Header
	}{
		{"as it is", "", nil}, {"Host", "evil.example", nil}, {"X-Forwarded-Host", "", http.Header{"X-Forwarded-Host": {"evil.example"}}},
		{"Forwarded", "", http.Header{"Forwarded": {"host=evil.example"}}}, {"X-Forwarded-Proto", "", http.Header{"X-Forwarded-Proto": {"http"}}},
	}
	for _, path := range []string{"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"} {
		for _, test := range evil {
			t.Run(path+" "+test.name, func(t *testing.T) {
				a := m.send(t, matrixRequest{method: "GET", path: path, host: test.host, header: test.header})
				var document struct {
					Resource string
					Servers  []string `json:"authorization_servers"`
				}
				if err := json.Unmarshal([]byte(a.body), &document); err != nil {
					t.Fatal(err)
				}
				if document.Resource != matrixResource || !slices.Equal(document.Servers, []string{m.issuer.URL()}) || strings.Contains(a.body, "evil") {
					t.Errorf("got %s", a.body)
				}
			})
		}
	}
	if a := m.send(t, matrixRequest{method: "GET", path: "/.well-known/oauth-authorization-server"}); a.body != m.issuer.Metadata() {
		t.Errorf("got authorization server metadata %q, want that of the issuer", a.body)
	}
	if n := len(m.backend.reached()); n > 0 {
		t.Errorf("%d requests have reached the backend", n)
	}
}

func TestMatrixTokens(t *testing.T) {
	id := []testissuer.Change{testissuer.Header("typ", "JWT"), testissuer.Claim("nonce", "n"), testissuer.Claim("client_id", nil), testissuer.Claim("scope", nil)}
	now := time.Now()
	// forged signs with another key, in the name of the issuer.
	forged := func(m *matrix, changes ...testissuer.Change) string {
		other := testissuer.New(m.issuer.URL())
		other.Publish(testissuer.NewKey("forged"))
		return other.Token(matrixResource, changes...)
	}
	changed := func(changes ...testissuer.Change) func(*matrix) string {
		return func(m *matrix) string { return m.token(changes...) }
	}
	tests := []struct {
		name   string
		token  func(*matrix) string
		status int
		reason string
	}{
		{"control", changed(), 200, ""},
		{"foreign_aud", changed(testissuer.Claim("aud", "https://other.example.com/mcp")), 401, "wrong_audience"},
		{"no_aud", changed(testissuer.Claim("aud", nil)), 401, "unbound"},
		{"id_token", changed(append(id, testissuer.Claim("aud", "client_1"))...), 401, "wrong_type"},
		{"id_token_aud_is_us", changed(id...), 401, "wrong_type"},
		{"session_token", changed(testissuer.Header("typ", "JWT"), testissuer.Claim("azp", "https://app.example.com"), testissuer.Claim("sid", "sess_1"),
			testissuer.Claim("aud", nil), testissuer.Claim("client_id", nil), testissuer.Claim("scope", nil)), 401, "wrong_type"},
		{"logout_token", changed(testissuer.Header("typ", "logout+jwt"),
			testissuer.Claim("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}})), 401, "wrong_type"},
		{"expired", changed(testissuer.Claim("exp", now.Add(-time.Hour).Unix())), 401, "expired"},
		{"no_exp", changed(testissuer.Claim("exp", nil)), 401, "missing_claim"},
		{"not_yet_valid", changed(testissuer.Claim("nbf", now.Add(time.Hour).Unix())), 401, "not_yet_valid"},
		{"wrong_issuer", changed(testissuer.Claim("iss", "https://evil.example")), 401, "wrong_issuer"},
		{"bad_signature", func(m *matrix) string { return forged(m, testissuer.Header("kid", m.issuer.Keys()[0].ID)) }, 401, "bad_signature"},
		// A token that is newer than the keys may be signed with a new one: then the answer is 503.
		{"unknown_kid", func(m *matrix) string { return forged(m, testissuer.Claim("iat", now.Add(-time.Minute).Unix())) }, 401, "unknown_key"},
		{"alg_none", func(m *matrix) string {
			return m.issuer.Sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, matrixResource)
		}, 401, "wrong_algorithm"},
		// Signed with the public key, as if it were a secret.
		{"alg_hs256", func(m *matrix) string {
			return m.issuer.Sign(jwt.SigningMethodHS256, []byte(testissuer.JWKS(m.issuer.Keys()[0])), matrixResource)
		}, 401, "wrong_algorithm"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newMatrix(t, nil) // of its own: unknown keys are looked for rarely
			a := m.send(t, matrixRequest{header: bearer(test.token(m)), body: strings.NewReader(matrixPing)})
			m.want(t, a, test.status, test.reason)
		})
	}
}

// matrixSpoofs are headers that a backend might take for the identity of the caller.
var matrixSpoofs = []string{
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Groups", "X-Forwarded-Groups-Truncated",
	"X-Forwarded-Access-Token", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Access-Token",
	"Remote-User", "X-User-Id", "X-Jwt-Sub", "X-Gatehouse-Assertion", "X_Forwarded_User", "X_Auth_Request_User", "x-forwarded-user",
	"x_forwarded_user", "X-FORWARDED-USER", "X-Forwarded_User", "X_Gatehouse_Assertion", "REMOTE_USER", "Forwarded", "X-Real-Ip",
}

func TestMatrixIdentity(t *testing.T) {
	m := newMatrix(t, nil)
	token := m.token()
	headers := []http.Header{bearer(token)}
	for _, name := range matrixSpoofs {
		headers = append(headers, bearer(token, name, "mallory"), bearer(token, name, "mallory", "Connection", name))
	}
	for _, name := range forwarded.DefaultHeaders().Names() {
		headers = append(headers, bearer(token, "Connection", name), bearer(token, "Connection", "close, "+name))
	}
	headers = append(headers, bearer(token, "Cookie", "session=mallory"), bearer(token, "Trailer", "X-Forwarded-User"))
	for _, h := range headers {
		a := m.send(t, matrixRequest{header: h, body: strings.NewReader(matrixPing)})
		reached := m.backend.reached()
		if a.StatusCode != http.StatusOK || len(reached) != 1 {
			t.Errorf("%v: got status %d and %d requests at the backend, want 200 and 1", names(h), a.StatusCode, len(reached))
			continue
		}
		got := reached[0].Header
		if user := got.Values("X-Forwarded-User"); !slices.Equal(user, []string{"user_ada"}) {
			t.Errorf("%v: got X-Forwarded-User %q, want user_ada", names(h), user)
		}
		if assertion := got.Values("X-Gatehouse-Assertion"); len(assertion) != 1 || strings.Count(assertion[0], ".") != 2 {
			t.Errorf("%v: got %d assertions, want one JWT", names(h), len(assertion))
		}
		for name, values := range got {
			if text := strings.Join(values, ","); strings.Contains(text, "mallory") || strings.Contains(text, token) {
				t.Errorf("%v: the backend got %s of the client", names(h), name)
			}
		}
		if got.Get("Authorization") != "" {
			t.Errorf("%v: the backend got Authorization", names(h))
		}
		if want := m.backend.server.Listener.Addr().String(); reached[0].Host != want {
			t.Errorf("got Host %q, want that of the backend, %q", reached[0].Host, want)
		}
		if leaked := a.Header.Get("WWW-Authenticate") + a.Header.Get("Access-Control-Allow-Origin") + a.Header.Get("X-Forwarded-User"); leaked != "" {
			t.Errorf("the client got %q of the backend", leaked)
		}
		if session := a.Header.Get("Mcp-Session-Id"); session == "session-1" || !strings.Contains(session, "session-1.") {
			t.Errorf("got session %q, want one that is sealed for the user", session)
		}
	}
}

// names returns the names of headers besides those of every request.
func names(h http.Header) (out []string) {
	for name, values := range h {
		if name != "Authorization" && name != "Content-Type" {
			out = append(out, name+": "+strings.Join(values, ","))
		}
	}
	return out
}

// A trailer does not set an identity either.
func TestMatrixTrailers(t *testing.T) {
	m := newMatrix(t, nil)
	conn, err := net.Dial("tcp", m.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Transfer-Encoding: chunked\r\nTrailer: X-Forwarded-User\r\n\r\n%x\r\n%s\r\n0\r\nX-Forwarded-User: mallory\r\n\r\n", m.token(), len(matrixPing), matrixPing)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	reached := m.backend.reached()
	if resp.StatusCode != http.StatusOK || len(reached) != 1 {
		t.Fatalf("got status %d and %d requests at the backend, want 200 and 1", resp.StatusCode, len(reached))
	}
	if user := reached[0].Header.Values("X-Forwarded-User"); !slices.Equal(user, []string{"user_ada"}) || len(reached[0].Trailer) > 0 {
		t.Errorf("got X-Forwarded-User %q and trailers %v, want user_ada and none", user, reached[0].Trailer)
	}
}

func TestMatrixPathsAndHosts(t *testing.T) {
	m := newMatrix(t, nil)
	h := bearer(m.token())
	for _, path := range []string{"/admin", "/mcp/admin", "/mcp/../admin", "/mcp%2f..%2fadmin", "//mcp/admin", "/", "/MCP", "/.well-known/other", "/auth"} {
		a := m.send(t, matrixRequest{path: path, header: h})
		if a.StatusCode < 400 || len(m.backend.reached()) > 0 {
			t.Errorf("%s: got status %d, want a rejection and no request at the backend", path, a.StatusCode)
		}
	}
	for _, host := range []string{"evil.example", "mcp.example.com.evil.example", "127.0.0.1.evil.example"} {
		m.want(t, m.send(t, matrixRequest{host: host, header: h}), 403, "forbidden_host")
	}
	for _, origin := range []string{"https://evil.example", "null", "http://mcp.example.com", "https://mcp.example.com.evil.example"} {
		m.want(t, m.send(t, matrixRequest{header: bearer(m.token(), "Origin", origin)}), 403, "forbidden_origin")
	}
	for _, allowed := range []matrixRequest{{header: h}, {host: "mcp.example.com:443", header: h}, {path: "/mcp/", header: h},
		{header: bearer(m.token(), "Origin", matrixOrigin)}} {
		m.want(t, m.send(t, allowed), 200, "")
	}
}

func TestMatrixPreflight(t *testing.T) {
	m := newMatrix(t, nil)
	preflight := func(origin string) matrixRequest {
		return matrixRequest{method: "OPTIONS", header: http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}}}
	}
	a := m.send(t, preflight(matrixOrigin))
	if got := a.Header.Values("Access-Control-Allow-Origin"); a.StatusCode != http.StatusNoContent || !slices.Equal(got, []string{matrixOrigin}) {
		t.Errorf("got status %d and allowed origins %q", a.StatusCode, got)
	}
	m.want(t, m.send(t, preflight("https://evil.example")), 403, "forbidden_origin")
}

// matrixVerbs are the methods that a client may send with a token.
func TestMatrixVerbs(t *testing.T) {
	m := newMatrix(t, nil)
	for _, method := range []string{"GET", "HEAD", "DELETE", "PUT", "PATCH", "POST", "OPTIONS"} {
		a := m.send(t, matrixRequest{method: method, header: bearer(m.token())})
		reached := m.backend.reached()
		if a.StatusCode != http.StatusOK || len(reached) != 1 || reached[0].Method != method {
			t.Errorf("%s: got status %d and %d requests at the backend, want 200 and one", method, a.StatusCode, len(reached))
		}
	}
}

// countedReader counts what is read of an endless body.
type countedReader struct {
	read atomic.Int64
	size int64
}

func (r *countedReader) Read(p []byte) (int, error) {
	rest := r.size - r.read.Load()
	if rest <= 0 {
		return 0, io.EOF
	}
	n := int64(len(p))
	n = min(n, rest)
	for i := range p[:n] {
		p[i] = 'x'
	}
	r.read.Add(n)
	return int(n), nil
}

// A large body is rejected with 413, and before it is read if its length is announced. With an
// invalid token it is rejected with 401, unread.
func TestMatrixBodies(t *testing.T) {
	const large = 64 << 20
	m := newMatrix(t, nil)
	small := newMatrix(t, func(_ *matrix, e *gateway.Endpoint) { e.Guard.MaxBodyBytes = 1000 })
	tests := []struct {
		name    string
		on      *matrix
		size    int64
		chunked bool
		token   string
		status  int
		reason  string
	}{
		{"within the limit", m, 4 << 20, false, m.token(), 200, ""},
		{"one byte more", m, 4<<20 + 1, false, m.token(), 413, "body_too_large"},
		{"64 MiB", m, large, false, m.token(), 413, "body_too_large"},
		{"64 MiB without a length", m, large, true, m.token(), 413, "body_too_large"},
		{"64 MiB, invalid token", m, large, false, "x.y.z", 401, "malformed"},
		{"64 MiB without a length, invalid token", m, large, true, "x.y.z", 401, "malformed"},
		{"64 MiB, no token", m, large, false, "", 401, "no_credentials"},
		{"other limit, within", small, 1000, false, small.token(), 200, ""},
		{"other limit, one byte more", small, 1001, false, small.token(), 413, "body_too_large"},
		{"other limit, without a length", small, 1001, true, small.token(), 413, "body_too_large"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body := &countedReader{size: test.size}
			h := http.Header{"Expect": {"100-continue"}} // the body is sent only if the server asks for it
			if test.token != "" {
				h.Set("Authorization", "Bearer "+test.token)
			}
			req := test.on.newRequest(t, t.Context(), matrixRequest{header: h, body: io.NopCloser(body)})
			if !test.chunked {
				req.ContentLength = test.size
			}
			client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: matrixTime}}
			defer client.CloseIdleConnections()
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			test.on.want(t, matrixAnswer{resp, string(text)}, test.status, test.reason)
			if unread := test.status == 401 || test.status == 413 && !test.chunked; unread && body.read.Load() > 0 {
				t.Errorf("%d bytes of the body were sent, want none", body.read.Load())
			}
			if test.status >= 400 && !resp.Close {
				t.Error("the connection stays open for the rest of the body")
			}
			if test.size == large && body.read.Load() > 32<<20 {
				t.Errorf("%d bytes of the body were read", body.read.Load())
			}
		})
	}
}

// While the issuer is unavailable, known keys are used. Without keys the answer is 503, and the
// documents are served.
func TestMatrixIssuerUnavailable(t *testing.T) {
	t.Run("after start", func(t *testing.T) {
		m := newMatrix(t, nil)
		seen, unseen := m.token(), m.token(testissuer.Claim("jti", "oat_2"))
		m.want(t, m.send(t, matrixRequest{header: bearer(seen)}), 200, "")
		m.issuer.SetDown(true)
		m.want(t, m.send(t, matrixRequest{header: bearer(seen)}), 200, "")
		m.want(t, m.send(t, matrixRequest{header: bearer(unseen)}), 200, "")
		m.want(t, m.send(t, matrixRequest{}), 401, "no_credentials")
	})
	t.Run("at start", func(t *testing.T) {
		t.Parallel()
		m := newMatrix(t, func(m *matrix, _ *gateway.Endpoint) { m.issuer.SetDown(true) })
		a := m.send(t, matrixRequest{header: bearer(m.token())})
		m.want(t, a, 503, "provider_unavailable")
		if a.Header.Get("Retry-After") == "" || a.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("got headers %v, want Retry-After and no challenge", a.Header)
		}
		if a := m.send(t, matrixRequest{method: "GET", path: "/.well-known/oauth-protected-resource/mcp"}); a.StatusCode != http.StatusOK {
			t.Errorf("got status %d for the resource metadata, want 200", a.StatusCode)
		}
		m.issuer.SetDown(false)
		for ctx, cancel := context.WithTimeout(t.Context(), matrixTime); ; {
			a := m.send(t, matrixRequest{header: bearer(m.token())})
			if a.StatusCode == http.StatusOK {
				cancel()
				break
			}
			m.want(t, a, 503, "provider_unavailable")
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				t.Fatal("tokens are not accepted after the issuer is back")
			}
		}
	})
}

// A backend that is down is 502, and one that is slow 504: as JSON-RPC errors, without its
// address. The request after its return is answered.
func TestMatrixBackendUnavailable(t *testing.T) {
	m := newMatrix(t, func(_ *matrix, e *gateway.Endpoint) { e.HeaderTimeout = 50 * time.Millisecond })
	ping := func(path string) matrixRequest {
		return matrixRequest{path: path, header: bearer(m.token()), body: strings.NewReader(matrixPing)}
	}
	a := m.send(t, ping("/mcp?wait"))
	if reason := a.reason(t); a.StatusCode != http.StatusGatewayTimeout || reason != "upstream_timeout" || !strings.Contains(a.body, `"id":1`) {
		t.Errorf("got status %d and body %q from a slow backend, want 504 and a JSON-RPC error", a.StatusCode, a.body)
	}
	<-m.backend.ended // the call of the backend ends with it
	m.backend.reached()

	address := m.backend.server.Listener.Addr().String()
	m.backend.server.Close()
	a = m.send(t, ping(""))
	if reason := a.reason(t); a.StatusCode != http.StatusBadGateway || reason != "upstream_unreachable" || !strings.Contains(a.body, `"id":1`) {
		t.Errorf("got status %d and body %q without a backend, want 502 and a JSON-RPC error", a.StatusCode, a.body)
	}
	a = m.send(t, matrixRequest{method: "GET", header: bearer(m.token())})
	if reason := a.reason(t); a.StatusCode != http.StatusBadGateway || reason != "upstream_unreachable" {
		t.Errorf("got status %d and body %q for GET without a backend, want 502 and JSON", a.StatusCode, a.body)
	}
	if host, port, _ := strings.Cut(address, ":"); strings.Contains(a.body, host) || strings.Contains(a.body, port) {
		t.Errorf("the body %q has the address of the backend", a.body)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("the address of the backend is in use now: %v", err)
	}
	back := &http.Server{Handler: m.backend}
	go back.Serve(l)
	t.Cleanup(func() { back.Close() })
	m.want(t, m.send(t, ping("")), 200, "")
}

// Events arrive as they are sent, also from a stream whose lists are filtered. A client that
// leaves ends the request to the backend, in a stream and in a call.
func TestMatrixStreams(t *testing.T) {
	m := newMatrix(t, func(_ *matrix, e *gateway.Endpoint) {
		e.Guard.Requirements = []gatehouse.Requirement{{Tool: "purge", Require: gatehouse.Require{Scopes: []string{"notes:admin"}}}}
	})
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for _, test := range []struct{ method, body string }{{"GET", ""}, {"POST", matrixPing}, {"POST", list}} {
		t.Run(test.method+test.body, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r := matrixRequest{method: test.method, path: "/mcp?stream", header: bearer(m.token(), "Accept", "application/json, text/event-stream")}
			if test.body != "" {
				r.body = strings.NewReader(test.body)
			}
			resp, err := http.DefaultClient.Do(m.newRequest(t, ctx, r))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			events := teststream.NewReader(resp.Body)
			for i := range 3 {
				event, err := events.Next()
				if want := fmt.Sprintf(`"progress":%d`, i); err != nil || !strings.Contains(event.Data, want) {
					t.Fatalf("got event %q, %v, want %s", event.Data, err, want)
				}
				if i < 2 {
					m.backend.next <- true
				}
			}
			leave()
			<-m.backend.ended
		})
	}
	t.Run("call", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan error)
		m.backend.reached()
		go func() {
			resp, err := http.DefaultClient.Do(m.newRequest(t, ctx, matrixRequest{path: "/mcp?wait", header: bearer(m.token()), body: strings.NewReader(matrixPing)}))
			if err == nil {
				resp.Body.Close()
			}
			done <- err
		}()
		<-m.backend.requests
		leave()
		<-m.backend.ended
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want that the client has left", err)
		}
	})
}

// restartable is a backend process: it can be killed, and started again at the same address.
type restartable struct {
	address string
	handler http.Handler
	server  *http.Server
}

func (r *restartable) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", cmp.Or(r.address, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	r.address, r.server = l.Addr().String(), &http.Server{Handler: r.handler}
	go r.server.Serve(l)
}

// A backend is killed and started again while clients call it. Only calls that run while it is down
// fail, with 502 and a JSON-RPC error.
func TestMatrixBackendRestart(t *testing.T) {
	const workers, calls, restarts = 16, 20, 3 // calls of each worker while the backend runs
	m := newMatrix(t, nil)
	process := &restartable{address: m.backend.server.Listener.Addr().String(), handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		})}
	m.backend.server.Close()
	process.start(t)
	token := m.token()
	var down atomic.Int32 // odd while the backend does not run, or may not
	var work sync.WaitGroup
	var failed atomic.Int32
	progress, stop := make(chan bool), make(chan bool)
	for range workers {
		work.Go(func() {
			for {
				before := down.Load()
				a := m.send(t, matrixRequest{header: bearer(token), body: strings.NewReader(matrixPing)})
				switch undisturbed := before%2 == 0 && down.Load() == before; {
				case a.StatusCode == http.StatusOK:
				case undisturbed:
					t.Errorf("got status %d and %q while the backend was running", a.StatusCode, a.body)
				case a.StatusCode != http.StatusBadGateway || !strings.HasPrefix(a.reason(t), "upstream_") || !strings.Contains(a.body, `"id":1`):
					t.Errorf("got status %d and %q while the backend was down, want 502 and a JSON-RPC error", a.StatusCode, a.body)
				default:
					failed.Add(1)
				}
				select {
				case progress <- true:
				case <-stop:
					return
				}
			}
		})
	}
	await := func() {
		for range workers * calls {
			<-progress
		}
	}
	for range restarts {
		await()
		down.Add(1)
		process.server.Close()
		await()
		process.start(t)
		down.Add(1)
	}
	await()
	close(stop)
	work.Wait()
	process.server.Close()
	if failed.Load() == 0 {
		t.Error("no call has failed while the backend was down")
	}
}
