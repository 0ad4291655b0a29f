package diagnose_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

// The addresses of the set-ups that need no socket.
const (
	mcpOrigin   = "https://mcp.example.com"
	mcpURL      = mcpOrigin + "/mcp"
	issuerURL   = "https://issuer.example.com"
	clerkURL    = "https://clerk.example.com"
	prmPath     = "/.well-known/oauth-protected-resource/mcp"
	prmRoot     = "/.well-known/oauth-protected-resource"
	oauthPath   = "/.well-known/oauth-authorization-server"
	openidPath  = "/.well-known/openid-configuration"
	keysPath    = "/jwks"
	authHeader  = "Www-Authenticate"
	jsonType    = "application/json"
	tokenHeader = "Authorization"
)

// network answers requests with handlers, by scheme and host. An unknown host does not exist.
type network map[string]http.Handler

func (n network) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	handler, ok := n[req.URL.Scheme+"://"+req.URL.Host]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
			Err: "no such host", Name: req.URL.Hostname(), IsNotFound: true,
		}}
	}
	if f, ok := handler.(failing); ok {
		return nil, f.err
	}
	in := req.Clone(req.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI = req.URL.RequestURI()
	if in.URL.Path == "" {
		in.URL.Path = "/"
	}
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	in.RemoteAddr = "198.51.100.7:5000"
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = req
	if resp.Header.Get("Date") == "" {
		resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	return resp, nil
}

// failing is a host that sends no answer.
type failing struct{ err error }

func (failing) ServeHTTP(http.ResponseWriter, *http.Request) {}

// issuer is an authorization server whose documents a set-up can change.
type issuer struct {
	url      string
	metadata map[string]any
	keys     any
	paths    map[string]http.HandlerFunc // in place of what it serves
	signer   *testissuer.Issuer
}

func newIssuer(address string) *issuer {
	return &issuer{
		url: address,
		metadata: map[string]any{
			"issuer":                                         address,
			"authorization_endpoint":                         address + "/authorize",
			"token_endpoint":                                 address + "/token",
			"registration_endpoint":                          address + "/register",
			"jwks_uri":                                       address + keysPath,
			"response_types_supported":                       []string{"code"},
			"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
			"token_endpoint_auth_methods_supported":          []string{"none", "client_secret_basic"},
			"code_challenge_methods_supported":               []string{"S256"},
			"scopes_supported":                               []string{"openid", "profile", "email", "offline_access"},
			"authorization_response_iss_parameter_supported": true,
		},
		keys:   map[string]any{"keys": []any{testissuer.NewKey("key-1").JWK()}},
		paths:  map[string]http.HandlerFunc{},
		signer: testissuer.New(address),
	}
}

func (is *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h, ok := is.paths[r.URL.Path]; ok {
		h(w, r)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	base, _ := url.Parse(is.url)
	path := strings.TrimSuffix(base.Path, "/")
	switch r.URL.Path {
	case oauthPath + path, path + openidPath:
		sendJSON(w, is.metadata)
	case path + keysPath:
		sendJSON(w, is.keys)
	case path + "/register", path + "/token":
		w.Header().Set("Access-Control-Allow-Headers", "content-type")
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

// rig is a set-up: a healthy one until a row of the gallery changes one thing.
type rig struct {
	t       *testing.T
	hosts   network
	issuer  *issuer
	server  http.Handler // at mcpOrigin
	guard   gatehouse.Config
	target  string
	config  diagnose.Config
	handler http.Handler // behind the guard
}

// newRig returns a healthy set-up: a guard at https://mcp.example.com/mcp, and an issuer that
// follows the standards.
func newRig(t *testing.T) *rig {
	r := &rig{t: t, hosts: network{}, issuer: newIssuer(issuerURL), target: mcpURL}
	r.guard = gatehouse.Config{
		Resource:       mcpURL,
		Provider:       gatehouse.OIDC(issuerURL, "profile", "email"),
		HTTPClient:     &http.Client{Transport: r.hosts},
		AllowedOrigins: []string{"https://app.example.com"},
		Logger:         slog.New(slog.DiscardHandler),
	}
	r.handler = http.HandlerFunc(answerMCP)
	r.config = diagnose.Config{HTTPClient: &http.Client{Transport: r.hosts}}
	return r
}

// newClerkRig is newRig with an instance of Clerk as the issuer.
func newClerkRig(t *testing.T) *rig {
	r := newRig(t)
	r.issuer = newIssuer(clerkURL)
	r.issuer.metadata["service_documentation"] = "https://clerk.com/docs/oauth/scoped-access"
	r.issuer.metadata["jwks_uri"] = clerkURL + "/.well-known/jwks.json"
	r.issuer.paths["/.well-known/jwks.json"] = func(w http.ResponseWriter, _ *http.Request) { sendJSON(w, r.issuer.keys) }
	r.guard.Provider = clerk.Provider(clerkURL)
	return r
}

// start builds the guard, unless a set-up has another server, and puts everything on the
// network.
func (r *rig) start() {
	r.t.Helper()
	if u, err := url.Parse(r.issuer.url); err == nil && r.hosts[u.Scheme+"://"+u.Host] == nil {
		r.hosts[u.Scheme+"://"+u.Host] = r.issuer
	}
	if r.server == nil {
		r.server = r.guarded()
	}
	if _, ok := r.hosts[mcpOrigin]; !ok {
		r.hosts[mcpOrigin] = r.server
	}
}

// guarded returns the healthy server.
func (r *rig) guarded() http.Handler {
	r.t.Helper()
	guard, err := gatehouse.New(r.guard)
	if err != nil {
		r.t.Fatal(err)
	}
	mux := http.NewServeMux()
	guard.Mount(mux, r.handler)
	return mux
}

// front puts a handler in front of the healthy server.
func (r *rig) front(wrap func(next http.Handler) http.Handler) { r.server = wrap(r.guarded()) }

// run examines the set-up.
func (r *rig) run() *diagnose.Report {
	r.t.Helper()
	r.start()
	return run(r.t, r.config, r.target)
}

func run(t *testing.T, cfg diagnose.Config, target string) *diagnose.Report {
	t.Helper()
	report, err := diagnose.Run(t.Context(), cfg, target)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// answerMCP is an MCP server that knows only the first requests of both eras.
func answerMCP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	var message struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if r.Method != http.MethodPost || json.Unmarshal(body, &message) != nil {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	sendJSON(w, map[string]any{"jsonrpc": "2.0", "id": message.ID,
		"result": map[string]any{"supportedVersions": []string{"2026-07-28"}}})
}

func sendJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", jsonType)
	json.NewEncoder(w).Encode(v)
}

// foreign is an MCP server of another framework: it sends the challenge and the documents
// that a set-up gives it.
type foreign struct {
	challenge string
	documents map[string]map[string]any
	// reject answers a request with a token; nil means 401 with error="invalid_token".
	reject http.HandlerFunc

	guardsPreflight bool // OPTIONS needs a token
}

// newForeign returns a foreign server without a fault.
func newForeign(issuer string) *foreign {
	document := map[string]any{
		"resource": mcpURL, "authorization_servers": []string{issuer}, "scopes_supported": []string{"profile", "email"},
	}
	return &foreign{
		challenge: `Bearer resource_metadata="` + mcpOrigin + prmPath + `", scope="profile email"`,
		documents: map[string]map[string]any{prmPath: document, prmRoot: document},
	}
}

func (f *foreign) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if document, ok := f.documents[r.URL.Path]; ok {
		sendJSON(w, document)
		return
	}
	switch {
	case r.URL.Path != "/mcp":
		http.NotFound(w, r)
		return
	case r.Method == http.MethodOptions && !f.guardsPreflight:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	token := r.Header.Get(tokenHeader) != ""
	if token && f.reject != nil {
		f.reject(w, r)
		return
	}
	if f.challenge != "" {
		challenge := f.challenge
		if token {
			challenge += `, error="invalid_token"`
		}
		w.Header().Set(authHeader, challenge)
	}
	w.WriteHeader(http.StatusUnauthorized)
}

// document changes both documents of f.
func (f *foreign) document(change func(document map[string]any)) *foreign {
	document := maps.Clone(f.documents[prmPath])
	change(document)
	f.documents = map[string]map[string]any{prmPath: document, prmRoot: document}
	return f
}

// rewrite returns a proxy that changes the header and the status of each answer.
func rewrite(change func(r *http.Request, status int, h http.Header, body []byte) (int,
	[]byte)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			status, body := change(r, recorder.Code, recorder.Header(), recorder.Body.Bytes())
			maps.Copy(w.Header(), recorder.Header())
			w.WriteHeader(status)
			w.Write(body)
		})
	}
}

// at returns a proxy that answers the paths itself.
func at(h http.HandlerFunc, paths ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, path := range paths {
				if r.URL.Path == path {
					h(w, r)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// page serves the page of a single-page application.
func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, "<!doctype html><title>My app</title><div id=root></div>")
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, http.StatusText(code), code) }
}

// listen serves a handler on a free port of this machine until the test ends.
func listen(t *testing.T, handler http.Handler) (origin string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// onLoopback marks requests as ones that arrived on a listener of this machine.
func onLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3000}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, addr)))
	})
}

// alternate answers with the handlers in turn, like a load balancer in front of replicas.
func alternate(handlers ...http.Handler) http.Handler {
	turn := make(chan int, 1)
	turn <- 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := <-turn
		turn <- i + 1
		handlers[i%len(handlers)].ServeHTTP(w, r)
	})
}

// replaceText returns a proxy that replaces text in header and body.
func replaceText(old, new string) func(http.Handler) http.Handler {
	return rewrite(func(_ *http.Request, status int, h http.Header, body []byte) (int, []byte) {
		for name, values := range h {
			for i := range values {
				h[name][i] = strings.ReplaceAll(values[i], old, new)
			}
		}
		body = bytes.ReplaceAll(body, []byte(old), []byte(new))
		if h.Get("Content-Length") != "" {
			h.Set("Content-Length", strconv.Itoa(len(body)))
		}
		return status, body
	})
}
