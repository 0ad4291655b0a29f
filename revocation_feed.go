package gatehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

const (
	// maxSharedDenials bounds what the table takes from the store. It is more than maxDenials,
	// at which [Guard.Deny] stops, because several processes may append at once.
	maxSharedDenials = 2 * maxDenials
	// appendBatch bounds the denials of one call of Append.
	appendBatch = 500

	// snapshotTimeout and appendTimeout bound one attempt.
	snapshotTimeout = 10 * time.Second
	appendTimeout   = 5 * time.Second
	// silenceTimeout ends a watch that has not called back for so long: a connection can fail
	// without an error. It is longer than the commands between two calls may take together: a store
	// that answers slowly would otherwise be left before it has delivered anything.
	silenceTimeout = 10 * time.Second
	// The wait between two attempts doubles from the first to the second.
	minRetry, maxRetry = 100 * time.Millisecond, 5 * time.Second
	// reloadInterval is how often the snapshot is loaded again while all is well. That
	// corrects what the engine has lost, and removes what has ended.
	reloadInterval = 10 * time.Minute
	// overflowInterval takes its place while the table is too small for the store.
	overflowInterval = 10 * time.Second
	// maxLoadWait is how long a request or [Guard.Ready] waits for the first snapshot.
	maxLoadWait = 5 * time.Second
)

var (
	errSilent    = fmt.Errorf("the store has not answered for %s", silenceTimeout)
	errReloadDue = errors.New("the snapshot is to be loaded again")
	errOverflow  = fmt.Errorf("the store has more denials than the table can hold, which is %d; "+
		"set Until of denials to when the last token expires that they match", maxSharedDenials)
)

// revocationFeed feeds the deny list from a [RevocationStore], and appends to the store.
type revocationFeed struct {
	store   RevocationStore
	table   *denials
	denied  func(...Denial) // ends the open requests
	logger  *slog.Logger
	ctx     context.Context // ends with close
	close   context.CancelFunc
	start   func()
	loaded  chan struct{} // closed when the first snapshot is in the table
	pending chan struct{} // has an element when unshared has grown

	mu       sync.Mutex
	position string // empty if a snapshot is needed
	overflow bool   // whether the table was too small since the last snapshot
	failing  bool   // whether a failure was logged, and no success since
	failedAt time.Time
	err      error     // of the last failure
	contact  time.Time // when the store last answered
	heard    uint64    // how often a watch has called back
	unshared []Denial
	stats    RevocationStats
}

func newRevocationFeed(g *Guard) *revocationFeed {
	if g.Revocations == nil {
		return nil
	}
	f := &revocationFeed{
		store:   g.Revocations,
		table:   &g.denials,
		denied:  g.endDenied,
		logger:  g.Logger,
		loaded:  make(chan struct{}),
		pending: make(chan struct{}, 1),
	}
	f.ctx, f.close = context.WithCancel(context.Background())
	f.start = sync.OnceFunc(func() {
		go f.run()
		go f.appendUnshared()
	})
	return f
}

// wait starts the feed, and returns nil when the first snapshot is in the table. After that it
// returns at once. It may be nil.
func (f *revocationFeed) wait(ctx context.Context) error {
	if f == nil || f.isLoaded() {
		return nil
	}
	f.start()
	timeout := time.NewTimer(maxLoadWait)
	defer timeout.Stop()
	select {
	case <-f.loaded:
		return nil
	case <-ctx.Done():
	case <-timeout.C:
	case <-f.ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.overflow {
		return fmt.Errorf("%w: %w", ErrRevocationsNotLoaded, errOverflow)
	}
	if f.err != nil {
		return fmt.Errorf("%w: %s", ErrRevocationsNotLoaded, withFix(f.err, "check that the store of shared revocations can be reached"))
	}
	return fmt.Errorf("%w: the store of shared revocations has not answered yet", ErrRevocationsNotLoaded)
}

// withFix returns the text of an error of a store. If it does not say what to do, it ends with fix.
func withFix(err error, fix string) string {
	text := err.Error()
	if !strings.Contains(text, "; ") {
		text += "; " + fix
	}
	return text
}

// ready is wait for [Guard.Ready].
func (f *revocationFeed) ready(ctx context.Context) error {
	if err := f.wait(ctx); err != nil || f == nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.overflow {
		return fmt.Errorf("%w: %w", ErrRevocationsNotLoaded, errOverflow)
	}
	return nil
}

func (f *revocationFeed) isLoaded() bool {
	select {
	case <-f.loaded:
		return true
	default:
		return false
	}
}

// run loads the snapshot and watches the store until close.
func (f *revocationFeed) run() {
	wait := minRetry
	for f.ctx.Err() == nil {
		before := f.heardCount()
		err := f.attempt()
		if f.ctx.Err() != nil {
			return
		}
		if f.heardCount() > before {
			wait = minRetry
		}
		if errors.Is(err, errReloadDue) || errors.Is(err, ErrPositionLost) {
			f.forgetPosition(err)
		} else {
			f.failed(err)
		}
		if errors.Is(err, errReloadDue) {
			continue
		}
		if !sleep(f.ctx, wait/2+rand.N(wait/2)) {
			return
		}
		wait = min(2*wait, maxRetry)
	}
}

// sleep reports whether ctx did not end before d had passed.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt loads the snapshot if the position is not known, and watches the store. It returns
// when that fails or the snapshot is to be loaded again. A panic of the store is an error; it
// would end the process otherwise.
func (f *revocationFeed) attempt() (err error) {
	defer recoverStore(&err)
	f.mu.Lock()
	position := f.position
	f.mu.Unlock()
	if position == "" {
		if position, err = f.load(); err != nil {
			return fmt.Errorf("loading the snapshot: %w", err)
		}
	}
	if err = f.watch(position); !errors.Is(err, errReloadDue) {
		err = fmt.Errorf("watching: %w", err)
	}
	return err
}

// recoverStore sets err if a store panicked. The value of the panic may be a secret.
func recoverStore(err *error) {
	if recover() != nil {
		*err = errors.New("the store panicked")
	}
}

// load adds the snapshot to the table. What the table has and the snapshot has not is appended
// to the store: denials of this process that the store did not take, and what it has lost.
func (f *revocationFeed) load() (position string, err error) {
	ctx, cancel := context.WithTimeout(f.ctx, snapshotTimeout)
	defer cancel()
	snapshot, position, err := f.store.Snapshot(ctx)
	switch {
	case err == nil && position == "":
		return "", errors.New("the store returned an empty position")
	case err != nil:
		return "", err
	}
	dropped := f.take(snapshot)
	stored := make(map[Denial]bool, len(snapshot))
	for _, d := range snapshot {
		stored[d.normalized()] = true
	}
	var missing []Denial
	for _, d := range f.table.all(time.Now()) {
		if !stored[d] {
			missing = append(missing, d)
		}
	}
	f.mu.Lock()
	f.position, f.overflow = position, dropped > 0
	f.stats.Snapshots++
	f.mu.Unlock()
	f.reached()
	f.enqueue(missing...)
	if dropped == 0 && !f.isLoaded() {
		close(f.loaded)
	}
	return position, nil
}

// take adds denials of the store to the table, and ends the open requests that they match. It
// returns how many did not fit.
func (f *revocationFeed) take(list []Denial) (dropped int) {
	valid := make([]Denial, 0, len(list))
	for _, d := range list {
		if d.validate() == nil {
			valid = append(valid, d.normalized())
		}
	}
	invalid := len(list) - len(valid)
	dropped = f.table.add(maxSharedDenials, valid...)
	if len(valid) > 0 {
		f.denied(valid...)
	}
	f.mu.Lock()
	f.stats.Invalid += uint64(invalid)
	f.stats.Dropped += uint64(dropped)
	f.mu.Unlock()
	if invalid > 0 {
		f.logger.Warn("ignoring denials of the revocation store that match every token or have invalid texts", "count", invalid)
	}
	if dropped > 0 {
		f.logger.Error("revoked tokens are accepted: "+errOverflow.Error(), "dropped", dropped)
	}
	return dropped
}

// watch adds to the table what is appended after position. It returns when the watch fails, is
// silent, or the snapshot is to be loaded again.
func (f *revocationFeed) watch(position string) error {
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(nil)
	silence := time.AfterFunc(silenceTimeout, func() { cancel(errSilent) })
	defer silence.Stop()
	f.mu.Lock()
	interval := reloadInterval
	if f.overflow {
		interval = overflowInterval
	}
	f.mu.Unlock()
	reload := time.AfterFunc(interval, func() { cancel(errReloadDue) })
	defer reload.Stop()
	err := f.store.Watch(ctx, position, func(list []Denial, position string) {
		if ctx.Err() != nil {
			return
		}
		silence.Reset(silenceTimeout)
		if f.receive(list, position) {
			reload.Reset(overflowInterval)
		}
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		err = errors.New("the store stopped without an error")
	}
	return err
}

// receive is called by [RevocationStore.Watch]. It reports whether the table is too small since
// this call.
func (f *revocationFeed) receive(list []Denial, position string) (overflows bool) {
	dropped := 0
	if len(list) > 0 {
		dropped = f.take(list)
	}
	f.mu.Lock()
	if position != "" {
		f.position = position
	}
	overflows = dropped > 0 && !f.overflow
	f.overflow = f.overflow || overflows
	f.stats.Connected = true
	f.heard++
	if len(list) > 0 {
		f.stats.Received += uint64(len(list))
		f.stats.LastEvent = time.Now()
	}
	f.mu.Unlock()
	f.reached()
	return overflows
}

// reached notes that the store has answered.
func (f *revocationFeed) reached() {
	f.mu.Lock()
	f.contact = time.Now()
	wasFailing, outage := f.failing, time.Since(f.failedAt)
	f.failing, f.err = false, nil
	f.mu.Unlock()
	if wasFailing {
		f.logger.Info("the revocation store is available again", "after", outage.Round(time.Millisecond).String())
	}
}

// failed notes a failure to load or to watch. The first one in a row is logged.
func (f *revocationFeed) failed(err error) {
	f.mu.Lock()
	first := !f.failing
	if first {
		f.failing, f.failedAt = true, time.Now()
	}
	f.err = errors.New(quote.Clip(err.Error(), maxLoggedDetail))
	f.stats.Failures++
	f.stats.Connected = false
	text := f.err.Error()
	f.mu.Unlock()
	switch {
	case !first:
		f.logger.Debug("the revocation store is still unavailable", "error", text)
	case f.isLoaded():
		f.logger.Warn("the revocation store is unavailable; revocations of other processes are unknown until it is available again",
			"error", text, "known", len(f.table.all(time.Now())))
	default:
		f.logger.Warn("the revocation store is unavailable; requests are answered with 503 until its snapshot is loaded", "error", text)
	}
}

// forgetPosition makes the next attempt load the snapshot.
func (f *revocationFeed) forgetPosition(err error) {
	f.mu.Lock()
	f.position = ""
	f.mu.Unlock()
	if errors.Is(err, ErrPositionLost) {
		f.logger.Info("the position in the revocation store is no longer known; loading the snapshot again")
	}
}

// heardCount returns how often a watch has called back.
func (f *revocationFeed) heardCount() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heard
}

// share appends d to the store. If that fails, it is tried again later.
func (f *revocationFeed) share(d Denial) error {
	f.start()
	err := f.append([]Denial{d})
	if err == nil {
		return nil
	}
	f.enqueue(d)
	return fmt.Errorf("%w: appending it to the store: %w; call Deny again with the same denial until it succeeds", ErrDenialNotShared, err)
}

func (f *revocationFeed) append(batch []Denial) (err error) {
	ctx, cancel := context.WithTimeout(f.ctx, appendTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			f.mu.Lock()
			f.stats.Failures++
			f.mu.Unlock()
		}
	}()
	defer recoverStore(&err)
	return f.store.Append(ctx, batch)
}

// enqueue adds denials to those that appendUnshared appends. The table has them as well: what
// does not fit is found by the next snapshot.
func (f *revocationFeed) enqueue(list ...Denial) {
	if len(list) == 0 {
		return
	}
	f.mu.Lock()
	known := make(map[Denial]bool, len(f.unshared))
	for _, d := range f.unshared {
		known[d] = true
	}
	for _, d := range list {
		if !known[d] && len(f.unshared) < maxSharedDenials {
			f.unshared = append(f.unshared, d)
		}
	}
	f.mu.Unlock()
	select {
	case f.pending <- struct{}{}:
	default:
	}
}

// appendUnshared appends what the store has not taken, until close.
func (f *revocationFeed) appendUnshared() {
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-f.pending:
		}
		f.appendAll()
	}
}

// appendAll appends what the store has not taken, until there is nothing left or close. After a failure it
// tries fewer at once, and one that fails alone again after all others: the store may reject a single
// one for good, like a database whose encoding lacks a character.
func (f *revocationFeed) appendAll() {
	wait, size := minRetry, appendBatch
	for batch := f.nextBatch(size); len(batch) > 0; batch = f.nextBatch(size) {
		if err := f.append(batch); err == nil {
			f.shared(len(batch))
			wait, size = minRetry, min(2*size, appendBatch)
			f.logger.Info("denials were appended to the revocation store, which did not have them", "count", len(batch))
			continue
		}
		size = max(size/2, 1)
		if len(batch) == 1 {
			f.moveToEnd()
		}
		if !sleep(f.ctx, wait/2+rand.N(wait/2)) {
			return
		}
		wait = min(2*wait, maxRetry)
	}
}

// moveToEnd makes the first denial to append the last one.
func (f *revocationFeed) moveToEnd() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.unshared) > 1 {
		f.unshared = append(f.unshared[1:], f.unshared[0])
	}
}

// nextBatch returns the first denials to append, at most size, without those that have ended.
func (f *revocationFeed) nextBatch(size int) []Denial {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	left := f.unshared[:0:0]
	for _, d := range f.unshared {
		if now.Before(d.Until) {
			left = append(left, d)
		}
	}
	f.unshared = left
	return left[:min(len(left), size):min(len(left), size)]
}

// shared removes the first n denials, which the store has taken.
func (f *revocationFeed) shared(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unshared = f.unshared[n:]
}

// readStats returns the state of the table and of the feed, which may be nil.
func (g *Guard) readRevocationStats() RevocationStats {
	f, count := g.revocations, len(g.denials.all(time.Now()))
	if f == nil {
		return RevocationStats{Count: count}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.stats
	out.Shared, out.Count, out.Unshared, out.Loaded = true, count, len(f.unshared), f.isLoaded()
	if !f.contact.IsZero() {
		out.Lag = time.Since(f.contact)
	}
	return out
}
