package check

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const caddyModule = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9"

// proxySetup is a reverse proxy with TLS in front of the gateway, a local Clerk and an MCP server.
type proxySetup struct {
	endpoint    string // public URL, https://localhost:PORT/…
	folder      string // with cert.pem, which is self-signed
	port        string // of the proxy
	gatewayPort string
	backend     *slowBackend
}

// slowBackend passes requests on to an MCP server. It answers those whose body contains "slow"
// itself, with a stream of two events, the second of which waits for next.
type slowBackend struct {
	*httputil.ReverseProxy
	next chan bool
}

func (b *slowBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if !strings.Contains(string(body), "slow") {
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		b.ReverseProxy.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n")
	w.(http.Flusher).Flush()
	select {
	case <-b.next:
		io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
	case <-r.Context().Done():
	}
}

// newProxySetup starts everything but the proxy.
func newProxySetup(t *testing.T, path, settings string) *proxySetup {
	s := &proxySetup{folder: t.TempDir(), port: freePort(t), gatewayPort: freePort(t)}
	s.endpoint = "https://localhost:" + s.port + path
	command{dir: s.folder, argv: []string{
		"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
		"-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
	}}.run(t)

	clerkPort, backendPort := freePort(t), freePort(t)
	clerk := start(t, s.folder, nil, gatehouse(t), "clerk", "--port", clerkPort)
	program := filepath.Join(s.folder, "backend")
	buildBackend(t, program)
	backend := start(t, s.folder, []string{"PORT=" + backendPort}, program)
	target, _ := url.Parse("http://localhost:" + backendPort)
	s.backend = &slowBackend{httputil.NewSingleHostReverseProxy(target), make(chan bool, 1)}
	server := httptest.NewServer(s.backend)
	t.Cleanup(server.Close)

	file := writeFile(t, s.folder, "gateway.yaml", fmt.Sprintf(`listen: localhost:%s
provider: {name: clerk, frontend_api_url: "http://localhost:%s"}
endpoints:
  - url: %s
    upstream: %s/mcp
%s`, s.gatewayPort, clerkPort, s.endpoint, server.URL, settings), 0o600)
	clerk.await(t, "http://localhost:"+clerkPort+"/.well-known/openid-configuration")
	backend.await(t, "http://localhost:"+backendPort+"/healthz")
	start(t, s.folder, nil, gatehouse(t), "gateway", "--config", file).await(t, "http://localhost:"+s.gatewayPort+"/readyz")
	return s
}

// config returns a file of deploy with the addresses of the setup.
func (s *proxySetup) config(t testing.TB, name string) string {
	return strings.NewReplacer("443", s.port, "mcp.example.com;", "localhost;", "127.0.0.1:3000", "127.0.0.1:"+s.gatewayPort,
		"mcp.example.com {", "https://localhost:"+s.port+" {\n\ttls cert.pem key.pem",
		"/etc/ssl/mcp.example.com.pem", s.folder+"/cert.pem", "/etc/ssl/mcp.example.com.key", s.folder+"/key.pem").Replace(read(t, name))
}

func (s *proxySetup) startNginx(t *testing.T, name string) *program {
	nginx := debianTool(t, "nginx", "nginx")
	if nginx == "" {
		t.Fatal("nginx is not on PATH; install it (Debian: apt-get install nginx)")
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the folder of the test is not for others
	}
	text := "daemon off; pid nginx.pid; " + user + " events {} http { access_log off;\n" + s.config(t, name) + "}\n"
	writeFile(t, s.folder, "nginx.conf", text, 0o600)
	return start(t, s.folder, nil, nginx, "-e", "stderr", "-p", s.folder, "-c", "nginx.conf")
}

func (s *proxySetup) startCaddy(t *testing.T) *program {
	const global = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
	writeFile(t, s.folder, "Caddyfile", global+s.config(t, "caddy/Caddyfile"), 0o600)
	env := []string{"XDG_DATA_HOME=" + s.folder, "XDG_CONFIG_HOME=" + s.folder}
	return start(t, s.folder, env, goTool(t, caddyModule), "run", "--config", "Caddyfile")
}

// TestProxies runs the configurations of nginx and Caddy with the real programs.
func TestProxies(t *testing.T) {
	tests := []struct {
		name, path, settings string
		start                func(*testing.T, *proxySetup) *program
	}{
		{"nginx", "/mcp", "", func(t *testing.T, s *proxySetup) *program { return s.startNginx(t, "nginx/mcp.conf") }},
		{"nginx with a prefix", "/tools/mcp", "    local_path: /mcp\n",
			func(t *testing.T, s *proxySetup) *program { return s.startNginx(t, "nginx/prefix.conf") }},
		{"Caddy", "/mcp", "", func(t *testing.T, s *proxySetup) *program { return s.startCaddy(t) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newProxySetup(t, test.path, test.settings)
			test.start(t, s).await(t, "https://localhost:"+s.port+"/.well-known/oauth-protected-resource"+test.path)
			env := []string{"SSL_CERT_FILE=" + filepath.Join(s.folder, "cert.pem"), "XDG_CONFIG_HOME=" + s.folder, "HOME=" + s.folder}
			out := command{dir: s.folder, env: env, argv: []string{gatehouse(t), "call", s.endpoint, "whoami", "--user", "ada"}}.run(t)
			if !strings.Contains(out, "user_") {
				t.Errorf("got %q, want a user", out)
			}
			command{dir: s.folder, env: env, argv: []string{gatehouse(t), "doctor", s.endpoint}}.run(t)
			s.checkPaths(t, test.path)
			s.checkStream(t)
		})
	}
}

// checkPaths checks the status of paths without a token.
func (s *proxySetup) checkPaths(t *testing.T, path string) {
	for name, want := range map[string]int{
		path: 401, "/.well-known/oauth-protected-resource" + path: 200, "/healthz": 404, "/readyz": 404, "/": 404, path + "/x": 404,
	} {
		resp, err := client.Get("https://localhost:" + s.port + name)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s has status %d, want %d", name, resp.StatusCode, want)
		}
		document := "https://localhost:" + s.port + "/.well-known/oauth-protected-resource" + path
		if challenge := resp.Header.Get("WWW-Authenticate"); name == path && !strings.Contains(challenge, document) {
			t.Errorf("got the challenge %q, want one with %s", challenge, document)
		}
	}
	resp, err := client.Post("https://localhost:"+s.port+"/register", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), "register") {
		t.Errorf("/register has status %d and says %q, want an explanation", resp.StatusCode, body)
	}
}

// checkStream checks that an event arrives before the stream ends.
func (s *proxySetup) checkStream(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(s.folder, "gatehouse/*.json"))
	token := ""
	for _, file := range files {
		text, _ := os.ReadFile(file)
		if match := regexp.MustCompile(`"access_token":\s*"([^"]+)"`).FindSubmatch(text); match != nil {
			token = string(match[1])
		}
	}
	if token == "" {
		t.Fatalf("no token in %q", files)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.endpoint,
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow"}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := bufio.NewScanner(resp.Body)
	for events.Scan() && !strings.Contains(events.Text(), "progress") {
	}
	if !strings.Contains(events.Text(), "progress") {
		t.Fatalf("got status %s without the first event", resp.Status)
	}
	s.backend.next <- true // only now, so a proxy that collects events would never send the first
	for events.Scan() && !strings.Contains(events.Text(), "result") {
	}
	if !strings.Contains(events.Text(), "result") {
		t.Error("the second event did not arrive")
	}
}
