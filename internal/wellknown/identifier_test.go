package wellknown_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestResource(t *testing.T) {
	t.Parallel()
	const (
		notInURL = `, which is not allowed in a URL; write the URL in ASCII, percent-encoded, and its host in the xn-- form`
		notAHost = `, which is neither a DNS name nor an address; write the host clients connect to`
	)
	tests := []struct{ name, raw, want, wantErr string }{
		{name: "control", raw: "https://mcp.example.com/mcp", want: "https://mcp.example.com/mcp"},
		{name: "upper case", raw: "HTTPS://MCP.Example.COM/MCP", want: "https://mcp.example.com/MCP"},
		{name: "root", raw: "https://mcp.example.com", want: "https://mcp.example.com"},
		{name: "root with slash", raw: "https://mcp.example.com/", want: "https://mcp.example.com"},
		{name: "default https port", raw: "https://mcp.example.com:443/mcp", want: "https://mcp.example.com/mcp"},
		{name: "default http port", raw: "http://localhost:80/mcp", want: "http://localhost/mcp"},
		{name: "other scheme's port", raw: "https://mcp.example.com:80/mcp", want: "https://mcp.example.com:80/mcp"},
		{name: "port with zeros", raw: "https://mcp.example.com:08443/mcp", want: "https://mcp.example.com:8443/mcp"},
		{name: "empty port", raw: "https://mcp.example.com:/mcp", want: "https://mcp.example.com/mcp"},
		{name: "http on localhost", raw: "http://localhost:3000/mcp", want: "http://localhost:3000/mcp"},
		{name: "http on 127.0.0.1", raw: "http://127.0.0.1:3000/mcp", want: "http://127.0.0.1:3000/mcp"},
		{name: "http on long ::1", raw: "http://[0:0:0:0:0:0:0:1]:3000/mcp", want: "http://[::1]:3000/mcp"},
		{name: "IPv6", raw: "https://[2001:DB8::0:1]/mcp", want: "https://[2001:db8::1]/mcp"},
		{name: "one label", raw: "https://mcp_server/mcp", want: "https://mcp_server/mcp"},
		{name: "punycode", raw: "https://xn--mnchen-3ya.de/mcp", want: "https://xn--mnchen-3ya.de/mcp"},
		{
			name: "path characters",
			raw:  "https://a.example/v1.0/~x_(1)!$&'*+,;=:@",
			want: "https://a.example/v1.0/~x_(1)!$&'*+,;=:@",
		},

		{
			name:    "empty",
			raw:     "",
			wantErr: `is not an absolute URL; write it in full, like "https://mcp.example.com/mcp"`,
		},
		{
			name:    "no scheme",
			raw:     "mcp.example.com/mcp",
			wantErr: `is not an absolute URL; write it in full, like "https://mcp.example.com/mcp"`,
		},
		{
			name:    "host and port",
			raw:     "localhost:3000/mcp",
			wantErr: `is not an absolute URL; write it in full, like "https://mcp.example.com/mcp"`,
		},
		{
			name:    "empty scheme",
			raw:     "://mcp.example.com",
			wantErr: `is not an absolute URL; write it in full, like "https://mcp.example.com/mcp"`,
		},
		{
			name:    "path only",
			raw:     "/mcp",
			wantErr: `is not an absolute URL; write it in full, like "https://mcp.example.com/mcp"`,
		},
		{
			name:    "opaque",
			raw:     "https:mcp.example.com://",
			wantErr: `has host ""` + notAHost,
		},
		{
			name:    "scheme",
			raw:     "ftp://mcp.example.com/mcp",
			wantErr: `has scheme "ftp", want https; use https, or http only on localhost`,
		},
		{
			name:    "http",
			raw:     "http://mcp.example.com/mcp",
			wantErr: `is not https; use https, or http only on localhost`,
		},
		{
			name:    "look-alike",
			raw:     "http://localhost.evil.example/mcp",
			wantErr: `is not https; use https, or http only on localhost`,
		},
		{
			name:    "user",
			raw:     "https://user@mcp.example.com/mcp",
			wantErr: `has user info; remove everything between // and @`,
		},
		{
			name:    "empty user",
			raw:     "https://@mcp.example.com/mcp",
			wantErr: `has user info; remove everything between // and @`,
		},
		{
			name:    "fragment",
			raw:     "https://mcp.example.com/mcp#a",
			wantErr: `has a fragment; remove the # and everything after it`,
		},
		{
			name:    "empty fragment",
			raw:     "https://mcp.example.com/mcp#",
			wantErr: `has a fragment; remove the # and everything after it`,
		},
		{name: "query", raw: "https://mcp.example.com/mcp?a=b", wantErr: `has a query; remove the ? and everything after it`},
		{
			name:    "empty query",
			raw:     "https://mcp.example.com/mcp?",
			wantErr: `has a query; remove the ? and everything after it`,
		},
		{
			name:    "trailing slash",
			raw:     "https://mcp.example.com:443/mcp/",
			wantErr: `has a trailing slash; write "https://mcp.example.com/mcp"`,
		},
		{name: "double slash", raw: "https://mcp.example.com//mcp", wantErr: `has // in its path; write one slash`},
		{
			name:    "dot segment",
			raw:     "https://mcp.example.com/a/../mcp",
			wantErr: `has the dot segment ".." in its path; write the path it leads to`,
		},
		{
			name:    "dot at end",
			raw:     "https://mcp.example.com/mcp/.",
			wantErr: `has the dot segment "." in its path; write the path it leads to`,
		},
		{
			name:    "escaped dots",
			raw:     "https://mcp.example.com/%2E%2e/mcp",
			wantErr: `has the dot segment "%2E%2e" in its path; write the path it leads to`,
		},
		{
			name:    "escaped slash",
			raw:     "https://mcp.example.com/a%2Fmcp",
			wantErr: `has an escaped delimiter in path segment "a%2Fmcp"; write the path without it`,
		},
		{
			name:    "escaped letter",
			raw:     "https://mcp.example.com/mc%70",
			wantErr: `has percent-encoding in its path; use a path of letters, digits and hyphens`,
		},
		{
			name:    "invalid escape",
			raw:     "https://mcp.example.com/mc%7",
			wantErr: `is not a URL: invalid URL escape "%7"; write it like "https://mcp.example.com/mcp"`,
		},
		{
			name:    "bracket",
			raw:     "https://mcp.example.com/[mcp]",
			wantErr: `has a bracket in its path; remove or percent-encode it`,
		},
		{
			name:    "well-known",
			raw:     "https://mcp.example.com/.well-known/mcp",
			wantErr: `is under /.well-known/, which is public; serve the MCP endpoint at another path, like /mcp`,
		},
		{
			name:    "well-known itself",
			raw:     "https://mcp.example.com/.well-known",
			wantErr: `is under /.well-known/, which is public; serve the MCP endpoint at another path, like /mcp`,
		},
		{
			name:    "space before",
			raw:     " https://mcp.example.com/mcp",
			wantErr: `has the character ' '` + notInURL,
		},
		{
			name:    "newline",
			raw:     "https://mcp.example.com/mcp\r\nX: y",
			wantErr: `has the character '\r'` + notInURL,
		},
		{
			name:    "quote",
			raw:     `https://mcp.example.com/"mcp`,
			wantErr: `has the character '"'` + notInURL,
		},
		{
			name:    "backslash",
			raw:     `https://mcp.example.com\mcp`,
			wantErr: `has the character '\\'` + notInURL,
		},
		{
			name:    "umlaut",
			raw:     "https://münchen.example/mcp",
			wantErr: `has the character 'ü'` + notInURL,
		},
		{
			name:    "escaped umlaut",
			raw:     "https://m%C3%BCnchen.example/mcp",
			wantErr: `has host "münchen.example"` + notAHost,
		},
		{
			name:    "no host",
			raw:     "https:///mcp",
			wantErr: `has host ""` + notAHost,
		},
		{
			name:    "final dot",
			raw:     "https://mcp.example.com./mcp",
			wantErr: `has host "mcp.example.com."` + notAHost,
		},
		{
			name:    "hyphen",
			raw:     "https://-mcp.example.com/mcp",
			wantErr: `has host "-mcp.example.com"` + notAHost,
		},
		{
			name:    "long label",
			raw:     "https://" + strings.Repeat("a", 64) + ".example/mcp",
			wantErr: `has host "` + strings.Repeat("a", 64) + `.example"` + notAHost,
		},
		{
			name:    "long host",
			raw:     "https://" + strings.Repeat("a.", 127) + "a/mcp",
			wantErr: `has host "` + strings.Repeat("a.", 127) + `a"` + notAHost,
		},
		{
			name:    "short address",
			raw:     "https://127.1/mcp",
			wantErr: `has host "127.1"` + notAHost,
		},
		{
			name:    "hexadecimal address",
			raw:     "https://0x7f.0x1/mcp",
			wantErr: `has host "0x7f.0x1"` + notAHost,
		},
		{
			name:    "octal address",
			raw:     "https://0177.0.0.1/mcp",
			wantErr: `has host "0177.0.0.1"` + notAHost,
		},
		{
			name:    "IPv4 in IPv6",
			raw:     "http://[::ffff:127.0.0.1]/mcp",
			wantErr: `has host "[::ffff:127.0.0.1]", an IPv4 address in IPv6 form; write "127.0.0.1"`,
		},
		{
			name:    "zone",
			raw:     "https://[fe80::1%25eth0]/mcp",
			wantErr: `has host "[fe80::1%eth0]"` + notAHost,
		},
		{
			name:    "unspecified",
			raw:     "http://0.0.0.0:3000/mcp",
			wantErr: `has host "0.0.0.0:3000", which means all addresses; write the host clients connect to`,
		},
		{
			name:    "unspecified IPv6",
			raw:     "http://[::]:3000/mcp",
			wantErr: `has host "[::]:3000", which means all addresses; write the host clients connect to`,
		},
		{
			name:    "port 0",
			raw:     "https://mcp.example.com:0/mcp",
			wantErr: `has port "0", want 1 to 65535; write the port clients connect to, or none`,
		},
		{
			name:    "port too high",
			raw:     "https://mcp.example.com:65536/mcp",
			wantErr: `has port "65536", want 1 to 65535; write the port clients connect to, or none`,
		},
		{
			name:    "port name",
			raw:     "https://mcp.example.com:https/mcp",
			wantErr: `is not a URL: invalid port ":https" after host; write it like "https://mcp.example.com/mcp"`,
		},
		{
			name:    "too long",
			raw:     "https://mcp.example.com/" + strings.Repeat("a", 2048),
			wantErr: `is 2072 bytes long, want at most 2048; use a shorter URL`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := wellknown.Resource(tt.raw)
			if reason(err) != tt.wantErr {
				t.Fatalf("Resource(%q): %v, want %s", tt.raw, err, tt.wantErr)
			}
			if err != nil {
				checkFault(t, err)
				return
			}
			if got.String() != tt.want {
				t.Errorf("Resource(%q) = %q, want %q", tt.raw, got, tt.want)
			}
		})
	}
}

// TestResourceBrackets does not compare texts: in some versions of Go the error is that
// of net/url.
func TestResourceBrackets(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"http://[127.0.0.1]/mcp", "http://[localhost]/mcp", "https://2001:db8::1:443/mcp", "http://::1/mcp"} {
		u, err := wellknown.Resource(raw)
		if err == nil {
			t.Errorf("Resource(%q) = %q, want a fault", raw, u)
			continue
		}
		checkFault(t, err)
	}
}

func TestIssuer(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, raw, wantErr string }{
		{name: "control", raw: "https://verb-noun-42.clerk.accounts.dev"},
		{name: "trailing slash", raw: "https://acme.us.auth0.com/"},
		{name: "path", raw: "https://app.dev/__clerk"},
		{name: "escaped path", raw: "https://kc.example.com/realms/My%20Realm"},
		{name: "loopback", raw: "http://127.0.0.1:9000"},

		{
			name:    "no scheme",
			raw:     "clerk.example.com",
			wantErr: `is not an absolute URL; write it in full, like "https://issuer.example.com"`,
		},
		{name: "http", raw: "http://acme.auth0.com", wantErr: `is not https; use https, or http only on localhost`},
		{name: "query", raw: "https://as.example.com?a", wantErr: `has a query; remove the ? and everything after it`},
		{name: "fragment", raw: "https://as.example.com#", wantErr: `has a fragment; remove the # and everything after it`},
		{name: "user", raw: "https://a:b@as.example.com", wantErr: `has user info; remove everything between // and @`},
		{
			name:    "dot segment",
			raw:     "https://as.example.com/a/..",
			wantErr: `has the dot segment ".." in its path; write the path it leads to`,
		},
		{
			name:    "escaped slash",
			raw:     "https://as.example.com/a%2fb",
			wantErr: `has an escaped delimiter in path segment "a%2fb"; write the path without it`,
		},
		{
			name:    "escaped newline",
			raw:     "https://as.example.com/a%0ab",
			wantErr: `has an escaped delimiter in path segment "a%0ab"; write the path without it`,
		},
		{name: "double slash", raw: "https://as.example.com//", wantErr: `has // in its path; write one slash`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := wellknown.Issuer(tt.raw)
			if reason(err) != tt.wantErr {
				t.Fatalf("Issuer(%q): %v, want %s", tt.raw, err, tt.wantErr)
			}
			if err != nil {
				checkFault(t, err)
			}
		})
	}
}

// checkFault checks that err is a fault, and its problem and fix one line each.
func checkFault(t *testing.T, err error) {
	t.Helper()
	var fault *wellknown.Fault
	if !errors.As(err, &fault) {
		t.Fatalf("%v is a %T, want a *Fault", err, err)
	}
	for _, text := range []string{fault.Problem, fault.Fix} {
		if text == "" || strings.ContainsAny(text, "\r\n") || strings.HasSuffix(text, ".") {
			t.Errorf("fault has the text %q, want one line without a full stop", text)
		}
	}
}

func FuzzResource(f *testing.F) {
	for _, seed := range []string{
		"https://mcp.example.com/mcp", "HTTPS://A.B:443/", "http://localhost:3000/mcp", "http://[::1]:80", "https://a//b",
		"https://a/%2e%2e/b", "https://[fe80::1%25en0]/", "http://127.1/", "https://a/b?c#d", "https://u:p@h/", "https://h:/x/",
		"http://x.localhost:08/", "https://[::ffff:1.2.3.4]/", "https://fe80::1:80/", "https:///", "https://a:65535/[x]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := wellknown.Resource(raw)
		if err != nil {
			checkFault(t, err)
			return
		}
		again, err := wellknown.Resource(u.String())
		if err != nil {
			t.Fatalf("Resource(%q) = %q, which Resource rejects: %v", raw, u, err)
		}
		if diff := cmp.Diff(u, again); diff != "" {
			t.Errorf("Resource(%q) is not canonical (-first +second):\n%s", raw, diff)
		}
		path, ok := strings.CutPrefix(wellknown.ProtectedResource(u), wellknown.ProtectedResourcePath)
		if !ok || u.Scheme+"://"+u.Host+path != u.String() {
			t.Errorf("ProtectedResource(%q) = %q, from which the resource does not follow", u, wellknown.ProtectedResource(u))
		}
		if err := wellknown.Issuer(u.String()); err != nil {
			t.Errorf("Issuer(%q): %v", u, err)
		}
		if u.Scheme == "http" && !wellknown.IsLoopback(u.Host) {
			t.Errorf("Resource(%q) = %q: plain http, and not a loopback host", raw, u)
		}
		for i, alias := range wellknown.Aliases(u) {
			canonical, err := wellknown.Resource(alias)
			if err != nil || canonical.String() != alias || (i == 0) != (alias == u.String()) {
				t.Errorf("alias %d of %q is %q (%v, %v)", i, u, alias, canonical, err)
			}
		}
	})
}
