package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

func TestBackendGetsTheCaller(t *testing.T) {
	f := newFixture(t)
	got := f.do(t, http.MethodPost, call, "Authorization", "Bearer "+f.token(
		testissuer.Claim("email", "ada@example.com"), testissuer.Claim("preferred_username", "ada"),
		testissuer.Claim("roles", []string{"admin", "a,b"})))
	wantOK(t, got)
	r := f.backend.last(t)
	for name, want := range map[string]string{
		"X-Forwarded-User":               "user_ada",
		"X-Forwarded-Email":              "ada@example.com",
		"X-Forwarded-Preferred-Username": "ada",
		"X-Forwarded-Groups":             "admin,a%2Cb",
		"X-Forwarded-For":                "127.0.0.1",
		"X-Forwarded-Proto":              "http",
		"X-Forwarded-Host":               strings.TrimPrefix(f.origin, "http://"),
		"Authorization":                  "",
		"Content-Type":                   "application/json",
		"Accept":                         "application/json, text/event-stream",
	} {
		if values := r.Header.Values(name); strings.Join(values, "|") != want {
			t.Errorf("the backend got %s %q, want %q", name, values, want)
		}
	}
	if assertion := r.Header.Values("X-Gatehouse-Assertion"); len(assertion) != 1 || strings.Count(assertion[0], ".") != 2 {
		t.Errorf("the backend got the assertions %q, want one JWT", assertion)
	}
	if want := strings.TrimPrefix(f.backend.URL, "http://"); r.Host != want {
		t.Errorf("the backend got Host %q, want its own, %q", r.Host, want)
	}
	if r.URL.Path != "/backend" || r.body != call {
		t.Errorf("the backend got %s with body %q, want /backend with the body of the client", r.URL.Path, r.body)
	}
}

// spoofed are headers with which a client may try to be someone else, in the spellings that a
// backend may read as the same.
var spoofed = []string{
	"X-Forwarded-User", "x-forwarded-user", "X_Forwarded_User", "X-Forwarded_User", "X_FORWARDED_USER", "X-Forwarded-Email",
	"X-Forwarded-Preferred-Username", "X-Forwarded-Groups", "X-Forwarded-Groups-Truncated", "X-Forwarded-Access-Token", "X-Auth-Request-User",
	"X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Access-Token", "X_Auth_Request_User", "Remote-User", "Remote_User",
	"X-User-Id", "X-Jwt-Sub", "X-Gatehouse-Assertion", "X_Gatehouse_Assertion", "X-Real-Ip", "Forwarded", "X-Forwarded-For",
	"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Remote-User", "X-Webauth-User", "X-HTTP-Method-Override", "X-Original-Url",
	"Cf-Access-Jwt-Assertion", "X-Ms-Client-Principal-Name", "X.Forwarded.User", "X+Forwarded~User", "X-Auth-User", "OIDC_CLAIM_sub",
	"Sm_User", "Iv-User", "X-Appengine-User-Email", "Proxy", "Cookie2",
}

func TestClientHeadersCannotNameTheCaller(t *testing.T) {
	f := newFixture(t)
	for _, name := range spoofed {
		wantOK(t, f.post(t, call, name, "evil", name, "evil", "X-Harmless", "kept"))
		r := f.backend.last(t)
		for got, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), "evil") {
				t.Errorf("a client's %s reached the backend as %s: %q", name, got, values)
			}
		}
		if got := r.Header.Get("X-Harmless"); got != "kept" {
			t.Errorf("X-Harmless is %q next to %s, want it forwarded", got, name)
		}
		if got := r.Header.Values("X-Forwarded-User"); len(got) != 1 || got[0] != "user_ada" {
			t.Errorf("X-Forwarded-User is %q after the client sent %s, want user_ada", got, name)
		}
	}
}

// The backend gets the address of the client, and none that the client has made up.
func TestAddressOfTheClient(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	behind := append(loopback[:1:1], netip.MustParsePrefix("10.0.0.0/24"))
	const real, invented = "203.0.113.9", "198.51.100.1"
	for name, test := range map[string]struct {
		trusted      []netip.Prefix
		header, sent string // the name for client_address_header, and X-Forwarded-For of the request
		want         string
	}{
		"no proxy":                    {nil, "", real, "127.0.0.1"},
		"one proxy":                   {loopback, "", real, real},
		"an address that is invented": {loopback, "", invented + ", " + real, real},
		"two proxies":                 {behind, "", invented + ", " + real + ", 10.0.0.7", real},
		"the first one is unknown":    {loopback, "", real + ", 10.0.0.7", "10.0.0.7"},
		"IPv6 with a port":            {loopback, "", "[2001:db8::1]:443", "2001:db8::1"},
		"no address":                  {loopback, "", "unknown", "127.0.0.1"},
		"no header":                   {loopback, "", "", "127.0.0.1"},
		"another header":              {loopback, "x-real-ip", invented, real},
	} {
		f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) {
			e.Guard.TrustedProxies, e.Guard.ClientAddressHeader = test.trusted, test.header
		})
		var header []string
		if test.sent != "" {
			header = append(header, "X-Forwarded-For", test.sent)
		}
		// A client cannot remove the header by naming it in Connection.
		wantOK(t, f.post(t, call, append(header, "X-Real-IP", real, "Connection", "X-Forwarded-For")...))
		r := f.backend.last(t)
		if got := r.Header.Values("X-Forwarded-For"); len(got) != 1 || got[0] != test.want || r.Header.Get("X-Real-Ip") != "" {
			t.Errorf("%s: the backend got X-Forwarded-For %q and X-Real-IP %q, want %s alone", name, got, r.Header.Get("X-Real-Ip"), test.want)
		}
	}
}

// A name of one's own is removed from requests, too.
func TestClientHeadersWithConfiguredNames(t *testing.T) {
	f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) { e.Headers = forwarded.Headers{User: "My-Caller"} })
	for _, name := range []string{"My-Caller", "my_caller", "MY-CALLER", "X-Forwarded-User", "X-Forwarded-Email"} {
		wantOK(t, f.post(t, call, name, "evil"))
		r := f.backend.last(t)
		for got, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), "evil") {
				t.Errorf("a client's %s reached the backend as %s", name, got)
			}
		}
		if got := r.Header.Values("My-Caller"); len(got) != 1 || got[0] != "user_ada" || r.Header.Get("X-Forwarded-User") != "" {
			t.Errorf("My-Caller is %q and X-Forwarded-User is %q, want user_ada and none", got, r.Header.Get("X-Forwarded-User"))
		}
	}
}

// The proxy removes what a client names in Connection before the identity is set.
func TestConnectionCannotRemoveTheCaller(t *testing.T) {
	f := newFixture(t)
	for _, connection := range []string{
		"X-Forwarded-User", "close, X-Forwarded-User, X-Gatehouse-Assertion", "x-forwarded-user", "X-Forwarded-User, Upgrade",
	} {
		wantOK(t, f.post(t, call, "Connection", connection, "Upgrade", "websocket"))
		r := f.backend.last(t)
		if r.Header.Get("X-Forwarded-User") != "user_ada" || r.Header.Get("X-Gatehouse-Assertion") == "" {
			t.Errorf("Connection: %s removed the identity: %v", connection, r.Header)
		}
		if r.Header.Get("Upgrade") != "" {
			t.Errorf("Connection: %s: the backend got Upgrade %q, want none", connection, r.Header.Get("Upgrade"))
		}
	}
	// The control: other headers are removed as the client asks.
	wantOK(t, f.post(t, call, "Connection", "X-Own", "X-Own", "1"))
	if got := f.backend.last(t).Header.Get("X-Own"); got != "" {
		t.Errorf("X-Own is %q although Connection names it", got)
	}
}

// raw sends the text of a request, in which {token} stands for a token, and returns the answer.
func (f *fixture) raw(t *testing.T, text string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.origin, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	text = strings.ReplaceAll(strings.ReplaceAll(text, "{token}", f.token()), "\n", "\r\n")
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// net/http rejects a header with a space after its name, so such a name does not pass the list.
func TestHeaderSpellingsOnTheWire(t *testing.T) {
	f := newFixture(t)
	const request = "POST /mcp HTTP/1.1\nHost: localhost\nAuthorization: Bearer {token}\nContent-Type: application/json\n%s\nContent-Length: 2\n\n{}"
	for _, test := range []struct {
		header string
		status int
	}{
		{"X-Own: 1", 200},
		{"X-Forwarded-User : evil", 400},
		{"X-Forwarded-User\t: evil", 400},
		{"X-Own: 1\n X-Forwarded-User: evil", 200}, // a folded line is a part of the value before
		{"x-forwarded-user:evil", 200},
		{"X_forwarded-User:evil", 200},
		{"X-Own: 1\rX-Forwarded-User: evil", 400},
	} {
		before := len(f.backend.requests())
		resp := f.raw(t, fmt.Sprintf(request, test.header))
		if resp.StatusCode != test.status {
			t.Errorf("%q: status %d, want %d", test.header, resp.StatusCode, test.status)
		}
		for _, r := range f.backend.requests()[before:] {
			if got := r.Header.Values("X-Forwarded-User"); len(got) != 1 || got[0] != "user_ada" {
				t.Errorf("%q: the backend got X-Forwarded-User %q, want user_ada", test.header, got)
			}
		}
	}
}

// Trailers of a client are not forwarded: some servers merge them into the headers.
func TestTrailersAreNotForwarded(t *testing.T) {
	f := newFixture(t)
	resp := f.raw(t, "POST /mcp HTTP/1.1\nHost: localhost\nAuthorization: Bearer {token}\nContent-Type: application/json\n"+
		"Transfer-Encoding: chunked\nTrailer: X-Forwarded-User\n\n2\n{}\n0\nX-Forwarded-User: evil\n\n")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, want 200", resp.StatusCode)
	}
	r := f.backend.last(t)
	if len(r.Trailer) > 0 || r.Header.Get("Trailer") != "" || r.body != "{}" {
		t.Errorf("the backend got the trailers %v and the body %q, want no trailers and {}", r.Trailer, r.body)
	}
}

func TestAccessTokenIsNotForwarded(t *testing.T) {
	forward := func(_ *fixture, e *gateway.Endpoint) { e.DangerouslyForwardAccessToken = true }
	for _, test := range []struct {
		name      string
		change    func(*fixture, *gateway.Endpoint)
		forwarded bool
	}{{"default", func(*fixture, *gateway.Endpoint) {}, false}, {"dangerously", forward, true}} {
		f := newFixture(t, test.change)
		token := f.token()
		wantOK(t, f.do(t, http.MethodPost, call, "Authorization", "Bearer "+token, "Cookie", "session=1", "Proxy-Authorization", "Basic eA=="))
		r := f.backend.last(t)
		var with []string
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), token) {
				with = append(with, name)
			}
		}
		if got := strings.Join(with, " ") == "Authorization"; got != test.forwarded || !test.forwarded && len(with) > 0 {
			t.Errorf("%s: the token reached the backend in %q, want forwarded: %v", test.name, with, test.forwarded)
		}
		if r.Header.Get("Cookie") != "" || r.Header.Get("Proxy-Authorization") != "" {
			t.Errorf("%s: the backend got Cookie %q and Proxy-Authorization %q, want neither", test.name, r.Header.Get("Cookie"),
				r.Header.Get("Proxy-Authorization"))
		}
		warned := strings.Contains(strings.Join(f.gateway.Warnings(), " "), "access tokens are forwarded")
		if warned != test.forwarded {
			t.Errorf("%s: a warning is %v, want %v", test.name, warned, test.forwarded)
		}
	}
}

func TestCookies(t *testing.T) {
	for _, test := range []struct {
		forward  bool
		cookie   string
		received string
	}{{false, "", ""}, {true, "session=1", "theirs=2"}} {
		f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) { e.ForwardCookies = test.forward })
		f.backend.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
			w.Header().Set("Set-Cookie", "theirs=2")
			writeResult(w, body, map[string]any{})
		}
		got := f.post(t, call, "Cookie", "session=1")
		wantOK(t, got)
		if sent := f.backend.last(t).Header.Get("Cookie"); sent != test.cookie || got.header.Get("Set-Cookie") != test.received {
			t.Errorf("ForwardCookies %v: Cookie %q and Set-Cookie %q, want %q and %q", test.forward, sent, got.header.Get("Set-Cookie"),
				test.cookie, test.received)
		}
	}
}

// A backend that checks Origin would reject a web page that the guard allows.
func TestOriginIsChecked(t *testing.T) {
	f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) { e.Guard.AllowedOrigins = []string{"https://app.example.com"} })
	got := f.post(t, call, "Origin", "https://app.example.com", "Sec-Fetch-Site", "cross-site")
	wantOK(t, got)
	if r := f.backend.last(t); r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		t.Errorf("the backend got Origin %q, want none", r.Header.Get("Origin"))
	}
	if allowed := got.header.Values("Access-Control-Allow-Origin"); len(allowed) != 1 || allowed[0] != "https://app.example.com" {
		t.Errorf("Access-Control-Allow-Origin is %q, want the origin once", allowed)
	}
	wantReason(t, f.post(t, call, "Origin", "https://evil.example"), http.StatusForbidden, "forbidden_origin")
	wantReason(t, f.post(t, call, "Host", "evil.example"), http.StatusForbidden, "forbidden_host")
}

// The same subject of two issuers is not the same user.
func TestSeveralProvidersNameTheIssuer(t *testing.T) {
	f := newFixture(t, func(f *fixture, e *gateway.Endpoint) {
		other := testissuer.Start(t)
		e.Guard.Providers = []gatehouse.Provider{gatehouse.OIDC(f.issuer.URL()), gatehouse.OIDC(other.URL())}
		e.Guard.Provider = gatehouse.Provider{}
	})
	wantOK(t, f.post(t, call))
	if got, want := f.backend.last(t).Header.Get("X-Forwarded-User"), f.issuer.URL()+"|user_ada"; got != want {
		t.Errorf("X-Forwarded-User is %q, want %q", got, want)
	}
}

// A subject that does not fit into a header is not cut: it could be that of someone else.
func TestLongSubject(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("x", 1024)
	wantOK(t, f.do(t, http.MethodPost, call, "Authorization", "Bearer "+f.token(testissuer.Claim("sub", long))))
	got := f.do(t, http.MethodPost, call, "Authorization", "Bearer "+f.token(testissuer.Claim("sub", long+"x")))
	wantReason(t, got, http.StatusBadGateway, "identity_too_long")
	if n := len(f.backend.requests()); n != 1 {
		t.Errorf("the backend got %d requests, want 1", n)
	}
}

// A client cannot replace a parameter of the upstream: many servers read the last one of a name.
func TestQueryOfTheUpstreamStays(t *testing.T) {
	const own = "profile=readonly&key&read_only=1"
	f := newFixture(t, func(f *fixture, e *gateway.Endpoint) {
		e.Upstreams = []gateway.Upstream{{URL: &url.URL{
			Scheme: "http", Host: strings.TrimPrefix(f.backend.URL, "http://"), Path: "/x", RawQuery: own,
		}}}
	})
	token, public := f.token(), f.resource
	for query, want := range map[string]string{
		"profile=admin":                "",
		"Profile=admin":                "",
		"%70rofile=admin&key=1":        "",
		"profile%5Bx%5D=admin":         "",
		"+profile=admin":               "",
		"read.only=0&read+only=0":      "",
		"read.all=0":                   "&read.all=0",
		"b=2&profile=admin&profiles=3": "&b=2&profiles=3",
		"b=2;profile=admin":            "", // net/http/httputil removes parameters that servers read differently
	} {
		f.resource = public + "?" + query
		wantOK(t, f.do(t, http.MethodPost, call, "Authorization", "Bearer "+token))
		if got := f.backend.last(t).URL.RawQuery; got != own+want {
			t.Errorf("%s: the backend got the query %s, want %s", query, got, own+want)
		}
	}
}

// A query of the upstream is kept, and that of the client is added.
func TestQuery(t *testing.T) {
	f := newFixture(t, func(f *fixture, e *gateway.Endpoint) {
		e.Upstreams = []gateway.Upstream{{URL: &url.URL{Scheme: "http", Host: strings.TrimPrefix(f.backend.URL, "http://"), Path: "/x", RawQuery: "a=1"}}}
	})
	f.resource += "?b=2"
	got := f.do(t, http.MethodPost, call, "Authorization", "Bearer "+f.issuer.Token(strings.TrimSuffix(f.resource, "?b=2")))
	wantOK(t, got)
	if got := f.backend.last(t).URL.RequestURI(); got != "/x?a=1&b=2" {
		t.Errorf("the backend got %s, want /x?a=1&b=2", got)
	}
}

// An answer to TRACE has the request as the backend got it.
func TestTraceIsNotForwarded(t *testing.T) {
	f := newFixture(t)
	for method, forwarded := range map[string]bool{
		http.MethodTrace: false, "get": false, "Post": false, "PROPFIND": false,
		http.MethodGet: true, http.MethodPost: true, http.MethodDelete: true, http.MethodPut: true,
	} {
		before := len(f.backend.requests())
		got := f.do(t, method, "", "Authorization", "Bearer "+f.token())
		if reached := len(f.backend.requests()) > before; reached != forwarded {
			t.Errorf("%s: the backend got the request: %v, want %v", method, reached, forwarded)
		}
		if !forwarded {
			wantReason(t, got, http.StatusMethodNotAllowed, "method_not_allowed")
		}
	}
}
