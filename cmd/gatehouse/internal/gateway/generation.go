package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/gatehouse-mcp/gatehouse"
)

// maxRetired bounds the old configurations that still have open requests. The streams of the
// oldest one end when there are more.
const maxRetired = 16

// generation is one configuration, with what it needs to answer requests.
type generation struct {
	handler   http.Handler
	endpoints []*endpoint
	open      int // requests; guarded by Gateway.mu
}

// newGeneration returns the generation of cfg. It takes endpoints that have not changed from
// old, which may be nil.
func (g *Gateway) newGeneration(cfg Config, old *generation) (*generation, error) {
	if len(cfg.Endpoints) == 0 {
		return nil, errors.New("there is no endpoint")
	}
	gen := &generation{}
	var faults []error
	for i := range cfg.Endpoints {
		e := old.unchanged(&cfg.Endpoints[i])
		if e == nil {
			var err error
			if e, err = g.newEndpoint(&cfg.Endpoints[i]); err != nil {
				faults = append(faults, &EndpointError{i, err})
				continue
			}
		}
		gen.endpoints = append(gen.endpoints, e)
	}
	err := errors.Join(faults...)
	if err == nil {
		gen.handler, err = g.newRouter(gen.endpoints, cfg.LogRequests)
	}
	if err != nil {
		for _, e := range gen.endpoints {
			if !old.has(e) {
				e.close()
			}
		}
		return nil, err
	}
	return gen, nil
}

// unchanged returns the endpoint with the same identity, or nil.
func (gen *generation) unchanged(config *Endpoint) *endpoint {
	if gen == nil || config.Identity == "" {
		return nil
	}
	for _, e := range gen.endpoints {
		if e.config.Identity == config.Identity {
			return e
		}
	}
	return nil
}

func (gen *generation) has(e *endpoint) bool {
	if gen == nil {
		return false
	}
	for _, other := range gen.endpoints {
		if other == e {
			return true
		}
	}
	return false
}

// Start fetches the keys of the providers, so that the first user does not wait for them, and
// begins the health checks. [Gateway.Serve] does it.
func (g *Gateway) Start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.started = true
	g.current.start()
}

func (gen *generation) start() {
	for _, e := range gen.endpoints {
		e.start()
	}
}

// begin returns the current generation and counts a request of it.
func (g *Gateway) begin() *generation {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current.open++
	return g.current
}

// end must be called when the request of gen has been answered.
func (g *Gateway) end(gen *generation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if gen.open--; gen.open == 0 && gen != g.current {
		g.remove(gen)
	}
}

// retire keeps gen until its requests have been answered. g.mu must be held.
func (g *Gateway) retire(gen *generation) {
	g.retired = append(g.retired, gen)
	if gen.open == 0 {
		g.remove(gen)
	}
	if len(g.retired) > maxRetired {
		oldest := g.retired[0]
		g.logger.Warn("ending the streams of an old configuration, because the configuration was changed often", "changes", maxRetired)
		for _, e := range oldest.endpoints {
			if !g.inUse(e, oldest) {
				go shutdown(context.Background(), e.guard)
			}
		}
	}
}

// remove closes what only gen uses. g.mu must be held.
func (g *Gateway) remove(gen *generation) {
	for i, other := range g.retired {
		if other == gen {
			g.retired = append(g.retired[:i:i], g.retired[i+1:]...)
			break
		}
	}
	for _, e := range gen.endpoints {
		if !g.inUse(e, gen) {
			e.close()
		}
	}
}

// inUse reports whether another generation than gen uses e. g.mu must be held.
func (g *Gateway) inUse(e *endpoint, gen *generation) bool {
	if gen != g.current && g.current.has(e) {
		return true
	}
	for _, other := range g.retired {
		if other != gen && other.has(e) {
			return true
		}
	}
	return false
}

// Drain makes the readiness check fail. Requests are still answered.
func (g *Gateway) Drain() {
	for _, guard := range g.allGuards() {
		guard.Drain()
	}
}

// Shutdown lets the running calls finish and then ends the streams of all configurations, as
// [gatehouse.Guard.Shutdown] does. No configuration can be applied afterwards.
func (g *Gateway) Shutdown(ctx context.Context) {
	g.mu.Lock()
	g.stopping = true
	g.mu.Unlock()
	var stopping sync.WaitGroup
	for _, guard := range g.allGuards() {
		stopping.Go(func() { shutdown(ctx, guard) })
	}
	stopping.Wait()
}

func shutdown(ctx context.Context, guard *gatehouse.Guard) { guard.Shutdown(ctx) }

// Close releases what the gateway holds. Call it when no request runs any more.
func (g *Gateway) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, gen := range append([]*generation{g.current}, g.retired...) {
		for _, e := range gen.endpoints {
			e.close()
		}
	}
}

// allGuards returns the guards of all generations, each once.
func (g *Gateway) allGuards() []*gatehouse.Guard {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := map[*endpoint]bool{}
	var guards []*gatehouse.Guard
	for _, gen := range append([]*generation{g.current}, g.retired...) {
		for _, e := range gen.endpoints {
			if !seen[e] {
				seen[e] = true
				guards = append(guards, e.guard)
			}
		}
	}
	return guards
}
