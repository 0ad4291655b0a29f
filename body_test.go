package gatehouse_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

func TestBodyIsBoundedAndWhole(t *testing.T) {
	is := newIssuer(t)
	var got int
	handler := newGuard(t, is, requirements).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 8<<20)
		for {
			n, err := r.Body.Read(buf)
			got += n
			if err != nil {
				return
			}
		}
	}))
	header := bearer(is.token(resource))
	text := `{"method":"tools/call","params":{"name":"read","arguments":"` + strings.Repeat("x", 1<<20) + `"}}`
	if resp := send(handler, request{body: text, header: header}); resp.StatusCode != 200 || got != len(text) {
		t.Errorf("status %d, handler read %d bytes; want 200 and %d", resp.StatusCode, got, len(text))
	}
	resp := send(handler, request{body: strings.Repeat("x", 4<<20+1), header: header})
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over the limit: status %d, want 413", resp.StatusCode)
	}
}

// deadlines records the read deadlines that are set on a connection.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// TestBodyDeadline: the deadline of a body is removed at its end, and a request without a
// body has none, since it would also end the answer, which may be a stream.
func TestBodyDeadline(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	}))
	for text, want := range map[string]int{`{"jsonrpc":"2.0"}`: 2, "": 0} {
		r := request{body: text, header: bearer(is.token(resource))}.make()
		if text == "" {
			r.Body = http.NoBody
		}
		w := &deadlines{ResponseWriter: httptest.NewRecorder()}
		handler.ServeHTTP(w, r)
		if len(w.set) != want || want == 2 && (w.set[0].IsZero() || !w.set[1].IsZero()) {
			t.Errorf("body %q: deadlines %v, want %d of which the last is zero", text, w.set, want)
		}
	}
}

// sendPart sends the head of a request and a part of its body to the server, and returns
// what the server sends until it closes the connection.
func sendPart(t *testing.T, server *httptest.Server, head string) string {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, head+"\r\nHost: localhost:3000\r\nContent-Length: 100\r\n\r\n{")
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("the server did not close the connection: %v", err)
	}
	return string(answer)
}

// A body that never arrives ends the request, with and without a token, on every path and
// for every method.
func TestBodyThatNeverArrives(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.LandingPage = behind })
	guard.SetBodyTimeouts(listen.BodyTimeouts{Arrive: 100 * time.Millisecond, Rest: 50 * time.Millisecond})
	mux := http.NewServeMux()
	guard.Mount(mux, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Error("the handler ran") }))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	authorization := "\r\nAuthorization: Bearer " + is.token(resource)
	tests := map[string]string{
		"GET /mcp HTTP/1.1\r\nAccept: text/html":                                                        "200",
		"OPTIONS /mcp HTTP/1.1\r\nOrigin: http://localhost:3000\r\nAccess-Control-Request-Method: POST": "204",
		"GET /mcp HTTP/1.1\r\nOrigin: https://evil.example.com":                                         "403",
	}
	for _, method := range []string{"GET", "POST", "DELETE", "PUT", "HEAD"} {
		tests[method+" /mcp HTTP/1.1"] = "401"
		tests[method+" /mcp HTTP/1.1"+authorization] = "400"
	}
	for _, path := range guard.MetadataPaths() {
		tests["POST "+path+" HTTP/1.1"] = "405"
	}
	for method, want := range map[string]string{"POST": "400", "OPTIONS": "204"} {
		tests[method+" /register HTTP/1.1"] = want
	}
	for head, want := range tests {
		t.Run(strings.SplitN(head, " HTTP", 2)[0]+" "+want, func(t *testing.T) {
			t.Parallel()
			if answer := sendPart(t, server, head); !strings.HasPrefix(answer, "HTTP/1.1 "+want) {
				t.Errorf("got %q, want status %s", answer, want)
			}
		})
	}
}

// The limit of the size holds for every method.
func TestBodyOfEveryMethodIsBounded(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is).Wrap(behind)
	for _, method := range []string{"POST", "GET", "DELETE", "PUT"} {
		for size, want := range map[int]int{4 << 20: http.StatusOK, 4<<20 + 1: http.StatusRequestEntityTooLarge} {
			resp := send(handler, request{method: method, body: strings.Repeat("x", size), header: bearer(is.token(resource))})
			if resp.StatusCode != want {
				t.Errorf("%s with a body of %d bytes: status %d, want %d", method, size, resp.StatusCode, want)
			}
		}
	}
}
