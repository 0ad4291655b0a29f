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
	attribute               string                                    // of byAttribute
	byAttribute             func(*gatehouse.Stats) map[string]float64 // in place of value: one for each value of attribute
	needs                   func(*gatehouse.Stats) bool               // whether a guard has the metric; nil means that each one has
}

// sharesRevocations, sharesLimits and calledLimiter report whether a guard has shared revocations or rate
// limits, and has called the limiter.
func sharesRevocations(s *gatehouse.Stats) bool { return s.Revocations.Shared }
func sharesLimits(s *gatehouse.Stats) bool      { return s.RateLimits.Shared }
func calledLimiter(s *gatehouse.Stats) bool {
	return s.RateLimits.SharedAvailable || s.RateLimits.SharedFailures > 0
}

// byIssuer returns the function that returns the value for each issuer.
func byIssuer(value func(gatehouse.KeyStats) float64) func(*gatehouse.Stats) map[string]float64 {
	return func(s *gatehouse.Stats) map[string]float64 {
		out := make(map[string]float64, len(s.IssuerKeys))
		for issuer, keys := range s.IssuerKeys {
			out[issuer] = value(keys)
		}
		return out
	}
}

// byLimit returns what was over each limit.
func byLimit(s *gatehouse.Stats) map[string]float64 {
	return map[string]float64{
		"failed_sign_ins": float64(s.RateLimits.LimitedSignIns),
		"requests":        float64(s.RateLimits.LimitedRequests),
		"anonymous":       float64(s.RateLimits.LimitedAnonymous),
	}
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
		attribute: "gatehouse.issuer", byAttribute: byIssuer(func(k gatehouse.KeyStats) float64 { return float64(k.Count) })},
	{name: "gatehouse.keys.age", unit: "s", description: "Time since the signing keys were last fetched.",
		attribute: "gatehouse.issuer", byAttribute: byIssuer(func(k gatehouse.KeyStats) float64 { return k.Age.Seconds() })},
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
		needs: sharesRevocations, value: func(s *gatehouse.Stats) float64 { return number(s.Revocations.Connected) }},
	{name: "gatehouse.revocations.loaded", unit: "1", description: "1 if revocations were loaded since the start.",
		needs: sharesRevocations, value: func(s *gatehouse.Stats) float64 { return number(s.Revocations.Loaded) }},
	{name: "gatehouse.revocation.lag", unit: "s", description: "Time since the store of revocations last answered.",
		needs: sharesRevocations, value: func(s *gatehouse.Stats) float64 { return s.Revocations.Lag.Seconds() }},
	{name: "gatehouse.revocations.unshared", unit: "{denial}", description: "Denials of this process that the store has not taken yet.",
		needs: sharesRevocations, value: func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Unshared) }},
	{name: "gatehouse.revocations.received", unit: "{denial}", description: "Denials that arrived from the store.",
		counter: true, needs: sharesRevocations, value: func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Received) }},
	{name: "gatehouse.revocations.dropped", unit: "{denial}", description: "Denials of the store that did not fit into the table.",
		counter: true, needs: sharesRevocations, value: func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Dropped) }},
	{name: "gatehouse.revocations.invalid", unit: "{denial}", description: "Denials of the store that are not valid.",
		counter: true, needs: sharesRevocations, value: func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Invalid) }},
	{name: "gatehouse.revocation_store.failures", unit: "{attempt}", description: "Failed attempts to load, watch or append.",
		counter: true, needs: sharesRevocations, value: func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Failures) }},
	{name: "gatehouse.rate_limited", unit: "{decision}", description: "What was over a limit of RateLimits.",
		counter: true, attribute: "gatehouse.limit", byAttribute: byLimit},
	{name: "gatehouse.rate_limit.budgets", unit: "{budget}", description: "Addresses and callers that are counted in memory.",
		value: func(s *gatehouse.Stats) float64 { return float64(s.RateLimits.Budgets) }},
	{name: "gatehouse.rate_limiter.available", unit: "1", description: "1 if the last call of the shared rate limiter succeeded, otherwise 0.",
		needs: calledLimiter, value: func(s *gatehouse.Stats) float64 { return number(s.RateLimits.SharedAvailable) }},
	{name: "gatehouse.rate_limiter.failures", unit: "{call}", description: "Failed calls of the shared rate limiter.",
		counter: true, needs: sharesLimits, value: func(s *gatehouse.Stats) float64 { return float64(s.RateLimits.SharedFailures) }},
	{name: "gatehouse.rate_limiter.fallbacks", unit: "{decision}", description: "Decisions made alone because the shared rate limiter failed.",
		counter: true, needs: sharesLimits, value: func(s *gatehouse.Stats) float64 { return float64(s.RateLimits.Fallbacks) }},
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
			case s.needs != nil && !s.needs(stats):
			case s.byAttribute == nil:
				o.ObserveFloat64(instruments[i], s.value(stats), with("gatehouse.resource", resource))
			default:
				for text, value := range s.byAttribute(stats) {
					o.ObserveFloat64(instruments[i], value, with("gatehouse.resource", resource, s.attribute, text))
				}
			}
		}
	}
	return observables, collect, errors.Join(errs...)
}
