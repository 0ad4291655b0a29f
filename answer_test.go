package gatehouse_test

import (
	"bufio"
	"context"
	"encoding/json"
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

// ask sends a POST of sub over a socket.
func ask(t *testing.T, is *issuer, server *httptest.Server, sub string, sessions ...string) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Header = "localhost:3000", bearer(is.token(resource, change{"claims", "sub", sub}))
	r.Header["Mcp-Session-Id"] = sessions
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp, string(body)
}

// The header of an answer is looked at before it leaves, however it begins.
func TestHeaderIsLookedAtBeforeItLeaves(t *testing.T) {
	is := newIssuer(t)
	open := func(w http.ResponseWriter) { w.Header().Set("Mcp-Session-Id", "s1") }
	for name, begin := range map[string]func(w http.ResponseWriter){
		"written":       func(w http.ResponseWriter) { open(w); io.WriteString(w, "x") },
		"header only":   func(w http.ResponseWriter) { open(w); w.WriteHeader(http.StatusAccepted) },
		"nothing":       open,
		"flushed first": func(w http.ResponseWriter) { open(w); w.(http.Flusher).Flush() },
		"hints first": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusEarlyHints)
			clear(w.Header()) // as a reverse proxy does
			open(w)
			io.WriteString(w, "x")
		},
		"set too late, and not sent": func(w http.ResponseWriter) {
			w.(http.Flusher).Flush()
			open(w)
			w.Header().Set("Cache-Control", "public")
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Mcp-Session-Id") == "" {
					begin(w)
				}
			})))
			defer server.Close()
			resp, _ := ask(t, is, server, "user_1")
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", got)
			}
			want := http.StatusOK
			if resp.Header.Get("Mcp-Session-Id") != "" {
				want = http.StatusForbidden
			}
			if name == "set too late, and not sent" != (want == http.StatusOK) {
				t.Errorf("session %q in the answer", resp.Header.Get("Mcp-Session-Id"))
			}
			for _, sessions := range [][]string{{"s1"}, {"x", "s1"}, {"", "s1"}, {"x, s1"}, {",,,,,,,s1"}} {
				if resp, _ := ask(t, is, server, "user_2", sessions...); resp.StatusCode != want {
					t.Errorf("another user with session %q: status %d, want %d", sessions, resp.StatusCode, want)
				}
			}
			if resp, _ := ask(t, is, server, "user_1", "s1"); resp.StatusCode != http.StatusOK {
				t.Errorf("the opener: status %d, want 200", resp.StatusCode)
			}
		})
	}
}

// A handler may go on to use the header after a flush, as with net/http alone.
func TestHeaderMayChangeAfterAFlush(t *testing.T) {
	is := newIssuer(t)
	server := httptest.NewServer(newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		for end := time.Now().Add(3 * time.Millisecond); time.Now().Before(end); {
			w.Header().Set(http.TrailerPrefix+"X-Sum", time.Now().String())
		}
	})))
	defer server.Close()
	for range 50 { // a map that is read meanwhile ends the process
		ask(t, is, server, "user_1")
	}
}

// What was flushed leaves though the handler panics, and though it takes over the
// connection.
func TestFlushedIsSent(t *testing.T) {
	is := newIssuer(t)
	for name, end := range map[string]func(w http.ResponseWriter){
		"panic": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"hijack": func(w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(5 * time.Millisecond) // longer than a flush waits
			conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "event")
				w.(http.Flusher).Flush()
				end(w)
			})))
			defer server.Close()
			if _, body := ask(t, is, server, "user_1"); body != "event" {
				t.Errorf("the client got %q, want what was flushed", body)
			}
		})
	}
}

// brokenWriter is a writer of an outer handler that panics when it is flushed.
type brokenWriter struct{ *httptest.ResponseRecorder }

func (brokenWriter) Flush() { panic("broken") }

// A panic while a late flush is sent must not end the process.
func TestLateFlushSurvivesPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newWire()
		guard := newGuard(t, issuer.issuer, func(cfg *gatehouse.Config) { cfg.HTTPClient = &http.Client{Transport: issuer} })
		w := brokenWriter{httptest.NewRecorder()}
		guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
			io.WriteString(w, "alive")
		})).ServeHTTP(w, request{header: bearer(issuer.token(resource))}.make())
		if got := w.Body.String(); got != "alive" {
			t.Errorf("body %q, want alive", got)
		}
	})
}

// A bug in the provider's code costs the request that met it, not the process.
func TestProviderMayPanic(t *testing.T) {
	is := newIssuer(t)
	for name, value := range map[string]any{"a nil map": map[string]any(nil), "a token": "opaque.token"} {
		guard := newGuard(t, is, func(cfg *gatehouse.Config) {
			cfg.Provider.Introspect = func(context.Context, string) (json.RawMessage, error) {
				if m, ok := value.(map[string]any); ok {
					m["x"] = 1
				}
				panic(value)
			}
		})
		resp := send(guard.Wrap(behind), request{header: bearer("opaque")})
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d, want 503", name, resp.StatusCode)
		}
	}
}
