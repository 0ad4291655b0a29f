package conformance

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

const (
	inProcessHost = "localhost:3000"
	inProcessURL  = "http://" + inProcessHost + "/mcp"
)

// inProcess is a guarded endpoint with its issuer, both without sockets, so that a test
// can let hours pass with testing/synctest.
type inProcess struct {
	handler  http.Handler
	issuer   *testissuer.Issuer
	endpoint http.HandlerFunc // behind the guard
}

func startInProcess(t *testing.T) *inProcess {
	t.Helper()
	is := testissuer.New("http://localhost:4000")
	transport := testissuer.NewTransport()
	transport.Serve(is)
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:   inProcessURL,
		Provider:   strictClerk(is),
		HTTPClient: &http.Client{Transport: transport},
		Logger:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &inProcess{issuer: is}
	p.endpoint = func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{}") }
	p.handler = guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.endpoint(w, r) }))
	return p
}

// token returns a valid access token for the endpoint, with changes.
func (p *inProcess) token(changes ...testissuer.Change) string {
	return p.issuer.Token(inProcessURL, changes...)
}

func (p *inProcess) send(t *testing.T, q request) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), q.method, q.target, strings.NewReader(q.body))
	r.Host, r.Header = inProcessHost, q.header
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return answer{status: w.Code, header: w.Header(), body: w.Body.String()}
}

// wantStatus sends a request with the token and checks the status.
func (p *inProcess) wantStatus(t *testing.T, token string, want int) answer {
	t.Helper()
	a := p.send(t, endpointRequest(http.MethodPost).bearer(token))
	if a.status != want {
		t.Errorf("status %d, want %d; body %s", a.status, want, a.body)
	}
	return a
}

// retryAfter returns the time that the answer asks a client to wait.
func retryAfter(t *testing.T, a answer) time.Duration {
	t.Helper()
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 60 {
		t.Errorf("Retry-After %q, want 1 to 60 seconds", a.header.Get("Retry-After"))
	}
	return time.Duration(seconds) * time.Second
}
