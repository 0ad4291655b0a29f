package gatehouse_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// countingWriter counts the flushes that reach the connection.
type countingWriter struct {
	*httptest.ResponseRecorder
	flushes int
}

func (w *countingWriter) Flush() { w.flushes++ }

// A flush waits a moment for the end of the answer, and is then not needed.
func TestFlushWaitsForMore(t *testing.T) {
	const soon, later = time.Millisecond / 2, 2 * time.Millisecond
	write := func(w http.ResponseWriter) { io.WriteString(w, "data: {}\n\n") }
	flush := func(w http.ResponseWriter) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    int
	}{
		"one event": {func(w http.ResponseWriter, _ *http.Request) { write(w); flush(w) }, 0},
		"one event, then work": {func(w http.ResponseWriter, _ *http.Request) {
			write(w)
			flush(w)
			time.Sleep(later)
			w.Header().Set("Late", "too")
		}, 1},
		"two events at once": {func(w http.ResponseWriter, _ *http.Request) {
			write(w)
			flush(w)
			time.Sleep(soon)
			write(w)
			flush(w)
			time.Sleep(later)
		}, 1},
		"three events, the last at the end": {func(w http.ResponseWriter, _ *http.Request) {
			for range 2 {
				write(w)
				flush(w)
				time.Sleep(later)
			}
			write(w)
			flush(w)
		}, 2},
		"header first": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			flush(w)
			time.Sleep(later)
		}, 1},
		"no flush": {func(w http.ResponseWriter, _ *http.Request) { write(w); time.Sleep(later) }, 0},
		"after the end": {func(w http.ResponseWriter, _ *http.Request) {
			write(w)
			go func() {
				time.Sleep(later)
				flush(w)
			}()
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := newWire()
				guard := newGuard(t, issuer.issuer, func(cfg *gatehouse.Config) { cfg.HTTPClient = &http.Client{Transport: issuer} })
				w := &countingWriter{ResponseRecorder: httptest.NewRecorder()}
				r := request{header: bearer(issuer.token(resource))}.make()
				guard.Wrap(test.handler).ServeHTTP(w, r)
				time.Sleep(10 * later)
				if w.flushes != test.want || w.Code >= http.StatusBadRequest {
					t.Errorf("%d flushes, status %d; want %d", w.flushes, w.Code, test.want)
				}
			})
		})
	}
}

// What a running handler flushes reaches the client while it runs.
func TestFlushReachesTheClient(t *testing.T) {
	is := newIssuer(t)
	seen := make(chan bool)
	handler := func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			io.WriteString(w, "event\n")
			w.(http.Flusher).Flush()
			select {
			case <-seen:
			case <-r.Context().Done():
				t.Error("the client never saw the event")
			}
		}
	}
	server := httptest.NewServer(newGuard(t, is).Wrap(http.HandlerFunc(handler)))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Header = "localhost:3000", bearer(is.token(resource))
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); events++ {
		seen <- true
	}
	if events != 3 {
		t.Errorf("%d events with status %d, want 3", events, resp.StatusCode)
	}
}
