package gatehouse

import (
	"crypto/sha256"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/record"
	"github.com/maypok86/otter/v2"
)

const (
	// cacheEntries and cacheBytes bound the verified tokens in a cache.
	cacheEntries = 10_000
	cacheBytes   = 16 << 20

	// minWeight is the least weight of an entry in bytes, so that the bound on bytes is
	// the bound on entries too.
	minWeight = cacheBytes/cacheEntries + 1
	// entryOverhead is the memory of an entry without its record, in bytes: the struct and
	// the cache's own tables. TestCacheMemory measures it.
	entryOverhead = 400
	// usualRecord is the size of most records in bytes, without the claims.
	usualRecord = 512
)

// fingerprint is the SHA-256 of a token, so that a cache does not hold the token itself.
type fingerprint = [sha256.Size]byte

// usualToken is the size of most tokens in bytes. They are hashed from a copy on the stack: a
// copy on the heap takes a known token over its limit of 1.5 us; see docs/performance.md.
const usualToken = 2 << 10

func fingerprintOf(raw string) fingerprint {
	var buffer [usualToken]byte
	return sha256.Sum256(append(buffer[:0], raw...))
}

// cachedEntry is the result of one verification. It must not change. The verified token is
// one string, because the garbage collector would follow the dozens of pointers of a
// struct in each of its runs: with ten thousand tokens, that costs each call more than
// the verification of a token. See package record.
type cachedEntry struct {
	record     string     // of a verified; see recordOf
	rejection  *Rejection // in place of the record, if the token was rejected
	from       *issuer    // nil with a rejection
	generation uint64     // of the keys that verified the token; 0 if no key did
	expires    time.Time
}

// recordOf writes v. [verified.read] reads it in the same order.
func recordOf(v *verified) string {
	var w record.Writer
	id := &v.identity
	w.Grow(len(id.payload) + usualRecord)
	w.Uint(uint64(len(id.Issuer)))
	for _, s := range [...]string{
		v.principal, v.sessionID, v.auditHash, id.ClientID, id.TokenID, id.Fingerprint,
		id.Organization.ID, id.Organization.Name, id.Organization.Slug, id.Organization.Role, id.payload,
	} {
		w.String(s)
	}
	for _, list := range [...][]string{id.Scopes, id.Roles, id.Permissions, id.Audience, id.Organization.Permissions} {
		w.Strings(list)
	}
	for _, t := range [...]time.Time{id.IssuedAt, id.Expiry, v.notBefore} {
		w.Time(t)
	}
	w.Bool(v.bound)
	w.Bool(id.Kind == KindMachine)
	return w.Record()
}

// read sets v to what recordOf has written. Its strings are parts of the record.
func (v *verified) read(text string, from *issuer) {
	r := record.NewReader(text)
	id := &v.identity
	issuer := int(r.Uint())
	for _, s := range [...]*string{
		&v.principal, &v.sessionID, &v.auditHash, &id.ClientID, &id.TokenID, &id.Fingerprint,
		&id.Organization.ID, &id.Organization.Name, &id.Organization.Slug, &id.Organization.Role, &id.payload,
	} {
		*s = r.String()
	}
	for _, list := range [...]*[]string{&id.Scopes, &id.Roles, &id.Permissions, &id.Audience, &id.Organization.Permissions} {
		*list = r.Strings()
	}
	for _, t := range [...]*time.Time{&id.IssuedAt, &id.Expiry, &v.notBefore} {
		*t = r.Time()
	}
	v.bound = r.Bool()
	if r.Bool() {
		id.Kind = KindMachine
	}
	v.from, id.Provider = from, from.Name
	id.Issuer, id.Subject = v.principal[:issuer], v.principal[issuer+len(principalSeparator):]
}

// tokenCache is a bounded cache of verifications. It is safe for concurrent use. It has no
// goroutine of its own: an expired entry stays until it is looked up, replaced or evicted.
type tokenCache struct {
	entries *otter.Cache[fingerprint, *cachedEntry]
}

func newTokenCache() tokenCache {
	return tokenCache{otter.Must(&otter.Options[fingerprint, *cachedEntry]{
		MaximumWeight: cacheBytes,
		Weigher:       func(_ fingerprint, e *cachedEntry) uint32 { return e.weight() },
		// Maintenance runs in the goroutine that causes it. To start another one for each new
		// token delays the request by more than the maintenance; see docs/performance.md.
		Executor: func(maintain func()) { maintain() },
	})}
}

// get returns the entry for a token if it has not expired at now, or nil.
func (c tokenCache) get(key fingerprint, now time.Time) *cachedEntry {
	e, ok := c.entries.GetIfPresent(key)
	if !ok {
		return nil
	}
	if !now.Before(e.expires) {
		c.entries.Invalidate(key)
		return nil
	}
	return e
}

// last returns the entry for a token, even if it has expired, or nil.
func (c tokenCache) last(key fingerprint) *cachedEntry {
	e, _ := c.entries.GetIfPresent(key)
	return e
}

// remove removes the entry for a token, if there is one.
func (c tokenCache) remove(key fingerprint) { c.entries.Invalidate(key) }

// put adds a verified token. The strings of v become parts of the record in the cache, so
// that a caller who keeps them, such as a session, keeps no second copy of the claims.
func (c tokenCache) put(key fingerprint, v *verified, generation uint64, expires time.Time) {
	text := recordOf(v)
	v.read(text, v.from)
	c.entries.Set(key, &cachedEntry{record: text, from: v.from, generation: generation, expires: expires})
}

// putRejection adds a rejected token.
func (c tokenCache) putRejection(key fingerprint, rejection *Rejection, expires time.Time) {
	c.entries.Set(key, &cachedEntry{rejection: rejection, expires: expires})
}

// len returns the number of entries. It includes those that have expired and are not
// removed yet.
func (c tokenCache) len() int { return c.entries.EstimatedSize() }

// weight returns the memory of e in bytes.
func (e *cachedEntry) weight() uint32 { return uint32(max(entryOverhead+len(e.record), minWeight)) }
