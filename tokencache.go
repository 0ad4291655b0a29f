package gatehouse

import (
	"crypto/sha256"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// cacheEntries and cacheBytes bound the verified tokens in a cache.
	cacheEntries = 10_000
	cacheBytes   = 16 << 20

	// minWeight is the least weight of an entry in bytes, so that the bound on bytes is
	// the bound on entries too.
	minWeight = cacheBytes/cacheEntries + 1
	// entryOverhead is the memory of an entry without its texts, in bytes: the structs
	// and the cache's own tables. TestCacheMemory measures it.
	entryOverhead = 800
	// stringHeader is the memory of a string in a list without its text, in bytes.
	stringHeader = 16
)

// fingerprint is the SHA-256 of a token, so that a cache does not hold the token itself.
type fingerprint = [sha256.Size]byte

// cacheEntry is the result of one verification. It must not change once it is in a cache.
type cacheEntry struct {
	verified   verified
	rejection  *Rejection // in place of verified, if the token was rejected
	generation uint64     // of the keys that verified the token; 0 if no key did
	expires    time.Time
}

// tokenCache is a bounded cache of verifications. It is safe for concurrent use. It has no
// goroutine of its own: an expired entry stays until it is looked up, replaced or evicted.
type tokenCache struct {
	entries *otter.Cache[fingerprint, *cacheEntry]
}

func newTokenCache() tokenCache {
	return tokenCache{otter.Must(&otter.Options[fingerprint, *cacheEntry]{
		MaximumWeight: cacheBytes,
		Weigher:       func(_ fingerprint, e *cacheEntry) uint32 { return e.weight() },
		// Maintenance runs in the goroutine that causes it: to start another one for each
		// new token takes longer than the maintenance.
		Executor: func(maintain func()) { maintain() },
	})}
}

// get returns the entry of a token if it has not expired at now and is of the generation.
func (c tokenCache) get(key fingerprint, generation uint64, now time.Time) (*cacheEntry, bool) {
	e, ok := c.entries.GetIfPresent(key)
	if !ok || e.generation != generation {
		return nil, false
	}
	if !now.Before(e.expires) {
		c.entries.Invalidate(key)
		return nil, false
	}
	return e, true
}

func (c tokenCache) put(key fingerprint, e *cacheEntry) { c.entries.Set(key, e) }

// len returns the number of entries. It includes those that have expired and are not
// removed yet.
func (c tokenCache) len() int { return c.entries.EstimatedSize() }

// weight returns the memory of e in bytes. Strings that are parts of the claims count
// twice, so the weight is an upper bound.
func (e *cacheEntry) weight() uint32 {
	v := &e.verified
	id := &v.identity
	n := entryOverhead
	for _, s := range [...]string{
		v.principal, v.sessionID, id.Issuer, id.Subject, id.ClientID, id.TokenID, id.Fingerprint,
		id.Organization.ID, id.Organization.Slug, id.Organization.Role, id.payload,
	} {
		n += len(s)
	}
	for _, list := range [...][]string{
		id.Scopes, id.Roles, id.Permissions, id.Audience, id.Organization.Permissions,
	} {
		for _, s := range list {
			n += stringHeader + len(s)
		}
	}
	return uint32(max(n, minWeight))
}
