package window

import (
	"cmp"
	"slices"
	"sync"
)

const (
	maxSteps  = 1000
	maxTokens = 200
)

// journal keeps the last steps, their runs, and the JWTs that were issued. It is
// safe for concurrent use.
type journal struct {
	mu       sync.Mutex
	steps    []Step // oldest first
	last     uint64
	assembly assembly
	tokens   []Token
	changes  uint64        // of settings and faults
	more     chan struct{} // closed when there is another step or change
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

// add records a step in the run that it belongs to.
func (j *journal) add(s Step, h hint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	s.ID, s.Run = j.last, j.assembly.place(s, h).ID
	if len(j.steps) == maxSteps {
		j.steps = slices.Delete(j.steps, 0, 1)
	}
	j.steps = append(j.steps, s)
	if h.issued != nil {
		if len(j.tokens) == maxTokens {
			j.tokens = slices.Delete(j.tokens, 0, 1)
		}
		j.tokens = append(j.tokens, *h.issued)
	}
	j.wake()
}

// changed tells every page that settings or faults are others.
func (j *journal) changed() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.changes++
	j.wake()
}

func (j *journal) wake() {
	close(j.more)
	j.more = make(chan struct{})
}

// news is what happened after a step.
type news struct {
	Steps   []Step `json:"steps"`
	Runs    []Run  `json:"runs"` // the present state of those the steps belong to
	changes uint64
	more    <-chan struct{}
}

// after returns the steps after the one with the given ID that are remembered.
// An ID of the future is of another start of the program, so all are news.
func (j *journal) after(id uint64) news {
	j.mu.Lock()
	defer j.mu.Unlock()
	if id > j.last {
		id = 0
	}
	i, _ := slices.BinarySearchFunc(j.steps, id+1, func(s Step, id uint64) int { return cmp.Compare(s.ID, id) })
	n := news{Steps: slices.Clone(j.steps[i:]), Runs: []Run{}, changes: j.changes, more: j.more}
	if n.Steps == nil {
		n.Steps = []Step{}
	}
	touched := map[uint64]bool{}
	for _, s := range n.Steps {
		touched[s.Run] = true
	}
	for _, r := range j.assembly.runs {
		if touched[r.ID] {
			n.Runs = append(n.Runs, r.Run)
		}
	}
	return n
}

// issued returns the JWTs that were issued, oldest first.
func (j *journal) issued() []Token {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.tokens)
}
