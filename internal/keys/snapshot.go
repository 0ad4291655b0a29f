package keys

import (
	"context"
	"crypto"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
)

const maxRetired = 1024 // names of removed keys that are remembered

// name is how a token names its key.
type name struct{ kid, alg string }

// snapshot is the keys of one fetched set. It is never modified.
type snapshot struct {
	keySet
	retired    map[name]bool // names that an earlier set had and this one does not have
	generation uint64
	sequence   uint64 // of the remote.Copy that it was read from
	expires    time.Time
}

func (s *snapshot) usable() bool { return s != nil && time.Now().Before(s.expires) }

// adopt makes a new copy of the set the current one, or returns why it is unusable.
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
		level := slog.LevelDebug
		if parsed.faulty {
			level = slog.LevelWarn
		}
		s.log.Log(context.Background(), level, "keys skipped", "why", parsed.skipped)
	}
	s.current.Store(next)
	s.searches.turn()
	return nil
}

// retire returns the names that last or a set before it had, and that next does not have.
func retire(last *snapshot, next keySet) map[name]bool {
	retired := map[name]bool{}
	for n := range last.keys {
		retired[n] = true
	}
	for n := range last.retired {
		if len(retired) < maxRetired {
			retired[n] = true
		}
	}
	for n := range next.keys {
		delete(retired, n)
	}
	return retired
}

func sameKeys(a, b []crypto.PublicKey) bool { return slices.EqualFunc(a, b, sameKey) }

func sameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}
