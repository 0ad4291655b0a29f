package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPersonHasTheirTime waits at a door that nobody comes to.
func TestPersonHasTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		con := &console{stderr: &stderr, browse: func(string) error { return nil }}
		s := &signIn{con: con, options: signInOptions{timeout: 5 * time.Minute}}
		start := time.Now()
		_, err := s.askPerson(t.Context(), "https://issuer.example.com/authorize", newDoor("127.0.0.1:1"))
		wantErr(t, err, "nobody signed in within 5m0s")
		if waited := time.Since(start); waited != 5*time.Minute {
			t.Errorf("waited %s, want 5m0s", waited)
		}
		if n := strings.Count(stderr.String(), "waiting for the sign-in in the browser, for at most 5m0s"); n != 1 {
			t.Errorf("said %d times that it waits, want once:\n%s", n, stderr.String())
		}
	})
}

func TestCountdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		con := &console{stderr: &stderr, stderrSeen: true}
		ctx, stop := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer stop()
		con.countdown(ctx, "rain", time.Minute)
		con.note("done")
		want := "\r\x1b[Kgatehouse: waiting for rain (1m0s left, Ctrl-C stops)" +
			"\r\x1b[Kgatehouse: waiting for rain (59s left, Ctrl-C stops)" +
			"\r\x1b[Kgatehouse: waiting for rain (58s left, Ctrl-C stops)" +
			"\r\x1b[Kgatehouse: done\n"
		if got := stderr.String(); got != want {
			t.Errorf("countdown = %q, want %q", got, want)
		}
	})
}

func TestWaitItOut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		last *answer
		want bool
		wait time.Duration
	}{
		{"control", &answer{status: 503, retryAfter: "3"}, true, 3 * time.Second},
		{"at once", &answer{status: 503, retryAfter: "0"}, true, 0},
		{"longest", &answer{status: 503, retryAfter: "10"}, true, 10 * time.Second},
		{"too long", &answer{status: 503, retryAfter: "11"}, false, 0},
		{"far too long", &answer{status: 503, retryAfter: "99999999999999999999"}, false, 0},
		{"date", &answer{status: 503, retryAfter: "Fri, 31 Dec 1999 23:59:59 GMT"}, false, 0},
		{"not told", &answer{status: 503}, false, 0},
		{"other status", &answer{status: 500, retryAfter: "3"}, false, 0},
		{"no answer", nil, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &call{con: &console{stderr: new(bytes.Buffer)}, traffic: &traffic{last: test.last}}
				start := time.Now()
				if got := c.waitItOut(t.Context()); got != test.want {
					t.Errorf("waitItOut = %v, want %v", got, test.want)
				}
				if waited := time.Since(start); waited != test.wait {
					t.Errorf("waited %s, want %s", waited, test.wait)
				}
			})
		})
	}
}

func TestClockStandsStillForAPerson(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, clock := startClock(t.Context(), time.Minute)
		defer clock.stop()
		time.Sleep(59 * time.Second)
		resume := clock.pause()
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
