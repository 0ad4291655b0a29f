package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testcert"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// runGatewayCommand runs "gatehouse gateway" with the arguments and --check, and returns the exit
// status and what it writes.
func runGatewayCommand(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	var out testlog.Buffer
	con := &console{stdout: &out, stderr: &out, getenv: func(string) string { return "" }}
	code = run(t.Context(), con, append([]string{"gateway", "--check"}, args...))
	return code, out.String()
}

// Every fault of the command line is reported in one run, each with its fix.
func TestGatewayFlagFaults(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	pair, other := testcert.New(t, "localhost"), testcert.New(t, "localhost")
	certFile, keyFile := pair.Write(t, folder)
	otherKey := filepath.Join(folder, "other.pem")
	file := filepath.Join(folder, "gateway.yaml")
	for name, text := range map[string]string{
		otherKey: string(other.Key),
		file:     "provider: nope\nendpoints:\n  - url: http://x.example.com/mcp\n    upstream: y\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	valid := []string{"--upstream", "http://localhost:8000/mcp", "--provider", "oidc", "--issuer", "https://issuer.example.com"}
	asks := []string{"--forward-auth", "envoy", "--provider", "oidc", "--issuer", "https://issuer.example.com"}
	for _, test := range []struct {
		name string
		args []string
		want string // the start of each error and hint; empty if the command line is valid
	}{
		{"valid", valid, ""},
		{"valid with TLS", append([]string{"--tls-cert", certFile, "--tls-key", keyFile}, valid...), ""},
		{"three faults", []string{"--upstream", "foo", "--provider", "nope", "--listen", "x"}, `
			error: --upstream "foo" is not an http or https URL
			hint: write --upstream http://foo
			error: --provider "nope" is not known
			hint: use one of auth0,
			error: --listen "x" is not an address with a port
			hint: add the port, like x:3000`},
		{"operator port", append([]string{"--operator-listen", "x", "--listen", "y"}, valid...), `
			error: --listen "y" is not an address with a port
			hint: add the port, like y:3000
			error: --operator-listen "x"
			hint: `},
		{"nothing", nil, `
			error: --upstream is missing
			hint: name the MCP server, like --upstream http://localhost:8000/mcp
			error: --provider is missing
			hint: name where users sign in, like --provider clerk`},
		{"faults that the gateway finds", []string{"--upstream", "http://u:p@localhost:8000/mcp", "--provider", "oidc", "--issuer", "http://i.example.com",
			"--url", "http://y.example.com/mcp", "--listen", "80"}, `
			error: --url "http://y.example.com/mcp" is not https
			error: --issuer "http://i.example.com" is not https
			hint: use https, or http only on localhost
			error: --upstream "http://u:xxxxx@localhost:8000/mcp" has user info
			hint: remove everything between // and @
			error: --listen "80" is not an address with a port
			hint: write localhost:80, or :80 for all addresses`},
		{"TLS files", append([]string{"--tls-cert", filepath.Join(folder, "missing"), "--tls-key", certFile, "--upstream-ca", keyFile}, valid...), `
			error: --upstream-ca
			hint: write the certificate of the authority
			error: --tls-cert
			hint: check the path and the permissions
			error: --tls-key
			hint: name the file with the private key`},
		{"authorities without TLS", append([]string{"--upstream-ca", certFile}, valid...), `
			error: --upstream "http://localhost:8000/mcp" is http, for which certificates of authorities have no effect
			hint: use https, or remove --upstream-ca`},
		{"TLS without a key", append([]string{"--tls-cert", certFile, "--url", "http://localhost:3000/mcp"}, valid...), `
			error: --url "http://localhost:3000/mcp" is http, and the listener speaks TLS
			hint: use https, or remove --tls-cert and --tls-key
			error: --tls-cert is set without --tls-key
			hint: add --tls-key`},
		{"TLS with another key", append([]string{"--tls-cert", certFile, "--tls-key", otherKey}, valid...), `
			error: --tls-key
			hint: use the private key from which the certificate was made`},
		{"a port as the upstream", append([]string{"--upstream", "8000"}, valid[2:]...), `
			error: --upstream "8000" is not an http or https URL
			hint: write --upstream http://localhost:8000/mcp`},
		{"the gateway itself", append([]string{"--upstream", "http://127.0.0.1:3000/mcp"}, valid[2:]...), `
			error: the upstream "http://127.0.0.1:3000/mcp" is the address on which the gateway listens
			hint: write the address of the MCP server, which must listen on another port`},
		{"the gateway itself, on all addresses", append([]string{"--upstream", "http://localhost/mcp", "--listen", ":80",
			"--url", "https://mcp.example.com/mcp"}, valid[2:]...), `
			error: the upstream "http://localhost/mcp" is the address on which the gateway listens
			hint: write the address of the MCP server`},
		{"another loopback address", append([]string{"--upstream", "http://[::1]:3000/mcp", "--listen", "127.0.0.1:3000"}, valid[2:]...), ""},
		{"another machine", append([]string{"--upstream", "https://10.0.0.7:3000/mcp"}, valid[2:]...), ""},
		{"no realm", append([]string{"--provider", "keycloak", "--issuer", "https://sso.example.com/"}, valid[:2]...), `
			error: --issuer "https://sso.example.com/" does not name a realm
			hint: add the name of the realm, like --issuer https://sso.example.com/realms/demo`},
		{"realm with a slash", append([]string{"--provider", "keycloak", "--issuer", "https://sso.example.com/realms/demo/"}, valid[:2]...), `
			error: --issuer "https://sso.example.com/realms/demo/" has a trailing slash
			hint: write --issuer https://sso.example.com/realms/demo`},
		{"realm", append([]string{"--provider", "keycloak", "--issuer", "https://sso.example.com/realms/demo"}, valid[:2]...), ""},
		{"every tenant", append([]string{"--provider", "entra", "--issuer", "https://login.microsoftonline.com/common/v2.0"}, valid[:2]...), `
			error: --issuer "https://login.microsoftonline.com/common/v2.0" accepts everyone with a Microsoft account
			hint: write the ID of your tenant in place of common`},
		{"introspection", append([]string{"--provider", "introspection"}, valid[:2]...), `
			error: --provider introspection needs a client and its secret
			hint: write it in a file for --config`},
		{"forward auth", append([]string{"--listen", "localhost:3000", "--trusted-proxy", "10.0.0.7"}, asks...), ""},
		{"faults of forward auth", append([]string{"--forward-auth", "apache", "--trusted-proxy", "x", "--trusted-proxy", "0.0.0.0/0", "--upstream-ca", "x",
			"--log-requests", "--url", "http://y.example.com/mcp"}, asks[2:]...), `
			error: --upstream-ca has no effect with --forward-auth
			hint: remove it: the proxy forwards requests
			error: --log-requests has no effect with --forward-auth
			hint: remove it, and have the proxy log requests
			error: --trusted-proxy "x" is not an address
			hint: write it like 10.0.0.7
			error: --forward-auth "apache" is not a proxy that can ask
			hint: use one of nginx, caddy,
			error: --trusted-proxy "0.0.0.0/0" is every address
			hint: name the addresses of your proxies
			error: --url "http://y.example.com/mcp" is not https
			hint: use https, or http only on localhost`},
		{"two kinds of gateway", append([]string{"--upstream", "http://localhost:8000/mcp", "--forward-auth-body", "--forward-auth", "nginx"}, asks[2:]...), `
			error: --forward-auth and --upstream exclude each other
			hint: remove --upstream: the proxy forwards requests
			error: --forward-auth-body "true" has no effect, because nginx cannot send bodies
			hint: remove it, or use the gateway itself`},
		{"flags of forward auth alone", append([]string{"--forward-auth-body", "--trusted-proxy", "x"}, valid...), `
			error: --forward-auth-body has no effect without --forward-auth
			hint: name the proxy, like --forward-auth envoy
			error: --trusted-proxy "x" is not an address
			hint: write it like 10.0.0.7`},
		{"a trusted proxy without forward auth", append([]string{"--trusted-proxy", "10.0.0.7"}, valid...), ""},
		{"a file and flags", []string{"--config", "gateway.yaml", "--url", "x", "--tls-key", "y", "--listen", "3", "--trusted-proxy", "z"}, `
			error: --trusted-proxy is set in addition to --config
			hint: write it in the file, as trusted_proxies in the section limits
			error: --url is set in addition to --config
			error: --tls-key is set in addition to --config
			hint: write it in the file, or remove --config
			error: --listen "3" is not an address with a port
			hint: write localhost:3, or :3
			error: gateway.yaml:1: provider "nope" is not known; use one of
			error: gateway.yaml:3: url "http://x.example.com/mcp" is not https; use https
			error: gateway.yaml:4: upstream "y" is not an http or https URL; write it like`},
		{"a file and forward auth", []string{"--config", "gateway.yaml", "--forward-auth", "apache", "--trusted-proxy", "x"}, `
			error: gateway.yaml:1: provider "nope" is not known; use one of
			error: gateway.yaml:3: url "http://x.example.com/mcp" is not https; use https
			error: gateway.yaml:4: upstream has no effect with --forward-auth, because the proxy forwards the requests; remove it
			error: --trusted-proxy "x" is not an address
			hint: write it like 10.0.0.7
			error: --forward-auth "apache" is not a proxy that can ask
			hint: use one of nginx, caddy,`},
		{"a file that is missing", []string{"--config", "missing.yaml", "--upstream", "x"}, `
			error: --upstream is set in addition to --config
			hint: write it in the file, or remove --config
			error: missing.yaml: reading the file: no such file or directory; check the path`},
	} {
		code, output := runGatewayCommand(t, test.args...)
		got := strings.Split(strings.TrimSpace(strings.ReplaceAll(output, "gatehouse: ", "")), "\n")
		if test.want == "" {
			if code != exitOK {
				t.Errorf("%s: got status %d, want success:\n%s", test.name, code, output)
			}
			continue
		}
		want := strings.Split(strings.TrimSpace(test.want), "\n")
		if code != exitUsage || len(got) != len(want) {
			t.Errorf("%s: got status %d and %d lines, want %d and %d:\n%s", test.name, code, len(got), exitUsage, len(want), output)
			continue
		}
		for i := range want {
			if want := strings.TrimSpace(want[i]); !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: line %d is %q, want it to begin with %q", test.name, i+1, got[i], want)
			}
		}
	}
}
