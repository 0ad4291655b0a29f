package cache

import (
	"math"
	"sync"
	"sync/atomic"
)

// entry is immutable, but for its visits.
type entry[V any] struct {
	key        Key
	hash       uint64
	generation uint64
	value      V
	size       int   // with EntryOverhead
	expires    int64 // nanoseconds since 1970
	visits     atomic.Uint32
}

// maxVisits is how often the hand of the clock must pass an entry that is no longer
// asked for before it is evicted.
const maxVisits = 3

// visit notes a hit. An entry that is hit often is only read here, so that cores
// that hit the same one do not take its memory from each other.
func (e *entry[V]) visit() {
	if n := e.visits.Load(); n < maxVisits {
		e.visits.Store(n + 1)
	}
}

// table is a hash table with linear probing: a power of two of slots, of which at
// most about half are in use.
type table[V any] []atomic.Pointer[entry[V]]

func (t table[V]) slot(i uint64) *atomic.Pointer[entry[V]] { return &t[i&uint64(len(t)-1)] }

// shard is a table whose slots are read without a lock: an entry never changes, and
// a reader compares the whole key. Writers hold the lock. While one moves an entry,
// or all of them to a larger table, a reader can miss it; it never finds a wrong one.
//
// Eviction is the CLOCK algorithm with a small counter: a new entry starts with no
// visits and so goes before all that were hit since the hand last passed them.
type shard[V any] struct {
	current atomic.Pointer[table[V]]

	mu         sync.Mutex
	hand       uint64
	entries    int
	bytes      int
	maxEntries int
	maxBytes   int

	_ [64]byte // keeps the next shard's lock off this one's cache line
}

// firstSlots is the size of a shard's first table.
const firstSlots = 4

func (s *shard[V]) init(maxEntries, maxBytes int) {
	first := make(table[V], firstSlots)
	s.current.Store(&first)
	s.maxEntries, s.maxBytes = maxEntries, maxBytes
}

// slots is the table, for a writer.
func (s *shard[V]) slots() table[V] { return *s.current.Load() }

// find returns the entry of key, or nil.
func (s *shard[V]) find(key *Key, hash uint64) *entry[V] {
	e, _ := s.slots().search(key, hash)
	return e
}

// search returns the entry of key and its slot, or nil and the empty slot it would take.
func (t table[V]) search(key *Key, hash uint64) (*entry[V], uint64) {
	// Writers leave empty slots, but a reader that they overtake might not meet one.
	for i := hash; i < hash+uint64(len(t)); i++ {
		e := t.slot(i).Load()
		if e == nil || e.key == *key {
			return e, i
		}
	}
	return nil, math.MaxUint64
}

func (s *shard[V]) put(e *entry[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, at := s.slots().search(&e.key, e.hash); old != nil {
		e.visits.Store(old.visits.Load())
		s.remove(at)
	}
	if e.size > s.maxBytes {
		return
	}
	for s.entries >= s.maxEntries || s.bytes+e.size > s.maxBytes {
		s.evict()
	}
	if 2*(s.entries+1) > len(s.slots()) {
		s.grow()
	}
	s.slots().add(e)
	s.entries++
	s.bytes += e.size
}

// add stores an entry whose key the table does not have.
func (t table[V]) add(e *entry[V]) {
	_, at := t.search(&e.key, e.hash)
	t.slot(at).Store(e)
}

// grow puts all entries into a table of twice the size. Readers are in the old one
// or the new one.
func (s *shard[V]) grow() {
	next := make(table[V], 2*len(s.slots()))
	for i := range s.slots() {
		if e := s.slots()[i].Load(); e != nil {
			next.add(e)
		}
	}
	s.current.Store(&next)
}

// evict removes the next entry that the hand of the clock finds without visits.
// There must be one entry at least. Hits go on meanwhile: after enough rounds any
// entry will do.
func (s *shard[V]) evict() {
	slots := s.slots()
	for steps := (maxVisits + 1) * len(slots); ; steps-- {
		e := slots.slot(s.hand).Load()
		if e != nil {
			n := e.visits.Load()
			if n == 0 || steps <= 0 {
				s.remove(s.hand) // the hand stays: another entry may have moved here
				return
			}
			e.visits.Store(n - 1)
		}
		s.hand++
	}
}

// remove empties the slot at and moves up the entries behind it that would no
// longer be found past the gap.
func (s *shard[V]) remove(at uint64) {
	slots := s.slots()
	s.entries--
	s.bytes -= slots.slot(at).Load().size
	gap := at
	for i := at + 1; ; i++ {
		e := slots.slot(i).Load()
		if e == nil {
			break
		}
		if slots.distance(e.hash, i) >= slots.distance(gap, i) {
			slots.slot(gap).Store(e)
			gap = i
		}
	}
	slots.slot(gap).Store(nil)
}

// distance returns how many slots it is from one to another, around the end.
func (t table[V]) distance(from, to uint64) uint64 {
	return (to - from) & uint64(len(t)-1)
}

func (s *shard[V]) deleteFunc(del func(V) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	slots := s.slots()
	for i := range uint64(len(slots)) {
		for e := slots.slot(i).Load(); e != nil && del(e.value); e = slots.slot(i).Load() {
			s.remove(i)
			n++
		}
	}
	return n
}

func (s *shard[V]) totals() (entries, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries, s.bytes
}
