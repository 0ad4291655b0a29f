package operator

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// What a state or a report says.
const (
	Ready    = "ready"
	NotReady = "not ready"
	Stopping = "shutting down"
)

// maxReason bounds the text of a reason, in bytes.
const maxReason = 500

// GuardState is the readiness of a guard, as /readyz reports it.
type GuardState struct {
	URL         string            `json:"url"`
	Status      string            `json:"status"` // Ready, NotReady or Stopping
	Reason      string            `json:"reason,omitempty"`
	Keys        []KeyState        `json:"keys,omitempty"`
	Revocations *RevocationsState `json:"revocations,omitempty"`
}

// KeyState is the state of the signing keys of an issuer.
type KeyState struct {
	Issuer string  `json:"issuer"`
	Count  int     `json:"count"` // with 0, no token of the issuer can be verified
	Age    float64 `json:"age_seconds"`
}

// RevocationsState is the state of the revocations that processes share.
type RevocationsState struct {
	Loaded    bool    `json:"loaded"`
	Connected bool    `json:"connected"`
	Count     int     `json:"count"`
	Lag       float64 `json:"lag_seconds"`
	Unshared  int     `json:"unshared,omitempty"`
}

// StateOf returns the readiness of a guard. It returns soon after ctx ends.
func StateOf(ctx context.Context, g *gatehouse.Guard) GuardState {
	state := GuardState{URL: g.Resource(), Status: Ready}
	err := g.Ready(ctx)
	switch {
	case errors.Is(err, gatehouse.ErrShuttingDown):
		state.Status = Stopping
	case err != nil:
		state.Status, state.Reason = NotReady, quote.Clip(err.Error(), maxReason)
	}
	stats := g.Stats()
	for _, p := range g.Providers() {
		if keys, ok := stats.IssuerKeys[p.Issuer]; ok {
			state.Keys = append(state.Keys, KeyState{p.Issuer, keys.Count, seconds(keys.Age)})
		}
	}
	if r := stats.Revocations; r.Shared {
		state.Revocations = &RevocationsState{r.Loaded, r.Connected, r.Count, seconds(r.Lag), r.Unshared}
	}
	return state
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// StatesOf returns the states of the guards, which it asks at the same time.
func StatesOf(ctx context.Context, guards []*gatehouse.Guard) []GuardState {
	states := make([]GuardState, len(guards))
	var asking sync.WaitGroup
	for i, g := range guards {
		asking.Go(func() { states[i] = StateOf(ctx, g) })
	}
	asking.Wait()
	return states
}

// Status returns the status of a server with guards in these states: it is ready if all are.
func Status(states []GuardState) string {
	status := Ready
	for _, s := range states {
		if s.Status == Stopping {
			return Stopping
		}
		if s.Status != Ready {
			status = NotReady
		}
	}
	return status
}

// Report is what /readyz answers. E has a GuardState, and what else the server reports.
type Report[E any] struct {
	Status    string `json:"status"`
	Endpoints []E    `json:"endpoints"`
}

// GuardStats are the counters of a guard, as /stats reports them.
type GuardStats struct {
	URL   string          `json:"url"`
	Stats gatehouse.Stats `json:"stats"`
}

// StatsOf returns the counters of the guards.
func StatsOf(guards []*gatehouse.Guard) []GuardStats {
	var all []GuardStats
	for _, g := range guards {
		all = append(all, GuardStats{g.Resource(), g.Stats()})
	}
	return all
}

// OfGuards returns the configuration of an operator port that reports the guards, which the
// function returns whenever they are needed.
func OfGuards(guards func() []*gatehouse.Guard) Config {
	return Config{
		Ready: func(ctx context.Context) (bool, any) {
			states := StatesOf(ctx, guards())
			status := Status(states)
			return status == Ready, Report[GuardState]{status, states}
		},
		Stats: func() any { return StatsOf(guards()) },
	}
}
