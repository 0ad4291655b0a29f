package forwardauth

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

const resource = "https://mcp.example.com/mcp"

// fixture is a handler with one endpoint, and its issuer.
type fixture struct {
	*Handler
	issuer *testissuer.Issuer
	log    *testlog.Buffer
}

func newFixture(t *testing.T, proxy Proxy, change func(*Config)) fixture {
	t.Helper()
	f := fixture{issuer: testissuer.Start(t), log: &testlog.Buffer{}}
	cfg := Config{Proxy: proxy, Logger: f.log.Logger(), Endpoints: []Endpoint{{Guard: gatehouse.Config{
		Resource: resource, Provider: gatehouse.OIDC(f.issuer.URL()), Logger: f.log.Logger(),
	}}}}
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	f.Handler = h
	return f
}

// client is what a client sends to the proxy.
type client struct {
	method, uri, host string // POST, /mcp and mcp.example.com by default
	header            http.Header
	body              string // if the proxy sends it
	from              string // 127.0.0.1:1 by default
}

// ask asks about a request as the proxy does.
func (f fixture) ask(c client) *http.Response {
	method, uri, host := cmp.Or(c.method, "POST"), cmp.Or(c.uri, "/mcp"), cmp.Or(c.host, "mcp.example.com")
	var r *http.Request
	switch p := f.proxy; p.uri {
	case "":
		r = httptest.NewRequest(method, AuthPath+uri, strings.NewReader(c.body))
		r.Host = host
	default:
		r = httptest.NewRequest("GET", AuthPath+"?from=caddy", strings.NewReader(c.body))
		r.Host = "gatehouse:3000"
		r.Header.Set(p.method, method)
		r.Header.Set(p.uri, uri)
		r.Header.Set(p.host, host)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	r.RemoteAddr = cmp.Or(c.from, "127.0.0.1:1")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result()
}

// bearer returns the headers of a request with a token.
func bearer(token string, headers ...string) http.Header {
	h := http.Header{"Authorization": {"Bearer " + token}}
	for i := 0; i < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	return h
}

// reasonOf returns the member reason of a body, or else error.
func reasonOf(t *testing.T, resp *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body struct{ Error, Reason string }
	if len(text) > 0 {
		if err := json.Unmarshal(text, &body); err != nil {
			t.Fatalf("the body %q is not JSON: %v", text, err)
		}
	}
	return cmp.Or(body.Reason, body.Error)
}

// Every proxy gets the same answers.
func TestAnswers(t *testing.T) {
	tests := []struct {
		name       string
		change     func(*client)
		wantStatus int
		wantReason string
	}{
		{"valid", func(*client) {}, 200, ""},
		{"HEAD", func(c *client) { c.method = "HEAD" }, 200, ""},
		{"DELETE", func(c *client) { c.method = "DELETE" }, 200, ""},
		{"slash at the end", func(c *client) { c.uri = "/mcp/" }, 200, ""},
		{"query", func(c *client) { c.uri = "/mcp?x=1" }, 200, ""},
		{"default port", func(c *client) { c.host = "MCP.example.com:443" }, 200, ""},
		{"own origin", func(c *client) { c.header.Set("Origin", "https://mcp.example.com") }, 200, ""},

		{"no token", func(c *client) { c.header = http.Header{} }, 401, "no_credentials"},
		{"no token, GET", func(c *client) { c.method, c.header = "GET", http.Header{} }, 401, "no_credentials"},
		{"no token, OPTIONS", func(c *client) { c.method, c.header = "OPTIONS", http.Header{} }, 401, "no_credentials"},
		{"preflight", func(c *client) {
			c.method = "OPTIONS"
			c.header = http.Header{"Origin": {"https://mcp.example.com"}, "Access-Control-Request-Method": {"POST"}}
		}, 401, "no_credentials"},
		{"browser", func(c *client) { c.method, c.header = "GET", http.Header{"Accept": {"text/html"}} }, 401, "no_credentials"},
		{"other scheme", func(c *client) { c.header.Set("Authorization", "Basic eA==") }, 401, "wrong_scheme"},
		{"invalid token", func(c *client) { c.header.Set("Authorization", "Bearer x.y.z") }, 401, "malformed"},
		{"two tokens", func(c *client) { c.header["Authorization"] = append(c.header["Authorization"], "Bearer x") }, 400, "malformed_credentials"},
		{"token in the query", func(c *client) { c.uri = "/mcp?access_token=x" }, 400, "token_in_query"},
		{"foreign origin", func(c *client) { c.header.Set("Origin", "https://evil.example") }, 403, "forbidden_origin"},
		{"foreign host", func(c *client) { c.host = "evil.example" }, 403, "forbidden"},
		{"other path", func(c *client) { c.uri = "/admin" }, 403, "forbidden"},
		{"longer path", func(c *client) { c.uri = "/mcp/x" }, 403, "forbidden"},
		{"two slashes at the end", func(c *client) { c.uri = "/mcp//" }, 403, "forbidden"},
		{"other spelling of the path", func(c *client) { c.uri = "/admin/../mcp" }, 403, "forbidden"},
		{"encoded path", func(c *client) { c.uri = "/%6dcp" }, 403, "forbidden"},
		{"no path", func(c *client) { c.uri = "?x" }, 403, "forbidden"},
		{"TRACE", func(c *client) { c.method = "TRACE" }, 403, "forbidden"},
		{"CONNECT", func(c *client) { c.method = "CONNECT" }, 403, "forbidden"},
		{"method in lower case", func(c *client) { c.method = "post" }, 403, "forbidden"},
		{"method with a space", func(c *client) { c.method = "GET X" }, 403, "forbidden"},
		{"from another machine", func(c *client) { c.from = "10.0.0.7:1" }, 403, "forbidden"},
		{"from no address", func(c *client) { c.from = "@" }, 403, "forbidden"},
		{"session ID of no one yet", func(c *client) { c.header.Set("Mcp-Session-Id", "s1") }, 200, ""},
		{"two session IDs", func(c *client) { c.header["Mcp-Session-Id"] = []string{"s1", "s2"} }, 404, "session_of_another_user"},
	}
	for _, proxy := range Proxies() {
		f := newFixture(t, proxy, nil)
		for _, test := range tests {
			t.Run(string(proxy)+"/"+test.name, func(t *testing.T) {
				if proxy == Envoy && (test.name == "method with a space" || test.name == "no path") {
					t.Skip("net/http rejects such a request")
				}
				c := client{header: bearer(f.issuer.Token(resource))}
				test.change(&c)
				resp := f.ask(c)
				if resp.StatusCode != test.wantStatus {
					t.Fatalf("got status %d, want %d", resp.StatusCode, test.wantStatus)
				}
				user := resp.Header.Get("X-Forwarded-User")
				if want := map[bool]string{true: "user_ada"}[test.wantStatus == 200]; user != want {
					t.Errorf("got X-Forwarded-User %q, want %q", user, want)
				}
				if c.method == "HEAD" {
					return
				}
				if got := reasonOf(t, resp); got != test.wantReason {
					t.Errorf("got reason %q, want %q", got, test.wantReason)
				}
				if challenged := resp.Header.Get("WWW-Authenticate") != ""; challenged != (test.wantStatus == 401 || test.wantStatus == 400) {
					t.Errorf("got challenge %q with status %d", resp.Header.Get("WWW-Authenticate"), test.wantStatus)
				}
			})
		}
	}
}

// Headers that describe the request for another proxy are those of the client.
func TestOtherHeadersAreNotRead(t *testing.T) {
	for _, proxy := range Proxies() {
		f := newFixture(t, proxy, nil)
		own := f.proxy
		for _, other := range Proxies() {
			p := proxies[other]
			if p.uri == "" || p.uri == own.uri {
				continue
			}
			t.Run(string(proxy)+"/"+string(other), func(t *testing.T) {
				h := bearer(f.issuer.Token(resource), p.method, "GET", p.uri, "/mcp", p.host, "mcp.example.com")
				if resp := f.ask(client{uri: "/admin", header: h}); resp.StatusCode != 403 {
					t.Errorf("got status %d about /admin, want 403", resp.StatusCode)
				}
				h = bearer(f.issuer.Token(resource), p.method, "GET", p.uri, "/admin", p.host, "evil.example")
				if resp := f.ask(client{header: h}); resp.StatusCode != 200 {
					t.Errorf("got status %d about /mcp, want 200", resp.StatusCode)
				}
			})
		}
	}
}

// A header that the proxy does not set, or that the client sent as well, is rejected.
func TestHeadersOfTheProxyAreRequired(t *testing.T) {
	for _, proxy := range []Proxy{Nginx, Caddy} {
		f := newFixture(t, proxy, nil)
		for _, name := range []string{f.proxy.method, f.proxy.uri, f.proxy.host} {
			for _, values := range [][]string{nil, {""}, {"x", "x"}} {
				h := bearer(f.issuer.Token(resource))
				h[name] = values
				f.log.Reset()
				if resp := f.ask(client{header: h}); resp.StatusCode != 403 {
					t.Errorf("%s, %s %q: got status %d, want 403", proxy, name, values, resp.StatusCode)
				}
				if !strings.Contains(f.log.String(), name) {
					t.Errorf("the log does not name %s: %s", name, f.log)
				}
			}
		}
	}
}

// nginx discards the body of an answer, so it gets the body in a header.
func TestErrorInHeader(t *testing.T) {
	for _, proxy := range Proxies() {
		f := newFixture(t, proxy, nil)
		for _, method := range []string{"POST", "HEAD"} {
			resp := f.ask(client{method: method})
			header := resp.Header.Get(errorHeader)
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if want := string(body); proxy == Nginx && header != want || proxy != Nginx && header != "" {
				t.Errorf("%s, %s: got header %q and body %q", proxy, method, header, want)
			}
			if method == "POST" && len(body) == 0 {
				t.Errorf("%s: the answer to POST has no body", proxy)
			}
		}
	}
}

func TestTrustedProxies(t *testing.T) {
	for _, test := range []struct {
		trusted, from string
		want          int
	}{
		{"", "127.0.0.1:1", 200},
		{"", "[::1]:1", 200},
		{"", "[::ffff:127.0.0.1]:1", 200},
		{"", "192.0.2.1:1", 403},
		{"10.0.0.0/8", "10.1.2.3:1", 200},
		{"10.0.0.0/8", "[::ffff:10.1.2.3]:1", 200},
		{"10.0.0.0/8", "127.0.0.1:1", 403},
		{"fe80::/10", "[fe80::1%eth0]:1", 200},
	} {
		f := newFixture(t, Caddy, func(cfg *Config) {
			if test.trusted != "" {
				cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(test.trusted)}
			}
		})
		resp := f.ask(client{from: test.from, header: bearer(f.issuer.Token(resource))})
		if resp.StatusCode != test.want {
			t.Errorf("trusted %q, from %s: got status %d, want %d", test.trusted, test.from, resp.StatusCode, test.want)
		}
	}
}

func TestIssuerUnavailable(t *testing.T) {
	f := newFixture(t, Caddy, nil)
	f.issuer.SetDown(true)
	resp := f.ask(client{header: bearer(f.issuer.Token(resource))})
	if got := reasonOf(t, resp); resp.StatusCode != 503 || got != "provider_unavailable" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("got status %d, reason %q, Retry-After %q; want 503, provider_unavailable and a time",
			resp.StatusCode, got, resp.Header.Get("Retry-After"))
	}
}

// An identity that cannot be written does not let the request through.
func TestIdentityThatCannotBeWritten(t *testing.T) {
	f := newFixture(t, Caddy, func(cfg *Config) {
		cfg.Endpoints[0].Identify = func(http.Header, *http.Request, gatehouse.Identity) error { return errors.New("no key") }
	})
	if resp := f.ask(client{header: bearer(f.issuer.Token(resource))}); resp.StatusCode != 503 {
		t.Errorf("got status %d, want 503", resp.StatusCode)
	}
}

// The proxy routes documents, /register and preflight requests here.
func TestRoutedPaths(t *testing.T) {
	f := newFixture(t, Nginx, nil)
	for _, test := range []struct {
		method, path, header, value string
		want                        int
	}{
		{"GET", "/.well-known/oauth-protected-resource/mcp", "", "", 200},
		{"GET", "/.well-known/oauth-protected-resource", "", "", 200},
		{"GET", "/.well-known/oauth-authorization-server", "", "", 200},
		{"POST", "/register", "", "", 400},
		{"OPTIONS", "/mcp", "Origin", "https://mcp.example.com", 204},
		{"OPTIONS", "/mcp", "Origin", "https://evil.example", 403},
		{"OPTIONS", "/mcp", "", "", 401},
		{"POST", "/mcp", "", "", 401},
		{"POST", "/mcp", "Authorization", "Bearer " + f.issuer.Token(resource), 404},
		{"GET", "/authx", "", "", 404},
	} {
		r := httptest.NewRequest(test.method, test.path, nil)
		r.Host, r.RemoteAddr = "mcp.example.com", "192.0.2.1:1"
		if test.header != "" {
			r.Header.Set(test.header, test.value)
			r.Header.Set("Access-Control-Request-Method", "POST")
		}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Code != test.want {
			t.Errorf("%s %s, %s %q: got status %d, want %d", test.method, test.path, test.header, test.value, w.Code, test.want)
		}
	}
}
