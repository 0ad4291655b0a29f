package cache_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/cache"
)

var (
	now   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	later = now.Add(time.Hour)
)

// key returns the nth key.
func key(n int) cache.Key {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func TestGet(t *testing.T) {
	t.Parallel()
	c := cache.New[string](cache.Config{})
	c.Put(key(1), 7, "one", 3, later)
	for _, tt := range []struct {
		name       string
		key        cache.Key
		generation uint64
		now        time.Time
		want       string
		wantHit    bool
	}{
		{"hit", key(1), 7, now, "one", true},
		{"last moment", key(1), 7, later.Add(-1), "one", true},
		{"expired", key(1), 7, later, "", false},
		{"older generation", key(1), 6, now, "", false},
		{"newer generation", key(1), 8, now, "", false},
		{"other key", key(2), 7, now, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, hit := c.Get(tt.key, tt.generation, tt.now)
			if got != tt.want || hit != tt.wantHit {
				t.Errorf("Get = %q, %v, want %q, %v", got, hit, tt.want, tt.wantHit)
			}
		})
	}
}

func TestPutReplaces(t *testing.T) {
	t.Parallel()
	c := cache.New[string](cache.Config{})
	c.Put(key(1), 1, "one", 3, later)
	c.Put(key(1), 2, "two!", 4, later)
	if got, hit := c.Get(key(1), 2, now); got != "two!" || !hit {
		t.Errorf("Get = %q, %v, want the second value", got, hit)
	}
	if _, hit := c.Get(key(1), 1, now); hit {
		t.Error("the first value is still there")
	}
	if c.Len() != 1 || c.Bytes() != 4+cache.EntryOverhead {
		t.Errorf("%d entries of %d bytes, want 1 of %d", c.Len(), c.Bytes(), 4+cache.EntryOverhead)
	}
}

func TestPutTooLarge(t *testing.T) {
	t.Parallel()
	c := cache.New[string](cache.Config{Entries: 10, Bytes: 1000})
	c.Put(key(1), 1, "small", 5, later)
	c.Put(key(2), 1, "all of it", 1000-cache.EntryOverhead, later)
	if _, hit := c.Get(key(2), 1, now); !hit || c.Len() != 1 {
		t.Errorf("%d entries, want the one that fills the cache", c.Len())
	}
	c.Put(key(2), 1, "more", 1001-cache.EntryOverhead, later)
	if c.Len() != 0 || c.Bytes() != 0 {
		t.Errorf("%d entries of %d bytes, want none", c.Len(), c.Bytes())
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		config      cache.Config
		size        int
		wantEntries int // at least 95 in 100 of it, at most all
	}{
		{"one entry", cache.Config{Entries: 1}, 0, 1},
		{"few entries", cache.Config{Entries: 100}, 0, 100},
		{"defaults", cache.Config{}, 100, cache.DefaultEntries},
		{"odd number", cache.Config{Entries: 9999}, 0, 9999},
		{"negative", cache.Config{Entries: -1, Bytes: -1}, 0, cache.DefaultEntries},
		{"bytes", cache.Config{Entries: 10_000, Bytes: 1 << 20}, 1024 - cache.EntryOverhead, 1024},
		{"negative size", cache.Config{Entries: 100, Bytes: 50 * cache.EntryOverhead}, -1000, 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := cache.New[int](tt.config)
			for n := range 40_000 {
				c.Put(key(n), 1, n, tt.size, later)
				if got, hit := c.Get(key(n), 1, now); !hit || got != n {
					t.Fatalf("Get after Put %d = %d, %v", n, got, hit)
				}
				if n%1000 == 0 && c.Len() > tt.wantEntries {
					t.Fatalf("%d entries, want at most %d", c.Len(), tt.wantEntries)
				}
			}
			if got := c.Len(); got > tt.wantEntries || got < tt.wantEntries*95/100 {
				t.Errorf("%d entries, want %d or a few less", got, tt.wantEntries)
			}
			if got, want := c.Bytes(), c.Len()*(max(tt.size, 0)+cache.EntryOverhead); got != want {
				t.Errorf("%d bytes, want %d", got, want)
			}
		})
	}
}

// A cache in use against a map that holds the same: no value is ever wrong.
func TestAgainstMap(t *testing.T) {
	t.Parallel()
	c := cache.New[int](cache.Config{Entries: 300})
	last := map[int]int{}
	random := rand.New(rand.NewPCG(1, 2))
	for step := range 200_000 {
		n := random.IntN(1000)
		switch random.IntN(100) {
		case 0:
			divisor := 2 + random.IntN(5)
			before := c.Len()
			deleted := c.DeleteFunc(func(v int) bool { return v%divisor == 0 })
			if c.Len() != before-deleted {
				t.Fatalf("%d entries after deleting %d of %d", c.Len(), deleted, before)
			}
			for n, v := range last {
				if v%divisor == 0 {
					delete(last, n)
				}
			}
		default:
			if v, hit := c.Get(key(n), 1, now); hit && v != last[n] {
				t.Fatalf("Get(%d) = %d, want %d or a miss", n, v, last[n])
			} else if _, put := last[n]; hit && !put {
				t.Fatalf("Get(%d) = %d, want a miss", n, v)
			}
			c.Put(key(n), 1, step, 0, later)
			last[n] = step
		}
	}
	found := 0
	for n, v := range last {
		if got, hit := c.Get(key(n), 1, now); hit {
			found++
			if got != v {
				t.Errorf("Get(%d) = %d, want %d", n, got, v)
			}
		}
	}
	if found != c.Len() {
		t.Errorf("%d entries can be found, want all %d", found, c.Len())
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	c := cache.New[int](cache.Config{})
	for n := range 20_000 {
		c.Put(key(n), 1, n, 10, later)
	}
	c.Purge()
	if c.Len() != 0 || c.Bytes() != 0 {
		t.Errorf("%d entries of %d bytes, want none", c.Len(), c.Bytes())
	}
	for n := range 20_000 {
		if _, hit := c.Get(key(n), 1, now); hit {
			t.Fatalf("Get(%d) hits after Purge", n)
		}
	}
}

// A flood of keys that come once must not push out those in use, even if each of
// those is asked for only once in many keys of the flood.
func TestFloodLeavesTheHot(t *testing.T) {
	t.Parallel()
	const hot, flood = 1000, 200_000
	c := cache.New[int](cache.Config{Entries: 10_000})
	for n := range hot {
		c.Put(key(n), 1, n, 100, later)
		c.Get(key(n), 1, now)
	}
	hits, asked := 0, 0
	for n := range flood {
		c.Put(key(hot+n), 1, n, 100, later)
		if n%10 == 0 {
			asked++
			if _, hit := c.Get(key(asked%hot), 1, now); hit {
				hits++
			}
		}
	}
	if hits < asked*99/100 {
		t.Errorf("%d hits of %d, want at least 99 in 100", hits, asked)
	}
}

// Memory is that of the entries allowed, however many keys pass.
func TestFloodTakesNoMemory(t *testing.T) {
	const entries = 10_000
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	empty := heap()
	c := cache.New[[]byte](cache.Config{Entries: entries})
	put := func(from, to int) {
		for n := from; n < to; n++ {
			c.Put(key(n), 1, make([]byte, 500), 500, later)
		}
	}
	put(0, 2*entries)
	full := heap()
	put(2*entries, 1_000_000)
	flooded := heap()
	t.Logf("%d KiB for %d entries, counted as %d KiB; %d KiB after 1,000,000 keys", (full-empty)>>10, c.Len(), c.Bytes()>>10, (flooded-empty)>>10)
	if flooded-full > 1<<20 {
		t.Errorf("%d bytes more after the flood, want at most 1 MiB", flooded-full)
	}
	if got := full - empty; got > c.Bytes()*5/4 {
		t.Errorf("%d bytes in use, want at most a quarter more than the %d counted", got, c.Bytes())
	}
	runtime.KeepAlive(c)
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c := cache.New[int](cache.Config{Entries: 500, Bytes: 500 * 300})
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 20_000 {
				n := random.IntN(1500)
				switch random.IntN(50) {
				case 0:
					c.DeleteFunc(func(v int) bool { return v%7 == 0 })
				case 1:
					if c.Len() > 500 || c.Bytes() > 500*300 {
						t.Error("beyond its bounds")
					}
				default:
					if v, hit := c.Get(key(n), 1, now); hit && v != n {
						t.Errorf("Get(%d) = %d", n, v)
					}
					c.Put(key(n), 1, n, n%200, later)
				}
			}
		})
	}
	all.Wait()
	if c.Purge(); c.Len() != 0 || c.Bytes() != 0 {
		t.Errorf("%d entries of %d bytes after Purge, want none", c.Len(), c.Bytes())
	}
}

func TestHitAllocatesNothing(t *testing.T) {
	c := cache.New[*int](cache.Config{})
	raw := make([]byte, 909)
	c.Put(sha256.Sum256(raw), 1, new(int), 8, later)
	if got := testing.AllocsPerRun(100, func() {
		if _, hit := c.Get(sha256.Sum256(raw), 1, now); !hit {
			t.Error("Get misses")
		}
	}); got != 0 {
		t.Errorf("%v allocations for a hit, want none", got)
	}
}

func BenchmarkHit(b *testing.B) {
	c := cache.New[*int](cache.Config{})
	var tokens [][]byte
	for n := range 1000 {
		raw := make([]byte, 909)
		copy(raw, strconv.Itoa(n))
		tokens = append(tokens, raw)
		c.Put(sha256.Sum256(raw), 1, &n, 1000, later)
	}
	get := func(b *testing.B, n int) {
		if _, hit := c.Get(sha256.Sum256(tokens[n%len(tokens)]), 1, now); !hit {
			b.Error("Get misses")
		}
	}
	b.Run("HashAlone", func(b *testing.B) {
		for b.Loop() {
			sha256.Sum256(tokens[0])
		}
	})
	b.Run("OneCore", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			get(b, n)
		}
	})
	b.Run("Parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n++ {
				get(b, n)
			}
		})
	})
	b.Run("ParallelSameToken", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				get(b, 0)
			}
		})
	})
	hashed := key(0)
	c.Put(hashed, 1, new(int), 8, later)
	b.Run("HashedAlready", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				c.Get(hashed, 1, now)
			}
		})
	})
}

func BenchmarkPut(b *testing.B) {
	c := cache.New[int](cache.Config{})
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		c.Put(key(n), 1, n, 100, later)
	}
}
