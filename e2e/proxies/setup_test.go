//go:build proxies && unix

package proxies

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// resource is the endpoint in all configurations. The tests connect to it without TLS.
const (
	resource = "https://mcp.example.com/mcp"
	endpoint = "http://mcp.example.com/mcp"
)

// recipe is one proxy with its configuration.
type recipe struct {
	name          string
	files         []string // in examples/forwardauth, the main one first
	bodies        bool     // whether the proxy sends bodies to Gatehouse
	addressHeader string   // the header in which the proxy writes the address of the client
	limit         string   // the setting that limits the whole of a stream, with a value of an hour; empty if there is none
	// start starts the proxy in the folder with the files. The proxy listens on the port that the
	// files have.
	start func(t testing.TB, folder, port string) *process
}

var recipes = []recipe{
	{name: "nginx", addressHeader: "X-Real-IP", files: []string{"nginx.conf"}, start: func(t testing.TB, folder, _ string) *process {
		globals := "daemon off; pid " + filepath.Join(folder, "nginx.pid") + ";"
		if os.Getuid() == 0 {
			globals += " user root;" // the folder of the test is not for others
		}
		return start(t, folder, nil, debianProgram(t, "nginx"), "-e", "stderr", "-p", folder, "-c", filepath.Join(folder, "nginx.conf"), "-g", globals)
	}},
	{name: "caddy", addressHeader: "X-Forwarded-For", limit: "write 1h", files: []string{"Caddyfile"}, start: func(t testing.TB, folder, _ string) *process {
		env := []string{"CADDY_ADMIN=127.0.0.1:" + freePort(t), "XDG_DATA_HOME=" + folder, "XDG_CONFIG_HOME=" + folder}
		return start(t, folder, env, caddyProgram(t), "run", "--config", "Caddyfile", "--adapter", "caddyfile")
	}},
	{name: "haproxy", addressHeader: "X-Real-IP", bodies: true, files: []string{"haproxy.cfg", "gatehouse.lua"}, start: func(t testing.TB, folder, _ string) *process {
		return start(t, folder, nil, debianProgram(t, "haproxy"), "-db", "-f", "haproxy.cfg")
	}},
	{name: "envoy", addressHeader: "X-Forwarded-For", bodies: true, limit: "max_stream_duration: 3600s", files: []string{"envoy.yaml"}, start: func(t testing.TB, folder, _ string) *process {
		return start(t, folder, nil, envoyProgram(t), "-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "1", "-l", "warning")
	}},
	{name: "traefik", addressHeader: "X-Forwarded-For", bodies: true, limit: "writeTimeout: 1h", files: []string{"traefik.yml", "traefik-dynamic.yml"},
		start: func(t testing.TB, folder, _ string) *process {
			return start(t, folder, nil, traefikProgram(t), "--configFile=traefik.yml")
		}},
}

// streamLimit is the limit of a stream in tests.
const streamLimit = 3 * time.Second

// setup is a proxy with Gatehouse and an MCP server.
type setup struct {
	recipe
	issuer    *testissuer.Issuer
	backend   *backend
	gatehouse *process
	client    *http.Client // connects to the proxy, whatever the name of the host
	port      string
	scope     string // if not empty, it is required for the tool purge
	limits    bool   // whether few failed sign-ins of an address are allowed; scope must be set
	shorten   bool   // whether the limit of streams is streamLimit in place of an hour
}

// newSetup starts all parts. change, if not nil, is called before Gatehouse is started.
func newSetup(t *testing.T, r recipe, change func(*setup)) *setup {
	t.Helper()
	s := &setup{recipe: r, issuer: testissuer.Start(t), backend: newBackend(t), port: freePort(t)}
	s.client = s.newClient(t)
	gatehousePort := freePort(t)
	if change != nil {
		change(s)
	}
	s.startGatehouse(t, gatehousePort)
	folder := t.TempDir()
	for _, name := range r.files {
		text, err := os.ReadFile(filepath.Join(repository, "examples/forwardauth", name))
		if err != nil {
			t.Fatal(err)
		}
		configured := strings.NewReplacer("8080", s.port, "3000", gatehousePort, "8000", s.backend.port).Replace(string(text))
		if s.shorten && name == r.files[0] {
			limited := strings.NewReplacer("1h", streamLimit.String(), "3600s", streamLimit.String()).Replace(r.limit)
			if !strings.Contains(configured, r.limit) {
				t.Fatalf("%s does not contain %q", name, r.limit)
			}
			configured = strings.Replace(configured, r.limit, limited, 1)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(configured), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	proxy := r.start(t, folder, s.port)
	proxy.await(t, func(ctx context.Context) error {
		return getStatus(ctx, s.client, "http://mcp.example.com/.well-known/oauth-protected-resource/mcp")
	})
	return s
}

func (s *setup) newClient(t testing.TB) *http.Client { return s.newClientFrom(t, "127.0.0.1") }

// newClientFrom returns a client with an address of its own.
func (s *setup) newClientFrom(t testing.TB, address string) *http.Client {
	local := &net.TCPAddr{IP: net.ParseIP(address)}
	transport := &http.Transport{ExpectContinueTimeout: stepTime, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{LocalAddr: local}).DialContext(ctx, "tcp", "127.0.0.1:"+s.port)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// startGatehouse starts Gatehouse on a port of loopback.
func (s *setup) startGatehouse(t testing.TB, port string) {
	t.Helper()
	argv := []string{gatehouseProgram(t), "gateway", "--forward-auth", s.name, "--listen", "127.0.0.1:" + port}
	if s.bodies {
		argv = append(argv, "--forward-auth-body")
	}
	if s.scope == "" {
		argv = append(argv, "--provider", "oidc", "--issuer", s.issuer.URL(), "--url", resource)
	} else {
		argv = append(argv, "--config", writeConfig(t, s))
	}
	s.gatehouse = start(t, t.TempDir(), nil, argv...)
	s.gatehouse.await(t, func(ctx context.Context) error {
		return getStatus(ctx, http.DefaultClient, "http://127.0.0.1:"+port+"/healthz")
	})
}

// request is what a client sends.
type request struct {
	method  string // POST by default
	url     string // endpoint by default
	host    string // that of url by default
	headers []string
	token   string
	body    string

	unknownLength bool // whether the length of the body is not announced
}

// answer is a response that was read.
type answer struct {
	*http.Response
	body string
}

// newRequest returns the HTTP request. Names of headers are sent as they are written.
func (r request) newRequest(t testing.TB, ctx context.Context) *http.Request {
	t.Helper()
	if r.method == "" {
		r.method = http.MethodPost
	}
	if r.url == "" {
		r.url = endpoint
	}
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		t.Fatal(err)
	}
	if r.unknownLength {
		req.ContentLength = -1
	}
	if r.host != "" {
		req.Host = r.host
	}
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	for _, header := range r.headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header[name] = append(req.Header[name], value)
	}
	return req
}

// send sends a request and reads the answer.
func (s *setup) send(t testing.TB, r request) answer {
	t.Helper()
	resp, err := s.client.Do(r.newRequest(t, within(t, stepTime)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the answer with status %s: %v", resp.Status, err)
	}
	return answer{resp, string(body)}
}

// backend is an MCP server that records what reaches it.
type backend struct {
	port     string
	requests chan *http.Request
	next     chan bool // each value lets the stream go on
	ended    chan bool // gets a value when a stream has ended

	mcp http.Handler // answers in place of the backend itself, if not nil
}

func newBackend(t testing.TB) *backend {
	b := &backend{requests: make(chan *http.Request, 100), next: make(chan bool), ended: make(chan bool, 100)}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	_, b.port, _ = net.SplitHostPort(server.Listener.Addr().String())
	return b
}

// ServeHTTP answers with JSON, with a stream of three events if the query is "stream", or with one
// that has no end if it is "endless".
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.mcp != nil {
		b.mcp.ServeHTTP(w, r)
		return
	}
	io.Copy(io.Discard, r.Body)
	b.requests <- r
	w.Header().Set("WWW-Authenticate", `Bearer realm="backend"`)
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Mcp-Session-Id", "session-1")
	if r.URL.RawQuery == "endless" {
		b.sendEvents(w, r)
		return
	}
	if r.URL.RawQuery != "stream" {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		return
	}
	defer func() { b.ended <- true }()
	w.Header().Set("Content-Type", "text/event-stream")
	for _, data := range []string{"1", "2", "3"} {
		io.WriteString(w, "data: "+data+"\n\n")
		http.NewResponseController(w).Flush()
		select {
		case <-b.next:
		case <-r.Context().Done():
			return
		}
	}
}

// sendEvents sends an event now and again until the client leaves.
func (b *backend) sendEvents(w http.ResponseWriter, r *http.Request) {
	defer func() { b.ended <- true }()
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(streamLimit / 20)
	defer tick.Stop()
	for {
		io.WriteString(w, "data: 1\n\n")
		http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// reached returns the requests that have reached the backend since the last call.
func (b *backend) reached() (requests []*http.Request) {
	for {
		select {
		case r := <-b.requests:
			requests = append(requests, r)
		default:
			return requests
		}
	}
}
