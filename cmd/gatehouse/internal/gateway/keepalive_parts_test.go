package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// copied is a stream that is copied to a client, as the reverse proxy does it.
type copied struct {
	client *lockedRecorder
	source *io.PipeWriter
	body   *keptAlive
	done   chan struct{}
}

// newCopied must be called in a bubble. The interval of comments is ten seconds.
func newCopied() *copied {
	reader, writer := io.Pipe()
	c := &copied{client: &lockedRecorder{ResponseRecorder: httptest.NewRecorder()}, source: writer, done: make(chan struct{})}
	c.body = newKeptAlive(reader, c.client, 10*time.Second)
	go func() {
		defer close(c.done)
		io.Copy(writerOnly{c.client}, c.body)
		c.body.Close()
	}()
	return c
}

type writerOnly struct{ io.Writer }

// lockedRecorder records what a client gets.
type lockedRecorder struct {
	*httptest.ResponseRecorder
	mu sync.Mutex
}

func (r *lockedRecorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ResponseRecorder.Write(p)
}

// take returns what was written since the last call.
func (r *lockedRecorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.Body.String()
	r.Body.Reset()
	return got
}

// wait lets time pass and returns what the client got in it.
func (c *copied) wait(d time.Duration) string {
	time.Sleep(d)
	synctest.Wait()
	return c.client.take()
}

// A silent stream gets a comment after each interval, and none within an event.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCopied()
		for _, step := range []struct {
			send string
			wait time.Duration
			want string
		}{
			{"", 9 * time.Second, ""},
			{"", 2 * time.Second, keepAliveComment},
			{"", 20 * time.Second, keepAliveComment + keepAliveComment},
			{"data: 1\n\n", 9 * time.Second, "data: 1\n\n"}, // data begins the interval again
			{"data: 2\n\n", 9 * time.Second, "data: 2\n\n"},
			{"", time.Second, keepAliveComment},
			{"data: 3", time.Minute, "data: 3"},
			{"\n", time.Minute, "\n"},
			{"\n", 10 * time.Second, "\n" + keepAliveComment},
			{"data: 4\r\n\r", time.Minute, "data: 4\r\n\r"},
			{"\n", 10 * time.Second, "\n" + keepAliveComment},
			{"data: 5\r\r", 10 * time.Second, "data: 5\r\r" + keepAliveComment},
		} {
			if step.send != "" {
				io.WriteString(c.source, step.send)
			}
			if got := c.wait(step.wait); got != step.want {
				t.Fatalf("after %q and %s the client got %q, want %q", step.send, step.wait, got, step.want)
			}
		}
		if !c.client.Flushed {
			t.Error("the comments were not flushed")
		}
		c.source.Close()
		<-c.done
		if got := c.wait(time.Minute); got != "" {
			t.Errorf("the client got %q after the end of the stream, want nothing", got)
		}
	})
}

// Events that are read in several parts, with small buffers, are never broken.
func TestKeepAliveTail(t *testing.T) {
	for _, test := range []struct {
		parts []string
		want  bool
	}{
		{nil, true}, {[]string{"data: x\n\n"}, true}, {[]string{"data: x\n", "\n"}, true}, {[]string{"d", "\n", "\n"}, true},
		{[]string{"d\r", "\n\r", "\n"}, true}, {[]string{"d\r", "\r"}, true}, {[]string{"data: x\n"}, false}, {[]string{"\n\n", "d"}, false},
		{[]string{"\r\n\r"}, false}, {[]string{"\n\n\n\n", "data: long\n"}, false}, {[]string{": comment\n"}, false},
	} {
		var tail []byte
		for _, part := range test.parts {
			tail = appendTail(tail, []byte(part))
		}
		if got := endsEvent(tail); got != test.want {
			t.Errorf("%q: an event has ended: %v, want %v", test.parts, got, test.want)
		}
	}
}

func TestKeepAliveFaults(t *testing.T) {
	for interval, valid := range map[time.Duration]bool{
		0: true, time.Second: true, 25 * time.Second: true, -time.Second: false, time.Second - 1: false, 25*time.Second + 1: false,
	} {
		err := keepAliveFault(interval)
		var fault *gatehouse.ConfigError
		if (err == nil) != valid || err != nil && (!errors.As(err, &fault) || fault.Field != "KeepAlive") {
			t.Errorf("%s: got %v, want valid: %v", interval, err, valid)
		}
	}
}

// Only event streams whose text can be extended get comments.
func TestKeptAliveAnswers(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*http.Response)
		want   bool
	}{
		{"an event stream", func(*http.Response) {}, true},
		{"an event stream with a parameter", func(r *http.Response) { r.Header.Set("Content-Type", "Text/Event-Stream; charset=utf-8") }, true},
		{"JSON", func(r *http.Response) { r.Header.Set("Content-Type", "application/json") }, false},
		{"without a type", func(r *http.Response) { r.Header.Del("Content-Type") }, false},
		{"compressed", func(r *http.Response) { r.Header.Set("Content-Encoding", "br") }, false},
		{"of a declared length", func(r *http.Response) { r.ContentLength = 10 }, false},
		{"an error", func(r *http.Response) { r.StatusCode = http.StatusNotFound }, false},
	} {
		x := &exchange{client: httptest.NewRecorder()}
		req := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		x.request = req
		resp := &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Body: io.NopCloser(strings.NewReader("")),
			Header:  http.Header{"Content-Type": {"text/event-stream"}},
			Request: req.WithContext(context.WithValue(req.Context(), exchangeKey{}, x))}
		test.change(resp)
		e := &endpoint{config: Endpoint{KeepAlive: time.Hour}}
		if err := e.modifyResponse(resp); err != nil {
			t.Fatal(err)
		}
		if _, got := resp.Body.(*keptAlive); got != test.want {
			t.Errorf("%s: gets comments: %v, want %v", test.name, got, test.want)
		}
		resp.Body.Close()
	}
}
