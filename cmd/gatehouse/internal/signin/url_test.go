package signin

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// hostileURLs are URLs that no document may name, whoever wrote it.
var hostileURLs = []struct{ name, url, problem string }{
	{"file", "file:///etc/passwd", `has scheme "file"`},
	{"file on localhost", "file://localhost/c:/windows/system32/calc.exe", `has scheme "file"`},
	{"file in upper case", "FILE://localhost/c:/windows/system32/calc.exe", `has scheme "file"`},
	{"editor", "vscode://127.0.0.1/extension", `has scheme "vscode"`},
	{"script", "javascript:alert(1)", `has scheme "javascript"`},
	{"script with an authority", "javascript://localhost/%0aalert(1)", `has scheme "javascript"`},
	{"data", "data:text/html,hello", `has scheme "data"`},
	{"mail", "mailto:ada@example.com", `has scheme "mailto"`},
	{"shared folder", "smb://localhost/share", `has scheme "smb"`},
	{"network path", `\\evil.example.com\share`, "character"},
	{"flag of a command", "--version", "is not an absolute URL"},
	{"relative", "/authorize", "is not an absolute URL"},
	{"no scheme", "//evil.example.com/authorize", "is not an absolute URL"},
	{"no host", "https:///authorize", "has host"},
	{"opaque", "https:authorize", "has host"},
	{"plain http", "http://issuer.example.com/authorize", "is not https"},
	{"plain http to a suffix of localhost", "http://localhost.example.com/authorize", "is not https"},
	{"plain http to all addresses", "http://0.0.0.0/authorize", "all addresses"},
	{"loopback in a short form", "http://127.1/authorize", "has host"},
	{"loopback as a number", "http://2130706433/authorize", "has host"},
	{"loopback in hexadecimal", "http://0x7f000001/authorize", "has host"},
	{"loopback in IPv6 form", "http://[::ffff:127.0.0.1]/authorize", "IPv6 form"},
	{"zone", "http://[::1%25eth0]/authorize", "is not a URL"},
	{"port", "https://issuer.example.com:99999/authorize", "has port"},
	{"fragment", "https://issuer.example.com/authorize#x", "has a fragment"},
	{"empty fragment", "https://issuer.example.com/authorize#", "has a fragment"},
	{"loopback with a fragment", "http://localhost/calc.exe#", "has a fragment"},
	{"user", "https://issuer.example.com@evil.example.com/authorize", "has user info"},
	{"empty user", "https://@evil.example.com/authorize", "has user info"},
	{"space", "https://issuer.example.com/authorize --flag", "character"},
	{"quote", `https://issuer.example.com/"&calc.exe&"`, "character"},
	{"command substitution", "https://issuer.example.com/`calc`", "character"},
	{"line break", "https://issuer.example.com/\nauthorize", "character"},
	{"backslash", `https://issuer.example.com\@localhost/`, "character"},
	{"other alphabet", "https://іssuer.example.com/authorize", "character"},
	{"long", "https://issuer.example.com/" + strings.Repeat("a", maxURL), "bytes long"},
}

// validURLs are URLs that a document of any server on this machine may name.
var validURLs = []string{
	"https://issuer.example.com/authorize",
	"https://issuer.example.com:8443/oauth2/v1/authorize?p=b2c_1_signin",
	"https://issuer.example.com/realms/my%20realm/auth",
	"https://issuer.example.com//authorize",
	"https://[2606:4700::1111]/authorize",
	"http://localhost:4000/authorize",
	"HTTP://LOCALHOST:4000/authorize",
	"http://127.0.0.1:4000/authorize",
	"http://127.0.0.2/authorize",
	"http://[::1]:4000/authorize",
	"http://clerk.localhost:4000/authorize",
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for _, raw := range validURLs {
		if _, err := checkURL(raw); err != nil {
			t.Errorf("checkURL(%q): %v", raw, err)
		}
	}
	for _, test := range hostileURLs {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := checkURL(test.url)
			wantErr(t, err, test.problem)
			if fault := (*wellknown.Fault)(nil); !errors.As(err, &fault) || fault.Fix == "" {
				t.Errorf("error %v has no fix", err)
			}
		})
	}
}

// endpoints are the URLs in the metadata of an authorization server.
var endpoints = map[string]func(m *oauthex.AuthServerMeta) *string{
	"authorization_endpoint": func(m *oauthex.AuthServerMeta) *string { return &m.AuthorizationEndpoint },
	"token_endpoint":         func(m *oauthex.AuthServerMeta) *string { return &m.TokenEndpoint },
	"registration_endpoint":  func(m *oauthex.AuthServerMeta) *string { return &m.RegistrationEndpoint },
	"revocation_endpoint":    func(m *oauthex.AuthServerMeta) *string { return &m.RevocationEndpoint },
	"introspection_endpoint": func(m *oauthex.AuthServerMeta) *string { return &m.IntrospectionEndpoint },
	"jwks_uri":               func(m *oauthex.AuthServerMeta) *string { return &m.JWKSURI },
}

func metadataOf(issuer string) *oauthex.AuthServerMeta {
	return &oauthex.AuthServerMeta{
		Issuer:                issuer,
		AuthorizationEndpoint: issuer + "/authorize",
		TokenEndpoint:         issuer + "/token",
		RegistrationEndpoint:  issuer + "/register",
		RevocationEndpoint:    issuer + "/revoke",
		IntrospectionEndpoint: issuer + "/introspect",
		JWKSURI:               issuer + "/jwks",
	}
}

// TestCheckEndpoints changes one endpoint of valid metadata.
func TestCheckEndpoints(t *testing.T) {
	t.Parallel()
	const issuer = "https://issuer.example.com"
	wantErr(t, checkEndpoints(metadataOf(issuer)), "")
	for name, endpoint := range endpoints {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, test := range hostileURLs {
				metadata := metadataOf(issuer)
				*endpoint(metadata) = test.url
				err := checkEndpoints(metadata)
				wantErr(t, err, test.problem)
				wantErr(t, err, name)
				if f := (*failure.Error)(nil); !errors.As(err, &f) || f.Hint == "" {
					t.Errorf("%s: error %v has no hint", test.name, err)
				}
			}
			metadata := metadataOf(issuer)
			*endpoint(metadata) = ""
			want := ""
			if name == "authorization_endpoint" || name == "token_endpoint" {
				want = "has no " + name
			}
			wantErr(t, checkEndpoints(metadata), want)
		})
	}
}

// TestCheckReach has servers that name hosts that they cannot contact themselves.
func TestCheckReach(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, owner, url, problem string }{
		{"same host", "https://issuer.example.com", "https://issuer.example.com/x", ""},
		{"other host", "https://issuer.example.com", "https://login.example.com/x", ""},
		{"public address", "https://issuer.example.com", "https://1.1.1.1/x", ""},
		{"localhost", "https://issuer.example.com", "http://localhost:4000/x", "is on this machine"},
		{"localhost with an empty port", "https://10.0.0.1", "https://localhost:/x", "is on this machine"},
		{"https on localhost", "https://issuer.example.com", "https://localhost/x", "is on this machine"},
		{"name of this machine", "https://issuer.example.com", "http://router.localhost/x", "is on this machine"},
		{"loopback address", "https://issuer.example.com", "http://127.0.0.1:4000/x", "is on this machine"},
		{"IPv6 loopback address", "https://issuer.example.com", "http://[::1]:4000/x", "is on this machine"},
		{"private address", "https://issuer.example.com", "https://10.0.0.1/x", "is on a private network"},
		{"home network", "https://issuer.example.com", "https://192.168.1.1/x", "is on a private network"},
		{"link-local address", "https://issuer.example.com", "https://169.254.169.254/latest", "is on a private network"},
		{"carrier-grade NAT", "https://issuer.example.com", "https://100.64.0.1/x", "is on a private network"},
		{"multicast", "https://issuer.example.com", "https://224.0.0.1/x", "is on a private network"},
		{"unique local address", "https://issuer.example.com", "https://[fd00::1]/x", "is on a private network"},
		{"site-local address", "https://issuer.example.com", "https://[fec0::1]/x", "is on a private network"},
		{"IPv4 address in NAT64", "https://issuer.example.com", "https://[64:ff9b::7f00:1]/x", "is on a private network"},
		{"IPv4 address without a prefix", "https://issuer.example.com", "https://[::7f00:1]/x", "is on a private network"},
		{"name in a home network", "https://issuer.example.com", "https://router.local/x", "is on a private network"},
		{"name in a company", "https://issuer.example.com", "https://db.internal/x", "is on a private network"},
		{"name without a dot", "https://issuer.example.com", "https://intranet/x", "is on a private network"},
		{"private to private", "https://10.0.0.1", "https://10.0.0.2/x", ""},
		{"private to public", "https://10.0.0.1", "https://issuer.example.com/x", ""},
		{"private to loopback", "https://10.0.0.1", "https://localhost/x", "is on this machine"},
		{"loopback to loopback", "http://localhost:3000", "http://127.0.0.1:4000/x", ""},
		{"loopback to private", "http://localhost:3000", "https://10.0.0.1/x", ""},
		{"loopback to public", "http://localhost:3000", "https://issuer.example.com/x", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			wantErr(t, checkNamedURL(test.url, test.owner), test.problem)
			wantErr(t, checkIssuer(test.owner+"/mcp", test.url), test.problem)
			for name, endpoint := range endpoints {
				metadata := metadataOf(test.owner)
				*endpoint(metadata) = test.url
				err := checkEndpoints(metadata)
				wantErr(t, err, test.problem)
				if test.problem != "" {
					wantErr(t, err, name)
				}
			}
		})
	}
}

func TestCheckIssuer(t *testing.T) {
	t.Parallel()
	const resource = "https://mcp.example.com/mcp"
	wantErr(t, checkIssuer(resource, "https://issuer.example.com"), "")
	wantErr(t, checkIssuer(resource, "https://issuer.example.com/"), "")
	wantErr(t, checkIssuer(resource, "https://issuer.example.com?tenant=7"), "has a query")
	for _, test := range hostileURLs {
		if err := checkIssuer(resource, test.url); err == nil {
			t.Errorf("checkIssuer accepts %q", test.url)
		}
	}
}

func TestCheckMetadataURL(t *testing.T) {
	t.Parallel()
	const path = "/.well-known/oauth-protected-resource/mcp"
	for _, test := range []struct{ name, resource, url, problem string }{
		{"control", "https://mcp.example.com/mcp", "https://mcp.example.com" + path, ""},
		{"other path", "https://mcp.example.com/mcp", "https://mcp.example.com/metadata?x=y", ""},
		{"default port", "https://mcp.example.com/mcp", "https://mcp.example.com:443" + path, ""},
		{"other case", "https://mcp.example.com/mcp", "https://MCP.example.com" + path, ""},
		{"other name of this machine", "http://127.0.0.1:3000/mcp", "http://localhost:3000" + path, ""},
		{"other host", "https://mcp.example.com/mcp", "https://evil.example.com" + path, "is on another origin"},
		{"other port", "https://mcp.example.com/mcp", "https://mcp.example.com:8443" + path, "is on another origin"},
		{"this machine", "https://mcp.example.com/mcp", "http://localhost" + path, "is on another origin"},
		{"other port of this machine", "http://localhost:3000/mcp", "http://localhost:4000" + path, "is on another origin"},
		{"plain http", "https://mcp.example.com/mcp", "http://mcp.example.com" + path, "is not https"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			wantErr(t, checkMetadataURL(test.resource, test.url), test.problem)
		})
	}
	for _, test := range hostileURLs {
		wantErr(t, checkMetadataURL("https://issuer.example.com/mcp", test.url), test.problem)
	}
}

// TestOpenBrowserChecksTheURL starts a program that exists, so that only the URL can be
// the cause of an error.
func TestOpenBrowserChecksTheURL(t *testing.T) {
	t.Parallel()
	env := func(name string) string { return map[string]string{"BROWSER": "true"}[name] }
	for _, raw := range validURLs {
		wantErr(t, OpenBrowser(env, raw), "")
	}
	for _, test := range hostileURLs {
		wantErr(t, OpenBrowser(env, test.url), test.problem)
	}
}

func TestIsBatchFile(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		goos, path string
		want       bool
	}{
		{"windows", `C:\browser.exe`, false},
		{"windows", `C:\browser.bat`, true},
		{"windows", `C:\browser.CMD`, true},
		{"linux", "/usr/bin/browser.cmd", false},
	} {
		if got := isBatchFile(test.goos, test.path); got != test.want {
			t.Errorf("isBatchFile(%q, %q) = %v, want %v", test.goos, test.path, got, test.want)
		}
	}
}

func TestCheckedTransport(t *testing.T) {
	t.Parallel()
	send := func(method, url string, status int) (sent bool, err error) {
		next := roundTripper(func(*http.Request) (*http.Response, error) {
			sent = true
			rec := httptest.NewRecorder()
			rec.Header().Set("Location", "https://evil.example.com/?code=secret")
			rec.WriteHeader(status)
			return rec.Result(), nil
		})
		req, err := http.NewRequest(method, url, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		_, err = (&checkedTransport{next: next}).RoundTrip(req)
		return sent, err
	}
	for _, test := range []struct {
		name, method, url string
		status            int
		sent              bool
		wantErr           string
	}{
		{"control", "POST", "https://issuer.example.com/token", 200, true, ""},
		{"rejection", "POST", "https://issuer.example.com/token", 400, true, ""},
		{"loopback", "POST", "http://localhost/token", 200, true, ""},
		{"redirect of a GET request", "GET", "https://issuer.example.com/metadata", 302, true, ""},
		{
			"redirect of a POST request",
			"POST",
			"https://issuer.example.com/token",
			307,
			true,
			"redirects to https://evil.example.com/; not sending secrets there",
		},
		{"plain http", "POST", "http://issuer.example.com/token", 200, false, "is not https"},
		{"file", "GET", "file://localhost/x", 200, false, `has scheme "file"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sent, err := send(test.method, test.url, test.status)
			wantErr(t, err, test.wantErr)
			if sent != test.sent {
				t.Errorf("sent: %v, want %v", sent, test.sent)
			}
		})
	}
}

// FuzzCheckURL checks that an accepted URL has one of the two schemes and is printable.
func FuzzCheckURL(f *testing.F) {
	for _, raw := range validURLs {
		f.Add(raw)
	}
	for _, test := range hostileURLs {
		f.Add(test.url)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := checkURL(raw)
		if err != nil {
			return
		}
		lower := strings.ToLower(raw)
		if !strings.HasPrefix(lower, "https://") && !(strings.HasPrefix(lower, "http://") && reachOf(u) == thisMachine) {
			t.Fatalf("checkURL accepts %q", raw)
		}
		if strings.ContainsAny(raw, " \t\r\n\"\\`<>|^{}#") {
			t.Fatalf("checkURL accepts %q, which a shell may divide", raw)
		}
	})
}
