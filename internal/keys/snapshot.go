package keys

import (
	"crypto"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
)

const maxRetired = 1024 // names remembered after their keys are gone

// name is what a token calls its key by.
type name struct{ kid, alg string }

// snapshot is the keys of one fetched set. It is never modified.
type snapshot struct {
	keySet
	retired    map[name]bool // were in an earlier set and are not in this one
	generation uint64
	sequence   uint64 // of the copy it was read from
	expires    time.Time
}

func (s *snapshot) usable() bool { return s != nil && time.Now().Before(s.expires) }

// adopt puts a new copy of the set in force, or says why it cannot be.
func (s *Set) adopt(c remote.Copy) error {
	parsed, err := parseSet(c.Body, s.algorithms)
	if err != nil {
		return err
	}
	last := s.current.Load()
	if last == nil {
		last = &snapshot{}
	}
	next := &snapshot{
		keySet:     parsed,
		retired:    last.retired,
		generation: last.generation,
		sequence:   c.Sequence,
		expires:    c.Expires,
	}
	if !maps.EqualFunc(last.keys, parsed.keys, sameKeys) {
		next.generation++
		next.retired = retire(last, parsed)
		s.log.Info("signing keys changed", "generation", next.generation, "names", len(parsed.keys))
	}
	if len(parsed.skipped) > 0 && !slices.Equal(last.skipped, parsed.skipped) {
		s.log.Warn("keys skipped", "why", parsed.skipped)
	}
	s.current.Store(next)
	s.asked.turn()
	return nil
}

// retire returns the names that last had, now or once, and next has not.
func retire(last *snapshot, next keySet) map[name]bool {
	gone := map[name]bool{}
	for n := range last.keys {
		gone[n] = true
	}
	for n := range last.retired {
		if len(gone) < maxRetired {
			gone[n] = true
		}
	}
	for n := range next.keys {
		delete(gone, n)
	}
	return gone
}

func sameKeys(a, b []crypto.PublicKey) bool { return slices.EqualFunc(a, b, sameKey) }

func sameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}
