package keys

import (
	"strings"
	"sync"
)

const maxAsked = 512 // unknown names remembered between two good fetches

// asked remembers for how long an unknown name has been asked for: how many
// fetches had begun when it first was. It forgets a name that is not asked for
// between two good fetches. The zero value is empty.
type asked struct {
	mu         sync.Mutex
	young, old map[name]uint64
}

// note returns how many fetches had begun when n was first asked for, given how
// many have begun now. If there is no room to remember n, that is now.
func (a *asked) note(n name, begun uint64) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if first, ok := a.young[n]; ok {
		return first
	}
	if first, ok := a.old[n]; ok {
		begun = first
	}
	if len(a.young) < maxAsked {
		if a.young == nil {
			a.young = map[name]uint64{}
		}
		a.young[name{strings.Clone(n.kid), n.alg}] = begun // n.kid would keep its whole token alive
	}
	return begun
}

// turn is called after each good fetch.
func (a *asked) turn() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.young, a.old = nil, a.young
}
