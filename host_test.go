package gatehouse_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

// A proxy on the same machine connects to loopback and sends the public host, perhaps with
// the default port, or a host of its own.
func TestHostBehindAProxyOnTheSameMachine(t *testing.T) {
	is := newIssuer(t)
	tests := []struct {
		name, resource, host string
		allowed              []string
		status               int
	}{
		{"control", "https://mcp.example.com/mcp", "mcp.example.com", nil, 200},
		{"default port", "https://mcp.example.com/mcp", "mcp.example.com:443", nil, 200},
		{"default port, upper case", "https://mcp.example.com/mcp", "MCP.example.com:443", nil, 200},
		{"port of http", "https://mcp.example.com/mcp", "mcp.example.com:80", nil, 403},
		{"another port", "https://mcp.example.com/mcp", "mcp.example.com:8443", nil, 403},
		{"another port of the resource", "https://mcp.example.com:8443/mcp", "mcp.example.com:8443", nil, 200},
		{"a host that ends like it", "https://mcp.example.com/mcp", "evil-mcp.example.com", nil, 403},
		{"a page that rebinds its name", "https://mcp.example.com/mcp", "evil.example.com", nil, 403},
		{"upstream name", "https://mcp.example.com/mcp", "backend", nil, 403},
		{"upstream name, allowed", "https://mcp.example.com/mcp", "backend", []string{"backend"}, 200},
		{"upstream name with a port", "https://mcp.example.com/mcp", "backend:8080", []string{"backend"}, 403},
		{"upstream name with its port, allowed", "https://mcp.example.com/mcp", "backend:8080", []string{"backend:8080"}, 200},
		{"allowed in another spelling", "https://mcp.example.com/mcp", "backend", []string{"BACKEND:443"}, 200},
		{"another host than the allowed one", "https://mcp.example.com/mcp", "evil.example.com", []string{"backend"}, 403},
		{"allowed, for a resource on loopback", "http://localhost:3000/mcp", "host.docker.internal:3000", []string{"host.docker.internal:3000"}, 200},
		{"not allowed, for a resource on loopback", "http://localhost:3000/mcp", "host.docker.internal:3000", nil, 403},
	}
	for _, test := range tests {
		handler := newGuard(t, is, func(cfg *gatehouse.Config) {
			cfg.Resource, cfg.AllowedHosts = test.resource, test.allowed
		}).Wrap(behind)
		resp := send(handler, request{host: test.host, header: bearer(is.token(test.resource))})
		if resp.StatusCode != test.status {
			t.Errorf("%s: got status %d, want %d", test.name, resp.StatusCode, test.status)
		}
	}
}

// The log of a rejected host or origin has what was sent, what is accepted, and the fix.
func TestLogOfAForbiddenHost(t *testing.T) {
	var log bytes.Buffer
	handler := newGuard(t, newIssuer(t), func(cfg *gatehouse.Config) {
		cfg.Resource = "https://mcp.example.com/mcp"
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}).Wrap(behind)
	tests := []struct {
		request request
		want    []string
	}{
		{
			request{host: "backend:3000"},
			[]string{`got Host \"backend:3000\", want \"mcp.example.com\"`, "proxy_set_header Host $http_host;", "AllowedHosts"},
		},
		{
			request{host: "mcp.example.com", header: http.Header{"Origin": {"https://app.example.com"}}},
			[]string{`got Origin \"https://app.example.com\", want \"https://mcp.example.com\"`, "AllowedOrigins"},
		},
	}
	for _, test := range tests {
		log.Reset()
		resp := send(handler, test.request)
		for _, want := range test.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %s: %s", want, log.String())
			}
		}
		if got := body(t, resp); resp.StatusCode != 403 || strings.Contains(got, "example.com") || strings.Contains(got, "backend") {
			t.Errorf("status %d, body %s; want 403 with a fixed phrase", resp.StatusCode, got)
		}
	}
}

// For an endpoint at the root of a host, https://h and https://h/ are the same resource.
func TestResourceAtTheRoot(t *testing.T) {
	is := newIssuer(t)
	for _, written := range []string{"https://mcp.example.com", "https://mcp.example.com/"} {
		guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.Resource = written })
		mux := http.NewServeMux()
		guard.Mount(mux, behind)
		for audience, status := range map[string]int{
			"https://mcp.example.com":       200,
			"https://mcp.example.com/":      200,
			"https://mcp.example.com//":     401,
			"https://mcp.example.com/mcp":   401,
			"https://mcp.example.com.evil/": 401,
			"http://mcp.example.com/":       401,
		} {
			rq := request{target: "/", host: "mcp.example.com", header: bearer(is.token(audience))}
			if resp := send(mux, rq); resp.StatusCode != status {
				t.Errorf("%s: aud %s: got status %d, want %d", written, audience, resp.StatusCode, status)
			}
		}
		resp := send(mux, request{target: "/", host: "mcp.example.com"})
		want := `Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource", scope="profile email"`
		if got := resp.Header.Get("WWW-Authenticate"); got != want {
			t.Errorf("%s: challenge %s, want %s", written, got, want)
		}
		resp = send(mux, request{method: "GET", target: "/.well-known/oauth-protected-resource", host: "mcp.example.com"})
		if got := body(t, resp); !strings.Contains(got, `"resource":"https://mcp.example.com"`) {
			t.Errorf("%s: metadata %s", written, got)
		}
	}
	local := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.Resource = "http://localhost:3000" }).Wrap(behind)
	if resp := send(local, request{target: "/", header: bearer(is.token("http://127.0.0.1:3000/"))}); resp.StatusCode != 200 {
		t.Errorf("another name of a root on loopback: got status %d, want 200", resp.StatusCode)
	}
	// Elsewhere the slash counts.
	deep := newGuard(t, is).Wrap(behind)
	if resp := send(deep, request{header: bearer(is.token(resource + "/"))}); resp.StatusCode != 401 {
		t.Errorf("a slash after a path: got status %d, want 401", resp.StatusCode)
	}
}

func TestOriginHeaderAndHostSettings(t *testing.T) {
	is := newIssuer(t)
	origin := func(s string) gatehouse.Config { return gatehouse.Config{AllowedOrigins: []string{s}} }
	header := func(s string) gatehouse.Config { return gatehouse.Config{AllowedHeaders: []string{s}} }
	host := func(s string) gatehouse.Config { return gatehouse.Config{AllowedHosts: []string{s}} }
	const sends = "can never match, because browsers send only scheme, host and a port that is not the default; write "
	const notHost = "which is neither a DNS name nor an address; write the host clients connect to"
	tests := []struct {
		cfg  gatehouse.Config
		want string // without the field; empty means that it is valid
	}{
		{origin("https://app.example.com"), ""},
		{origin("https://app.example.com:8443"), ""},
		{origin("http://app.example.com"), ""},
		{origin("https://[2001:db8::1]"), ""},
		{origin("https://xn--mnchen-3ya.de"), ""},
		{origin("vscode-webview://0abc"), ""},
		{origin("app://obsidian.md"), ""},
		{origin("*"), ""},
		{origin("https://*.example.com"), `"https://*.example.com" has a wildcard; list each origin; browsers send one, and it is compared as text`},
		{origin("https://app.example.com:443"), `"https://app.example.com:443" ` + sends + `"https://app.example.com"`},
		{origin("http://app.example.com:80"), `"http://app.example.com:80" ` + sends + `"http://app.example.com"`},
		{origin("https://App.example.com"), `"https://App.example.com" ` + sends + `"https://app.example.com"`},
		{origin("HTTPS://app.example.com"), `"HTTPS://app.example.com" ` + sends + `"https://app.example.com"`},
		{origin("https://app.example.com/"), `"https://app.example.com/" ` + sends + `"https://app.example.com"`},
		{origin("https://app.example.com/x?y#z"), `"https://app.example.com/x?y#z" ` + sends + `"https://app.example.com"`},
		{origin("https://me@app.example.com"), `"https://me@app.example.com" ` + sends + `"https://app.example.com"`},
		{origin("https://[2001:DB8:0::1]"), `"https://[2001:DB8:0::1]" ` + sends + `"https://[2001:db8::1]"`},
		{origin("https://app.example.com:0443"), `"https://app.example.com:0443" ` + sends + `"https://app.example.com"`},
		{
			origin("https://münchen.de"),
			`"https://münchen.de" has the character 'ü', which no origin has; ` +
				`write the host in the form that browsers send, which begins with "xn--" for such names`,
		},
		{origin("https://127.1"), `"https://127.1" has host "127.1", ` + notHost},
		{origin("null"), `"null" is the origin of every sandboxed page; give the page an origin of its own, and write that`},
		{origin("app.example.com"), `"app.example.com" is not a web origin; write a scheme and a host, like "https://app.example.com"`},
		{origin(""), `has an empty origin; remove it`},

		{header("X-Tenant"), ""},
		{header("*"), `"*" does not allow Authorization in any browser; list the headers`},
		{header("X Tenant"), `"X Tenant" is not the name of a header; write it like "X-Tenant"`},
		{header("X-A, X-B"), `"X-A, X-B" is not the name of a header; write it like "X-Tenant"`},
		{header("x\r\ny"), `"x\r\ny" is not the name of a header; write it like "X-Tenant"`},
		{header("Cookie"), `"Cookie" is a header that web pages cannot set; remove it`},
		{header("Sec-Fetch-Site"), `"Sec-Fetch-Site" is a header that web pages cannot set; remove it`},

		{host("backend:8080"), ""},
		{host("10.0.0.7"), ""},
		{host("[2001:db8::1]:8080"), ""},
		{host("*"), `"*" allows every web page to reach a local server by DNS rebinding; list the hosts`},
		{host("*.example.com"), `"*.example.com" has host "*.example.com", ` + notHost},
		{host("https://backend/"), `"https://backend/" has a scheme; write "backend"`},
		{host("backend/x"), `"backend/x" has host "backend/x", ` + notHost},
		{host("me@backend"), `"me@backend" has host "me@backend", ` + notHost},
		{host("backend:99999"), `"backend:99999" has port "99999", want 1 to 65535; write the port clients connect to, or none`},
		{host(""), `has an empty host; remove it`},
	}
	for _, test := range tests {
		cfg := test.cfg
		cfg.Resource, cfg.Provider = "https://mcp.example.com/mcp", is.provider()
		guard, err := gatehouse.New(cfg)
		switch {
		case err == nil && test.want == "":
			guard.Close()
		case err == nil || !strings.HasSuffix(err.Error(), " "+test.want) || !strings.HasPrefix(err.Error(), "gatehouse: Allowed"):
			t.Errorf("%q %q %q:\n got %v\nwant %s", cfg.AllowedOrigins, cfg.AllowedHeaders, cfg.AllowedHosts, err, test.want)
		}
	}
}
