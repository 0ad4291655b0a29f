package gatehouse_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// flushRecorder counts the flushes that reach it, and returns err for each.
type flushRecorder struct {
	*httptest.ResponseRecorder
	flushes int
	err     error
}

func (w *flushRecorder) FlushError() error {
	w.flushes++
	return w.err
}

// serveAnswer runs handler behind a guard, with w as the writer of the outer handlers.
func serveAnswer(t *testing.T, w http.ResponseWriter, handler http.HandlerFunc) {
	t.Helper()
	is := newIssuer(t)
	newGuard(t, is).Wrap(handler).ServeHTTP(w, request{header: bearer(is.token(resource))}.make())
}

func TestEachFlushIsPassedOn(t *testing.T) {
	flush := map[string]func(w http.ResponseWriter){
		"Flusher":            func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"ResponseController": func(w http.ResponseWriter) { http.NewResponseController(w).Flush() },
	}
	for name, flush := range flush {
		t.Run(name, func(t *testing.T) {
			w := &flushRecorder{ResponseRecorder: httptest.NewRecorder()}
			serveAnswer(t, w, func(rw http.ResponseWriter, _ *http.Request) {
				for want := 1; want <= 3; want++ {
					io.WriteString(rw, "event")
					if flush(rw); w.flushes != want {
						t.Errorf("got %d flushes after %d events", w.flushes, want)
					}
				}
			})
			if w.Code != http.StatusOK || w.flushes != 3 {
				t.Errorf("got status %d and %d flushes, want 200 and 3", w.Code, w.flushes)
			}
		})
	}
}

// plainWriter has no Flush.
type plainWriter struct{ w *httptest.ResponseRecorder }

func (w plainWriter) Header() http.Header         { return w.w.Header() }
func (w plainWriter) Write(b []byte) (int, error) { return w.w.Write(b) }
func (w plainWriter) WriteHeader(status int)      { w.w.WriteHeader(status) }

func TestFailingFlushReportsItsError(t *testing.T) {
	broken := errors.New("broken pipe")
	recorder := httptest.NewRecorder()
	for name, test := range map[string]struct {
		writer http.ResponseWriter
		want   error
	}{
		"error":         {&flushRecorder{ResponseRecorder: httptest.NewRecorder(), err: broken}, broken},
		"not supported": {plainWriter{recorder}, http.ErrNotSupported},
	} {
		serveAnswer(t, test.writer, func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).Flush(); !errors.Is(err, test.want) {
				t.Errorf("%s: Flush = %v, want %v", name, err, test.want)
			}
			// The header was inspected, so a session that is set now must not be sent.
			w.Header().Set("Mcp-Session-Id", "late")
			io.WriteString(w, "body")
		})
	}
	if got := recorder.Result().Header; got.Get("Mcp-Session-Id") != "" || got.Get("Cache-Control") != "no-store" {
		t.Errorf("header after a flush that is not supported: %v, want no-store and no session", got)
	}
}

// Flushed data reaches the client while the handler runs.
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
				t.Error("the client did not receive the event")
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
		t.Errorf("got %d events with status %d, want 3", events, resp.StatusCode)
	}
}

// post sends a POST with a token of sub over a connection.
func post(t *testing.T, is *issuer, server *httptest.Server, sub string, sessions ...string) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Header = "localhost:3000", bearer(is.token(resource, testissuer.Claim("sub", sub)))
	r.Header["Mcp-Session-Id"] = sessions
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp, string(body)
}

// The header of an answer is inspected before it is sent, whichever call sends it.
func TestHeaderIsInspectedBeforeItIsSent(t *testing.T) {
	is := newIssuer(t)
	open := func(w http.ResponseWriter) { w.Header().Set("Mcp-Session-Id", "s1") }
	for name, begin := range map[string]func(w http.ResponseWriter){
		"written":       func(w http.ResponseWriter) { open(w); io.WriteString(w, "x") },
		"header only":   func(w http.ResponseWriter) { open(w); w.WriteHeader(http.StatusAccepted) },
		"nothing":       open,
		"empty write":   func(w http.ResponseWriter) { open(w); w.Write(nil) },
		"copied":        func(w http.ResponseWriter) { open(w); io.Copy(w, strings.NewReader("x")) },
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
			resp, _ := post(t, is, server, "user_1")
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("got Cache-Control %q, want no-store", got)
			}
			id := resp.Header.Get("Mcp-Session-Id")
			if tooLate := name == "set too late, and not sent"; tooLate != (id == "") {
				t.Errorf("got session %q in the answer", id)
			}
			if id == "" {
				return
			}
			for _, sessions := range [][]string{{id}, {"x", id}, {id, id}, {"", id}, {"x, " + id}, {",,,,,,," + id}} {
				if resp, _ := post(t, is, server, "user_2", sessions...); resp.StatusCode != http.StatusNotFound {
					t.Errorf("another user with session %q: got status %d, want 404", sessions, resp.StatusCode)
				}
			}
			if resp, _ := post(t, is, server, "user_1", id); resp.StatusCode != http.StatusOK {
				t.Errorf("the user who opened it: got status %d, want 200", resp.StatusCode)
			}
		})
	}
}

// A status 101 is the last header of an answer, unlike other informational ones.
func TestHeaderOfSwitchingProtocolsIsInspected(t *testing.T) {
	w := httptest.NewRecorder()
	serveAnswer(t, w, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		if got := w.Header().Get("Cache-Control"); got != "" {
			t.Errorf("Cache-Control is %q after early hints, want it unset", got)
		}
		w.WriteHeader(http.StatusSwitchingProtocols)
		if got := w.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control is %q after switching protocols, want no-store", got)
		}
	})
}

// After a flush, a handler may write to the header map: it sets trailers there.
func TestTrailersAfterAFlush(t *testing.T) {
	is := newIssuer(t)
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Trailer", "X-Sum")
				for i := range 20 {
					io.WriteString(w, "x")
					w.(http.Flusher).Flush()
					w.Header().Set("X-Sum", strconv.Itoa(i))
					w.Header().Set(http.TrailerPrefix+"X-Late", strconv.Itoa(i))
				}
			})))
			server.EnableHTTP2 = http2
			server.StartTLS()
			defer server.Close()
			for range 20 {
				resp, body := post(t, is, server, "user_1")
				if resp.Proto != name || len(body) != 20 {
					t.Errorf("got %s and a body of %d bytes, want %s and 20", resp.Proto, len(body), name)
				}
				if resp.Trailer.Get("X-Sum") != "19" || resp.Trailer.Get("X-Late") != "19" {
					t.Errorf("got trailers %v, want X-Sum and X-Late 19", resp.Trailer)
				}
				if got := resp.Header.Get("Cache-Control"); got != "no-store" {
					t.Errorf("got Cache-Control %q, want no-store", got)
				}
			}
		})
	}
}

// Flushed data is sent even if the handler panics or takes over the connection later.
func TestFlushedDataIsSent(t *testing.T) {
	is := newIssuer(t)
	for name, end := range map[string]func(w http.ResponseWriter){
		"panic": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"hijack": func(w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
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
			if _, body := post(t, is, server, "user_1"); body != "event" {
				t.Errorf("the client got %q, want the flushed event", body)
			}
		})
	}
}

// A handler outside the guard may recover from a panic and send the header.
func TestHeaderIsInspectedAfterAPanic(t *testing.T) {
	is := newIssuer(t)
	inner := newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Session-Id") == "" {
			w.Header().Set("Mcp-Session-Id", "s1")
			panic("bug")
		}
	}))
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		inner.ServeHTTP(w, r)
	})
	resp := send(outer, request{header: bearer(is.token(resource))})
	if got := resp.Header.Get("Cache-Control"); resp.StatusCode != http.StatusInternalServerError || got != "no-store" {
		t.Errorf("got status %d and Cache-Control %q, want 500 and no-store", resp.StatusCode, got)
	}
	id := resp.Header.Get("Mcp-Session-Id")
	other := with(bearer(is.token(resource, testissuer.Claim("sub", "user_2"))), "Mcp-Session-Id", id)
	if resp := send(outer, request{header: other}); id == "" || resp.StatusCode != http.StatusNotFound {
		t.Errorf("another user with session %q: got status %d, want 404", id, resp.StatusCode)
	}
}

func TestAnswersAreNotCached(t *testing.T) {
	is := newIssuer(t)
	for given, want := range map[string]string{
		"":                       "no-store",
		"no-cache, no-transform": "no-store, no-transform",
		"private, max-age=1":     "private, max-age=1",
	} {
		handler := newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if given != "" {
				w.Header().Set("Cache-Control", given)
			}
			w.(http.Flusher).Flush()
		}))
		if got := send(handler, request{header: bearer(is.token(resource))}).Header.Get("Cache-Control"); got != want {
			t.Errorf("Cache-Control %q is sent as %q, want %q", given, got, want)
		}
	}
}
