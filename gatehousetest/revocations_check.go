package gatehousetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// checkTimeout bounds one wait of [CheckRevocationStore].
const checkTimeout = 30 * time.Second

// CheckRevocationStore tests an implementation of [gatehouse.RevocationStore]. open returns a
// store whose log is empty, each time another one. It takes some seconds, because it waits for
// denials to end.
func CheckRevocationStore(t *testing.T, open func(t *testing.T) gatehouse.RevocationStore) {
	for name, check := range map[string]func(*testing.T, *storeCheck){
		"Snapshot":                checkSnapshot,
		"Ended":                   checkEnded,
		"Watch":                   checkWatch,
		"WatchResumes":            checkWatchResumes,
		"WatchEndsWithItsContext": checkWatchEnds,
		"UnknownPosition":         checkUnknownPosition,
		"ConcurrentAppends":       checkConcurrentAppends,
		"TenThousandDenials":      checkMany,
	} {
		t.Run(name, func(t *testing.T) {
			check(t, &storeCheck{store: open(t), until: time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()})
		})
	}
}

type storeCheck struct {
	store gatehouse.RevocationStore
	until time.Time
}

func (c *storeCheck) denial(subject string) gatehouse.Denial {
	return gatehouse.Denial{Subject: subject, Until: c.until}
}

func (c *storeCheck) append(t *testing.T, denials ...gatehouse.Denial) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
	defer cancel()
	if err := c.store.Append(ctx, denials); err != nil {
		t.Fatalf("Append = %v", err)
	}
}

func (c *storeCheck) snapshot(t *testing.T) ([]gatehouse.Denial, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
	defer cancel()
	denials, position, err := c.store.Snapshot(ctx)
	if err != nil || position == "" {
		t.Fatalf("Snapshot = position %q, error %v; want a position", position, err)
	}
	return denials, position
}

// watched is one call of receive.
type watched struct {
	denials  []gatehouse.Denial
	position string
}

// watch starts a watch. stop ends it and returns its error.
func (c *storeCheck) watch(t *testing.T, position string) (calls <-chan watched, stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	received, ended := make(chan watched, 100_000), make(chan error, 1)
	go func() {
		ended <- c.store.Watch(ctx, position, func(denials []gatehouse.Denial, position string) {
			received <- watched{denials, position}
		})
	}()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(checkTimeout):
			return errors.New("the watch did not return after its context ended")
		}
	})
	t.Cleanup(func() { stop() })
	return received, stop
}

// await returns the subjects that arrive until there are n, and the last position.
func await(t *testing.T, calls <-chan watched, n int) (subjects []string, position string) {
	t.Helper()
	timeout := time.After(checkTimeout)
	for len(subjects) < n {
		select {
		case call := <-calls:
			for _, d := range call.denials {
				subjects = append(subjects, d.Subject)
			}
			position = call.position
		case <-timeout:
			t.Fatalf("after %s, %d of %d denials have arrived: %.200q", checkTimeout, len(subjects), n, subjects)
		}
	}
	return subjects, position
}

func checkSnapshot(t *testing.T, c *storeCheck) {
	if denials, _ := c.snapshot(t); len(denials) != 0 {
		t.Fatalf("the log is not empty at the beginning: %d denials", len(denials))
	}
	want := []gatehouse.Denial{
		c.denial("user_1"),
		{
			Issuer:       "https://issuer.example",
			TokenID:      "token_1",
			SessionID:    "session_1",
			Subject:      "user_2",
			ClientID:     "client_1",
			Organization: "org_1",
			IssuedBefore: c.until.Add(-2*time.Hour + time.Millisecond),
			Until:        c.until.Add(time.Millisecond),
		},
		c.denial("ada \"quoted\" \\ ' ; \n \x01 \u2028 größe 日本"),
		c.denial(strings.Repeat("x", 1024)),
		{ClientID: "far", Until: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
	}
	c.append(t, want[0])
	c.append(t, want[1:]...)
	c.append(t, want[0]) // again
	got, _ := c.snapshot(t)
	for _, d := range want {
		if !slices.Contains(got, d) {
			t.Errorf("the snapshot lacks %+v; it has %+v", d, got)
		}
	}
	for _, d := range got {
		if !slices.Contains(want, d) {
			t.Errorf("the snapshot has %+v, which was not appended", d)
		}
	}
}

func checkEnded(t *testing.T, c *storeCheck) {
	short := gatehouse.Denial{Subject: "short", Until: time.Now().Add(1500 * time.Millisecond).Truncate(time.Millisecond).UTC()}
	c.append(t, short, c.denial("long"))
	if got, _ := c.snapshot(t); !slices.Contains(got, c.denial("long")) {
		t.Fatalf("the snapshot is %+v", got)
	}
	time.Sleep(time.Until(short.Until) + time.Second)
	if got, _ := c.snapshot(t); slices.Contains(got, short) || !slices.Contains(got, c.denial("long")) {
		t.Errorf("after the end of one, the snapshot is %+v, want the other one", got)
	}
}

func checkWatch(t *testing.T, c *storeCheck) {
	c.append(t, c.denial("before"))
	_, position := c.snapshot(t)
	calls, _ := c.watch(t, position)
	select {
	case call := <-calls:
		if len(call.denials) != 0 {
			t.Fatalf("the first call has %+v, want no denials", call.denials)
		}
	case <-time.After(checkTimeout):
		t.Fatal("no call without denials arrived")
	}
	for i := range 20 {
		c.append(t, c.denial(fmt.Sprint("user_", i)))
	}
	subjects, _ := await(t, calls, 20)
	for i, subject := range subjects {
		if want := fmt.Sprint("user_", i); subject != want {
			t.Fatalf("denial %d is of %q, want %q", i, subject, want)
		}
	}
}

func checkWatchResumes(t *testing.T, c *storeCheck) {
	_, position := c.snapshot(t)
	calls, stop := c.watch(t, position)
	c.append(t, c.denial("first"))
	_, position = await(t, calls, 1)
	stop()
	c.append(t, c.denial("second"), c.denial("third"))
	calls, _ = c.watch(t, position)
	if got, _ := await(t, calls, 2); !slices.Equal(got, []string{"second", "third"}) {
		t.Errorf("after the position of the first, %q arrived", got)
	}
}

func checkWatchEnds(t *testing.T, c *storeCheck) {
	_, position := c.snapshot(t)
	calls, stop := c.watch(t, position)
	<-calls
	if err := stop(); err == nil || errors.Is(err, gatehouse.ErrPositionLost) {
		t.Errorf("Watch = %v after its context ended, want an error of that", err)
	}
}

func checkUnknownPosition(t *testing.T, c *storeCheck) {
	c.append(t, c.denial("user_1"))
	for _, position := range []string{"no position of this store", ""} {
		ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
		err := c.store.Watch(ctx, position, func([]gatehouse.Denial, string) {})
		cancel()
		if !errors.Is(err, gatehouse.ErrPositionLost) {
			t.Errorf("Watch from the position %q = %v, want ErrPositionLost", position, err)
		}
	}
}

// checkConcurrentAppends checks that no denial is lost when several are appended at once: what
// is appended first need not be visible first.
func checkConcurrentAppends(t *testing.T, c *storeCheck) {
	const writers, each = 8, 25
	_, position := c.snapshot(t)
	calls, _ := c.watch(t, position)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
				if err := c.store.Append(ctx, []gatehouse.Denial{c.denial(fmt.Sprint(w, "/", i))}); err != nil {
					t.Errorf("Append = %v", err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	subjects, _ := await(t, calls, writers*each)
	slices.Sort(subjects)
	if got := len(slices.Compact(subjects)); got != writers*each {
		t.Errorf("%d different denials arrived, want %d", got, writers*each)
	}
}

func checkMany(t *testing.T, c *storeCheck) {
	const batches, each = 20, 500
	for b := range batches {
		var batch []gatehouse.Denial
		for i := range each {
			batch = append(batch, c.denial(fmt.Sprint("user_", b, "_", i)))
		}
		c.append(t, batch...)
	}
	start := time.Now()
	got, position := c.snapshot(t)
	t.Logf("the snapshot of %d denials took %s", len(got), time.Since(start).Round(time.Millisecond))
	if len(got) != batches*each {
		t.Errorf("the snapshot has %d denials, want %d", len(got), batches*each)
	}
	calls, _ := c.watch(t, position)
	c.append(t, c.denial("last"))
	if subjects, _ := await(t, calls, 1); subjects[0] != "last" {
		t.Errorf("%q arrived after the snapshot, want the last one", subjects)
	}
}
