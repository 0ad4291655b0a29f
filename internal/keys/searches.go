package keys

import (
	"strings"
	"sync"
)

const maxSearched = 512 // unknown names remembered between two successful fetches

// searches remembers when each unknown name was first searched for, as the number of
// fetches that had begun. It forgets a name that is not searched for between two
// successful fetches. The zero value is empty.
type searches struct {
	mu            sync.Mutex
	recent, older map[name]uint64 // since the last successful fetch, and before it
}

// note returns how many fetches had begun when n was first searched for, given how many
// have begun now. If the table is full, that is now.
func (s *searches) note(n name, begun uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, ok := s.recent[n]; ok {
		return first
	}
	if first, ok := s.older[n]; ok {
		begun = first
	}
	if len(s.recent) < maxSearched {
		if s.recent == nil {
			s.recent = map[name]uint64{}
		}
		s.recent[name{strings.Clone(n.kid), n.alg}] = begun // n.kid is a part of a whole token
	}
	return begun
}

// turn is called after each successful fetch.
func (s *searches) turn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent, s.older = nil, s.recent
}
