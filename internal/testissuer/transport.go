package testissuer

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Transport is an [http.RoundTripper] that answers without a socket, so that a test can
// use the clock of testing/synctest. It is safe for concurrent use: a test may change its
// behavior between requests.
type Transport struct {
	mu       sync.Mutex
	answer   func(*http.Request) (*http.Response, error)
	delay    time.Duration
	requests []request
}

type request struct {
	path string
	at   time.Time
}

// NewTransport returns a transport that answers everything with 404 until its behavior is
// set.
func NewTransport() *Transport {
	t := &Transport{}
	t.Serve(http.NotFoundHandler())
	return t
}

// RoundTrip records the request, waits for the delay, and answers as configured. It
// returns early if the context of the request ends.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	t.requests = append(t.requests, request{r.URL.Path, time.Now()})
	delay := t.delay
	t.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	t.mu.Lock()
	answer := t.answer
	t.mu.Unlock()
	return answer(r)
}

// Answer sets the function that answers requests. It runs concurrently.
func (t *Transport) Answer(answer func(*http.Request) (*http.Response, error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answer = answer
}

// Serve answers with handler.
func (t *Transport) Serve(handler http.Handler) {
	t.Answer(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		resp := w.Result()
		resp.Request = r
		return resp, nil
	})
}

// Respond answers with a status and a body. header has a name and a value for each field.
func (t *Transport) Respond(status int, body string, header ...string) {
	t.Answer(func(r *http.Request) (*http.Response, error) {
		return Response(r, status, strings.NewReader(body), header...), nil
	})
}

// Fail fails every request with err.
func (t *Transport) Fail(err error) {
	t.Answer(func(*http.Request) (*http.Response, error) { return nil, err })
}

// Delay sets the time that passes before each answer.
func (t *Transport) Delay(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.delay = d
}

// Requests returns the times of the requests for a path, or of all requests if path is
// empty, in their order.
func (t *Transport) Requests(path string) []time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	var times []time.Time
	for _, r := range t.requests {
		if path == "" || r.path == path {
			times = append(times, r.at)
		}
	}
	return times
}

// Response returns the response to r with a status, body and header for
// [Transport.Answer]. header has a name and a value for each field.
func Response(r *http.Request, status int, body io.Reader, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(body), Request: r}
}

// MostWithin returns the largest number of times within any window of d.
func MostWithin(d time.Duration, times []time.Time) int {
	most, first := 0, 0
	for i, at := range times {
		for at.Sub(times[first]) >= d {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
