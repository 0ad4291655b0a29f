//go:build proxies && unix

package proxies

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/teststream"
)

const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

// own is the origin of the resource.
const own = "https://mcp.example.com"

// forEach runs a test with each proxy, without requirements.
func forEach(t *testing.T, test func(*testing.T, *setup)) {
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) { test(t, newSetup(t, r, nil)) })
	}
}

// spoofed are the headers that a backend might take for the identity of the caller.
var spoofed = []string{
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Groups", "X-Forwarded-Groups-Truncated",
	"X-Forwarded-Access-Token", "X-Gatehouse-Assertion", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups",
	"X-Auth-Request-Access-Token", "Remote-User", "X-Remote-User", "X-User-Id", "X-Jwt-Sub", "X_Forwarded_User", "X_Forwarded_Email",
	"X_Forwarded_Groups", "X_Auth_Request_User", "Remote_User", "X_Gatehouse_Assertion", "X-Forwarded-For", "X-Real-IP", "Forwarded",
}

// TestProxy checks one setup of each proxy in many ways.
func TestProxy(t *testing.T) {
	forEach(t, func(t *testing.T, s *setup) {
		token := s.issuer.Token(resource)
		t.Run("identity", func(t *testing.T) { testIdentity(t, s, token) })
		t.Run("rejections", func(t *testing.T) { testRejections(t, s, token) })
		t.Run("documents", func(t *testing.T) { testDocuments(t, s) })
		t.Run("browsers", func(t *testing.T) { testBrowsers(t, s, token) })
		t.Run("streams", func(t *testing.T) { testStreams(t, s, token) })
		t.Run("bodies", func(t *testing.T) { testBodies(t, s, token) })
		t.Run("sessions", func(t *testing.T) { testSessions(t, s, token) })
		t.Run("Gatehouse unavailable", func(t *testing.T) { testUnavailable(t, s, token) })
	})
}

// testIdentity checks that the backend gets the identity of the token, and no other.
func testIdentity(t *testing.T, s *setup, token string) {
	requests := [][]string{nil, {"Connection: X-Forwarded-User"}, {"Connection: keep-alive, X-Forwarded-User, X-Forwarded-Email"}}
	for _, name := range spoofed {
		requests = append(requests, []string{name + ": mallory"})
	}
	for _, headers := range requests {
		t.Run(strings.Join(headers, ","), func(t *testing.T) {
			a := s.send(t, request{token: token, body: ping, headers: headers})
			reached := s.backend.reached()
			if a.StatusCode != http.StatusOK || len(reached) != 1 {
				t.Fatalf("got status %d and %d requests at the backend, want 200 and 1", a.StatusCode, len(reached))
			}
			h := reached[0].Header
			if user := h.Values("X-Forwarded-User"); !slices.Equal(user, []string{"user_ada"}) {
				t.Errorf("got X-Forwarded-User %q, want user_ada", user)
			}
			for name, values := range h {
				if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "mallory") }) {
					t.Errorf("the backend got %s %q of the client", name, values)
				}
			}
			addresses := h.Values("X-Forwarded-For")
			if s.name == "envoy" && len(addresses) == 1 { // for a client on loopback, it writes the address of this machine
				if _, err := netip.ParseAddr(addresses[0]); err == nil {
					addresses[0] = "127.0.0.1"
				}
			}
			if !slices.Equal(addresses, []string{"127.0.0.1"}) {
				t.Errorf("the backend got X-Forwarded-For %q, want the address of the client alone", addresses)
			}
			if h.Get("Authorization") != "" {
				t.Error("the backend got the token")
			}
			if host := reached[0].Host; host != "localhost" {
				t.Errorf("the backend got Host %q, want localhost", host)
			}
			if got := a.Header.Get("WWW-Authenticate") + a.Header.Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("the client got %q of the backend", got)
			}
		})
	}
}

// testRejections checks requests that must not reach the backend.
func testRejections(t *testing.T, s *setup, token string) {
	tests := []struct {
		name   string
		change func(*request)
		want   []int // the statuses that are possible
	}{
		{"no token", func(r *request) { r.token = "" }, []int{401}},
		{"no token, GET", func(r *request) { r.token, r.method, r.body = "", "GET", "" }, []int{401}},
		{"no token, HEAD", func(r *request) { r.token, r.method, r.body = "", "HEAD", "" }, []int{401}},
		{"no token, DELETE", func(r *request) { r.token, r.method, r.body = "", "DELETE", "" }, []int{401}},
		{"no token, PUT", func(r *request) { r.token, r.method = "", "PUT" }, []int{401}},
		{"no token, OPTIONS", func(r *request) { r.token, r.method, r.body = "", "OPTIONS", "" }, []int{401}},
		{"token for another server", func(r *request) { r.token = s.issuer.Token("https://other.example.com/mcp") }, []int{401}},
		{"ID token", func(r *request) {
			r.token = s.issuer.Token(resource, testissuer.Header("typ", "JWT"), testissuer.Claim("nonce", "n"))
		}, []int{401}},
		{"no token, forged path", func(r *request) {
			r.token = ""
			r.headers = []string{"X-Original-Uri: /.well-known/x", "X-Forwarded-Uri: /.well-known/x", "X-Original-Method: OPTIONS", "X-Forwarded-Method: OPTIONS"}
		}, []int{401, 403}},
		{"two tokens", func(r *request) { r.headers = []string{"Authorization: Bearer x"} }, []int{400}},
		{"token in the query", func(r *request) { r.token, r.url = "", endpoint+"?access_token="+token }, []int{400}},
		{"foreign origin", func(r *request) { r.headers = []string{"Origin: https://evil.example"} }, []int{403}},
		{"foreign host", func(r *request) { r.host = "evil.example" }, []int{200, 403, 404, 421}}, // an empty 200 with Caddy
		{"path of the backend", func(r *request) { r.url = "http://mcp.example.com/admin" }, []int{404}},
		{"path in dots", func(r *request) { r.url = "http://mcp.example.com/.well-known/%2e%2e/admin" }, []int{400, 403, 404}},
		{"longer path", func(r *request) { r.url = endpoint + "/x" }, []int{404}},
		{"the questions themselves", func(r *request) { r.url = "http://mcp.example.com/auth" }, []int{404}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := request{token: token, body: ping}
			test.change(&r)
			a := s.send(t, r)
			if !slices.Contains(test.want, a.StatusCode) {
				t.Errorf("got status %d, want one of %d", a.StatusCode, test.want)
			}
			if n := len(s.backend.reached()); n > 0 {
				t.Error("the request has reached the backend")
			}
			challenges := a.Header.Values("WWW-Authenticate")
			if a.StatusCode == 401 && (len(challenges) != 1 || !strings.Contains(challenges[0], `resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"`)) {
				t.Errorf("got challenges %q, want one with the resource metadata", challenges)
			}
			if a.StatusCode == 401 && r.method != "HEAD" {
				var body struct{ Error, Reason string }
				if err := json.Unmarshal([]byte(a.body), &body); err != nil || body.Reason == "" || a.Header.Get("Content-Type") != "application/json" {
					t.Errorf("got body %q of type %q, want JSON with a reason", a.body, a.Header.Get("Content-Type"))
				}
			}
		})
	}
}

// testDocuments checks that the metadata comes from Gatehouse.
func testDocuments(t *testing.T, s *setup) {
	for _, path := range []string{"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"} {
		a := s.send(t, request{method: "GET", url: "http://mcp.example.com" + path})
		var document struct {
			Resource string
			Servers  []string `json:"authorization_servers"`
		}
		if err := json.Unmarshal([]byte(a.body), &document); err != nil || document.Resource != resource ||
			!slices.Equal(document.Servers, []string{s.issuer.URL()}) {
			t.Errorf("%s: got %q, want the metadata of %s", path, a.body, resource)
		}
	}
	if a := s.send(t, request{method: "GET", url: "http://mcp.example.com/.well-known/oauth-authorization-server"}); a.body != s.issuer.Metadata() {
		t.Errorf("got authorization server metadata %q", a.body)
	}
	if a := s.send(t, request{url: "http://mcp.example.com/register", body: "{}"}); !strings.Contains(a.body, "registration_not_supported") {
		t.Errorf("got the answer %q to a registration", a.body)
	}
	if n := len(s.backend.reached()); n > 0 {
		t.Errorf("%d requests have reached the backend", n)
	}
}

// testBrowsers checks what web pages need.
func testBrowsers(t *testing.T, s *setup, token string) {
	preflight := request{method: "OPTIONS", headers: []string{"Origin: " + own, "Access-Control-Request-Method: POST"}}
	a := s.send(t, preflight)
	if a.StatusCode != http.StatusNoContent || !slices.Equal(a.Header.Values("Access-Control-Allow-Origin"), []string{own}) {
		t.Errorf("got status %d and allowed origins %q for a preflight request", a.StatusCode, a.Header.Values("Access-Control-Allow-Origin"))
	}
	preflight.headers[0] = "Origin: https://evil.example"
	if a := s.send(t, preflight); a.StatusCode != http.StatusForbidden {
		t.Errorf("got status %d for a preflight request of a foreign origin", a.StatusCode)
	}
	if n := len(s.backend.reached()); n > 0 {
		t.Errorf("%d preflight requests have reached the backend", n)
	}
	for _, token := range []string{token, ""} {
		a := s.send(t, request{token: token, body: ping, headers: []string{"Origin: " + own}})
		if s.name == "traefik" && token != "" {
			continue // Traefik has no way to copy a header of the answer to the client
		}
		if got := a.Header.Values("Access-Control-Allow-Origin"); !slices.Equal(got, []string{own}) {
			t.Errorf("got allowed origins %q with status %d, want %s", got, a.StatusCode, own)
		}
		if got := strings.Join(a.Header.Values("Access-Control-Expose-Headers"), ","); !strings.Contains(got, "Mcp-Session-Id") {
			t.Errorf("got exposed headers %q with status %d", got, a.StatusCode)
		}
	}
	s.backend.reached()
}

// testStreams checks that events arrive as they are sent, and that a client which leaves ends the
// request to the backend.
func testStreams(t *testing.T, s *setup, token string) {
	for _, method := range []string{"GET", "POST"} {
		r := request{method: method, url: endpoint + "?stream", token: token}
		if method == "POST" {
			r.body = ping
		}
		ctx, leave := context.WithCancel(within(t, stepTime))
		resp, err := s.client.Do(r.newRequest(t, ctx))
		if err != nil {
			t.Fatal(err)
		}
		events := teststream.NewReader(resp.Body)
		for i := range 2 {
			if event, err := events.Next(); err != nil || event.Data != fmt.Sprint(i+1) {
				t.Fatalf("%s: got event %q, %v, want %d", method, event.Data, err, i+1)
			}
			if i == 0 {
				s.backend.next <- true
			}
		}
		leave()
		resp.Body.Close()
		select {
		case <-s.backend.ended:
		case <-within(t, stepTime).Done():
			t.Errorf("%s: the backend's stream did not end", method)
		}
		s.backend.reached()
	}
}

// A proxy that has a limit for the whole of a stream ends one that is never silent. With the others, a
// stream outlives its token.
func TestStreamLimit(t *testing.T) {
	for _, r := range recipes {
		if r.limit == "" {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			s := newSetup(t, r, func(s *setup) { s.shorten = true })
			token := s.issuer.Token(resource)
			for _, method := range []string{"GET", "POST"} {
				req := request{method: method, url: endpoint + "?endless", token: token}
				if method == "POST" {
					req.body = ping
				}
				began := time.Now()
				resp, err := s.client.Do(req.newRequest(t, within(t, stepTime)))
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if took := time.Since(began); resp.StatusCode != http.StatusOK || took < streamLimit/2 || !strings.HasPrefix(string(text), "data: 1") {
					t.Errorf("%s: got status %d and %q within %s, want a stream of about %s", method, resp.StatusCode, text, took, streamLimit)
				}
				select {
				case <-s.backend.ended:
				case <-within(t, stepTime).Done():
					t.Errorf("%s: the backend's stream did not end", method)
				}
			}
		})
	}
}

// testBodies checks the limit of bodies.
func testBodies(t *testing.T, s *setup, token string) {
	large := func(size int) string {
		return `{"jsonrpc":"2.0","id":1,"method":"ping","x":"` + strings.Repeat("x", size) + `"}`
	}
	if a := s.send(t, request{token: token, body: large(1 << 20)}); a.StatusCode != http.StatusOK {
		t.Errorf("got status %d for 1 MiB, want 200", a.StatusCode)
	}
	s.backend.reached()
	for _, size := range []int{5 << 20, 12 << 20} {
		r := request{token: token, body: large(size)}
		if s.name == "haproxy" {
			r.headers = []string{"Expect: 100-continue"} // it closes the connection, also of a client that is still writing
		}
		if a := s.send(t, r); a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("got status %d for %d bytes, want 413", a.StatusCode, size)
		}
		if n := len(s.backend.reached()); n > 0 {
			t.Errorf("%d bytes have reached the backend", size)
		}
	}
}

// testSessions checks that a session works only for the user who sent its ID first.
func testSessions(t *testing.T, s *setup, token string) {
	eve := s.issuer.Token(resource, testissuer.Claim("sub", "user_eve"))
	for _, step := range []struct {
		token string
		want  int
	}{{token, 200}, {eve, 404}, {token, 200}} {
		a := s.send(t, request{token: step.token, body: ping, headers: []string{"Mcp-Session-Id: session-1"}})
		if reached := len(s.backend.reached()); a.StatusCode != step.want || (reached == 1) != (step.want == 200) {
			t.Errorf("got status %d and %d requests at the backend, want %d", a.StatusCode, reached, step.want)
		}
	}
}

// testUnavailable stops Gatehouse.
func testUnavailable(t *testing.T, s *setup, token string) {
	s.gatehouse.stop()
	for _, token := range []string{token, ""} {
		a := s.send(t, request{token: token, body: ping})
		// Clients discard their tokens at 401, and take 200 for an answer of the MCP server.
		if a.StatusCode < 500 {
			t.Errorf("got status %d, want one from 500", a.StatusCode)
		}
	}
	if n := len(s.backend.reached()); n > 0 {
		t.Error("a request has reached the backend")
	}
}

// A rejection for want of a scope keeps its challenge.
func TestScopes(t *testing.T) {
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			s := newSetup(t, r, func(s *setup) { s.scope = "notes:admin" })
			call := func(tool string) string {
				return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q}}`, tool)
			}
			without, with := s.issuer.Token(resource), s.issuer.Token(resource, testissuer.Claim("scope", "profile notes:admin"))
			// The headers claim another tool, which must not help.
			headers := []string{"Mcp-Method: tools/call", "Mcp-Name: hello"}
			hello, differ := 403, 200 // it is not known which tool is called
			if r.bodies {
				hello, differ = 200, 400 // the headers must agree with the body
			}
			for _, test := range []struct {
				token, body string
				headers     []string
				want        int
				method      string // with a body of unknown length if it is set
			}{
				{with, call("purge"), nil, 200, ""}, {with, call("purge"), headers, differ, ""}, {without, call("purge"), headers, 403, ""},
				{without, call("hello"), headers, hello, ""},
				// Too large for what HAProxy sends, so that the tool is not known.
				{without, strings.Replace(call("purge"), "{", `{"x":"`+strings.Repeat("x", 100_000)+`",`, 1), headers, 403, ""},
				// Some servers read the body of any method.
				{without, call("purge"), nil, 403, "GET"}, {without, call("purge"), nil, 403, "DELETE"}, {without, call("purge"), nil, 403, "POST"},
				{with, call("purge"), nil, 200, "POST"},
			} {
				a := s.send(t, request{token: test.token, body: test.body, headers: test.headers, method: test.method, unknownLength: test.method != ""})
				reached := len(s.backend.reached())
				if a.StatusCode != test.want || (reached == 1) != (test.want == 200) {
					t.Errorf("%.80s: got status %d and %d requests at the backend, want %d", test.body, a.StatusCode, reached, test.want)
				}
				challenge := a.Header.Get("WWW-Authenticate")
				if test.want == 403 && !(strings.Contains(challenge, "insufficient_scope") && strings.Contains(challenge, "notes:admin")) {
					t.Errorf("%.80s: got challenge %q, want one with notes:admin", test.body, challenge)
				}
			}
		})
	}
}

// Failed sign-ins are limited by the address of the client, which it cannot invent.
func TestFailedSignIns(t *testing.T) {
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			s := newSetup(t, r, func(s *setup) { s.scope, s.limits = "notes:admin", true })
			var got []int
			for i := range 6 {
				address := fmt.Sprintf("198.51.100.%d", i+1)
				a := s.send(t, request{token: "junk", body: ping, headers: []string{
					"X-Real-IP: " + address, "X-Forwarded-For: " + address, "Forwarded: for=" + address,
				}})
				got = append(got, a.StatusCode)
			}
			if got[0] != 401 || got[5] != 429 {
				t.Errorf("got the statuses %d, want 401 and, after some, 429", got)
			}
			if s.name == "envoy" {
				return // every client on loopback has the address of this machine
			}
			s.client = s.newClientFrom(t, "127.0.0.2")
			if a := s.send(t, request{token: "junk", body: ping}); a.StatusCode != 401 {
				t.Errorf("got status %d for another client, want 401", a.StatusCode)
			}
		})
	}
}

// While the provider is unavailable the answer is 503, and never 401, at which clients discard
// their tokens.
func TestProviderUnavailable(t *testing.T) {
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			testProviderUnavailable(t, newSetup(t, r, func(s *setup) { s.issuer.SetDown(true) }))
		})
	}
}

func testProviderUnavailable(t *testing.T, s *setup) {
	a := s.send(t, request{token: s.issuer.Token(resource), body: ping})
	if a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503", a.StatusCode)
	}
	if retry := a.Header.Get("Retry-After"); retry == "" && s.name != "envoy" {
		t.Error("the answer has no Retry-After")
	}
	if n := len(s.backend.reached()); n > 0 {
		t.Error("the request has reached the backend")
	}
}
