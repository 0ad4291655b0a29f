package gatewayfile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwardauth"
)

// asking is a file for forward auth without anything that has a default.
const asking = `provider: {name: oidc, issuer: "https://issuer.example.com", roles_claim: [roles]}
endpoints:
  - url: https://mcp.example.com/mcp
    name: Notes
`

// forwardAuthFaults is faultsOf for forward auth.
func forwardAuthFaults(t *testing.T, proxy forwardauth.Proxy, bodies bool, text string) []string {
	t.Helper()
	l := newTestLoader(t, text, nil)
	l.ForwardAuth(proxy, bodies)
	_, err := l.Load()
	return faultTexts(t, err)
}

// Each setting that cannot take effect with forward auth is a mistake, with its line. The rest of
// the file is valid for both.
func TestForwardAuthSettingsWithoutEffect(t *testing.T) {
	const key = "k123456789012345678901234567890123456789"
	noBodies := "; limit bodies in the proxy, or have it send them and add --forward-auth-body"
	for name, test := range map[string]struct {
		old, new string
		want     string // with nginx, without bodies
		bodies   bool   // whether the setting takes effect if the proxy sends bodies
	}{
		"upstream":      {"    name:", "    upstream: http://localhost:8000\n    name:", "4: upstream has no effect with --forward-auth, because the proxy forwards the requests; remove it; the proxy has", false},
		"TLS":           {"    name:", "    upstream: {url: \"https://localhost:8000\", h2c: false}\n    name:", "4: upstream has no effect", false},
		"upstreams":     {"    name:", "    upstreams: [http://localhost:8000]\n    name:", "4: upstreams has no effect", false},
		"timeout":       {"    name:", "    header_timeout: 5s\n    name:", "4: header_timeout has no effect with --forward-auth, because the proxy forwards the requests; remove it, and set the timeout", false},
		"keep-alive":    {"    name:", "    keep_alive: 5s\n    name:", "4: keep_alive has no effect", false},
		"long lists":    {"    name:", "    max_list_bytes: 5000\n    name:", "4: max_list_bytes has no effect", false},
		"cookies":       {"    name:", "    forward_cookies: true\n    name:", "4: forward_cookies has no effect", false},
		"token":         {"    name:", "    dangerously_forward_access_token: true\n    name:", "4: dangerously_forward_access_token has no effect", false},
		"locked":        {"    name:", "    show_locked: true\n    name:", `4: show_locked "true" has no effect, because the answers of the MCP server do not pass here; remove it`, false},
		"schemes":       {"    name:", "    security_schemes: true\n    name:", `4: security_schemes "true" has no effect`, false},
		"sessions":      {"    name:", "    max_sessions: 300\n    name:", `4: max_sessions "300" has no effect`, false},
		"user sessions": {"    name:", "    max_sessions_per_user: 3\n    name:", `4: max_sessions_per_user "3" has no effect`, false},
		"idle sessions": {"    name:", "    session_timeout: 2h\n    name:", `4: session_timeout "2h0m0s" has no effect`, false},
		"session key":   {"endpoints:", "session_key: " + key + "\nendpoints:", "2: session_key has no effect", false},
		"other key":     {"endpoints:", "session_key: " + key + "\naccepted_session_keys: [" + key + "x]\nendpoints:", "3: accepted_session_keys has no effect", false},
		"log":           {"endpoints:", "log_requests: true\nendpoints:", "2: log_requests has no effect with --forward-auth; remove it, and have the proxy log", false},
		"bodies":        {"    name:", "    max_body_bytes: 5000\n    name:", `4: max_body_bytes "5000" has no effect, because the proxy sends no bodies` + noBodies, true},
		"public":        {"    name:", "    requirements: [{tool: a, public: true}]\n    name:", "4: requirements[0].public has no effect, because the proxy sends no bodies, so that callers without a token get nothing; remove it, or have", true},
		"undeclared":    {"    name:", "    deny_undeclared: true\n    name:", `4: deny_undeclared "true" rejects every request`, true},
		"result":        {"    name:", "    challenge_in_result: true\n    name:", `4: challenge_in_result "true" answers a rejected request with status 200`, false},
		"path":          {"    name:", "    local_path: /auth\n    name:", `3: url "https://mcp.example.com/mcp" has the path to which proxies send their questions`, false},
		"header":        {"    name:", "    headers: {user: X_User}\n    name:", `4: headers.user "X_User" has an underscore`, false},
		"the same twice": {"    name:", "    allowed_hosts: [other.example.com]\n  - url: https://other.example.com/mcp\n    name:",
			`5: url "https://other.example.com/mcp" has the host and path of another endpoint`, false},
	} {
		text := strings.Replace(asking, test.old, test.new, 1)
		if got := forwardAuthFaults(t, forwardauth.Nginx, false, text); !slices.ContainsFunc(got, hasPrefix(test.want)) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
		got := forwardAuthFaults(t, forwardauth.Envoy, true, text)
		if found := slices.ContainsFunc(got, hasPrefix(test.want)); found == test.bodies {
			t.Errorf("%s, with bodies: got %q, want a mistake: %v", name, got, !test.bodies)
		}
	}
	if got := forwardAuthFaults(t, forwardauth.Nginx, false, asking); got != nil {
		t.Errorf("the control has the mistakes %q", got)
	}
}

func hasPrefix(prefix string) func(string) bool {
	return func(text string) bool { return strings.HasPrefix(text, prefix) }
}

// A file for forward auth has no upstream, which only the gateway needs.
func TestWithoutUpstreams(t *testing.T) {
	if got, want := faultsOf(t, asking), "3: the endpoint has no upstream; add"; len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, text := range []string{asking, minimal} {
		l := newTestLoader(t, text, nil)
		l.WithoutUpstreams()
		if _, err := l.Load(); err != nil {
			t.Error(err)
		}
	}
}

// The mistake of a provider does not make mistakes of the requirements.
func TestRequirementsOfAnInvalidProvider(t *testing.T) {
	text := strings.Replace(minimal, "issuer:", "isuer:", 1) +
		"    requirements: [{tool: a, roles: [x]}, {tool: b, permissions: [x]}, {tool: c, organization: true}]\n"
	if got := faultsOf(t, text); len(got) != 1 || !strings.Contains(got[0], `the provider oidc has no member "isuer"`) {
		t.Errorf("got %q, want the mistake of the provider alone", got)
	}
}

// Keys that sign nothing have no effect.
func TestAssertionKeysWithoutAssertions(t *testing.T) {
	text := strings.Replace(minimal, "endpoints:", "assertion_key_file: "+assertionKeyFile(t)+"\nendpoints:", 1)
	if got := faultsOf(t, text); got != nil {
		t.Errorf("the control has the mistakes %q", got)
	}
	want := "2: assertion_key_file has no effect, because the headers of each endpoint turn assertions off; remove it"
	if got := faultsOf(t, text+"    headers: {assertion: \"\"}\n"); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// assertionKeyFile returns the path of a file with a key for assertions.
func assertionKeyFile(t *testing.T) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text})))
	return path
}
