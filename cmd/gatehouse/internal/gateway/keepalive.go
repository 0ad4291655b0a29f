package gateway

import (
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

const (
	// defaultKeepAlive is how long an event stream may be silent before its client gets a comment.
	// Proxies usually close a connection that has been silent for 30 seconds or a minute.
	defaultKeepAlive = 20 * time.Second
	// minKeepAlive and maxKeepAlive bound the setting. The guard itself sends a comment after 25
	// seconds in streams that have no end of their own.
	minKeepAlive = time.Second
	maxKeepAlive = 25 * time.Second

	// keepAliveComment is a comment of an event stream, which clients ignore (HTML Standard
	// §9.2.6).
	keepAliveComment = ": keep-alive\n\n"
)

// keepAliveFault returns the fault of an interval, or nil.
func keepAliveFault(interval time.Duration) error {
	if interval == 0 || interval >= minKeepAlive && interval <= maxKeepAlive {
		return nil
	}
	return &gatehouse.ConfigError{Field: "KeepAlive", Value: interval.String(), Problem: "is out of range",
		Fix: "use 1s to 25s, or remove it for the default of 20s"}
}

// keptAlive is the body of an event stream whose client gets a comment whenever the backend has
// sent nothing for the interval. The comments are written only between two events, and only while
// Read waits for the backend: the loop that copies the body to the client is then in Read, so it
// writes nothing itself.
type keptAlive struct {
	io.ReadCloser
	client   http.ResponseWriter
	interval time.Duration

	mu      sync.Mutex // is held while a comment is written
	timer   *time.Timer
	waiting bool   // whether Read waits for the backend
	sent    []byte // the last bytes that Read returned
}

// newKeptAlive returns body with comments to client.
func newKeptAlive(body io.ReadCloser, client http.ResponseWriter, interval time.Duration) *keptAlive {
	k := &keptAlive{ReadCloser: body, client: client, interval: interval, sent: make([]byte, 0, 2*maxTail)}
	k.timer = time.AfterFunc(interval, k.comment)
	return k
}

// Read implements [io.Reader].
func (k *keptAlive) Read(p []byte) (int, error) {
	k.setWaiting(true)
	n, err := k.ReadCloser.Read(p)
	k.setWaiting(false)
	k.sent = appendTail(k.sent, p[:n])
	return n, err
}

// setWaiting returns when no comment is being written. The interval begins when Read begins.
func (k *keptAlive) setWaiting(waiting bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = waiting
	if waiting {
		k.timer.Reset(k.interval)
	} else {
		k.timer.Stop()
	}
}

// comment writes a comment. It runs when the timer ends.
func (k *keptAlive) comment() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.waiting {
		return // the timer has ended at the moment at which Read returned
	}
	if endsEvent(k.sent) {
		k.client.Write([]byte(keepAliveComment))
		http.NewResponseController(k.client).Flush()
	}
	k.timer.Reset(k.interval)
}

// Close implements [io.Closer]. No comment is written afterwards.
func (k *keptAlive) Close() error {
	k.setWaiting(false)
	return k.ReadCloser.Close()
}

// canBeKeptAlive reports whether comments may be added to the answer: a comment would damage a
// compressed body, and one whose length was declared.
func canBeKeptAlive(resp *http.Response) bool {
	return resp.StatusCode == http.StatusOK && resp.ContentLength < 0 && resp.Header.Get("Content-Encoding") == ""
}
