package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// received is a request as a backend got it.
type received struct {
	*http.Request
	body string
}

// backend is an MCP server that keeps the requests that it gets.
type backend struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request, body string) // nil for an empty result

	mu  sync.Mutex
	got []received
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(b.serve))
	b.Config.Protocols = new(http.Protocols)
	b.Config.Protocols.SetHTTP1(true)
	b.Config.Protocols.SetUnencryptedHTTP2(true)
	b.Start()
	t.Cleanup(b.Close)
	return b
}

func (b *backend) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	b.got = append(b.got, received{r, string(body)})
	b.mu.Unlock()
	if b.answer != nil {
		b.answer(w, r, string(body))
		return
	}
	writeResult(w, string(body), map[string]any{})
}

// writeResult answers the request in body.
func writeResult(w http.ResponseWriter, body string, result any) {
	var request struct {
		ID any `json:"id"`
	}
	json.Unmarshal([]byte(body), &request)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": request.ID, "result": result})
}

// requests returns the requests so far.
func (b *backend) requests() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]received(nil), b.got...)
}

// last returns the last request.
func (b *backend) last(t *testing.T) received {
	t.Helper()
	all := b.requests()
	if len(all) == 0 {
		t.Fatal("the backend got no request")
	}
	return all[len(all)-1]
}

func (b *backend) upstream(t *testing.T) gateway.Upstream {
	t.Helper()
	u, err := url.Parse(b.URL + "/backend")
	if err != nil {
		t.Fatal(err)
	}
	return gateway.Upstream{URL: u}
}

// fixture is a gateway before one backend, which knows users of one issuer.
type fixture struct {
	issuer   *testissuer.Issuer
	backend  *backend
	gateway  *gateway.Gateway
	config   gateway.Config
	resource string // the public URL
	origin   string
	log      *testlog.Buffer
}

// newFixture starts a gateway with one endpoint, after change has changed its configuration.
func newFixture(t *testing.T, change ...func(f *fixture, e *gateway.Endpoint)) *fixture {
	t.Helper()
	f := &fixture{issuer: testissuer.Start(t), backend: newBackend(t), log: &testlog.Buffer{}}
	front := httptest.NewUnstartedServer(nil)
	f.origin = "http://" + front.Listener.Addr().String()
	f.resource = f.origin + "/mcp"
	provider := gatehouse.OIDC(f.issuer.URL())
	provider.Claims.Roles = []gatehouse.ClaimPath{{"roles"}}
	provider.Claims.Organization = gatehouse.ClaimPath{"org_id"}
	e := gateway.Endpoint{
		Guard: gatehouse.Config{
			Resource: f.resource, Provider: provider, SessionKey: bytes.Repeat([]byte("k"), 32),
		},
		Upstreams: []gateway.Upstream{f.backend.upstream(t)},
		Headers:   forwarded.DefaultHeaders(),
	}
	for _, c := range change {
		c(f, &e)
	}
	f.config = gateway.Config{Endpoints: []gateway.Endpoint{e}, Logger: f.log.Logger()}
	var err error
	if f.gateway, err = gateway.New(f.config); err != nil {
		t.Fatal(err)
	}
	f.gateway.Start()
	front.Config.Handler = f.gateway
	front.Config.Protocols = new(http.Protocols)
	front.Config.Protocols.SetHTTP1(true)
	front.Config.Protocols.SetUnencryptedHTTP2(true)
	front.Start()
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
		f.gateway.Close()
	})
	return f
}

// token returns an access token for the endpoint.
func (f *fixture) token(changes ...testissuer.Change) string {
	return f.issuer.Token(f.resource, changes...)
}

// answer is an answer of the gateway.
type answer struct {
	status int
	header http.Header
	body   string
}

// post sends a JSON-RPC message with the token of ada, and with the headers, each as two texts.
func (f *fixture) post(t *testing.T, body string, header ...string) answer {
	t.Helper()
	return f.do(t, http.MethodPost, body, append([]string{"Authorization", "Bearer " + f.token()}, header...)...)
}

func (f *fixture) do(t *testing.T, method, body string, header ...string) answer {
	t.Helper()
	resp := f.open(t, t.Context(), method, body, header...)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// open sends a request and returns the answer with its body unread.
func (f *fixture) open(t *testing.T, ctx context.Context, method, body string, header ...string) *http.Response {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, f.resource, reader)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(header); i += 2 {
		if strings.EqualFold(header[i], "Host") {
			req.Host = header[i+1]
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`

// wantReason checks the status and the reason of an answer, in both forms.
func wantReason(t *testing.T, got answer, status int, reason string) {
	t.Helper()
	var body struct {
		Reason string `json:"reason"`
		Error  any    `json:"error"`
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatalf("status %d with body %q, want %d with JSON: %v", got.status, got.body, status, err)
	}
	if e, ok := body.Error.(map[string]any); ok {
		data, _ := e["data"].(map[string]any)
		body.Reason, _ = data["reason"].(string)
	}
	if got.status != status || body.Reason != reason {
		t.Errorf("got status %d and reason %q (%s), want %d and %q", got.status, body.Reason, got.body, status, reason)
	}
}

// wantOK checks that the request was let through.
func wantOK(t *testing.T, got answer) {
	t.Helper()
	if got.status != http.StatusOK {
		t.Errorf("got status %d with body %q, want 200", got.status, got.body)
	}
}

// closedAddress returns the URL of a port on which nothing listens.
func closedAddress(t *testing.T) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return &url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/mcp"}
}

// within fails the test unless done is closed soon.
func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(30 * time.Second): // generous: it is reached only if the test fails
		t.Fatalf("%s did not happen", what)
	}
}

// closeBackend closes a backend, and returns the answer to a call when the gateway has noticed
// that its idle connections are closed. A request that is sent on one of them before that may
// have been carried out, as far as the gateway knows.
func (f *fixture) closeBackend(t *testing.T, b *backend, header ...string) answer {
	t.Helper()
	b.Close()
	for {
		got := f.post(t, call, header...)
		if !strings.Contains(got.body, "upstream_broken") {
			return got
		}
	}
}
