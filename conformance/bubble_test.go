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
)

const bubbleURL = "http://localhost:3000/mcp"

// bubble is a gate and its issuer without sockets, for a clock of their own
// (testing/synctest).
type bubble struct {
	handler http.Handler
	issuer  *issuer
}

// inProcess is the way to the issuer.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}

func startInBubble(t *testing.T) *bubble {
	t.Helper()
	is := newIssuer("http://localhost:4000")
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:   bubbleURL,
		Provider:   strictClerk(is),
		HTTPClient: &http.Client{Transport: inProcess{is}},
		Logger:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	behind := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{}") })
	return &bubble{guard.Wrap(behind), is}
}

func (b *bubble) token(changes ...change) string { return b.issuer.token(bubbleURL, changes...) }

func (b *bubble) send(t *testing.T, q request) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), q.method, q.target, strings.NewReader(q.body))
	r.Host, r.Header = "localhost:3000", q.header
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return answer{status: w.Code, header: w.Header(), body: w.Body.String()}
}

// wantStatus sends a request with the token.
func (b *bubble) wantStatus(t *testing.T, token string, want int) answer {
	t.Helper()
	a := b.send(t, bare(http.MethodPost).bearer(token))
	if a.status != want {
		t.Errorf("status %d, want %d; body %s", a.status, want, a.body)
	}
	return a
}

// retryAfter is how long the answer tells a client to wait.
func (b *bubble) retryAfter(t *testing.T, a answer) time.Duration {
	t.Helper()
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 60 {
		t.Errorf("Retry-After %q, want 1 to 60 seconds", a.header.Get("Retry-After"))
	}
	return time.Duration(seconds) * time.Second
}
