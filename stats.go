package gatehouse

import (
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// Stats are counts since the guard was made.
type Stats struct {
	// Accepted counts requests that got through; Unbound those of them whose
	// token named no audience.
	Accepted, Unbound uint64
	// Rejected counts refusals by reason. Reasons that never occurred are absent.
	Rejected map[Reason]uint64
	// CacheHits counts tokens that were seen before and not verified again.
	CacheHits uint64
	// CachedTokens is how many verified tokens are kept now.
	CachedTokens int
	// Keys is the state of the provider's signing keys.
	Keys KeyStats
}

// KeyStats is the state of the signing keys.
type KeyStats struct {
	Count    int           // keys in force; 0 means that no JWT can be verified
	Age      time.Duration // since they were last fetched; 0 before that
	Fetches  uint64        // begun
	Failures uint64        // of those, ended without keys
}

// Stats returns the counts. It is safe for concurrent use and cheap.
func (g *Guard) Stats() Stats {
	out := Stats{
		Accepted: g.counters.accepted.Load(),
		Unbound:  g.counters.unbound.Load(),
		Rejected: make(map[Reason]uint64),
	}
	for i, info := range reason.All() {
		if n := g.counters.refused[i].Load(); n > 0 {
			out.Rejected[info.Reason] = n
		}
	}
	out.CacheHits = g.verifier.hits.Load()
	out.CachedTokens = g.verifier.tokens.Len()
	k := g.verifier.keys.Stats()
	out.Keys = KeyStats{Count: k.Keys, Age: k.Age, Fetches: k.Fetches, Failures: k.Failures}
	return out
}

// maxReasons must be at least the number of reasons; TestReasonsDocument checks it.
const maxReasons = 64

type counters struct {
	accepted, unbound atomic.Uint64
	refused           [maxReasons]atomic.Uint64
}

func (c *counters) accept(by *caller) {
	c.accepted.Add(1)
	if !by.bound {
		c.unbound.Add(1)
	}
}

func (c *counters) refuse(r Reason) {
	if i, ok := reason.Index(r); ok {
		c.refused[i].Add(1)
	}
}
