package testlog_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

func TestWaitReturnsWhatWasWrittenBefore(t *testing.T) {
	var b testlog.Buffer
	fmt.Fprintln(&b, "listening on port 3000")
	match, err := b.Wait(t.Context(), regexp.MustCompile(`port (\d+)`))
	if want := []string{"port 3000", "3000"}; err != nil || !slices.Equal(match, want) {
		t.Errorf("Wait = %q, %v, want %q", match, err, want)
	}
}

func TestWaitSeesWhatIsWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b testlog.Buffer
		go func() {
			for _, text := range []string{"listening on po", "rt 30", "00\n"} {
				time.Sleep(time.Minute)
				b.Write([]byte(text))
			}
		}()
		start := time.Now()
		match, err := b.Wait(t.Context(), regexp.MustCompile(`(?m)port (\d+)$`))
		if want := []string{"port 30", "30"}; err != nil || !slices.Equal(match, want) {
			t.Errorf("Wait = %q, %v, want %q", match, err, want)
		}
		if waited := time.Since(start); waited != 2*time.Minute {
			t.Errorf("waited %s, want 2m0s: the time of the write that completes the match", waited)
		}
		synctest.Wait()
		time.Sleep(time.Minute)
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	var b testlog.Buffer
	ctx, cancel := context.WithCancelCause(t.Context())
	wantCause := errors.New("the program ended")
	cancel(wantCause)
	_, err := b.Wait(ctx, regexp.MustCompile(`port`))
	if !errors.Is(err, wantCause) || !strings.Contains(err.Error(), `"port"`) {
		t.Errorf("Wait = %v, want an error that names the pattern and wraps %q", err, wantCause)
	}
}

func TestLoggerWritesJSON(t *testing.T) {
	var b testlog.Buffer
	b.Logger().Info("serving", "port", 3000)
	if got := b.String(); !strings.Contains(got, `"msg":"serving","port":3000}`) {
		t.Errorf("got %q, want one JSON line", got)
	}
	b.Reset()
	if got := b.String(); got != "" {
		t.Errorf("after Reset: got %q, want nothing", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	var (
		b       testlog.Buffer
		writers sync.WaitGroup
	)
	for n := range 8 {
		writers.Go(func() { b.Logger().Info("line", "n", n) })
	}
	for n := range 8 {
		if _, err := b.Wait(t.Context(), regexp.MustCompile(fmt.Sprintf(`"n":%d\b`, n))); err != nil {
			t.Error(err)
		}
	}
	writers.Wait()
}
