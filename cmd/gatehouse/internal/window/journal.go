package window

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	maxSteps  = 1000
	maxTokens = 200
)

// journal keeps the newest steps, their runs, and the newest JWTs. It is safe for
// concurrent use.
type journal struct {
	mu           sync.Mutex
	steps        []Step // oldest first
	last         uint64 // ID of the newest step
	runs         runs
	tokens       []Token       // oldest first
	stateChanges uint64        // how often settings or faults changed
	version      uint64        // counts the changes of runs
	clearedAt    uint64        // ID of the newest step when the journal was last cleared
	clears       uint64        // how often it was cleared
	updated      chan struct{} // closed at the next step or change
}

func newJournal() *journal { return &journal{updated: make(chan struct{})} }

// add records a step in the run of its owner.
func (j *journal) add(s Step, o owner) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	j.version++
	r := j.runs.add(s, o)
	r.version = j.version
	s.ID, s.Run = j.last, r.ID
	j.steps = appendBounded(j.steps, s, maxSteps)
	if o.issued != nil {
		j.tokens = appendBounded(j.tokens, *o.issued, maxTokens)
	}
	j.notify()
}

// appendBounded appends item and drops the first item if there are more than maxItems.
func appendBounded[T any](items []T, item T, maxItems int) []T {
	if len(items) == maxItems {
		items = slices.Delete(items, 0, 1)
	}
	return append(items, item)
}

// stateChanged notifies all pages that settings or faults have changed.
func (j *journal) stateChanged() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stateChanges++
	j.notify()
}

// abandon marks the runs whose sign-in has not continued for a while.
func (j *journal) abandon(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.runs.abandon(now, j.version+1) {
		j.version++
		j.notify()
	}
}

// clear removes all steps and runs. IDs continue.
func (j *journal) clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.steps, j.runs.list = nil, nil
	j.clearedAt = j.last
	j.clears++
	j.notify()
}

func (j *journal) notify() {
	close(j.updated)
	j.updated = make(chan struct{})
}

// update is what happened after a step.
type update struct {
	Steps        []Step `json:"steps"`
	Runs         []Run  `json:"runs"` // the current state of the runs that the steps belong to
	stateChanges uint64
	version      uint64 // the newest change of a run
	clearedAt    uint64
	clears       uint64
	next         <-chan struct{} // closed when there is more
}

// after returns the recorded steps after the step with the given ID. If there is no such
// step yet, the ID is from before a restart and all steps are returned.
func (j *journal) after(id uint64) update { return j.since(id, math.MaxUint64) }

// since returns the same as after, and in addition the runs that changed after a version.
func (j *journal) since(id, version uint64) update {
	j.mu.Lock()
	defer j.mu.Unlock()
	if id > j.last {
		id = 0
	}
	i, _ := slices.BinarySearchFunc(j.steps, id+1, func(s Step, id uint64) int { return cmp.Compare(s.ID, id) })
	u := update{
		Steps: append([]Step{}, j.steps[i:]...), Runs: []Run{},
		stateChanges: j.stateChanges, version: j.version, clearedAt: j.clearedAt, clears: j.clears, next: j.updated,
	}
	changed := map[uint64]bool{}
	for _, s := range u.Steps {
		changed[s.Run] = true
	}
	for _, r := range j.runs.list {
		if changed[r.ID] || r.version > version {
			u.Runs = append(u.Runs, r.Run)
		}
	}
	return u
}

// issuedTokens returns the JWTs that were issued, oldest first.
func (j *journal) issuedTokens() []Token {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.tokens)
}
