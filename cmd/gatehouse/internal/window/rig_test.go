package window

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// rig is a window in front of a server that a test provides.
type rig struct {
	*Window
	clerk  *localclerk.Server
	server *httptest.Server // behind the proxy
	proxy  *httptest.Server
	page   *httptest.Server // the local Clerk and the window
	stop   func()           // ends Follow, and waits for its end
}

func newRig(t *testing.T, handler http.HandlerFunc) *rig {
	t.Helper()
	r := &rig{server: httptest.NewServer(handler)}
	t.Cleanup(r.server.Close)
	page := httptest.NewUnstartedServer(nil)
	clerk, err := localclerk.New(localclerk.Config{
		Issuer:     "http://" + page.Listener.Addr().String(),
		SigningKey: testissuer.RSAKey("clerk"),
	})
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewUnstartedServer(nil)
	r.clerk = clerk
	r.Window = New(Config{Clerk: clerk, Server: "http://" + proxy.Listener.Addr().String()})
	target, err := url.Parse(r.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Config.Handler = r.Proxy(target, slog.New(slog.DiscardHandler))
	page.Config.Handler = r.Handler(clerk)
	proxy.Start()
	page.Start()
	r.proxy, r.page = proxy, page
	ctx, cancel := context.WithCancel(context.Background())
	followed := make(chan struct{})
	go func() { defer close(followed); r.Follow(ctx) }()
	r.stop = func() {
		cancel()
		<-followed
	}
	t.Cleanup(func() {
		r.stop()
		proxy.Close()
		page.Close()
	})
	return r
}

// mint returns a token of the local Clerk.
func (r *rig) mint(t *testing.T, token localclerk.Token) string {
	t.Helper()
	value, err := r.clerk.IssueToken(token)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// do sends a request and returns the response and its body.
func do(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// postJSON sends a POST request with a JSON body.
func postJSON(t *testing.T, url, body string) (*http.Response, string) {
	t.Helper()
	return do(t, "POST", url, body, "Content-Type", "application/json")
}

// await waits for the step with the given ID.
func (r *rig) await(t *testing.T, id uint64) Step {
	t.Helper()
	for {
		n := r.journal.after(0) // an ID of the future would count as one from before a restart
		if i := slices.IndexFunc(n.Steps, func(s Step) bool { return s.ID == id }); i >= 0 {
			return n.Steps[i]
		}
		select {
		case <-n.next:
		case <-t.Context().Done():
			t.Fatalf("step %d was not recorded", id)
		}
	}
}

// reject401 returns a handler that rejects every token with an error description.
func reject401(description string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		const challenge = `Bearer resource_metadata="http://localhost/x", error="invalid_token", error_description=%q`
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(challenge, description))
		w.WriteHeader(http.StatusUnauthorized)
	}
}
