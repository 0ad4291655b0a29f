package remote_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

const (
	docURL   = "https://issuer.example/keys"
	validDoc = `{"keys":[]}`
)

var errDown = errors.New("connection refused")

// issuer responds without a socket, so that it works under synctest.
type issuer struct{ *testissuer.Transport }

func newIssuer(body string) *issuer {
	i := &issuer{testissuer.NewTransport()}
	i.serve(body)
	return i
}

func (i *issuer) serve(body string) { i.Respond(http.StatusOK, body) }
func (i *issuer) down()             { i.Fail(errDown) }
func (i *issuer) fetches() int      { return len(i.Requests("")) }

func (i *issuer) lastRequest() time.Time {
	times := i.Requests("")
	return times[len(times)-1]
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
