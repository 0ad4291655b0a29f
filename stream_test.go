package gatehouse_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// streamPatience is longer than anything in these tests takes that should happen.
const streamPatience = 20 * time.Second

// era is a revision of MCP, as a client speaks it over HTTP.
type era struct {
	version  string
	sessions bool
}

var eras = []era{{"2025-11-25", true}, {"2026-07-28", false}}

// liveServer is a go-sdk server behind a guard, over HTTP, with a tool that runs until it is
// released or its context ends.
type liveServer struct {
	*issuer
	guard *gatehouse.Guard
	mcp   *mcp.Server
	http  *httptest.Server

	started, release, canceled chan string // subjects of running calls
}

func startLive(t *testing.T, configure ...func(*gatehouse.Config)) *liveServer {
	t.Helper()
	s := &liveServer{
		issuer:   newIssuer(t),
		started:  make(chan string, 8),
		release:  make(chan string, 8),
		canceled: make(chan string, 8),
	}
	s.guard = newGuard(t, s.issuer, configure...)
	s.mcp = mcp.NewServer(&mcp.Implementation{Name: "live", Version: "1"}, nil)
	mcp.AddTool(s.mcp, &mcp.Tool{Name: "wait"}, s.wait)
	s.mcp.AddReceivingMiddleware(s.guard.Middleware())
	one := func(*http.Request) *mcp.Server { return s.mcp }
	stateless := mcp.NewStreamableHTTPHandler(one, &mcp.StreamableHTTPOptions{
		Stateless: true, DisableLocalhostProtection: true, PropagateRequestCancellation: true,
	})
	stateful := mcp.NewStreamableHTTPHandler(one, &mcp.StreamableHTTPOptions{DisableLocalhostProtection: true})
	s.http = httptest.NewServer(s.guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Protocol-Version") == "2026-07-28" {
			stateless.ServeHTTP(w, r)
		} else {
			stateful.ServeHTTP(w, r)
		}
	})))
	t.Cleanup(func() {
		for session := range s.mcp.Sessions() {
			session.Close()
		}
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// wait is the tool.
func (s *liveServer) wait(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	id, _ := gatehouse.IdentityOf(req)
	s.started <- id.Subject
	select {
	case <-ctx.Done():
		s.canceled <- id.Subject
		return nil, nil, ctx.Err()
	case text := <-s.release:
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	}
}

// client is one user of a liveServer who speaks one revision.
type client struct {
	*liveServer
	era     era
	token   string
	session string
}

func (s *liveServer) client(t *testing.T, e era, subject string) *client {
	t.Helper()
	c := &client{liveServer: s, era: e, token: s.token(resource, testissuer.Claim("sub", subject))}
	if e.sessions {
		resp := c.send(t, http.MethodPost, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+
			`{"protocolVersion":"`+e.version+`","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
		readAll(t, resp)
		c.session = resp.Header.Get("Mcp-Session-Id")
		readAll(t, c.send(t, http.MethodPost, "", `{"jsonrpc":"2.0","method":"notifications/initialized"}`))
	}
	return c
}

func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("reading the answer: %v", err)
	}
	return string(text)
}

// send sends a request. method is that of the message, for the headers of 2026-07-28.
func (c *client) send(t *testing.T, httpMethod, method, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), httpMethod, c.http.URL+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return nil
	}
	r.Host, r.Header = "localhost:3000", bearer(c.token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if c.session != "" || !c.era.sessions {
		r.Header.Set("Mcp-Protocol-Version", c.era.version)
	}
	if c.session != "" {
		r.Header.Set("Mcp-Session-Id", c.session)
	}
	if !c.era.sessions {
		r.Header.Set("Mcp-Method", method)
		r.Header.Set("Mcp-Name", "wait")
	}
	resp, err := c.http.Client().Do(r)
	if err != nil {
		t.Error(err)
		return &http.Response{Body: http.NoBody, Header: http.Header{}}
	}
	return resp
}

// meta is what every request of 2026-07-28 has in its params.
const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
	`"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`

// call calls the tool and returns the answer when it is complete.
func (c *client) call(t *testing.T) (status int, text string) {
	params := `"name":"wait","arguments":{}`
	if !c.era.sessions {
		params += "," + meta
	}
	resp := c.send(t, http.MethodPost, "tools/call", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{`+params+`}}`)
	return resp.StatusCode, readAll(t, resp)
}

// openStream opens the stream of notifications and returns its header and its lines.
func (c *client) openStream(t *testing.T) (http.Header, <-chan string) {
	t.Helper()
	var resp *http.Response
	if c.era.sessions {
		resp = c.send(t, http.MethodGet, "", "")
	} else {
		resp = c.send(t, http.MethodPost, "subscriptions/listen",
			`{"jsonrpc":"2.0","id":3,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},`+meta+`}}`)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: stream: status %d: %s", c.era.version, resp.StatusCode, readAll(t, resp))
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		defer resp.Body.Close()
		for scanner := bufio.NewScanner(resp.Body); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return resp.Header, lines
}

// next returns the next line that contains text, and false at the end of the stream.
func next(t *testing.T, lines <-chan string, text string) bool {
	t.Helper()
	deadline := time.After(streamPatience)
	for {
		select {
		case line, open := <-lines:
			if !open || strings.Contains(line, text) {
				return open
			}
		case <-deadline:
			t.Fatalf("the stream has neither %q nor an end after %s", text, streamPatience)
		}
	}
}

// notify makes the server send notifications of a changed list of tools.
func (s *liveServer) notify(name string) {
	mcp.AddTool(s.mcp, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return nil, nil, nil
	})
}

const listChanged = "notifications/tools/list_changed"

func TestDenyEndsStreams(t *testing.T) {
	for _, e := range eras {
		t.Run(e.version, func(t *testing.T) {
			s := startLive(t)
			_, alice := s.client(t, e, "user_1").openStream(t)
			header, bob := s.client(t, e, "user_2").openStream(t)
			if got := header.Get("X-Accel-Buffering"); got != "no" {
				t.Errorf("X-Accel-Buffering is %q, want no", got)
			}
			s.notify("one")
			if !next(t, alice, listChanged) || !next(t, bob, listChanged) {
				t.Fatal("the streams ended before Deny")
			}
			if got := s.guard.Stats().Streams; got != 2 {
				t.Errorf("Stats: %d streams, want 2", got)
			}
			denied := time.Now()
			if err := s.guard.Deny(gatehouse.Denial{Subject: "user_1", Until: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			s.notify("two")
			if next(t, alice, listChanged) {
				t.Error("a notification arrived after Deny")
			}
			if took := time.Since(denied); took > time.Second {
				t.Errorf("the stream ended %s after Deny, want a second at most", took)
			}
			if !next(t, bob, listChanged) {
				t.Error("the stream of another user has ended")
			}
		})
	}
}

func TestDenyEndsCalls(t *testing.T) {
	for _, e := range eras {
		t.Run(e.version, func(t *testing.T) {
			s := startLive(t)
			type answer struct {
				status int
				text   string
			}
			answers := map[string]chan answer{}
			for _, subject := range []string{"user_1", "user_2"} {
				c, answered := s.client(t, e, subject), make(chan answer, 1)
				answers[subject] = answered
				go func() {
					status, text := c.call(t)
					answered <- answer{status, text}
				}()
				<-s.started
			}
			denied := time.Now()
			if err := s.guard.Deny(gatehouse.Denial{Subject: "user_1", Until: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			if got := <-answers["user_1"]; got.status != http.StatusUnauthorized || !strings.Contains(got.text, `"reason":"revoked"`) {
				t.Errorf("the denied call was answered with status %d: %s; want 401", got.status, got.text)
			}
			if got := <-s.canceled; got != "user_1" {
				t.Errorf("the call of %s was canceled, want that of user_1", got)
			}
			if took := time.Since(denied); took > time.Second {
				t.Errorf("the call ended %s after Deny, want a second at most", took)
			}
			s.release <- "finished"
			if got := <-answers["user_2"]; got.status != http.StatusOK || !strings.Contains(got.text, "finished") {
				t.Errorf("the call of another user was answered with status %d: %s; want the result", got.status, got.text)
			}
		})
	}
}

// In a session, a call runs on when its client has left. Deny ends it as well.
func TestDenyEndsCallsWithoutAClient(t *testing.T) {
	s := startLive(t)
	c := s.client(t, eras[0], "user_1")
	left := make(chan bool)
	go func() {
		defer close(left)
		conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		body := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"wait","arguments":{}}}`
		fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: localhost:3000\r\nAuthorization: Bearer %s\r\nMcp-Session-Id: %s\r\n"+
			"Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: %d\r\n\r\n%s",
			c.token, c.session, len(body), body)
		<-s.started
		conn.Close()
	}()
	<-left
	if err := s.guard.Deny(gatehouse.Denial{Subject: "user_1", Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.canceled:
	case <-time.After(streamPatience):
		t.Error("the tool runs on after Deny")
	}
}

func TestShutdown(t *testing.T) {
	for _, e := range eras {
		t.Run(e.version, func(t *testing.T) {
			s := startLive(t)
			c := s.client(t, e, "user_1")
			_, lines := c.openStream(t)
			answered := make(chan string, 1)
			go func() {
				_, text := c.call(t)
				answered <- text
			}()
			<-s.started
			if err := s.guard.Ready(t.Context()); err != nil {
				t.Errorf("Ready = %v before the shutdown, want nil", err)
			}
			s.guard.Drain()
			if err := s.guard.Ready(t.Context()); !errors.Is(err, gatehouse.ErrShuttingDown) {
				t.Errorf("Ready = %v after Drain, want ErrShuttingDown", err)
			}
			ended := make(chan error, 1)
			go func() { ended <- s.guard.Shutdown(t.Context()) }()
			s.notify("one")
			if !next(t, lines, listChanged) {
				t.Error("the stream ended before the call")
			}
			select {
			case err := <-ended:
				t.Errorf("Shutdown = %v while a call runs", err)
			default:
			}
			s.release <- "finished"
			if got := <-answered; !strings.Contains(got, "finished") {
				t.Errorf("the running call got %q, want its result", got)
			}
			if err := <-ended; err != nil {
				t.Errorf("Shutdown = %v, want nil", err)
			}
			if next(t, lines, listChanged) {
				t.Error("the stream is open after Shutdown")
			}
			c.readLateStream(t)
		})
	}
}

// readLateStream opens a stream after the shutdown, and returns when it has ended.
func (c *client) readLateStream(t *testing.T) {
	t.Helper()
	method, body := http.MethodGet, ""
	if !c.era.sessions {
		method, body = http.MethodPost, `{"jsonrpc":"2.0","id":4,"method":"subscriptions/listen","params":{"notifications":{},`+meta+`}}`
	}
	readAll(t, c.send(t, method, "subscriptions/listen", body))
}

// A call that does not finish in time is ended, and its client learns why.
func TestShutdownEndsCalls(t *testing.T) {
	for _, e := range eras {
		t.Run(e.version, func(t *testing.T) {
			s := startLive(t)
			c := s.client(t, e, "user_1")
			answered := make(chan string, 1)
			go func() {
				status, text := c.call(t)
				answered <- fmt.Sprint(status, " ", text)
			}()
			<-s.started
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if err := s.guard.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown = %v, want the end of its context", err)
			}
			if got := <-answered; !strings.HasPrefix(got, "503 ") || !strings.Contains(got, "shutting down") {
				t.Errorf("the call was answered with %q, want 503", got)
			}
			<-s.canceled
		})
	}
}

// syncRecorder is a recorder for a handler that runs while the test reads.
type syncRecorder struct {
	mu     sync.Mutex
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *syncRecorder) Header() http.Header { return w.header }

func (w *syncRecorder) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = status
}

func (w *syncRecorder) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.body.Write(b)
}

func (w *syncRecorder) FlushError() error { return nil }

func (w *syncRecorder) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.body.String()
}

// eventStream is a handler that sends events until its context ends.
func eventStream(events <-chan string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		for {
			select {
			case event := <-events:
				io.WriteString(w, event)
				http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
}

// beginFunc sends a request to a handler and returns its answer so far, and a channel that is
// closed at its end.
type beginFunc func(http.Handler, request) (answer *syncRecorder, ended <-chan bool)

// inBubble runs test with a guard whose clock is synctest's.
func inBubble(t *testing.T, configure func(*gatehouse.Config),
	test func(t *testing.T, begin beginFunc, guard *gatehouse.Guard, is *wire),
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		is := newWire()
		guard := newGuard(t, is.issuer, func(cfg *gatehouse.Config) {
			cfg.HTTPClient = &http.Client{Transport: is}
			if configure != nil {
				configure(cfg)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begin := func(handler http.Handler, rq request) (*syncRecorder, <-chan bool) {
			w, ended := &syncRecorder{header: http.Header{}}, make(chan bool)
			r := rq.make()
			go func() {
				defer close(ended)
				handler.ServeHTTP(w, r.WithContext(context.WithValue(ctx, http.LocalAddrContextKey, r.Context().Value(http.LocalAddrContextKey))))
			}()
			synctest.Wait()
			return w, ended
		}
		test(t, begin, guard, is)
		cancel()
		guard.Close()
		synctest.Wait()
	})
}

func hasEnded(ended <-chan bool) bool {
	synctest.Wait()
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

const listenBody = `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{}}`

// A stream ends when its token expires, leeway included. A call may finish.
func TestStreamsEndWithTheirToken(t *testing.T) {
	call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"text":"subscriptions/listen \n"}}}`
	for name, test := range map[string]struct {
		rq     request
		stream bool
	}{
		"GET":              {request{method: "GET"}, true},
		"listen":           {request{body: listenBody}, true},
		"listen, escaped":  {request{body: strings.Replace(listenBody, "/", `\/`, 1)}, true},
		"listen, in batch": {request{body: "[" + pingBody + "," + listenBody + "]"}, true},
		"listen, ambiguous": {
			request{body: `{"jsonrpc":"2.0","id":1,"method":"ping","method":"subscriptions/listen"}`}, true,
		},
		"call":          {request{body: call}, false},
		"call in batch": {request{body: "[" + call + "]"}, false},
		"HEAD":          {request{method: "HEAD"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, begin beginFunc, guard *gatehouse.Guard, is *wire) {
				test.rq.header = bearer(is.token(resource)) // expires in an hour
				w, ended := begin(guard.Wrap(eventStream(nil)), test.rq)
				time.Sleep(time.Hour + gatehouse.DefaultLeeway - time.Second)
				if hasEnded(ended) {
					t.Fatalf("ended before its token expired: %s", w.text())
				}
				time.Sleep(2 * time.Second)
				if got := hasEnded(ended); got != test.stream {
					t.Errorf("after the token expired: ended %v, want %v", got, test.stream)
				}
			})
		})
	}
}

// A stream whose handler has sent nothing yet is answered with 401.
func TestExpiryBeforeTheAnswer(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, begin beginFunc, guard *gatehouse.Guard, is *wire) {
		silent := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			<-r.Context().Done()
		})
		w, ended := begin(guard.Wrap(silent), request{method: "GET", header: bearer(is.token(resource))})
		time.Sleep(2 * time.Hour)
		if !hasEnded(ended) || w.status != http.StatusUnauthorized || w.header.Get("Content-Type") != "application/json" ||
			!strings.Contains(w.header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("got status %d and header %v, want 401 with a challenge", w.status, w.header)
		}
	})
}

// Config.Revoked is called again for open streams, and a panic counts as a revocation.
func TestRevokedEndsStreams(t *testing.T) {
	for name, revoke := range map[string]func() bool{
		"true":  func() bool { return true },
		"panic": func() bool { panic("bug") },
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			banned := false
			configure := func(cfg *gatehouse.Config) {
				cfg.Revoked = func(gatehouse.Identity) bool {
					mu.Lock()
					defer mu.Unlock()
					return banned && revoke()
				}
			}
			inBubble(t, configure, func(t *testing.T, begin beginFunc, guard *gatehouse.Guard, is *wire) {
				_, ended := begin(guard.Wrap(eventStream(nil)), request{method: "GET", header: bearer(is.token(resource))})
				time.Sleep(5 * time.Minute)
				if hasEnded(ended) {
					t.Fatal("the stream ended before the user was banned")
				}
				mu.Lock()
				banned = true
				mu.Unlock()
				time.Sleep(31 * time.Second)
				if !hasEnded(ended) {
					t.Error("the stream is open 31 s after the user was banned")
				}
			})
		})
	}
}

// A stream of an opaque token lives as long as the provider says that the token is active.
func TestStreamsOfOpaqueTokens(t *testing.T) {
	var mu sync.Mutex
	var provider error
	behave := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		provider = err
	}
	configure := func(cfg *gatehouse.Config) {
		issuer := cfg.Provider.Issuer
		cfg.Provider.Introspect = func(context.Context, string) (json.RawMessage, error) {
			mu.Lock()
			defer mu.Unlock()
			claims := map[string]any{
				"active": true, "iss": issuer, "sub": "user_1", "client_id": "c", "aud": resource,
				"exp": time.Now().Add(2 * time.Minute).Unix(),
			}
			text, _ := json.Marshal(claims)
			return text, provider
		}
	}
	for name, test := range map[string]struct {
		then  error
		after time.Duration // the stream ends within this time
	}{
		"revoked":     {gatehouse.ErrInactive, 2 * time.Minute},
		"unavailable": {errors.New("maintenance"), 4 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			behave(nil)
			inBubble(t, configure, func(t *testing.T, begin beginFunc, guard *gatehouse.Guard, is *wire) {
				w, ended := begin(guard.Wrap(eventStream(nil)), request{method: "GET", header: bearer("opaque")})
				time.Sleep(time.Hour)
				if hasEnded(ended) {
					t.Fatalf("the stream ended while its token was active: status %d %s", w.status, w.text())
				}
				behave(test.then)
				time.Sleep(test.after)
				if !hasEnded(ended) {
					t.Errorf("the stream is open %s later", test.after)
				}
			})
		})
	}
}

// An idle stream gets a comment, between two events and never inside of one.
func TestIdleStreamsGetComments(t *testing.T) {
	const event, comment = "data: 1\n\n", ": keep-alive\n\n"
	inBubble(t, nil, func(t *testing.T, begin beginFunc, guard *gatehouse.Guard, is *wire) {
		header := bearer(is.token(resource))
		events := make(chan string)
		w, _ := begin(guard.Wrap(eventStream(events)), request{method: "GET", header: header})
		want := ""
		step := func(wait time.Duration, sent, more string) {
			t.Helper()
			time.Sleep(wait)
			if sent != "" {
				events <- sent
			}
			synctest.Wait()
			if want += more; w.text() != want {
				t.Errorf("the stream is %q, want %q", w.text(), want)
			}
		}
		step(24*time.Second, "", "")
		step(2*time.Second, "", comment)
		step(20*time.Second, event, event)
		step(20*time.Second, event, event)
		step(26*time.Second, "", comment)
		step(0, "data: ha", "data: ha")
		step(10*time.Minute, "", "")
		step(0, "lf\n", "lf\n")
		step(10*time.Minute, "", "")
		step(0, "\n", "\n")
		step(40*time.Second, "", comment)
		step(0, "data: 2\r\n\r\n", "data: 2\r\n\r\n")
		step(40*time.Second, "", comment)

		// Neither a call, nor an answer of another type, nor a compressed stream gets comments.
		call, _ := begin(guard.Wrap(eventStream(nil)), request{body: pingBody, header: header})
		plain, _ := begin(guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusOK)
			<-r.Context().Done()
		})), request{method: "GET", header: header})
		compressed, _ := begin(guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			eventStream(nil).ServeHTTP(w, r)
		})), request{method: "GET", header: header})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for name, w := range map[string]*syncRecorder{"a call": call, "a plain answer": plain, "a compressed stream": compressed} {
			if w.text() != "" {
				t.Errorf("%s got %q, want nothing", name, w.text())
			}
		}
		if call.header.Get("X-Accel-Buffering") != "no" || plain.header.Get("X-Accel-Buffering") != "" {
			t.Error("X-Accel-Buffering is not that of event streams alone")
		}
	})
}

// The comments of a real go-sdk server's idle streams, over HTTP.
func TestIdleStreamsGetCommentsOverHTTP(t *testing.T) {
	for _, e := range eras {
		s := startLive(t)
		s.guard.SetKeepAlive(10 * time.Millisecond)
		_, lines := s.client(t, e, "user_1").openStream(t)
		for i := range 5 {
			if !next(t, lines, ": keep-alive") {
				t.Fatalf("%s: the stream ended", e.version)
			}
			s.notify(fmt.Sprint("tool-", i))
			if !next(t, lines, listChanged) {
				t.Fatalf("%s: the stream ended", e.version)
			}
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	inBubble(t, limitSessions, func(t *testing.T, begin beginFunc, guard *gatehouse.Guard, is *wire) {
		handler := guard.Wrap(eventStream(nil))
		open := func(subject string) (*syncRecorder, <-chan bool) {
			return begin(handler, request{body: listenBody, header: bearer(is.token(resource, testissuer.Claim("sub", subject)))})
		}
		wantStatus := func(what string, w *syncRecorder, want int) {
			t.Helper()
			if w.status != want {
				t.Errorf("%s: status %d, want %d", what, w.status, want)
			}
		}
		open("user_1")
		open("user_1")
		third, _ := open("user_1")
		wantStatus("a third stream of a user", third, http.StatusTooManyRequests)
		bob, _ := open("user_2")
		wantStatus("a stream of another user", bob, http.StatusOK)
		carol, _ := open("user_3")
		wantStatus("a fourth stream in all", carol, http.StatusTooManyRequests)
		if err := guard.Deny(gatehouse.Denial{Subject: "user_1", Until: time.Now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		carol, _ = open("user_3")
		wantStatus("a stream after others have ended", carol, http.StatusOK)
		if got := guard.Stats().Streams; got != 2 {
			t.Errorf("Stats: %d streams, want 2", got)
		}
	})
}

// A denial ends a stream even if its client does not read, so that a write is blocked.
func TestDenyEndsABlockedStream(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is)
	ended := make(chan bool)
	server := httptest.NewServer(guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		w.Header().Set("Content-Type", "text/event-stream")
		for event := bytes.Repeat([]byte("x"), 1<<20); ; {
			if _, err := w.Write(event); err != nil {
				return
			}
		}
	})))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /mcp HTTP/1.1\r\nHost: localhost:3000\r\nAuthorization: Bearer %s\r\n\r\n", is.token(resource))
	conn.Read(make([]byte, 1)) // the answer has begun
	denied := time.Now()
	if err := guard.Deny(gatehouse.Denial{Subject: "user_1", Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(streamPatience):
		t.Fatal("the handler is blocked")
	}
	if took := time.Since(denied); took > time.Second {
		t.Errorf("the handler returned %s after Deny, want a second at most", took)
	}
}
