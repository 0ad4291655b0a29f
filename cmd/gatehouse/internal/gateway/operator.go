package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/operator"
)

// EndpointState is the readiness of an endpoint, as the operator port reports it.
type EndpointState struct {
	operator.GuardState
	Upstreams []UpstreamState `json:"upstreams"`
}

// UpstreamState is what is known about a backend.
type UpstreamState struct {
	URL       string `json:"url"`
	Reachable bool   `json:"reachable"`         // a connection can be opened
	Healthy   *bool  `json:"healthy,omitempty"` // the last result of the health check, if there is one
}

// Operator returns the configuration of an operator port, with the state of the endpoints and
// their backends. A backend that is down does not make the gateway unready: that would take it
// away from the users of the others, and clients get a clear answer.
func (g *Gateway) Operator() operator.Config {
	cfg := operator.OfGuards(g.Guards)
	cfg.Ready = func(ctx context.Context) (bool, any) {
		states := g.states(ctx)
		guards := make([]operator.GuardState, len(states))
		for i, s := range states {
			guards[i] = s.GuardState
		}
		status := operator.Status(guards)
		return status == operator.Ready, operator.Report[EndpointState]{Status: status, Endpoints: states}
	}
	return cfg
}

// states returns the states of the endpoints, which it asks at the same time.
func (g *Gateway) states(ctx context.Context) []EndpointState {
	g.mu.Lock()
	endpoints := g.current.endpoints
	g.mu.Unlock()
	states := make([]EndpointState, len(endpoints))
	var asking sync.WaitGroup
	for i, e := range endpoints {
		states[i].Upstreams = make([]UpstreamState, len(e.upstreams.all))
		asking.Go(func() { states[i].GuardState = operator.StateOf(ctx, e.guard) })
		for j, u := range e.upstreams.all {
			asking.Go(func() { states[i].Upstreams[j] = u.state(ctx) })
		}
	}
	asking.Wait()
	return states
}

func (u *upstream) state(ctx context.Context) UpstreamState {
	s := UpstreamState{URL: u.target.Redacted(), Reachable: u.reachable(ctx)}
	if u.HealthPath != "" {
		healthy := u.health.isUp(time.Now())
		s.Healthy = &healthy
	}
	return s
}
