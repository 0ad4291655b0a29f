package listen_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

// shortTimeouts are short enough for tests over sockets.
var shortTimeouts = listen.BodyTimeouts{Arrive: 100 * time.Millisecond, Rest: 50 * time.Millisecond}

// never is longer than any of these tests may take.
const never = time.Minute

// sendPart sends text to the server over a connection of its own and returns everything that
// the server sends until it closes the connection.
func sendPart(t *testing.T, server *httptest.Server, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("the server did not close the connection: %v", err)
	}
	return string(answer)
}

func ignoreBody(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "answer") }

func readBody(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "incomplete", http.StatusBadRequest)
		return
	}
	w.Write(text)
}

func TestBodyThatNeverArrives(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string]string{
		"length":  "Content-Length: 10\r\n\r\n12345",
		"chunked": "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "PUT", "BREW"} {
			for handler, test := range map[string]struct {
				handler http.HandlerFunc
				want    string
			}{
				"ignored": {ignoreBody, "200 OK"},
				"read":    {readBody, "400 Bad Request"},
			} {
				t.Run(name+" "+method+" "+handler, func(t *testing.T) {
					t.Parallel()
					server := httptest.NewServer(listen.LimitBodies(shortTimeouts, test.handler))
					defer server.Close()
					answer := sendPart(t, server, method+" / HTTP/1.1\r\nHost: localhost\r\n"+headers)
					if !strings.HasPrefix(answer, "HTTP/1.1 "+test.want) {
						t.Errorf("got %q, want status %s", answer, test.want)
					}
				})
			}
		}
	}
}

// The rest of a body that the handler did not read has less time than the whole.
func TestRestOfABody(t *testing.T) {
	t.Parallel()
	timeouts := listen.BodyTimeouts{Arrive: never, Rest: 50 * time.Millisecond}
	server := httptest.NewServer(listen.LimitBodies(timeouts, http.HandlerFunc(ignoreBody)))
	defer server.Close()
	answer := sendPart(t, server, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345")
	if !strings.HasSuffix(answer, "answer") {
		t.Errorf("got %q, want the answer", answer)
	}
}

// The deadline ends with the body: neither the answer nor the next request on the same
// connection is affected.
func TestDeadlineEndsWithTheBody(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(listen.LimitBodies(shortTimeouts, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		readBody(w, r)
		select {
		case <-r.Context().Done():
			io.WriteString(w, " canceled")
		case <-time.After(4 * shortTimeouts.Arrive):
		}
	})))
	defer server.Close()
	for range 2 {
		resp, err := server.Client().Post(server.URL, "text/plain", strings.NewReader("12345"))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(text) != "12345" {
			t.Errorf("got %q, want 12345", text)
		}
	}
}

// A read timeout of the host stays in force: it is shorter here, and the test would last a
// minute if LimitBody replaced it.
func TestReadTimeoutOfTheHostStays(t *testing.T) {
	t.Parallel()
	timeouts := listen.BodyTimeouts{Arrive: never, Rest: never}
	server := httptest.NewUnstartedServer(listen.LimitBodies(timeouts, http.HandlerFunc(readBody)))
	server.Config.ReadTimeout = 100 * time.Millisecond
	server.Start()
	defer server.Close()
	answer := sendPart(t, server, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345")
	if !strings.HasPrefix(answer, "HTTP/1.1 400") {
		t.Errorf("got %q, want status 400", answer)
	}
}

// A request whose small body has arrived keeps its connection.
func TestConnectionIsKept(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(listen.LimitBodies(shortTimeouts, http.HandlerFunc(ignoreBody)))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	reader := bufio.NewReader(conn)
	for range 2 {
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12345")
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(resp.Body); string(text) != "answer" || resp.Close {
			t.Errorf("got %q, closed %v; want the answer on a connection that stays open", text, resp.Close)
		}
	}
}
