package revocationstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

const (
	// maxInMemory bounds the denials of a store in memory.
	maxInMemory = 20_000
	// heartbeat is how often a watch calls back without denials.
	heartbeat = time.Second
)

// ErrFull means that a store in memory has no place for another denial.
var ErrFull = fmt.Errorf("there are %d revocations, which is the limit", maxInMemory)

// OpenMemory returns a store in the memory of this process. It is for one gateway on one machine: other
// processes do not know what it has, and it is lost when the process ends.
func OpenMemory() *Store {
	return &Store{RevocationStore: &memory{denials: map[gatehouse.Denial]uint64{}, changed: make(chan struct{})}, name: "the memory of this gateway", inMemory: true, close: func() {}}
}

// memory is a [gatehouse.RevocationStore] in memory. Positions are the numbers of the denials in the order
// in which they were appended. A denial that has ended is removed, which makes no position unknown.
type memory struct {
	mu      sync.Mutex
	last    uint64
	denials map[gatehouse.Denial]uint64 // with their numbers
	changed chan struct{}               // closed when a denial is appended
}

// Append implements [gatehouse.RevocationStore]. It appends all of the denials or none.
func (m *memory) Append(_ context.Context, denials []gatehouse.Denial) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeEnded()
	var added []gatehouse.Denial
	for _, d := range denials {
		if _, known := m.denials[d]; !known {
			added = append(added, d)
		}
	}
	if len(m.denials)+len(added) > maxInMemory {
		return ErrFull
	}
	for _, d := range added {
		m.last++
		m.denials[d] = m.last
	}
	if len(added) > 0 {
		close(m.changed)
		m.changed = make(chan struct{})
	}
	return nil
}

// removeEnded removes the denials that have ended. m.mu must be held.
func (m *memory) removeEnded() {
	now := time.Now()
	maps.DeleteFunc(m.denials, func(d gatehouse.Denial, _ uint64) bool { return !now.Before(d.Until) })
}

// Snapshot implements [gatehouse.RevocationStore].
func (m *memory) Snapshot(context.Context) (denials []gatehouse.Denial, position string, err error) {
	denials, last, _ := m.after(0)
	return denials, strconv.FormatUint(last, 10), nil
}

// after returns the denials after a number, the last number, and what is closed when there are more.
func (m *memory) after(number uint64) (denials []gatehouse.Denial, last uint64, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeEnded()
	for d, n := range m.denials {
		if n > number {
			denials = append(denials, d)
		}
	}
	slices.SortFunc(denials, func(a, b gatehouse.Denial) int { return cmp.Compare(m.denials[a], m.denials[b]) })
	return denials, m.last, m.changed
}

// Watch implements [gatehouse.RevocationStore].
func (m *memory) Watch(ctx context.Context, position string, receive func([]gatehouse.Denial, string)) error {
	next, err := strconv.ParseUint(position, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: %.40q is not a position", gatehouse.ErrPositionLost, position)
	}
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for ctx.Err() == nil {
		denials, last, changed := m.after(next)
		if last < next {
			return gatehouse.ErrPositionLost
		}
		next = last
		receive(denials, strconv.FormatUint(next, 10))
		select {
		case <-ctx.Done():
		case <-changed:
		case <-ticker.C:
		}
	}
	return ctx.Err()
}
