// Package testlog collects in a test what loggers and programs write. Only tests
// import it.
package testlog

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"testing"
)

// maxShown bounds what ShowOnFailure logs.
const maxShown = 40_000

// Buffer keeps everything that is written to it. The zero value is ready to use. It is
// safe for concurrent use.
type Buffer struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // closed by the next Write; nil while no one waits
}

// Write appends p. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written != nil {
		close(b.written)
		b.written = nil
	}
	return b.text.Write(p)
}

// String returns everything that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Reset discards everything that was written so far.
func (b *Buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Reset()
}

// Logger returns a logger that writes JSON lines to b, from level Info on.
func (b *Buffer) Logger() *slog.Logger { return slog.New(slog.NewJSONHandler(b, nil)) }

// Wait waits until b contains a match of pattern. It returns the match and its
// submatches, as [regexp.Regexp.FindStringSubmatch] does. If ctx ends first, the error
// names the pattern and wraps the cause of ctx.
func (b *Buffer) Wait(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	for {
		match, written := b.find(pattern)
		if match != nil {
			return match, nil
		}
		select {
		case <-written:
		case <-ctx.Done():
			// What was written last may have come together with the end of ctx.
			if match, _ := b.find(pattern); match != nil {
				return match, nil
			}
			return nil, fmt.Errorf("waiting for output that matches %q: %w", pattern, context.Cause(ctx))
		}
	}
}

// find returns the first match of pattern, or else a channel that the next Write closes.
func (b *Buffer) find(pattern *regexp.Regexp) (match []string, written <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if match := pattern.FindStringSubmatch(b.text.String()); match != nil {
		return match, nil
	}
	if b.written == nil {
		b.written = make(chan struct{})
	}
	return nil, b.written
}

// ShowOnFailure logs the end of b, under a name, if t fails.
func (b *Buffer) ShowOnFailure(t testing.TB, name string) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		text := b.String()
		if len(text) > maxShown {
			text = "…" + text[len(text)-maxShown:]
		}
		t.Logf("output of %s:\n%s", name, text)
	})
}
