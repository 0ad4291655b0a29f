package listen_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

const longGrace = time.Minute // longer than any of these tests takes

// running is a server that listen.Serve runs.
type running struct {
	*http.Server
	listeners []net.Listener
	urls      []string
	stop      context.CancelFunc
	result    chan error // of listen.Serve
}

// serve runs handler on both loopback addresses until the end of the test.
func serve(t *testing.T, grace time.Duration, handler http.HandlerFunc) *running {
	t.Helper()
	listeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, grace, handler, listeners...)
}

func serveOn(t *testing.T, grace time.Duration, handler http.HandlerFunc, listeners ...net.Listener) *running {
	t.Helper()
	return serveUntil(t, listen.Shutdown{Grace: grace}, handler, listeners...)
}

func serveUntil(t *testing.T, shutdown listen.Shutdown, handler http.HandlerFunc, listeners ...net.Listener) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{
		Server:    listen.NewServer(handler, slog.New(slog.DiscardHandler)),
		listeners: listeners,
		stop:      cancel,
		result:    make(chan error, 1),
	}
	for _, l := range listeners {
		r.urls = append(r.urls, "http://"+l.Addr().String())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.result <- listen.Serve(ctx, r.Server, shutdown, listeners...)
	}()
	t.Cleanup(func() {
		cancel()
		r.Close()
		<-ended
	})
	return r
}

// get requests url over a connection of its own and returns the body.
func get(url string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func sayHello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

func wantClosed(t *testing.T, listeners []net.Listener) {
	t.Helper()
	for _, l := range listeners {
		if err := l.(*net.TCPListener).SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the listener on %s is open after Serve returned, want it closed", l.Addr())
		}
	}
}

func TestServeOnEveryListenerUntilContextEnds(t *testing.T) {
	t.Parallel()
	r := serve(t, longGrace, sayHello)
	for _, url := range r.urls {
		if got, err := get(url); err != nil || got != "hello" {
			t.Errorf("GET %s = %q, %v, want hello", url, got, err)
		}
	}
	r.stop()
	if err := <-r.result; err != nil {
		t.Errorf("Serve = %v, want nil after its context ended", err)
	}
	wantClosed(t, r.listeners)
}

func TestServeLetsRunningRequestsFinish(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	r := serve(t, longGrace, func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		<-release
		io.WriteString(w, "finished")
	})
	shutdownBegan := make(chan struct{})
	r.RegisterOnShutdown(func() { close(shutdownBegan) })
	body := make(chan string, 1)
	go func() {
		got, err := get(r.urls[0])
		body <- strings.TrimSpace(got + " " + errorText(err))
	}()
	<-started
	r.stop()
	<-shutdownBegan
	select {
	case err := <-r.result:
		t.Errorf("Serve = %v while a request runs, want it to wait", err)
	default:
	}
	close(release)
	if got := <-body; got != "finished" {
		t.Errorf("running request got %q, want finished", got)
	}
	if err := <-r.result; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestServeEndsRequestsAfterGrace(t *testing.T) {
	t.Parallel()
	started, ended := make(chan struct{}), make(chan struct{})
	r := serve(t, 20*time.Millisecond, func(_ http.ResponseWriter, req *http.Request) {
		close(started)
		<-req.Context().Done()
		close(ended)
	})
	failed := make(chan error, 1)
	go func() {
		_, err := get(r.urls[0])
		failed <- err
	}()
	<-started
	r.stop()
	if err := <-r.result; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	<-ended
	if err := <-failed; err == nil {
		t.Error("request got a response after grace had passed, want a closed connection")
	}
}

// The server accepts requests during the delay, then drains, and delivers running answers.
func TestServeStopsInOrder(t *testing.T) {
	t.Parallel()
	listeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		t.Fatal(err)
	}
	began, drained := make(chan struct{}), make(chan struct{})
	started, release := make(chan struct{}, 1), make(chan struct{})
	r := serveUntil(t, listen.Shutdown{
		Begin: func() { close(began) },
		Delay: 500 * time.Millisecond,
		Grace: longGrace,
		Drain: func(ctx context.Context) {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("the context of Drain has no deadline")
			}
			close(drained)
		},
	}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			started <- struct{}{}
			<-release
		}
		io.WriteString(w, "finished")
	}, listeners...)
	slow := make(chan string, 1)
	go func() {
		got, err := get(r.urls[0] + "/slow")
		slow <- got + errorText(err)
	}()
	<-started
	r.stop()
	<-began
	if got, err := get(r.urls[0]); got != "finished" || err != nil {
		t.Errorf("during the delay: got %q and error %v, want an answer", got, err)
	}
	select {
	case <-drained:
		t.Error("Drain was called before the delay was over")
	default:
	}
	<-drained
	close(release)
	if got := <-slow; got != "finished" {
		t.Errorf("the running request got %q, want finished", got)
	}
	if err := <-r.result; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestServeReturnsTheErrorOfAListener(t *testing.T) {
	t.Parallel()
	listeners := make([]net.Listener, 2)
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i] = l
	}
	broken := listeners[1].Addr().String()
	r := serveOn(t, longGrace, sayHello, listeners...)
	listeners[1].Close()
	err := <-r.result
	if !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "serving on "+broken+": ") {
		t.Errorf("Serve = %v, want the error of the listener on %s", err, broken)
	}
	wantClosed(t, r.listeners)
}

func TestServeEndsWhenItsServerIsShutDown(t *testing.T) {
	t.Parallel()
	r := serve(t, longGrace, sayHello)
	if _, err := get(r.urls[0]); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := <-r.result; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	wantClosed(t, r.listeners)
}

func TestServeWithEndedContext(t *testing.T) {
	t.Parallel()
	listeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	srv := listen.NewServer(http.HandlerFunc(sayHello), slog.New(slog.DiscardHandler))
	if err := listen.Serve(ctx, srv, listen.Shutdown{Grace: longGrace}, listeners...); err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	wantClosed(t, listeners)
}

func TestServeWithoutListener(t *testing.T) {
	t.Parallel()
	srv := listen.NewServer(http.HandlerFunc(sayHello), slog.New(slog.DiscardHandler))
	if err := listen.Serve(t.Context(), srv, listen.Shutdown{Grace: longGrace}); err == nil {
		t.Error("Serve without a listener returned no error")
	}
}

func TestServerLimits(t *testing.T) {
	t.Parallel()
	r := serve(t, longGrace, sayHello)
	if r.ReadHeaderTimeout != 10*time.Second || r.IdleTimeout != 2*time.Minute || r.MaxHeaderBytes != 64<<10 {
		t.Errorf("limits are %s, %s and %d, want 10s, 2m0s and 65536", r.ReadHeaderTimeout, r.IdleTimeout, r.MaxHeaderBytes)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.urls[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("x", 2*listen.MaxHeaderBytes))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status is %d for headers of 128 KiB, want 431", resp.StatusCode)
	}
}

func TestServerLogsConnectionsAtDebug(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	srv := listen.NewServer(nil, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	srv.ErrorLog.Print("TLS handshake error")
	if got := log.String(); !strings.Contains(got, "level=DEBUG") || !strings.Contains(got, "TLS handshake error") {
		t.Errorf("log is %q, want a line at Debug", got)
	}
}
