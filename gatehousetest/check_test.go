package gatehousetest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// newMCP returns an MCP endpoint without a guard.
func newMCP(stateless bool) http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "example", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "hello", Description: "Greet the caller"}, hello)
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: stateless})
}

// guarded describes a server for tests of Check, by what differs from a correct one.
type guarded struct {
	config   func(*gatehouse.Config)
	endpoint func(guard *gatehouse.Guard, handler http.Handler) http.Handler // nil means guard.Wrap
	around   func(http.Handler) http.Handler                                 // around the whole server
	stateful bool
}

func (s guarded) start(t *testing.T, clerk *gatehousetest.ClerkServer) (url string) {
	return gatehousetest.Serve(t, func(origin string) http.Handler {
		cfg := gatehouse.Config{
			Resource: origin + "/mcp",
			Provider: clerk.Provider(),
			Logger:   slog.New(slog.DiscardHandler),
		}
		if s.config != nil {
			s.config(&cfg)
		}
		guard, err := gatehouse.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(guard.Close)
		endpoint := guard.Wrap(newMCP(!s.stateful))
		if s.endpoint != nil {
			endpoint = s.endpoint(guard, newMCP(!s.stateful))
		}
		mux := http.NewServeMux()
		mux.Handle("/mcp", endpoint)
		mux.Handle("/mcp/{$}", endpoint)
		for _, path := range guard.MetadataPaths() {
			mux.Handle(path, guard.MetadataHandler())
		}
		if s.around != nil {
			return s.around(mux)
		}
		return mux
	}) + "/mcp"
}

// when returns a wrapper that handles the requests for which match is true itself.
func when(match func(*http.Request) bool, handle http.HandlerFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if match(r) {
				handle(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func atPath(path string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.URL.Path == path }
}

func answerWith(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// changeDocument changes the members of the resource metadata at path.
func changeDocument(path string, change func(map[string]any)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return when(atPath(path), func(w http.ResponseWriter, r *http.Request) {
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			document := map[string]any{}
			if err := json.Unmarshal(recorder.Body.Bytes(), &document); err != nil {
				panic(err)
			}
			change(document)
			json.NewEncoder(w).Encode(document)
		})(next)
	}
}

// changeHeader changes the header of the answers to requests without a token.
func changeHeader(change func(http.Header)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return when(
			func(r *http.Request) bool { return r.URL.Path == "/mcp" && r.Header.Get("Authorization") == "" },
			func(w http.ResponseWriter, r *http.Request) {
				recorder := httptest.NewRecorder()
				next.ServeHTTP(recorder, r)
				change(recorder.Header())
				for name, values := range recorder.Header() {
					w.Header()[name] = values
				}
				w.WriteHeader(recorder.Code)
				io.Copy(w, recorder.Body)
			})(next)
	}
}

// withoutGuard is an endpoint that only some requests reach through the guard.
func withoutGuard(match func(*http.Request) bool) func(*gatehouse.Guard, http.Handler) http.Handler {
	return func(guard *gatehouse.Guard, handler http.Handler) http.Handler {
		return when(match, handler.ServeHTTP)(guard.Wrap(handler))
	}
}

const (
	pathDocument = "/.well-known/oauth-protected-resource/mcp"
	rootDocument = "/.well-known/oauth-protected-resource"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	clerk, other := gatehousetest.Clerk(t), gatehousetest.Clerk(t)
	claimed := func(r *http.Request) bool { return strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey") }
	for _, test := range []struct {
		name   string
		server guarded
		want   []string // a part of each fault
	}{
		{name: "control"},
		{name: "control: sessions", server: guarded{stateful: true}},
		{
			name:   "control: required scopes",
			server: guarded{config: func(cfg *gatehouse.Config) { cfg.RequiredScopes = []string{"public_metadata"} }},
		},
		{
			name: "control: audience required",
			server: guarded{config: func(cfg *gatehouse.Config) {
				cfg.Provider.Tokens.Audience = gatehouse.AudienceRequired
			}},
		},
		{
			name: "control: a handler for POST alone",
			server: guarded{endpoint: func(guard *gatehouse.Guard, handler http.Handler) http.Handler {
				notPOST := func(r *http.Request) bool { return r.Method != http.MethodPost }
				return when(notPOST, answerWith(http.StatusMethodNotAllowed))(guard.Wrap(handler))
			}},
		},
		{
			name: "no guard for POST without a token",
			server: guarded{endpoint: withoutGuard(func(r *http.Request) bool {
				return r.Method == http.MethodPost && r.Header.Get("Authorization") == ""
			})},
			want: []string{
				"request without a token: status 200, want 401: anyone can call this server; check that a guard protects",
				"/mcp/ without a token gets status 200, want 401; protect every method of the endpoint",
				"a token in the query gets status 200, want 400 or 401",
			},
		},
		{
			name: "no guard for GET",
			server: guarded{endpoint: func(guard *gatehouse.Guard, handler http.Handler) http.Handler {
				return when(func(r *http.Request) bool { return r.Method == http.MethodGet }, answerWith(http.StatusOK))(guard.Wrap(handler))
			}},
			want: []string{"without a token gets status 200, want 401; protect every method"},
		},
		{
			name:   "no guard after a slash",
			server: guarded{around: when(atPath("/mcp/"), newMCP(true).ServeHTTP)},
			want:   []string{"/mcp/ without a token gets status 200, want 401"},
		},
		{
			name:   "no challenge",
			server: guarded{around: changeHeader(func(h http.Header) { h.Del("WWW-Authenticate") })},
			want:   []string{`the 401 has WWW-Authenticate "", want a Bearer challenge`},
		},
		{
			name:   "challenge of another scheme",
			server: guarded{around: changeHeader(func(h http.Header) { h.Set("WWW-Authenticate", `Basic realm="mcp"`) })},
			want:   []string{"want a Bearer challenge"},
		},
		{
			name:   "challenge without metadata",
			server: guarded{around: changeHeader(func(h http.Header) { h.Set("WWW-Authenticate", `Bearer scope="profile"`) })},
			want:   []string{"the challenge has no resource_metadata"},
		},
		{
			name: "challenge with an error",
			server: guarded{around: changeHeader(func(h http.Header) {
				h.Set("WWW-Authenticate", h.Get("WWW-Authenticate")+`, error="invalid_token"`)
			})},
			want: []string{`has error="invalid_token", want none`},
		},
		{
			name: "challenge that leads elsewhere",
			server: guarded{around: changeHeader(func(h http.Header) {
				h.Set("WWW-Authenticate", strings.Replace(h.Get("WWW-Authenticate"), rootDocument, "/nothing", 1))
			})},
			want: []string{"the resource_metadata of the challenge (http://"},
		},
		{
			name:   "no document at the root",
			server: guarded{around: when(atPath(rootDocument), answerWith(http.StatusNotFound))},
			want:   []string{"the metadata at the root"},
		},
		{
			name:   "no document at the path",
			server: guarded{around: when(atPath(pathDocument), answerWith(http.StatusNotFound))},
			want:   []string{"gets status 404, want 200; serve it with Guard.Mount, or with Guard.MetadataHandler at each of"},
		},
		{
			name: "document is not JSON",
			server: guarded{around: when(atPath(rootDocument), func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, "<html>")
			})},
			want: []string{"is not the JSON of RFC 9728"},
		},
		{
			name: "resource of another server",
			server: guarded{around: changeDocument(rootDocument, func(document map[string]any) {
				document["resource"] = "https://mcp.example.com/mcp"
			})},
			want: []string{`has the resource "https://mcp.example.com/mcp", want "http://127.0.0.1`},
		},
		{
			name: "control: the root belongs to another endpoint of the host",
			server: guarded{around: func(next http.Handler) http.Handler {
				return when(atPath(pathDocument+"/admin"), answerWith(http.StatusOK))(
					changeDocument(rootDocument, func(document map[string]any) {
						document["resource"] = document["resource"].(string) + "/admin"
					})(next))
			}},
		},
		{
			name: "the root names an endpoint without metadata",
			server: guarded{around: changeDocument(rootDocument, func(document map[string]any) {
				document["resource"] = document["resource"].(string) + "/admin"
			})},
			want: []string{"the metadata at the root"},
		},
		{
			name: "authorization server of another",
			server: guarded{around: changeDocument(rootDocument, func(document map[string]any) {
				document["authorization_servers"] = []string{"https://clerk.example.com"}
			})},
			want: []string{`has the authorization servers ["https://clerk.example.com"], want "http://127.0.0.1`},
		},
		{
			name:   "another provider",
			server: guarded{config: func(cfg *gatehouse.Config) { cfg.Provider = other.Provider() }},
			want: []string{
				"the resource_metadata of the challenge (http://",
				"set Provider to the result of ClerkServer.Provider",
				`a valid token gets status 401, want 200; make the guard with the result of ClerkServer.Provider`,
			},
		},
		{
			name:   "a role that no caller has",
			server: guarded{around: when(claimed, answerWith(http.StatusForbidden))},
			want:   append([]string{"a valid token with the scopes"}, everyFlaw("gets status 403, want 401")...),
		},
		{
			name:   "any token",
			server: guarded{endpoint: withoutGuard(claimed)},
			want:   everyFlaw("gets status 200, want 401; protect the endpoint with a guard that verifies tokens"),
		},
		{
			name: "a token in the query",
			server: guarded{around: when(func(r *http.Request) bool { return r.URL.Query().Has("access_token") },
				answerWith(http.StatusOK))},
			want: []string{"a token in the query gets status 200, want 400 or 401: URLs are logged"},
		},
		{
			name: "an error for valid tokens",
			server: guarded{endpoint: func(guard *gatehouse.Guard, _ http.Handler) http.Handler {
				return guard.Wrap(answerWith(http.StatusInternalServerError))
			}},
			want: []string{"a valid token gets status 500 for the method initialize, want 200"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := test.server.start(t, clerk)
			faults := faultsOf(t, func(t testing.TB) { clerk.Check(t, url) })
			if len(faults) != len(test.want) {
				t.Errorf("%d faults, want %d:\n%s", len(faults), len(test.want), strings.Join(faults, "\n"))
				return
			}
			for i, want := range test.want {
				if !strings.Contains(faults[i], want) {
					t.Errorf("fault %d: %s\nwant %q in it", i, faults[i], want)
				}
				if strings.Contains(faults[i], "eyJ") {
					t.Errorf("the fault contains a token: %s", faults[i])
				}
			}
		})
	}
}

// faultsOf returns the messages with which body failed its test and went on.
func faultsOf(t *testing.T, body func(testing.TB)) []string {
	t.Helper()
	f := &failing{TB: t, message: make(chan string, 1)}
	body(f)
	return f.errors
}

// everyFlaw returns the faults of a server that answers every invalid token wrongly.
func everyFlaw(suffix string) []string {
	var faults []string
	for _, flaw := range gatehousetest.Flaws() {
		faults = append(faults, fmt.Sprintf("a token with %s %s", flaw, suffix))
	}
	return faults
}

func TestCheckNeedsAURL(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for url, want := range map[string]string{
		"localhost:3000/mcp": "it is not an absolute URL",
		closed.URL:           "start the server first",
	} {
		if got := failureOf(t, func(t testing.TB) { clerk.Check(t, url) }); !strings.Contains(got, want) {
			t.Errorf("%s: failure %q, want %q in it", url, got, want)
		}
	}
}

// TestConnectRequiresAGuard has a server without any guard.
func TestConnectRequiresAGuard(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	for _, stateless := range []bool{true, false} {
		url := gatehousetest.Serve(t, func(string) http.Handler { return newMCP(stateless) })
		for name, body := range map[string]func(testing.TB){
			"Connect": func(t testing.TB) { clerk.Connect(t, url, gatehousetest.Person{}) },
			"SignIn":  func(t testing.TB) { clerk.SignIn(t, url, gatehousetest.Person{}) },
		} {
			if got := failureOf(t, body); !strings.Contains(got, "status 200, want 401: anyone can call this server") {
				t.Errorf("%s: failure %q, want one about the missing guard", name, got)
			}
		}
	}
	callHello(t, clerk.Connect(t, guarded{}.start(t, clerk), gatehousetest.Person{})) // control
}

// TestServeEndsWithOpenStreams has a session whose stream is open when the test ends.
func TestServeEndsWithOpenStreams(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	t.Run("test", func(t *testing.T) {
		url := guarded{stateful: true}.start(t, clerk)
		client := clerk.SignIn(t, url, gatehousetest.Person{})
		streaming := make(chan struct{})
		session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(),
			&mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: notifyGET{client.Transport, streaming}}},
			&mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
		if err != nil {
			t.Fatal(err)
		}
		<-streaming
		_ = session // it stays open
	})
}

// notifyGET closes opened when the answer to a GET has begun.
type notifyGET struct {
	http.RoundTripper
	opened chan struct{}
}

func (n notifyGET) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := n.RoundTripper.RoundTrip(r)
	if r.Method == http.MethodGet && err == nil && resp.StatusCode == http.StatusOK {
		close(n.opened)
	}
	return resp, err
}
