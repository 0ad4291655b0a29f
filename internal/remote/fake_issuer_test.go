package remote_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
)

const (
	docURL   = "https://issuer.example/keys"
	validDoc = `{"keys":[]}`
)

var errDown = errors.New("connection refused")

// issuer is an http.RoundTripper that responds without a socket, so that it works
// under synctest.
type issuer struct {
	mu           sync.Mutex
	respondTo    func(*http.Request) (*http.Response, error)
	delay        time.Duration
	requestTimes []time.Time
}

func newIssuer(body string) *issuer {
	i := &issuer{}
	i.serve(body)
	return i
}

func (i *issuer) RoundTrip(req *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.requestTimes = append(i.requestTimes, time.Now())
	respondTo, delay := i.respondTo, i.delay
	i.mu.Unlock()
	select {
	case <-time.After(delay):
		return respondTo(req)
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

func (i *issuer) set(respondTo func(*http.Request) (*http.Response, error)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.respondTo = respondTo
}

func (i *issuer) serve(body string)    { i.respond(http.StatusOK, body) }
func (i *issuer) down()                { i.fail(errDown) }
func (i *issuer) slow(d time.Duration) { i.mu.Lock(); i.delay = d; i.mu.Unlock() }

func (i *issuer) fail(err error) {
	i.set(func(*http.Request) (*http.Response, error) { return nil, err })
}

// respond makes the issuer respond with status, body and headers; each header is a name
// and a value.
func (i *issuer) respond(status int, body string, header ...string) {
	i.set(func(req *http.Request) (*http.Response, error) {
		return response(req, status, strings.NewReader(body), header...), nil
	})
}

func response(req *http.Request, status int, body io.Reader, header ...string) *http.Response {
	h := http.Header{}
	for k := 0; k+1 < len(header); k += 2 {
		h.Set(header[k], header[k+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(body), Request: req}
}

func (i *issuer) fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.requestTimes)
}

func (i *issuer) lastRequest() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requestTimes[len(i.requestTimes)-1]
}

// open returns a document of i, which is closed at the end of the test.
func (i *issuer) open(t *testing.T, mutate ...func(*remote.Config)) *remote.Document {
	t.Helper()
	cfg := remote.Config{URL: docURL, Client: &http.Client{Transport: i}}
	for _, m := range mutate {
		m(&cfg)
	}
	d := remote.New(cfg)
	t.Cleanup(d.Close)
	return d
}

// slowBody sends one space each second, until ctx ends.
type slowBody struct{ ctx context.Context }

func (b slowBody) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		return copy(p[:1], " "), nil
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

func wantBody(t *testing.T, c remote.Copy, err error, want string) {
	t.Helper()
	if err != nil || string(c.Body) != want {
		t.Fatalf("got %q, %v, want %q", c.Body, err, want)
	}
}

// wantUnavailable checks err, and returns the time until the next try.
func wantUnavailable(t *testing.T, err error, want string) time.Duration {
	t.Helper()
	var ue *remote.UnavailableError
	if !errors.As(err, &ue) || !strings.Contains(err.Error(), want) {
		t.Fatalf("got error %v, want an UnavailableError with %q", err, want)
	}
	if ue.RetryAfter() <= 0 {
		t.Fatalf("RetryAfter is %s, want more than 0", ue.RetryAfter())
	}
	return ue.RetryAfter()
}
