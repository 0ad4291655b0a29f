package otel

import (
	"errors"

	"github.com/gatehouse-mcp/gatehouse"
	"go.opentelemetry.io/otel/metric"
)

// state is a metric that is read from the [gatehouse.Stats] of each guard.
type state struct {
	name, unit, description string
	counter                 bool // or a gauge
	value                   func(*gatehouse.Stats) float64
	keys                    func(gatehouse.KeyStats) float64 // in place of value: one for each issuer
	shared                  bool                             // whether only guards with shared revocations have it
}

// number is one if b is true.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// states are the metrics of the state of each guard.
var states = []state{
	{name: "gatehouse.keys", unit: "{key}", description: "Usable signing keys of the provider.",
		keys: func(k gatehouse.KeyStats) float64 { return float64(k.Count) }},
	{name: "gatehouse.keys.age", unit: "s", description: "Time since the signing keys were last fetched.",
		keys: func(k gatehouse.KeyStats) float64 { return k.Age.Seconds() }},
	{name: "gatehouse.cached_tokens", unit: "{token}", description: "Verified tokens in the cache.",
		value: func(s *gatehouse.Stats) float64 { return float64(s.CachedTokens) }},
	{name: "gatehouse.sessions", unit: "{session}", description: "Open sessions of the MCP revisions until 2025-11-25.",
		value: func(s *gatehouse.Stats) float64 { return float64(s.Sessions) }},
	{name: "gatehouse.streams", unit: "{stream}", description: "Open streams without an end of their own.",
		value: func(s *gatehouse.Stats) float64 { return float64(s.Streams) }},
	{name: "gatehouse.sessions.limit", unit: "{session}", description: "Largest number of open sessions, and of open streams.",
		value: func(s *gatehouse.Stats) float64 { return float64(s.MaxSessions) }},
	{name: "gatehouse.unbound_accepted", unit: "{request}", description: "Requests that were admitted with a token without an audience.",
		counter: true, value: func(s *gatehouse.Stats) float64 { return float64(s.Unbound) }},
	{name: "gatehouse.unlisted_requirements", unit: "{requirement}", description: "Requirements whose name the server does not list.",
		value: func(s *gatehouse.Stats) float64 { return float64(s.UnlistedRequirements) }},
	{name: "gatehouse.revocations", unit: "{denial}", description: "Denials that have not ended.",
		value: func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Count) }},
	{name: "gatehouse.revocation_store.connected", unit: "1", description: "1 while the store of revocations is watched, otherwise 0.",
		shared: true, value: func(s *gatehouse.Stats) float64 { return number(s.Revocations.Connected) }},
	{name: "gatehouse.revocations.loaded", unit: "1", description: "1 if revocations were loaded since the start.",
		shared: true, value: func(s *gatehouse.Stats) float64 { return number(s.Revocations.Loaded) }},
	{name: "gatehouse.revocation.lag", unit: "s", description: "Time since the store of revocations last answered.",
		shared: true, value: func(s *gatehouse.Stats) float64 { return s.Revocations.Lag.Seconds() }},
	{name: "gatehouse.revocations.unshared", unit: "{denial}", description: "Denials of this process that the store has not taken yet.",
		shared: true, value: func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Unshared) }},
	{name: "gatehouse.revocations.received", unit: "{denial}", description: "Denials that arrived from the store.",
		counter: true, shared: true, value: func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Received) }},
	{name: "gatehouse.revocations.dropped", unit: "{denial}", description: "Denials of the store that did not fit into the table.",
		counter: true, shared: true, value: func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Dropped) }},
	{name: "gatehouse.revocations.invalid", unit: "{denial}", description: "Denials of the store that are not valid.",
		counter: true, shared: true, value: func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Invalid) }},
	{name: "gatehouse.revocation_store.failures", unit: "{attempt}", description: "Failed attempts to load, watch or append.",
		counter: true, shared: true, value: func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Failures) }},
	{name: "gatehouse.audit.dropped", unit: "{event}", description: "Audit events that were dropped.",
		counter: true, value: func(s *gatehouse.Stats) float64 { return float64(s.AuditDropped) }},
	{name: "gatehouse.audit.failed", unit: "{event}", description: "Audit events that were lost.",
		counter: true, value: func(s *gatehouse.Stats) float64 { return float64(s.AuditFailed) }},
	{name: "gatehouse.observer.failures", unit: "{call}", description: "Calls of an observer that failed.",
		counter: true, value: func(s *gatehouse.Stats) float64 { return float64(s.ObserverFailed) }},
}

// newStates returns the instruments of states, and a function that observes all of them for a guard.
func newStates(meter metric.Meter) ([]metric.Observable, func(metric.Observer, string, *gatehouse.Stats), error) {
	var errs []error
	var observables []metric.Observable
	instruments := make([]metric.Float64Observable, len(states))
	for i, s := range states {
		unit, description := metric.WithUnit(s.unit), metric.WithDescription(s.description)
		var err error
		if s.counter {
			instruments[i], err = meter.Float64ObservableCounter(s.name, unit, description)
		} else {
			instruments[i], err = meter.Float64ObservableGauge(s.name, unit, description)
		}
		errs = append(errs, err)
		observables = append(observables, instruments[i])
	}
	collect := func(o metric.Observer, resource string, stats *gatehouse.Stats) {
		for i, s := range states {
			switch {
			case s.shared && !stats.Revocations.Shared:
			case s.keys == nil:
				o.ObserveFloat64(instruments[i], s.value(stats), with("gatehouse.resource", resource))
			default:
				for issuer, k := range stats.IssuerKeys {
					o.ObserveFloat64(instruments[i], s.keys(k), with("gatehouse.resource", resource, "gatehouse.issuer", issuer))
				}
			}
		}
	}
	return observables, collect, errors.Join(errs...)
}
