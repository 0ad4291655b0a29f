package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/teststream"
)

// proxied is a backend behind a guard and the proxy, with a token of its issuer.
type proxied struct{ url, token string }

func newProxied(t *testing.T, backend http.HandlerFunc) proxied {
	t.Helper()
	behind := httptest.NewServer(backend)
	t.Cleanup(behind.Close)
	address, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	issuer := testissuer.Start(t)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	guard, err := gatehouse.New(gatehouse.Config{Resource: server.URL + "/mcp", Provider: gatehouse.OIDC(issuer.URL())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	guard.Mount(mux, newProxy(address))
	return proxied{server.URL + "/mcp", issuer.Token(server.URL + "/mcp")}
}

// post sends a POST with the token and the headers, each as "Name: value".
func (p proxied) post(t *testing.T, ctx context.Context, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header[name] = append(r.Header[name], value) // as written, also with an underscore
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestIdentityIsThatOfTheToken(t *testing.T) {
	spoofs := []string{
		"X-Forwarded-User: mallory", "X_Forwarded_User: mallory", "x-forwarded-email: mallory", "X-Forwarded-Groups: mallory",
		"X-Auth-Request-User: mallory", "X_auth_request_email: mallory", "Remote-User: mallory", "Remote_User: mallory", "X-User-Id: mallory", "X-Real-IP: mallory",
	}
	for _, headers := range append([][]string{nil, {"Connection: X-Forwarded-User"}, {"X-Tenant: mallory-is-allowed-here"}}, each(spoofs)...) {
		t.Run(strings.Join(headers, ","), func(t *testing.T) {
			got := make(chan http.Header, 1)
			p := newProxied(t, func(_ http.ResponseWriter, r *http.Request) {
				r.Header.Set("Host", r.Host)
				got <- r.Header
			})
			if resp := p.post(t, t.Context(), headers...); resp.StatusCode != http.StatusOK {
				t.Fatalf("got status %d, want 200", resp.StatusCode)
			}
			h := <-got
			if user := h.Values("X-Forwarded-User"); len(user) != 1 || user[0] != "user_ada" {
				t.Errorf("got X-Forwarded-User %q, want user_ada once", user)
			}
			if h.Get("Authorization") != "" {
				t.Error("the backend got the token")
			}
			if public := strings.TrimPrefix(strings.TrimSuffix(p.url, "/mcp"), "http://"); h.Get("Host") == public {
				t.Error("the backend got the public Host")
			}
			for name, values := range h {
				if values[0] == "mallory" {
					t.Errorf("the backend got %s from the client", name)
				}
			}
			if len(headers) == 1 && strings.HasPrefix(headers[0], "X-Tenant") && h.Get("X-Tenant") == "" {
				t.Error("the backend did not get X-Tenant, which is no identity header")
			}
		})
	}
}

func each(headers []string) (out [][]string) {
	for _, header := range headers {
		out = append(out, []string{header})
	}
	return out
}

func TestWithoutTokenTheBackendIsNotReached(t *testing.T) {
	p := newProxied(t, func(http.ResponseWriter, *http.Request) { t.Error("the backend was called") })
	p.token = "x"
	resp := p.post(t, t.Context())
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(resp.Header.Get("WWW-Authenticate"), "resource_metadata=") {
		t.Errorf("got status %d and challenge %q, want 401 with resource_metadata", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
	}
}

// Each event arrives before the backend sends the next one.
func TestEventsArriveAsTheyAreSent(t *testing.T) {
	next := make(chan bool)
	p := newProxied(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, data := range []string{"1", "2", "3"} {
			io.WriteString(w, "data: "+data+"\n\n")
			http.NewResponseController(w).Flush()
			<-next
		}
	})
	events := teststream.NewReader(p.post(t, t.Context()).Body)
	for _, want := range []string{"1", "2", "3"} {
		if event, err := events.Next(); err != nil || event.Data != want {
			t.Fatalf("got event %q, %v, want %q", event.Data, err, want)
		}
		next <- true
	}
}

func TestDisconnectReachesTheBackend(t *testing.T) {
	ended := make(chan bool)
	p := newProxied(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		io.Copy(io.Discard, r.Body) // the server notices the end of a connection only then
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	p.post(t, ctx)
	cancel()
	<-ended
}

func TestAnswerHasNoHeadersOfTheBackendsOwnSignIn(t *testing.T) {
	p := newProxied(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="backend"`)
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("X-Kept", "yes")
	})
	resp := p.post(t, t.Context())
	for _, name := range []string{"WWW-Authenticate", "Access-Control-Allow-Origin"} {
		if got := resp.Header.Get(name); got != "" {
			t.Errorf("got %s %q of the backend", name, got)
		}
	}
	if resp.Header.Get("X-Kept") != "yes" {
		t.Error("X-Kept of the backend is missing")
	}
}

// Servers that merge trailers into the headers would take an identity from them.
func TestTrailersOfTheClient(t *testing.T) {
	var got http.Header
	p := newProxied(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		got = r.Trailer.Clone()
	})
	body := struct{ io.Reader }{strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)} // of unknown length
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Trailer = http.Header{"X-Forwarded-User": {"mallory"}}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || len(got) > 0 {
		t.Errorf("got status %d and the trailers %v at the backend, want 200 and none", resp.StatusCode, got)
	}
}
