package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	maxWaiters      = 10_000      // callers of one fetch
	maxBackoff      = time.Minute // between background fetches while the issuer is away
	maxDoublings    = 10          // of MinInterval, on the way to maxBackoff
	leastRetryAfter = time.Second // told to callers when a fetch may begin at once
)

// flight is one fetch under way.
type flight struct {
	number  uint64
	begun   time.Time
	waiters int // guarded by Document.mu

	done chan struct{}
	copy Copy  // set before done is closed
	err  error // nil or *UnavailableError; set before done is closed
}

// open reads the kept file and begins the first fetch.
func (d *Document) open() {
	d.opened.Do(func() {
		d.load()
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.closed {
			d.begin()
		}
	})
}

// newerOrJoin returns a copy newer than after, or a flight to wait for.
func (d *Document) newerOrJoin(after uint64) (*Copy, *flight, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.current.Load(); c != nil && c.Sequence > after && time.Now().Before(c.Expires) {
		return c, nil, nil
	}
	if d.closed {
		return nil, nil, &UnavailableError{leastRetryAfter, errClosed}
	}
	if d.flight == nil {
		if wait := time.Until(d.next); wait > 0 {
			return nil, nil, &UnavailableError{wait, d.whyWait()}
		}
		d.begin()
	}
	if d.flight.waiters == maxWaiters {
		return nil, nil, &UnavailableError{leastRetryAfter, errBusy}
	}
	d.flight.waiters++
	return nil, d.flight, nil
}

func (d *Document) whyWait() error {
	if d.lastErr != nil {
		return d.lastErr
	}
	return ErrTooSoon
}

// abandoned is the error of a caller whose ctx ended before the fetch did.
func (d *Document) abandoned(ctx context.Context) error {
	return &UnavailableError{leastRetryAfter, fmt.Errorf("waiting for %q: %w", d.cfg.URL, context.Cause(ctx))}
}

// begin starts a flight. The caller holds d.mu and has seen that there is none.
func (d *Document) begin() {
	if d.timer != nil {
		d.timer.Stop()
	}
	f := &flight{number: d.started.Add(1), begun: time.Now(), done: make(chan struct{})}
	d.flight = f
	d.work.Go(func() { d.run(f) })
}

func (d *Document) run(f *flight) {
	c, freshFor, err := d.fetch(f.begun)
	if err == nil {
		c.Sequence = f.number
		err = d.accept(c)
	}
	if err != nil {
		d.fail(f, err)
		return
	}
	d.succeed(f, c, freshFor)
	if err := d.file.save(c); err != nil {
		d.log.Warn("copy not kept on disk", "file", d.cfg.File, "error", err)
	}
}

func (d *Document) accept(c Copy) *FetchError {
	if d.cfg.Accept == nil {
		return nil
	}
	if err := d.cfg.Accept(c); err != nil {
		return &FetchError{Class: Refused, URL: d.cfg.URL, Err: err}
	}
	return nil
}

func (d *Document) succeed(f *flight, c Copy, freshFor time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.streak > 0 {
		d.log.Info("document is back in reach", "failures", d.streak)
	}
	d.current.Store(&c)
	d.lastErr, d.streak = nil, 0
	d.land(f, d.cfg.MinInterval, freshFor)
	f.copy = c
	close(f.done)
}

func (d *Document) fail(f *flight, err *FetchError) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.logFailure(err)
	d.lastErr = err
	d.streak++
	d.failures++
	backoff := min(d.cfg.MinInterval<<min(d.streak-1, maxDoublings), max(d.cfg.MinInterval, maxBackoff))
	d.land(f, max(d.cfg.MinInterval, err.RetryAfter), backoff)
	f.err = &UnavailableError{max(time.Until(d.next), leastRetryAfter), err}
	close(f.done)
}

// logFailure speaks up when the trouble begins or changes, not at each retry.
func (d *Document) logFailure(err *FetchError) {
	level := d.log.Debug
	if d.lastErr == nil || d.lastErr.Class != err.Class {
		level = d.log.Warn
	}
	level("document is out of reach", "class", err.Class, "error", err)
}

// land ends the flight: no other begins before the interval has passed since
// its beginning, and one begins on its own after the delay.
func (d *Document) land(f *flight, interval, delay time.Duration) {
	d.flight = nil
	d.next = f.begun.Add(interval)
	d.arm(jitter(delay))
}

func (d *Document) arm(delay time.Duration) {
	if !d.closed {
		d.timer = time.AfterFunc(delay, d.refresh)
	}
}

// refresh begins the fetch that nobody asked for.
func (d *Document) refresh() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.flight != nil {
		return
	}
	if wait := time.Until(d.next); wait > 0 {
		d.arm(wait)
		return
	}
	d.begin()
}

// jitter moves t by up to a tenth, so that many processes do not ask at once.
func jitter(t time.Duration) time.Duration {
	return t - t/10 + rand.N(t/5+1)
}

// load serves the copy that the last run kept, until the first fetch ends.
func (d *Document) load() {
	c, err := d.file.load()
	if err == nil {
		c.Expires = c.FetchedAt.Add(d.cfg.HardTTL)
		c.Sequence = d.started.Load() + 1
		err = d.admit(c)
	}
	switch {
	case errors.Is(err, errNoFile):
	case err != nil:
		d.log.Warn("copy on disk refused", "file", d.cfg.File, "error", err)
	default:
		d.mu.Lock()
		defer d.mu.Unlock()
		d.file.loaded = true
		d.started.Add(1)
		d.current.Store(&c)
		d.log.Info("copy on disk loaded", "file", d.cfg.File, "age", time.Since(c.FetchedAt).Round(time.Second))
	}
}

// admit holds a copy from disk to the same rules as one from the network.
func (d *Document) admit(c Copy) error {
	age := time.Since(c.FetchedAt)
	switch {
	case age < -maxClockStep:
		return fmt.Errorf("copy is from the future: %s", c.FetchedAt.Format(time.RFC3339))
	case age >= d.cfg.HardTTL:
		return fmt.Errorf("copy is %s old, want less than %s", age.Round(time.Second), d.cfg.HardTTL)
	}
	if err := checkObject(c.Body); err != nil {
		return err
	}
	if err := d.accept(c); err != nil {
		return err.Err
	}
	return nil
}
