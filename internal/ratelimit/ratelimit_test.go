package ratelimit_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/ratelimit"
)

// model is a token bucket as it is usually described, in units of Every.
type model struct {
	left  int64 // of Burst * every nanoseconds
	after time.Duration
}

// TestTakeIsATokenBucket compares Take with the model, at random times and with random numbers.
func TestTakeIsATokenBucket(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		rate := ratelimit.Rate{Every: time.Duration(1 + random.IntN(1000)), Burst: 1 + random.IntN(20)}
		every, whole := int64(rate.Every), int64(rate.Every)*int64(rate.Burst)
		var b ratelimit.Bucket
		m := model{left: whole}
		start := time.Now()
		for range 2000 {
			step := time.Duration(random.IntN(int(3 * rate.Every)))
			m.after += step
			m.left = min(m.left+int64(step), whole)
			n := random.IntN(rate.Burst+3) - 1
			need := every * int64(min(n, rate.Burst))
			var want time.Duration
			switch {
			case need > m.left:
				want = time.Duration(need - m.left)
			default:
				m.left = min(m.left-need, whole)
			}
			if got := b.Take(start.Add(m.after), n, rate); got != want {
				t.Fatalf("seed %d, rate %+v, take %d: got wait %d, want %d", seed, rate, n, got, want)
			}
		}
	}
}

// TestClockJumps checks that a clock that is set does not keep a caller out for longer than an
// empty budget does.
func TestClockJumps(t *testing.T) {
	rate := ratelimit.Rate{Every: time.Second, Burst: 3}
	now := time.Unix(1_800_000_000, 0)
	var b ratelimit.Bucket
	for range 3 {
		if wait := b.Take(now, 1, rate); wait != 0 {
			t.Fatalf("control: wait %s", wait)
		}
	}
	if wait := b.Take(now, 1, rate); wait != time.Second {
		t.Fatalf("an empty budget: wait %s, want 1s", wait)
	}
	back := now.Add(-24 * time.Hour)
	if wait := b.Take(back, 1, rate); wait != time.Second {
		t.Errorf("a clock that went back a day: wait %s, want 1s", wait)
	}
	if wait := b.Take(back.Add(time.Second), 1, rate); wait != 0 {
		t.Errorf("a second later: wait %s, want 0", wait)
	}
	if wait := b.Take(now.Add(24*time.Hour), 3, rate); wait != 0 {
		t.Errorf("a clock that went on for a day: wait %s, want 0", wait)
	}
}

func TestBlock(t *testing.T) {
	rate := ratelimit.Rate{Every: time.Second, Burst: 5}
	now := time.Unix(1_800_000_000, 0)
	var b ratelimit.Bucket
	b.Block(now, 1, 300*time.Millisecond, rate)
	if wait := b.Take(now, 1, rate); wait != 300*time.Millisecond {
		t.Errorf("wait %s, want 300ms", wait)
	}
	if wait := b.Take(now.Add(300*time.Millisecond), 1, rate); wait != 0 {
		t.Errorf("after the wait: %s, want 0", wait)
	}
	b.Block(now, 1, time.Hour, rate)
	if wait := b.Take(now, 1, rate); wait != time.Second {
		t.Errorf("a wait of an hour is %s, want no more than one interval", wait)
	}
	// 4 cannot be taken for a second, so 3 can.
	b.Block(now, 4, time.Second, rate)
	for i, want := range []time.Duration{0, 0, 0, time.Second} {
		if wait := b.Take(now, 1, rate); wait != want {
			t.Errorf("take %d after a batch of 4 was rejected: wait %s, want %s", i, wait, want)
		}
	}
}
