package forwardauth

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// requirements are those of the tests: two tools and a resource template.
var requirements = []gatehouse.Requirement{
	{Tool: "purge", Require: gatehouse.Require{Scopes: []string{"notes:admin"}}},
	{Tool: "hello", Require: gatehouse.Require{SignedIn: true}},
	{ResourceTemplate: "notes://{name}", Require: gatehouse.Require{Scopes: []string{"notes:read"}}},
}

func call(tool string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q}}`, tool)
}

// withScopes returns a token with the scopes.
func (f fixture) withScopes(scopes string) string {
	return f.issuer.Token(resource, testissuer.Claim("scope", scopes))
}

func TestRequirementsWithBodies(t *testing.T) {
	tests := []struct {
		name, scopes string
		client       client
		want         int
		wantScope    string // in the challenge
	}{
		{name: "tool without scope", client: client{body: call("hello")}, want: 200},
		{name: "tool with scope", scopes: "notes:admin", client: client{body: call("purge")}, want: 200},
		{name: "missing scope", client: client{body: call("purge")}, want: 403, wantScope: "notes:admin"},
		{name: "missing scope with GET", client: client{method: "GET", body: call("purge")}, want: 403, wantScope: "notes:admin"},
		{name: "missing scope, headers of another tool", want: 403, wantScope: "notes:admin", client: client{body: call("purge"),
			header: map[string][]string{"Mcp-Method": {"tools/call"}, "Mcp-Name": {"hello"}}}},
		{name: "resource", client: client{body: `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"notes://a"}}`},
			want: 403, wantScope: "notes:read"},
		{name: "not JSON", client: client{body: `{`}, want: 400},
		{name: "compressed", client: client{body: call("hello"), header: map[string][]string{"Content-Encoding": {"gzip"}}}, want: 400},
		{name: "GET without body", client: client{method: "GET"}, want: 200},
		{name: "DELETE without body", client: client{method: "DELETE"}, want: 200},
		// The proxy did not send the body, so it is not known.
		{name: "POST without body", want: 403, wantScope: "notes:admin notes:read"},
		{name: "POST without body, all scopes", scopes: "notes:admin notes:read", want: 200},
		{name: "PUT without body", client: client{method: "PUT"}, want: 403, wantScope: "notes:admin notes:read"},
		{name: "whole body", want: 200,
			client: client{body: call("hello"), header: map[string][]string{"X-Envoy-Auth-Partial-Body": {"false"}}}},
		{name: "part of a body in another spelling", want: 403, wantScope: "notes:admin notes:read",
			client: client{body: call("hello"), header: map[string][]string{"X-Envoy-Auth-Partial-Body": {"True"}}}},
		{name: "part of a body, said twice", want: 403, wantScope: "notes:admin notes:read",
			client: client{body: call("hello"), header: map[string][]string{"X-Envoy-Auth-Partial-Body": {"false", "true"}}}},
		{name: "part of a body with GET", want: 403, wantScope: "notes:admin notes:read",
			client: client{method: "GET", header: map[string][]string{"X-Envoy-Auth-Partial-Body": {"true"}}}},
		{name: "part of a body", want: 403, wantScope: "notes:admin notes:read",
			client: client{body: call("hello"), header: map[string][]string{"X-Envoy-Auth-Partial-Body": {"true"}}}},
	}
	for _, proxy := range []Proxy{Traefik, HAProxy, Envoy} {
		f := newFixture(t, proxy, func(cfg *Config) { cfg.Bodies, cfg.Endpoints[0].Guard.Requirements = true, requirements })
		for _, test := range tests {
			t.Run(string(proxy)+"/"+test.name, func(t *testing.T) {
				c := test.client
				h := bearer(f.withScopes("profile " + test.scopes))
				for name, values := range c.header {
					h[name] = values
				}
				c.header = h
				resp := f.ask(c)
				if resp.StatusCode != test.want {
					t.Fatalf("got status %d, want %d", resp.StatusCode, test.want)
				}
				if challenge := resp.Header.Get("WWW-Authenticate"); (challenge != "") != (test.wantScope != "") ||
					!strings.Contains(challenge, test.wantScope) {
					t.Errorf("got challenge %q, want one with scopes %q", challenge, test.wantScope)
				}
			})
		}
	}
}

// Without bodies, a caller must be allowed to do everything, whatever the headers say.
func TestRequirementsWithoutBodies(t *testing.T) {
	for _, proxy := range Proxies() {
		f := newFixture(t, proxy, func(cfg *Config) { cfg.Endpoints[0].Guard.Requirements = requirements })
		for _, scopes := range []string{"profile", "notes:read", "notes:admin", "notes:read notes:admin"} {
			for _, method := range []string{"POST", "GET", "DELETE"} {
				h := bearer(f.withScopes(scopes), "Mcp-Method", "tools/call", "Mcp-Name", "hello", "Content-Encoding", "gzip")
				resp := f.ask(client{method: method, header: h, body: call("hello")})
				want := 403
				if scopes == "notes:read notes:admin" {
					want = 200
				}
				if resp.StatusCode != want {
					t.Errorf("%s, %s with %q: got status %d, want %d", proxy, method, scopes, resp.StatusCode, want)
				}
				if challenge := resp.Header.Get("WWW-Authenticate"); want == 403 &&
					!(strings.Contains(challenge, "notes:admin") && strings.Contains(challenge, "notes:read")) {
					t.Errorf("%s: got challenge %q, want one with all scopes", proxy, challenge)
				}
			}
		}
	}
}

// What holds for undeclared tools holds for bodies that are not known.
func TestUndeclaredTools(t *testing.T) {
	declared := append(requirements[:1:1],
		gatehouse.Requirement{Tool: "undeclared", Require: gatehouse.Require{SignedIn: true}},
		gatehouse.Requirement{Tool: "undeclared_", Require: gatehouse.Require{SignedIn: true}})
	withDefault := func(cfg *Config) {
		cfg.Endpoints[0].Guard.Requirements = declared
		cfg.Endpoints[0].Guard.Default = gatehouse.Require{Scopes: []string{"notes:any"}}
	}
	f := newFixture(t, Nginx, withDefault)
	for scopes, want := range map[string]int{"notes:admin": 403, "notes:any": 403, "notes:admin notes:any": 200} {
		if resp := f.ask(client{header: bearer(f.withScopes(scopes))}); resp.StatusCode != want {
			t.Errorf("with a default, %q: got status %d, want %d", scopes, resp.StatusCode, want)
		}
	}
	f = newFixture(t, Envoy, func(cfg *Config) {
		cfg.Bodies, cfg.Endpoints[0].Guard.Requirements, cfg.Endpoints[0].Guard.DenyUndeclared = true, declared, true
	})
	for body, want := range map[string]int{call("purge"): 200, call("other"): 403, "": 403} {
		if resp := f.ask(client{header: bearer(f.withScopes("notes:admin")), body: body}); resp.StatusCode != want {
			t.Errorf("closed by default, body %q: got status %d, want %d", body, resp.StatusCode, want)
		}
	}
}

// Callers without a token may use what is public, if it is known that they ask for that.
func TestPublicTools(t *testing.T) {
	public := []gatehouse.Requirement{{Tool: "open", Require: gatehouse.Require{Public: true}}}
	for _, bodies := range []bool{true, false} {
		for _, rules := range [][]gatehouse.Requirement{public, append(public[:1:1], requirements...)} {
			f := newFixture(t, Envoy, func(cfg *Config) { cfg.Bodies, cfg.Endpoints[0].Guard.Requirements = bodies, rules })
			all := f.withScopes("notes:read notes:admin")
			for _, test := range []struct {
				name   string
				client client
				known  int // the status if bodies are sent
				other  int
			}{
				{"public tool", client{body: call("open")}, 200, 401},
				{"public tool and another", client{body: "[" + call("open") + "," + call("hello") + "]"}, 401, 401},
				{"another tool", client{body: call("hello")}, 401, 401},
				{"no body", client{}, 401, 401},
				{"stream", client{method: "GET"}, 401, 401},
				{"stream of a session", client{method: "GET", header: http.Header{"Mcp-Session-Id": {"s1"}}}, 401, 401},
				{"public tool with an invalid token", client{body: call("open"), header: bearer("x.y.z")}, 401, 401},
				{"public tool with a token", client{body: call("open"), header: bearer(all)}, 200, 200},
			} {
				resp := f.ask(test.client)
				want := map[bool]int{true: test.known, false: test.other}[bodies]
				if resp.StatusCode != want {
					t.Errorf("%s, bodies %v, %d rules: got status %d, want %d", test.name, bodies, len(rules), resp.StatusCode, want)
				}
				if user := resp.Header.Get("X-Forwarded-User"); (user != "") != (want == 200 && test.client.header != nil) {
					t.Errorf("%s, bodies %v: got user %q", test.name, bodies, user)
				}
			}
		}
	}
}
