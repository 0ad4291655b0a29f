package gatehouse

import (
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// Stats are the counters of a guard since it was made, and its present state.
type Stats struct {
	// Accepted counts the requests that passed all checks.
	Accepted uint64
	// Unbound counts those of them whose token had no audience (see
	// [AudienceIfPresent]).
	Unbound uint64
	// Rejected counts rejections by reason. Reasons that never occurred are absent.
	Rejected map[Reason]uint64
	// CacheHits counts the verifications that were answered from the cache.
	CacheHits uint64
	// CachedTokens is the number of verified tokens in the cache, those included that
	// have expired and are not removed yet.
	CachedTokens int
	// UnlistedRequirements is the number of requirements whose name the server does not list;
	// see [Guard.UnlistedRequirements]. More than 0 is an error in the configuration.
	UnlistedRequirements int
	// Sessions is the number of open sessions of the handler, as far as the guard knows.
	Sessions int
	// MaxSessions is [Config.MaxSessions] with its default, which also limits Streams.
	MaxSessions int
	// Streams is the number of open streams that have no end of their own.
	Streams int
	// Keys is the state of the provider's signing keys. For several providers, it has the
	// sums, and the greatest age.
	Keys KeyStats
	// AuditDropped counts the audit events that were dropped because there were too many of
	// callers without a valid token; see [Config.Audit].
	AuditDropped uint64
	// AuditFailed counts the audit events that [Config.Audit] or [Config.AuditLogger] failed
	// to take: it panicked, or returned an error.
	AuditFailed uint64
	// ObserverFailed counts the calls in which one of [Config.Observers] panicked, or returned a
	// context that was not derived from the one it was given.
	ObserverFailed uint64
	// Revocations is the state of the deny list and of [Config.Revocations].
	Revocations RevocationStats
	// RateLimits is the state of [Config.RateLimits].
	RateLimits RateLimitStats
	// IssuerKeys are the states by issuer. A provider without public keys is absent.
	IssuerKeys map[string]KeyStats
}

// KeyStats is the state of the provider's signing keys.
type KeyStats struct {
	Count    int           // number of usable keys; with 0, no JWT can be verified
	Age      time.Duration // time since they were last fetched; 0 before the first fetch
	Fetches  uint64        // fetches that were started
	Failures uint64        // fetches that returned no keys
}

// Stats returns the counters. It is safe for concurrent use, and cheap enough to call
// for each scrape of a metrics collector.
func (g *Guard) Stats() Stats {
	out := Stats{
		Accepted:     g.counters.accepted.Load(),
		Unbound:      g.counters.unbound.Load(),
		Rejected:     make(map[Reason]uint64),
		CacheHits:    g.verifier.hits.Load(),
		CachedTokens: g.verifier.tokens.len(),
		Sessions:     g.sessions.table.len(),
		MaxSessions:  g.settings.MaxSessions,
		Streams:      g.requests.openStreams(),
	}
	for i, info := range reason.All() {
		if n := g.counters.rejected[i].Load(); n > 0 {
			out.Rejected[info.Reason] = n
		}
	}
	out.Revocations = g.readRevocationStats()
	out.RateLimits = g.limiter.stats()
	out.UnlistedRequirements = len(g.UnlistedRequirements())
	out.AuditDropped, out.AuditFailed = g.auditor.stats()
	out.ObserverFailed = g.observers.failures()
	out.IssuerKeys = make(map[string]KeyStats, len(g.issuers))
	for _, i := range g.issuers {
		if i.keys == nil {
			continue
		}
		k := i.keys.Stats()
		stats := KeyStats{Count: k.Keys, Age: k.Age, Fetches: k.Fetches, Failures: k.Failures}
		out.IssuerKeys[i.Issuer] = stats
		out.Keys.Count += stats.Count
		out.Keys.Age = max(out.Keys.Age, stats.Age)
		out.Keys.Fetches += stats.Fetches
		out.Keys.Failures += stats.Failures
	}
	return out
}

type counters struct {
	accepted, unbound atomic.Uint64
	rejected          []atomic.Uint64 // by reason.Index
}

func newCounters() counters {
	return counters{rejected: make([]atomic.Uint64, len(reason.All()))}
}

func (c *counters) accept(by *caller) {
	c.accepted.Add(1)
	if !by.bound && !by.anonymous {
		c.unbound.Add(1)
	}
}

func (c *counters) reject(r Reason) {
	if i, ok := reason.Index(r); ok {
		c.rejected[i].Add(1)
	}
}
