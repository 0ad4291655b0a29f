package forwardauth

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

const callWhoami = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"whoami"}}`

// If the proxy sends bodies, the headers that repeat the method and the name must agree with them,
// as in the gateway.
func TestHeadersMustEqualTheBody(t *testing.T) {
	const modern = "2026-07-28"
	for _, test := range []struct {
		name   string
		header []string // with MCP-Protocol-Version first
		body   string
		valid  bool
	}{
		{"both headers", []string{modern, "tools/call", "whoami"}, callWhoami, true},
		{"no headers, older revision", []string{"2025-11-25", "", ""}, callWhoami, true},
		{"a response", []string{modern, "", ""}, `{"jsonrpc":"2.0","id":1,"result":{}}`, true},
		{"no headers", []string{modern, "", ""}, callWhoami, false},
		{"other method", []string{modern, "tools/list", "whoami"}, callWhoami, false},
		{"other name", []string{modern, "tools/call", "open"}, callWhoami, false},
		{"other name, older revision", []string{"2025-11-25", "", "open"}, callWhoami, false},
		{"a batch", []string{"2025-03-26", "tools/call", ""}, "[" + callWhoami + "," + callWhoami + "]", false},
		{"not JSON", []string{"", "tools/call", ""}, "x", false},
	} {
		for _, proxy := range Proxies() {
			if !proxies[proxy].sendsBodies {
				continue
			}
			f := newFixture(t, proxy, func(cfg *Config) { cfg.Bodies = true })
			h := bearer(f.issuer.Token(resource), "Content-Type", "application/json", "Mcp-Session-Id", "s1")
			for i, name := range []string{"Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name"} {
				if test.header[i] != "" {
					h.Set(name, test.header[i])
				}
			}
			resp := f.ask(client{header: h, body: test.body})
			if test.valid {
				if resp.StatusCode != http.StatusOK {
					t.Errorf("%s, %s: got status %d, want 200", proxy, test.name, resp.StatusCode)
				}
				continue
			}
			text, _ := io.ReadAll(resp.Body)
			want := `"reason":"header_mismatch"`
			if test.body == callWhoami {
				want = `{"jsonrpc":"2.0","id":7,"error":{"code":-32020,`
			}
			if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), want) || resp.Header.Get("X-Forwarded-User") != "" {
				t.Errorf("%s, %s: got status %d with %s, want 400 with %s and no identity", proxy, test.name, resp.StatusCode, text, want)
			}
			if n := len(f.endpoints[0].sessions.byID); n != 0 {
				t.Errorf("%s, %s: a rejected request has bound %d sessions", proxy, test.name, n)
			}
		}
	}
}

// What the proxy did not send is not compared: the headers alone allow nothing then.
func TestHeadersWithoutBody(t *testing.T) {
	for _, test := range []struct {
		proxy   Proxy
		bodies  bool
		partial string
		want    int
	}{
		{Nginx, false, "", http.StatusOK}, {Envoy, false, "", http.StatusOK}, {Envoy, true, "true", http.StatusOK},
		{Envoy, true, "", http.StatusBadRequest}, // the control: the body is complete
	} {
		f := newFixture(t, test.proxy, func(cfg *Config) { cfg.Bodies = test.bodies })
		h := bearer(f.issuer.Token(resource), "Mcp-Method", "tools/call", "Mcp-Name", "open")
		if test.partial != "" {
			h.Set(partialBody, test.partial)
		}
		if resp := f.ask(client{header: h, body: callWhoami}); resp.StatusCode != test.want {
			t.Errorf("%s, bodies %v, partial %q: got status %d, want %d", test.proxy, test.bodies, test.partial, resp.StatusCode, test.want)
		}
	}
}
