package gatehousetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// revocationHeartbeat is how often a watch of [Revocations] calls back without denials.
const revocationHeartbeat = time.Second

var errRevocationsDown = errors.New("gatehousetest: the revocation store is down")

// Revocations is a [gatehouse.RevocationStore] in memory, for tests of servers that share
// revocations. Its methods simulate faults of an engine. It works in a bubble of
// testing/synctest. Make one with [NewRevocations]. It is safe for concurrent use.
type Revocations struct {
	mu      sync.Mutex
	epoch   int // changes when positions are lost
	log     []gatehouse.Denial
	changed chan struct{} // closed at the next change
	down    bool
	silent  bool
}

var _ gatehouse.RevocationStore = (*Revocations)(nil)

// NewRevocations returns an empty store.
func NewRevocations() *Revocations { return &Revocations{changed: make(chan struct{})} }

// SetDown makes all calls fail, as with an engine that does not run.
func (r *Revocations) SetDown(down bool) { r.change(func() { r.down = down }) }

// SetSilent makes all calls hang until their context ends, as with a network that drops packets.
func (r *Revocations) SetSilent(silent bool) { r.change(func() { r.silent = silent }) }

// LosePositions makes all positions unknown, as with a log that was trimmed.
func (r *Revocations) LosePositions() { r.change(func() { r.epoch++ }) }

// LoseData removes everything, as with an engine that restarts without having saved its data.
func (r *Revocations) LoseData() { r.change(func() { r.epoch, r.log = r.epoch+1, nil }) }

// Denials returns all denials in the order in which they were appended, those included that
// have ended.
func (r *Revocations) Denials() []gatehouse.Denial {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

func (r *Revocations) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// answer calls f when the store answers, or returns an error if it does not.
func (r *Revocations) answer(ctx context.Context, f func() error) error {
	for {
		r.mu.Lock()
		if !r.silent {
			defer r.mu.Unlock()
			if r.down {
				return errRevocationsDown
			}
			return f()
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Append implements [gatehouse.RevocationStore].
func (r *Revocations) Append(ctx context.Context, denials []gatehouse.Denial) error {
	err := r.answer(ctx, func() error { return nil })
	if err == nil {
		r.change(func() { r.log = append(r.log, denials...) })
	}
	return err
}

// Snapshot implements [gatehouse.RevocationStore].
func (r *Revocations) Snapshot(ctx context.Context) (denials []gatehouse.Denial, position string, err error) {
	err = r.answer(ctx, func() error {
		now := time.Now()
		for _, d := range r.log {
			if now.Before(d.Until) {
				denials = append(denials, d)
			}
		}
		position = fmt.Sprintf("%d/%d", r.epoch, len(r.log))
		return nil
	})
	return denials, position, err
}

// Watch implements [gatehouse.RevocationStore].
func (r *Revocations) Watch(ctx context.Context, position string, receive func([]gatehouse.Denial, string)) error {
	var epoch, next int
	if _, err := fmt.Sscanf(position, "%d/%d", &epoch, &next); err != nil {
		return fmt.Errorf("%w: %q", gatehouse.ErrPositionLost, position)
	}
	heartbeat := time.NewTicker(revocationHeartbeat)
	defer heartbeat.Stop()
	for {
		var batch []gatehouse.Denial
		var changed chan struct{}
		err := r.answer(ctx, func() error {
			if epoch != r.epoch || next > len(r.log) {
				return gatehouse.ErrPositionLost
			}
			batch, changed = slices.Clone(r.log[next:]), r.changed
			return nil
		})
		if err != nil {
			return err
		}
		next += len(batch)
		receive(batch, fmt.Sprintf("%d/%d", epoch, next))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-heartbeat.C:
		}
	}
}
