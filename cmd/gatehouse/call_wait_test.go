package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
)

func TestCountdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		con := &console{stderr: &stderr, stderrIsTerminal: true}
		ctx, stop := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer stop()
		con.Countdown(ctx, "rain", time.Minute)
		con.Note("done")
		want := "\r\x1b[Kgatehouse: waiting for rain (1m0s left, Ctrl-C stops)" +
			"\r\x1b[Kgatehouse: waiting for rain (59s left, Ctrl-C stops)" +
			"\r\x1b[Kgatehouse: waiting for rain (58s left, Ctrl-C stops)" +
			"\r\x1b[Kgatehouse: done\n"
		if got := stderr.String(); got != want {
			t.Errorf("countdown = %q, want %q", got, want)
		}
	})
}

// TestReminder has no terminal: a countdown would fill a log.
func TestReminder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		con := &console{stderr: &stderr}
		ctx, stop := context.WithTimeout(t.Context(), 150*time.Second)
		defer stop()
		con.Countdown(ctx, "rain", 5*time.Minute)
		want := "gatehouse: waiting for rain, for at most 5m0s\n" +
			"gatehouse: still waiting for rain, 4m0s left\n" +
			"gatehouse: still waiting for rain, 3m0s left\n"
		if got := stderr.String(); got != want {
			t.Errorf("reminders = %q, want %q", got, want)
		}
	})
}

func TestWaitForRetry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		status     int // 0 for no answer
		retryAfter string
		want       bool
		wait       time.Duration
	}{
		{"control", 503, "3", true, 3 * time.Second},
		{"at once", 503, "0", true, 0},
		{"longest", 503, "10", true, 10 * time.Second},
		{"too long", 503, "11", false, 0},
		{"far too long", 503, "99999999999999999999", false, 0},
		{"date", 503, "Fri, 31 Dec 1999 23:59:59 GMT", false, 0},
		{"no Retry-After", 503, "", false, 0},
		{"other status", 500, "3", false, 0},
		{"no answer", 0, "", false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				con := &console{stderr: io.Discard}
				next := unavailable(test.status, test.retryAfter)
				c := &call{con: con, transport: trace.NewTransport(next, "http://localhost/mcp", con.Step)}
				if test.status != 0 {
					req := httptest.NewRequest(http.MethodPost, "http://localhost/mcp", nil)
					if _, err := c.transport.RoundTrip(req); err != nil {
						t.Fatal(err)
					}
				}
				start := time.Now()
				if got := c.waitForRetry(t.Context()); got != test.want {
					t.Errorf("waitForRetry = %v, want %v", got, test.want)
				}
				if waited := time.Since(start); waited != test.wait {
					t.Errorf("waited %s, want %s", waited, test.wait)
				}
			})
		})
	}
}

// unavailable returns a RoundTripper that answers with a status and Retry-After.
func unavailable(status int, retryAfter string) http.RoundTripper {
	return roundTripper(func(*http.Request) (*http.Response, error) {
		rec := httptest.NewRecorder()
		rec.Header().Set("Retry-After", retryAfter)
		rec.WriteHeader(status)
		return rec.Result(), nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestAnswerTimeoutIsSuspended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, timeout := withAnswerTimeout(t.Context(), time.Minute)
		defer timeout.stop()
		time.Sleep(59 * time.Second)
		resume := timeout.suspend()
		time.Sleep(time.Hour)
		resume()
		time.Sleep(59 * time.Second)
		if err := ctx.Err(); err != nil {
			t.Errorf("before its limit: %v", err)
		}
		time.Sleep(2 * time.Second)
		if err := context.Cause(ctx); !errors.Is(err, errNoAnswer) {
			t.Errorf("after its limit: %v, want %v", err, errNoAnswer)
		}
	})
}
