package prometheus

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/prometheus/client_golang/prometheus"
)

// metric describes one metric. The table in docs/operations.md is made of these.
type metric struct {
	name, help string
	otel       string // name in the module metrics/otel, for the document
	kind       string // counter, gauge or histogram
	labels     []string
}

// The metrics that the observer counts.
var (
	decisions = metric{
		name:   "gatehouse_decisions_total",
		otel:   "gatehouse.decisions",
		kind:   "counter",
		labels: []string{"resource", "layer", "outcome", "reason", "issuer", "client"},
		help:   "Decisions about requests (layer http) and about operations inside the MCP server (layer mcp: rejections only).",
	}
	decisionDuration = metric{
		name:   "gatehouse_decision_duration_seconds",
		otel:   "gatehouse.decision.duration",
		kind:   "histogram",
		labels: []string{"resource", "outcome"},
		help:   "Time from the arrival of a request to the decision about it, which includes reading its body.",
	}
	operationDuration = metric{
		name:   "mcp_server_operation_duration_seconds",
		otel:   "mcp.server.operation.duration",
		kind:   "histogram",
		labels: []string{"resource", "mcp_method_name", "gen_ai_tool_name", "gen_ai_prompt_name", "mcp_protocol_version", "error_type"},
		help:   "Time from the arrival of an MCP request or notification to the end of its answer. error_type is empty on success.",
	}
	sessionDuration = metric{
		name:   "mcp_server_session_duration_seconds",
		otel:   "mcp.server.session.duration",
		kind:   "histogram",
		labels: []string{"resource", "end"},
		help:   "Duration of sessions that were opened in this process and have ended: deleted, unknown to the handler, or idle (up to the last use).",
	}
	verificationDuration = metric{
		name:   "gatehouse_verification_duration_seconds",
		otel:   "gatehouse.verification.duration",
		kind:   "histogram",
		labels: []string{"resource", "issuer", "kind", "cache", "result"},
		help:   "Duration of the verification of a token (kind jwt or opaque), with a cache hit or miss.",
	}
	introspectionDuration = metric{
		name:   "gatehouse_introspection_duration_seconds",
		otel:   "gatehouse.introspection.duration",
		kind:   "histogram",
		labels: []string{"resource", "issuer", "result"},
		help:   "Duration of requests to the provider about opaque tokens.",
	}
	keyFetchDuration = metric{
		name:   "gatehouse_key_fetch_duration_seconds",
		otel:   "gatehouse.key_fetch.duration",
		kind:   "histogram",
		labels: []string{"resource", "issuer", "error"},
		help:   "Duration of fetches of the provider's signing keys. error is the kind of the failure, or none.",
	}
)

// observed are the metrics above.
var observed = []metric{
	decisions, decisionDuration, operationDuration, sessionDuration, verificationDuration, introspectionDuration, keyFetchDuration,
}

var (
	// operationBuckets are those of the OpenTelemetry conventions for MCP.
	operationBuckets = []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}
	sessionBuckets   = []float64{1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 7 * 24 * 3600}
	// shortBuckets are for what takes microseconds, unless a provider is asked.
	shortBuckets   = []float64{0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5}
	requestBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}
)

// state is a metric that is read from the [gatehouse.Stats] of each guard.
type state struct {
	metric
	desc  *prometheus.Desc
	value func(*gatehouse.Stats) float64
	// byLabel, in place of value, returns a value for each value of the second label.
	byLabel func(*gatehouse.Stats) map[string]float64
	// needs, if set, reports whether the guard has the metric.
	needs func(*gatehouse.Stats) bool
}

func newState(kind, name, otel, help string, value func(*gatehouse.Stats) float64) state {
	s := state{metric: metric{name: name, otel: otel, kind: kind, help: help, labels: []string{"resource"}}, value: value}
	s.desc = prometheus.NewDesc(name, help, s.labels, nil)
	return s
}

func newLabeledState(kind, name, otel, label, help string, byLabel func(*gatehouse.Stats) map[string]float64) state {
	s := state{metric: metric{name: name, otel: otel, kind: kind, help: help, labels: []string{"resource", label}}, byLabel: byLabel}
	s.desc = prometheus.NewDesc(name, help, s.labels, nil)
	return s
}

func newKeyState(kind, name, otel, help string, value func(gatehouse.KeyStats) float64) state {
	return newLabeledState(kind, name, otel, "issuer", help, func(s *gatehouse.Stats) map[string]float64 {
		out := make(map[string]float64, len(s.IssuerKeys))
		for issuer, keys := range s.IssuerKeys {
			out[issuer] = value(keys)
		}
		return out
	})
}

// withStore returns s for guards with shared revocations.
func withStore(s state) state {
	s.needs = func(stats *gatehouse.Stats) bool { return stats.Revocations.Shared }
	return s
}

// withLimiter returns s for guards with shared rate limits.
func withLimiter(s state) state {
	s.needs = func(stats *gatehouse.Stats) bool { return stats.RateLimits.Shared }
	return s
}

// onceCalled returns s for guards that have called the limiter of their shared rate limits.
func onceCalled(s state) state {
	s.needs = func(stats *gatehouse.Stats) bool {
		return stats.RateLimits.SharedAvailable || stats.RateLimits.SharedFailures > 0
	}
	return s
}

func (s *state) collect(out chan<- prometheus.Metric, resource string, stats *gatehouse.Stats) {
	if s.needs != nil && !s.needs(stats) {
		return
	}
	kind := prometheus.GaugeValue
	if s.kind == "counter" {
		kind = prometheus.CounterValue
	}
	if s.byLabel == nil {
		out <- prometheus.MustNewConstMetric(s.desc, kind, s.value(stats), resource)
		return
	}
	for label, value := range s.byLabel(stats) {
		out <- prometheus.MustNewConstMetric(s.desc, kind, value, resource, label)
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
	newKeyState("gauge", "gatehouse_keys", "gatehouse.keys", "Usable signing keys of the provider. With 0, no JWT can be verified.",
		func(k gatehouse.KeyStats) float64 { return float64(k.Count) }),
	newKeyState("gauge", "gatehouse_keys_age_seconds", "gatehouse.keys.age", "Time since the signing keys were last fetched. They are used for a day.",
		func(k gatehouse.KeyStats) float64 { return k.Age.Seconds() }),
	newState("gauge", "gatehouse_cached_tokens", "gatehouse.cached_tokens", "Verified tokens in the cache.",
		func(s *gatehouse.Stats) float64 { return float64(s.CachedTokens) }),
	newState("gauge", "gatehouse_sessions", "gatehouse.sessions", "Open sessions of the MCP revisions until 2025-11-25.",
		func(s *gatehouse.Stats) float64 { return float64(s.Sessions) }),
	newState("gauge", "gatehouse_streams", "gatehouse.streams", "Open streams without an end of their own.",
		func(s *gatehouse.Stats) float64 { return float64(s.Streams) }),
	newState("gauge", "gatehouse_sessions_limit", "gatehouse.sessions.limit", "Largest number of open sessions, and of open streams: MaxSessions.",
		func(s *gatehouse.Stats) float64 { return float64(s.MaxSessions) }),
	newState("counter", "gatehouse_unbound_accepted_total", "gatehouse.unbound_accepted", "Requests that were admitted with a token without an audience.",
		func(s *gatehouse.Stats) float64 { return float64(s.Unbound) }),
	newState("gauge", "gatehouse_unlisted_requirements", "gatehouse.unlisted_requirements", "Requirements whose name the server does not list. They protect nothing.",
		func(s *gatehouse.Stats) float64 { return float64(s.UnlistedRequirements) }),
	newState("gauge", "gatehouse_revocations", "gatehouse.revocations", "Denials that have not ended.",
		func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Count) }),
	withStore(newState("gauge", "gatehouse_revocation_store_connected", "gatehouse.revocation_store.connected", "1 while the store of revocations is watched, otherwise 0.",
		func(s *gatehouse.Stats) float64 { return number(s.Revocations.Connected) })),
	withStore(newState("gauge", "gatehouse_revocations_loaded", "gatehouse.revocations.loaded", "1 if revocations were loaded since the start. Until then, requests get 503.",
		func(s *gatehouse.Stats) float64 { return number(s.Revocations.Loaded) })),
	withStore(newState("gauge", "gatehouse_revocation_lag_seconds", "gatehouse.revocation.lag", "Time since the store of revocations last answered. Revocations of that time may be unknown.",
		func(s *gatehouse.Stats) float64 { return s.Revocations.Lag.Seconds() })),
	withStore(newState("gauge", "gatehouse_revocations_unshared", "gatehouse.revocations.unshared", "Denials of this process that the store has not taken yet.",
		func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Unshared) })),
	withStore(newState("counter", "gatehouse_revocations_received_total", "gatehouse.revocations.received", "Denials that arrived from the store, those of snapshots excluded.",
		func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Received) })),
	withStore(newState("counter", "gatehouse_revocations_dropped_total", "gatehouse.revocations.dropped", "Denials of the store that did not fit into the table. Their tokens are accepted.",
		func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Dropped) })),
	withStore(newState("counter", "gatehouse_revocations_invalid_total", "gatehouse.revocations.invalid", "Denials of the store that were ignored because they are not valid.",
		func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Invalid) })),
	withStore(newState("counter", "gatehouse_revocation_store_failures_total", "gatehouse.revocation_store.failures", "Failed attempts to load revocations, to watch the store, or to append to it.",
		func(s *gatehouse.Stats) float64 { return float64(s.Revocations.Failures) })),
	newLabeledState("counter", "gatehouse_rate_limited_total", "gatehouse.rate_limited", "limit",
		"What was over a limit of RateLimits: tokens that were not verified (failed_sign_ins), requests of a caller (requests), requests without a token (anonymous).",
		func(s *gatehouse.Stats) map[string]float64 {
			return map[string]float64{
				"failed_sign_ins": float64(s.RateLimits.LimitedSignIns),
				"requests":        float64(s.RateLimits.LimitedRequests),
				"anonymous":       float64(s.RateLimits.LimitedAnonymous),
			}
		}),
	newState("gauge", "gatehouse_rate_limit_budgets", "gatehouse.rate_limit.budgets", "Addresses and callers that are counted in memory. When a table is full, rarely used ones are removed.",
		func(s *gatehouse.Stats) float64 { return float64(s.RateLimits.Budgets) }),
	onceCalled(newState("gauge", "gatehouse_rate_limiter_available", "gatehouse.rate_limiter.available", "1 if the last call of the shared rate limiter succeeded, otherwise 0.",
		func(s *gatehouse.Stats) float64 { return number(s.RateLimits.SharedAvailable) })),
	withLimiter(newState("counter", "gatehouse_rate_limiter_failures_total", "gatehouse.rate_limiter.failures", "Failed calls of the shared rate limiter. While it fails, it is called once a second.",
		func(s *gatehouse.Stats) float64 { return float64(s.RateLimits.SharedFailures) })),
	withLimiter(newState("counter", "gatehouse_rate_limiter_fallbacks_total", "gatehouse.rate_limiter.fallbacks", "Decisions that this process made alone because the shared rate limiter failed.",
		func(s *gatehouse.Stats) float64 { return float64(s.RateLimits.Fallbacks) })),
	newState("counter", "gatehouse_audit_dropped_total", "gatehouse.audit.dropped", "Audit events that were dropped because there were too many of callers without a valid token.",
		func(s *gatehouse.Stats) float64 { return float64(s.AuditDropped) }),
	newState("counter", "gatehouse_audit_failed_total", "gatehouse.audit.failed", "Audit events that were lost because Config.Audit or Config.AuditLogger failed.",
		func(s *gatehouse.Stats) float64 { return float64(s.AuditFailed) }),
	newState("counter", "gatehouse_observer_failures_total", "gatehouse.observer.failures", "Calls of an observer that panicked or returned another context.",
		func(s *gatehouse.Stats) float64 { return float64(s.ObserverFailed) }),
}
