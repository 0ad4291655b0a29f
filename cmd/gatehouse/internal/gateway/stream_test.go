package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/teststream"
)

// streaming makes the backend answer with an event stream. Each text that is sent to events is
// sent as it is; closing the channel ends the stream. left is closed when the backend notices
// that a client has left.
func (b *backend) streaming() (events chan string, left chan struct{}) {
	events, left = make(chan string), make(chan struct{})
	var once sync.Once
	b.answer = func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for {
			select {
			case <-r.Context().Done():
				once.Do(func() { close(left) })
				return
			case text, ok := <-events:
				if !ok {
					return
				}
				if text == "break off" {
					panic(http.ErrAbortHandler)
				}
				io.WriteString(w, text)
				w.(http.Flusher).Flush()
			}
		}
	}
	return events, left
}

const result = `data: {"jsonrpc":"2.0","id":1,"result":{}}` + "\n\n"

// Each event reaches the client before the backend sends the next one.
func TestEventsArriveAsTheyAreSent(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		f := newFixture(t)
		events, _ := f.backend.streaming()
		client := http.DefaultClient
		if protocol == "HTTP/2.0" {
			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetUnencryptedHTTP2(true)
			defer transport.CloseIdleConnections()
			client = &http.Client{Transport: transport}
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, f.resource, strings.NewReader(call))
		req.Header.Set("Authorization", "Bearer "+f.token())
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Proto != protocol {
			t.Errorf("the answer is %s, want %s", resp.Proto, protocol)
		}
		stream := teststream.NewReader(resp.Body)
		for i := range 5 {
			data := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":%d}}`, i)
			events <- "event: message\nid: " + fmt.Sprint(i) + "\ndata: " + data + "\n\n"
			if got, err := stream.Next(); err != nil || got.Data != data || got.ID != fmt.Sprint(i) {
				t.Fatalf("%s: event %d is %+v, %v, want %s", protocol, i, got, err, data)
			}
		}
		close(events)
		if _, err := stream.Next(); err != io.EOF {
			t.Errorf("%s: the end is %v, want EOF", protocol, err)
		}
		resp.Body.Close()
	}
}

func TestDisconnectCancelsTheCall(t *testing.T) {
	f := newFixture(t)
	for _, test := range []struct {
		name, method, body string
	}{{"a stream", http.MethodGet, ""}, {"a call with a stream", http.MethodPost, call}} {
		_, left := f.backend.streaming()
		ctx, leave := context.WithCancel(t.Context())
		resp := f.open(t, ctx, test.method, test.body, "Authorization", "Bearer "+f.token())
		leave()
		within(t, test.name+": the end of the backend's request", left)
		resp.Body.Close()
	}
	// A call that has not been answered at all.
	began, left := make(chan struct{}), make(chan struct{})
	f.backend.answer = func(_ http.ResponseWriter, r *http.Request, _ string) {
		close(began)
		<-r.Context().Done()
		close(left)
	}
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, f.resource, strings.NewReader(call))
		req.Header.Set("Authorization", "Bearer "+f.token())
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	<-began
	leave()
	within(t, "the end of the backend's call", left)
}

// A revoked token ends its streams and calls at the backend and at the client.
func TestDenyEndsStreams(t *testing.T) {
	f := newFixture(t)
	events, left := f.backend.streaming()
	resp := f.open(t, t.Context(), http.MethodGet, "", "Authorization", "Bearer "+f.token())
	defer resp.Body.Close()
	go func() { events <- "data: hello\n\n" }()
	stream := teststream.NewReader(resp.Body)
	if got, err := stream.Next(); err != nil || got.Data != "hello" {
		t.Fatalf("got %+v, %v, want the event", got, err)
	}
	for _, guard := range f.gateway.Guards() {
		if err := guard.Deny(gatehouse.Denial{Subject: "user_ada", Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "the end of the backend's stream", left)
	if _, err := stream.Next(); err != io.EOF {
		t.Errorf("the stream ends with %v, want a clean end", err)
	}
	wantReason(t, f.post(t, call), http.StatusUnauthorized, "revoked")
}

func TestExpiryEndsStreams(t *testing.T) {
	f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) { e.Guard.Leeway = 2 * time.Second })
	_, left := f.backend.streaming()
	token := f.token(testissuer.Claim("exp", time.Now().Unix()))
	resp := f.open(t, t.Context(), http.MethodGet, "", "Authorization", "Bearer "+token)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, want 200 within the leeway", resp.StatusCode)
	}
	within(t, "the end of the backend's stream", left)
	if text, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the client got %q and %v, want a clean end", text, err)
	}
}

// A client that does not read slows the backend down, in place of filling memory.
func TestBackpressure(t *testing.T) {
	f := newFixture(t)
	blocked := make(chan int, 1)
	f.backend.answer = func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		event := "data: " + strings.Repeat("x", 64<<10) + "\n\n"
		sent := 0
		for ; sent < 2000; sent++ {
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * time.Second))
			if _, err := io.WriteString(w, event); err != nil {
				break
			}
			w.(http.Flusher).Flush()
		}
		blocked <- sent
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.origin, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", f.token())
	if sent := <-blocked; sent >= 2000 {
		t.Error("the backend could send 128 MB to a client that does not read")
	}
}

// If the backend breaks a stream off between two events, the client gets an error response.
func TestBrokenStream(t *testing.T) {
	for _, test := range []struct {
		name, method, body, last string
		clean                    bool
	}{
		{"between events", http.MethodPost, call, "data: {}\n\n", true},
		{"within an event", http.MethodPost, call, "data: {", false},
		{"a stream that answers nothing", http.MethodGet, "", "data: {}\n\n", false},
	} {
		f := newFixture(t)
		events, _ := f.backend.streaming()
		resp := f.open(t, t.Context(), test.method, test.body, "Authorization", "Bearer "+f.token())
		events <- test.last
		events <- "break off"
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if test.clean {
			if err != nil || !strings.Contains(string(text), `"id":1`) || !strings.Contains(string(text), "upstream_broken") {
				t.Errorf("%s: got %q, %v, want an error response to the request", test.name, text, err)
			}
		} else if !errors.Is(err, io.ErrUnexpectedEOF) || string(text) != test.last {
			t.Errorf("%s: got %q, %v, want the connection to break", test.name, text, err)
		}
		if !strings.Contains(f.log.String(), "upstream_broken") {
			t.Errorf("%s: the log does not say it:\n%s", test.name, f.log)
		}
	}
}

// The gateway speaks HTTP/2 without TLS to a backend that needs it.
func TestH2CBackend(t *testing.T) {
	for _, h2c := range []bool{false, true} {
		f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) { e.Upstreams[0].H2C = h2c })
		wantOK(t, f.post(t, call))
		want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[h2c]
		if got := f.backend.last(t).Proto; got != want {
			t.Errorf("H2C %v: the backend got %s, want %s", h2c, got, want)
		}
	}
}

// 1,000 streams stay open when the configuration is replaced.
func TestApplyKeepsStreams(t *testing.T) {
	const streams = 1000
	f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) { e.Guard.MaxSessionsPerUser = 2 * streams })
	release := make(chan struct{})
	opened := make(chan struct{}, streams)
	f.backend.answer = func(w http.ResponseWriter, r *http.Request, body string) {
		if r.Method == http.MethodPost {
			writeResult(w, body, map[string]any{})
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		opened <- struct{}{}
		select {
		case <-release:
			io.WriteString(w, result)
		case <-r.Context().Done():
		}
	}
	token := f.token()
	results := make(chan error, streams)
	for range streams {
		go func() {
			resp := f.open(t, t.Context(), http.MethodGet, "", "Authorization", "Bearer "+token)
			defer resp.Body.Close()
			line, err := bufio.NewReader(resp.Body).ReadString('\n')
			if err == nil && line+"\n" != result {
				err = fmt.Errorf("got %q, want the event", line)
			}
			results <- err
		}()
	}
	for range streams {
		<-opened
	}
	f.config.Endpoints[0].Guard.RequiredScopes = []string{"notes:write"}
	if err := f.gateway.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	wantReason(t, f.post(t, call), http.StatusForbidden, "insufficient_scope") // the new configuration
	close(release)
	for range streams {
		if err := <-results; err != nil {
			t.Fatalf("a stream was dropped: %v", err)
		}
	}
}
