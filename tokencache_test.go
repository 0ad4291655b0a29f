package gatehouse_test

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/google/go-cmp/cmp"
)

// cacheKey returns the n-th of many keys.
func cacheKey(n int) (key [32]byte) {
	binary.LittleEndian.PutUint64(key[:], uint64(n))
	return key
}

func TestCacheServesOnlyCurrentTokens(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	expires := now.Add(time.Minute)
	for _, tt := range []struct {
		name       string
		key        int
		generation uint64
		at         time.Time
		want       bool
	}{
		{name: "control", key: 1, generation: 7, at: now, want: true},
		{name: "last moment", key: 1, generation: 7, at: expires.Add(-1), want: true},
		{name: "expired", key: 1, generation: 7, at: expires},
		{name: "newer keys", key: 1, generation: 8, at: now},
		{name: "no keys", key: 1, generation: 0, at: now},
		{name: "other token", key: 2, generation: 7, at: now},
	} {
		c := gatehouse.NewTokenCache()
		c.Put(cacheKey(1), "claims", 7, expires)
		claims, ok := c.Get(cacheKey(tt.key), tt.generation, tt.at)
		if ok != tt.want || ok && claims != "claims" {
			t.Errorf("%s: Get = %q, %t, want %t", tt.name, claims, ok, tt.want)
		}
	}
}

func TestCacheRemovesExpiredTokens(t *testing.T) {
	t.Parallel()
	c, now := gatehouse.NewTokenCache(), time.Unix(1_800_000_000, 0)
	c.Put(cacheKey(1), "claims", 7, now)
	c.Get(cacheKey(1), 7, now)
	if entries, _ := c.Size(); entries != 0 {
		t.Errorf("%d entries, want none", entries)
	}
}

func TestCacheBounds(t *testing.T) {
	t.Parallel()
	expires := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		name        string
		claims      int // bytes
		wantEntries int // at most
	}{
		{"small", 100, gatehouse.CacheEntries},
		{"large", 12_000, gatehouse.CacheBytes / 12_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, claims := gatehouse.NewTokenCache(), strings.Repeat("x", tt.claims)
			for n := range 3 * gatehouse.CacheEntries {
				c.Put(cacheKey(n), claims, 1, expires)
			}
			entries, weight := c.Size()
			if entries > tt.wantEntries || weight > gatehouse.CacheBytes {
				t.Errorf("%d entries of %d bytes, want at most %d of %d", entries, weight, tt.wantEntries, gatehouse.CacheBytes)
			}
			if entries < tt.wantEntries*8/10 {
				t.Errorf("%d entries, want about %d", entries, tt.wantEntries)
			}
		})
	}
}

// The cache remembers the tokens that are in use while a flood of others passes through.
func TestCacheKeepsTokensInUse(t *testing.T) {
	t.Parallel()
	const inUse = 500
	c, now := gatehouse.NewTokenCache(), time.Unix(1_800_000_000, 0)
	for n := range inUse {
		c.Put(cacheKey(n), "claims", 1, now.Add(time.Hour))
	}
	hits, looks := 0, 0
	for n := range 10 * gatehouse.CacheEntries {
		c.Put(cacheKey(inUse+n), "claims", 1, now.Add(time.Hour))
		if _, ok := c.Get(cacheKey(n%inUse), 1, now); ok {
			hits++
		} else { // is verified again
			c.Put(cacheKey(n%inUse), "claims", 1, now.Add(time.Hour))
		}
		looks++
	}
	if hits < looks*95/100 {
		t.Errorf("%d of %d look-ups of tokens in use were hits, want 95 %%", hits, looks)
	}
}

// The weight of the entries is at least the memory that they take. It is not parallel: the
// memory is that of the whole process.
func TestCacheMemory(t *testing.T) {
	for name, claims := range map[string]int{"small": 10, "Clerk's": 450, "large": 1400} {
		const entries = gatehouse.CacheEntries / 2
		before := heap()
		c := gatehouse.NewTokenCache()
		for n := range entries {
			c.Put(cacheKey(n), strings.Repeat("x", claims), 1, time.Unix(1_800_000_000, 0))
		}
		count, weight := c.Size()
		used := heap() - before
		t.Logf("%s claims: %d entries, %d bytes each, weight %d", name, count, used/int64(count), weight/uint64(count))
		if count != entries || used > int64(weight) {
			t.Errorf("%s claims: %d entries of %d bytes take %d bytes of memory", name, count, weight, used)
		}
		runtime.KeepAlive(c)
	}
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// A cache returns every field of a verified token as it was.
func TestCacheKeepsEveryField(t *testing.T) {
	t.Parallel()
	full := gatehouse.Identity{
		Issuer:      "https://issuer.example.com/a|b",
		Subject:     "user|1",
		ClientID:    "client",
		TokenID:     "token",
		Scopes:      []string{"profile", "email"},
		Roles:       []string{},
		Permissions: []string{"", "notes:write"},
		Organization: gatehouse.Organization{
			ID: "org_1", Slug: "slug", Role: "admin", Permissions: []string{"read"},
		},
		Audience:    []string{"https://mcp.example.com/mcp"},
		IssuedAt:    time.Unix(1_800_000_000, 500_000_000),
		Expiry:      time.Unix(1_800_086_400, 0),
		Fingerprint: "fingerprint",
	}
	for name, id := range map[string]gatehouse.Identity{
		"full":  full,
		"empty": {Issuer: "i", Subject: "s", Expiry: time.Unix(1, 0)},
	} {
		for _, bound := range []bool{false, true} {
			got, claims, sid, gotBound, notBefore := gatehouse.Cached(id, `{"sub":"1"}`, "sess_1", bound, id.Expiry)
			if diff := cmp.Diff(id, got, cmp.AllowUnexported(gatehouse.Identity{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			if claims != `{"sub":"1"}` || sid != "sess_1" || gotBound != bound || !notBefore.Equal(id.Expiry) {
				t.Errorf("%s: got %q, %q, %t, %v", name, claims, sid, gotBound, notBefore)
			}
		}
	}
}
