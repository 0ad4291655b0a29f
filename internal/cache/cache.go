// Package cache keeps values that were costly to find out, by the SHA-256 of what
// they were found out about: verified tokens, introspection answers, profiles.
//
// A [Cache] is bounded in entries and in bytes, whatever is put in. A hit takes no
// lock and allocates nothing. What is asked for again and again stays when a flood
// of other keys passes through.
package cache

import (
	"hash/maphash"
	"math"
	"time"
)

const (
	DefaultEntries = 10_000
	DefaultBytes   = 32 << 20

	// EntryOverhead is counted for each entry beside its size, in bytes: key, expiry, places in the table.
	EntryOverhead = 160

	maxShards       = 64
	entriesPerShard = 64 // a cache of fewer entries has one shard
)

// Key is the SHA-256 of what a value was found out about, so that no secret is kept.
type Key = [32]byte

// Config bounds a cache. Zero and negative values mean the defaults.
type Config struct {
	Entries int // DefaultEntries
	Bytes   int // sizes of the values and EntryOverhead for each; DefaultBytes
}

// Cache maps keys to values until they expire. It is safe for concurrent use.
// Create one with [New].
//
// The entries are spread over shards, each of which holds its part of the bounds:
// a full cache can hold a few entries less than allowed, never more.
type Cache[V any] struct {
	seed   maphash.Seed // makes places in the table unpredictable: keys can be chosen
	shards []shard[V]
}

// New returns an empty cache. Its table grows with it, to 16 to 32 bytes for each
// entry allowed, and never shrinks.
func New[V any](config Config) *Cache[V] {
	if config.Entries <= 0 {
		config.Entries = DefaultEntries
	}
	if config.Bytes <= 0 {
		config.Bytes = DefaultBytes
	}
	n := 1
	for n < maxShards && config.Entries >= 2*n*entriesPerShard {
		n *= 2
	}
	c := &Cache[V]{seed: maphash.MakeSeed(), shards: make([]shard[V], n)}
	for i := range c.shards {
		c.shards[i].init(config.Entries/n, config.Bytes/n)
	}
	return c
}

// locate returns the shard that key belongs to, and where in it to look first.
func (c *Cache[V]) locate(key *Key) (s *shard[V], hash uint64) {
	hash = maphash.Bytes(c.seed, key[:])
	return &c.shards[hash%uint64(len(c.shards))], hash / maxShards
}

// Get returns the value of key. It misses when the entry has expired at now, or was
// put with another generation.
func (c *Cache[V]) Get(key Key, generation uint64, now time.Time) (V, bool) {
	s, hash := c.locate(&key)
	e := s.find(&key, hash)
	if e == nil || e.generation != generation || nanoseconds(now) >= e.expires {
		var zero V
		return zero, false
	}
	e.visit()
	return e.value, true
}

// Put stores value under key until expires, in place of an older one. generation
// is what Get must ask with: that of the key set, say, by which the value was
// verified. size is the memory that value holds, in bytes. A value too large for
// its shard is not stored; what was stored under key is gone all the same.
func (c *Cache[V]) Put(key Key, generation uint64, value V, size int, expires time.Time) {
	s, hash := c.locate(&key)
	s.put(&entry[V]{
		key:        key,
		hash:       hash,
		generation: generation,
		value:      value,
		size:       max(size, 0) + EntryOverhead,
		expires:    nanoseconds(expires),
	})
}

// lastSecond is the last whole second that int64 nanoseconds since 1970 can say, in the year 2262.
const lastSecond = math.MaxInt64/int64(time.Second) - 1

// nanoseconds is t.UnixNano, at most that of lastSecond and at least 0: an entry
// without a pointer in it is one that the collector need not follow.
func nanoseconds(t time.Time) int64 {
	if s := t.Unix(); s > lastSecond {
		return lastSecond * int64(time.Second)
	} else if s < 0 {
		return 0
	}
	return t.UnixNano()
}

// Len returns how many entries there are, expired ones included.
func (c *Cache[V]) Len() int {
	n := 0
	for i := range c.shards {
		entries, _ := c.shards[i].totals()
		n += entries
	}
	return n
}

// Bytes returns the sizes of all entries with EntryOverhead for each.
func (c *Cache[V]) Bytes() int {
	n := 0
	for i := range c.shards {
		_, bytes := c.shards[i].totals()
		n += bytes
	}
	return n
}

// Purge forgets everything.
func (c *Cache[V]) Purge() {
	c.DeleteFunc(func(V) bool { return true })
}

// DeleteFunc forgets every value for which del returns true and returns how many
// those were. It may show del a value twice. del must not use the cache.
func (c *Cache[V]) DeleteFunc(del func(V) bool) int {
	n := 0
	for i := range c.shards {
		n += c.shards[i].deleteFunc(del)
	}
	return n
}
