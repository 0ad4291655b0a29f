package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	maxWaiters    = 10_000      // callers that wait for one fetch
	maxBackoff    = time.Minute // between background fetches while the issuer is unavailable
	maxDoublings  = 10          // of MinInterval, before maxBackoff applies
	minRetryAfter = time.Second // of an UnavailableError, even if a fetch may begin at once
)

// runningFetch is a fetch that has not ended.
type runningFetch struct {
	number    uint64
	startedAt time.Time
	waiters   int // guarded by Document.mu

	done chan struct{}
	copy Copy  // set before done is closed
	err  error // nil or an *UnavailableError; set before done is closed
}

// start loads the saved copy and begins the first fetch. It does so once.
func (d *Document) start() {
	d.firstUse.Do(func() {
		d.loadSaved()
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.closed {
			d.beginFetch()
		}
	})
}

// newerOrRunning returns a copy newer than after, or a fetch to wait for.
func (d *Document) newerOrRunning(after uint64) (*Copy, *runningFetch, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.current.Load(); c != nil && c.Sequence > after && time.Now().Before(c.Expires) {
		return c, nil, nil
	}
	if d.closed {
		return nil, nil, &UnavailableError{minRetryAfter, errClosed}
	}
	if d.running == nil {
		if wait := time.Until(d.nextAllowed); wait > 0 {
			return nil, nil, &UnavailableError{wait, d.waitReason()}
		}
		d.beginFetch()
	}
	if d.running.waiters == maxWaiters {
		return nil, nil, &UnavailableError{minRetryAfter, errBusy}
	}
	d.running.waiters++
	return nil, d.running, nil
}

func (d *Document) waitReason() error {
	if d.lastErr != nil {
		return d.lastErr
	}
	return ErrTooSoon
}

// abandoned returns the error of a caller whose ctx ended before the fetch did.
func (d *Document) abandoned(ctx context.Context) error {
	return &UnavailableError{minRetryAfter, fmt.Errorf("waiting for %q: %w", d.cfg.URL, context.Cause(ctx))}
}

// beginFetch begins a fetch in the background. The caller holds d.mu, and no fetch is
// running.
func (d *Document) beginFetch() {
	if d.timer != nil {
		d.timer.Stop()
	}
	f := &runningFetch{number: d.started.Add(1), startedAt: time.Now(), done: make(chan struct{})}
	d.running = f
	d.goroutines.Go(func() { d.runFetch(f) })
}

func (d *Document) runFetch(f *runningFetch) {
	c, refreshAfter, err := d.fetch(f.startedAt)
	if err == nil {
		c.Sequence = f.number
		err = d.accept(c)
	}
	d.fetched(f, err)
	if err != nil {
		d.fail(f, err)
		return
	}
	d.succeed(f, c, refreshAfter)
	if err := d.file.save(c); err != nil {
		d.log.Warn("saving the document failed", "file", d.cfg.File, "error", err)
	}
}

func (d *Document) fetched(f *runningFetch, err *FetchError) {
	if d.cfg.Fetched == nil {
		return
	}
	out := Fetch{Duration: time.Since(f.startedAt)}
	if err != nil {
		out.Error = err.Class
	}
	d.cfg.Fetched(out)
}

func (d *Document) accept(c Copy) *FetchError {
	if d.cfg.Accept == nil {
		return nil
	}
	if err := d.cfg.Accept(c); err != nil {
		return &FetchError{Class: Rejected, URL: d.cfg.URL, Err: err}
	}
	return nil
}

func (d *Document) succeed(f *runningFetch, c Copy, refreshAfter time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failuresInSeries > 0 {
		d.log.Info("document is available again", "failures", d.failuresInSeries)
	}
	d.current.Store(&c)
	d.absent.Store(false)
	d.lastErr, d.failuresInSeries = nil, 0
	d.endFetch(f, d.cfg.MinInterval, refreshAfter)
	f.copy = c
	close(f.done)
}

func (d *Document) fail(f *runningFetch, err *FetchError) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.absent.Store(err.Class == NotFound) // before logFailure reads that of the other document
	d.logFailure(err)
	d.lastErr = err
	d.failuresInSeries++
	d.failures++
	backoff := min(d.cfg.MinInterval<<min(d.failuresInSeries-1, maxDoublings), max(d.cfg.MinInterval, maxBackoff))
	d.endFetch(f, max(d.cfg.MinInterval, err.RetryAfter), backoff)
	f.err = &UnavailableError{max(time.Until(d.nextAllowed), minRetryAfter), err}
	close(f.done)
}

// logFailure logs at Warn when the failure class changes. It logs at Debug otherwise, if the
// error says that it is logged already, or if the issuer need not have the document.
func (d *Document) logFailure(err *FetchError) {
	var logged interface{ Logged() bool }
	level := slog.LevelWarn
	switch {
	case d.lastErr != nil && d.lastErr.Class == err.Class,
		errors.As(err.Err, &logged) && logged.Logged(),
		err.Class == NotFound && d.cfg.Other != nil && !d.cfg.Other().absent.Load():
		level = slog.LevelDebug
	}
	attrs := []any{"class", err.Class, "error", err}
	if hint := err.hint(); hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	d.log.Log(d.ctx, level, "document is unavailable", attrs...)
}

// endFetch ends f. The next fetch may begin once interval has passed since f began,
// and begins by itself after delay. The caller holds d.mu.
func (d *Document) endFetch(f *runningFetch, interval, delay time.Duration) {
	d.running = nil
	d.nextAllowed = f.startedAt.Add(interval)
	d.scheduleRefresh(jitter(delay))
}

func (d *Document) scheduleRefresh(delay time.Duration) {
	if !d.closed {
		d.timer = time.AfterFunc(delay, d.refresh)
	}
}

// refresh begins a fetch in the background, or postpones it until one is allowed.
func (d *Document) refresh() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.running != nil {
		return
	}
	if wait := time.Until(d.nextAllowed); wait > 0 {
		d.scheduleRefresh(wait)
		return
	}
	d.beginFetch()
}

// jitter changes delay by up to a tenth, so that many processes do not fetch at the
// same time.
func jitter(delay time.Duration) time.Duration {
	return delay - delay/10 + rand.N(delay/5+1)
}

// loadSaved serves the copy that an earlier process saved, until the first fetch ends.
func (d *Document) loadSaved() {
	c, err := d.file.load()
	if err == nil {
		c.Expires = c.FetchedAt.Add(d.cfg.HardTTL)
		c.Sequence = d.started.Load() + 1
		err = d.checkSaved(c)
	}
	switch {
	case errors.Is(err, errNoFile):
	case err != nil:
		d.log.Warn("ignoring the saved document", "file", d.cfg.File, "error", err)
	default:
		d.mu.Lock()
		defer d.mu.Unlock()
		d.loaded = true
		d.started.Add(1)
		d.current.Store(&c)
		d.log.Info("loaded the saved document", "file", d.cfg.File, "age", time.Since(c.FetchedAt).Round(time.Second))
	}
}

// checkSaved applies to a saved copy the rules for a fetched one, and checks its age.
func (d *Document) checkSaved(c Copy) error {
	age := time.Since(c.FetchedAt)
	switch {
	case age < -maxClockStep:
		return fmt.Errorf("copy is dated %s, in the future", c.FetchedAt.Format(time.RFC3339))
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
