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
