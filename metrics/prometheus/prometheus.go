// Package prometheus makes metrics of a guard for Prometheus: decisions, latencies, keys, sessions and
// revocations.
//
//	metrics := prometheus.New()
//	guard, err := gatehouse.New(gatehouse.Config{
//		Observers: []gatehouse.Observer{metrics.Observer()},
//		// …
//	})
//	metrics.Watch(guard)
//	mux.Handle("/metrics", metrics.Handler()) // on a port that only operators can reach
//
// docs/operations.md has the table of all metrics, alert rules, and a dashboard.
//
// All labels are bounded: a request cannot cause a new one, unless it has a valid token, and then only as
// many as [gatehouse.Decision] allows.
package prometheus

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// maxScrapes bounds the scrapes that run at the same time.
	maxScrapes = 8
	// scrapeTimeout bounds one scrape.
	scrapeTimeout = 10 * time.Second
)

// none is the label of what is not known or does not apply. Prometheus does not distinguish an empty
// label from a missing one.
const none = "none"

// Metrics are the metrics of one or several guards. It is a [prometheus.Collector], so that it can be
// registered with others. Make one with [New]. It is safe for concurrent use.
type Metrics struct {
	decisions        *prometheus.CounterVec
	decisionDuration *prometheus.HistogramVec
	operations       *prometheus.HistogramVec
	sessions         *prometheus.HistogramVec
	verifications    *prometheus.HistogramVec
	introspections   *prometheus.HistogramVec
	keyFetches       *prometheus.HistogramVec

	mu    sync.Mutex
	lists []func() []*gatehouse.Guard
}

var _ prometheus.Collector = (*Metrics)(nil)

// New returns metrics without guards. Put [Metrics.Observer] into the configuration of each guard, and
// pass the guard to [Metrics.Watch].
func New() *Metrics {
	return &Metrics{
		decisions:        prometheus.NewCounterVec(prometheus.CounterOpts{Name: decisions.name, Help: decisions.help}, decisions.labels),
		decisionDuration: newHistogram(decisionDuration, shortBuckets),
		operations:       newHistogram(operationDuration, operationBuckets),
		sessions:         newHistogram(sessionDuration, sessionBuckets),
		verifications:    newHistogram(verificationDuration, shortBuckets),
		introspections:   newHistogram(introspectionDuration, requestBuckets),
		keyFetches:       newHistogram(keyFetchDuration, requestBuckets),
	}
}

func newHistogram(m metric, buckets []float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.name, Help: m.help, Buckets: buckets}, m.labels)
}

// Watch adds the state of the guards to the metrics. If two have the same resource, as while a
// configuration is replaced, the one that was added last counts.
func (m *Metrics) Watch(guards ...*gatehouse.Guard) {
	m.WatchFunc(func() []*gatehouse.Guard { return guards })
}

// WatchFunc is Watch for guards that change. list is called for each scrape, and must be safe for
// concurrent use.
func (m *Metrics) WatchFunc(list func() []*gatehouse.Guard) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists = append(m.lists, list)
}

// Observer returns the observer for [gatehouse.Config.Observers]. Several guards can have the same.
func (m *Metrics) Observer() gatehouse.Observer {
	return gatehouse.Observer{
		Decision:   m.decide,
		RequestEnd: func(_ context.Context, e gatehouse.RequestEnd) { m.operation(e.Decision, e.ErrorType, e.Duration) },
		SessionEnd: func(e gatehouse.SessionEnd) {
			m.sessions.WithLabelValues(e.Resource, e.Why).Observe(e.Duration.Seconds())
		},
		Verification:  m.verify,
		Introspection: m.introspect,
		KeyFetch: func(f gatehouse.KeyFetch) {
			m.keyFetches.WithLabelValues(f.Resource, f.Issuer, orNone(f.Error)).Observe(f.Duration.Seconds())
		},
	}
}

func (m *Metrics) decide(_ context.Context, d gatehouse.Decision) context.Context {
	m.decisions.WithLabelValues(d.Resource, d.Layer, d.Outcome, orNone(string(d.Reason)), orNone(d.Issuer), orNone(d.Client)).Inc()
	if d.Layer != gatehouse.AuditHTTP {
		return nil
	}
	m.decisionDuration.WithLabelValues(d.Resource, d.Outcome).Observe(d.Duration.Seconds())
	if d.Outcome == gatehouse.AuditDeny {
		m.operation(d, string(d.Reason), d.Duration)
	}
	return nil
}

// operation records the duration of an operation, if the decision knows which one it is.
func (m *Metrics) operation(d gatehouse.Decision, errorType string, took time.Duration) {
	if !d.HasOperation() {
		return
	}
	m.operations.WithLabelValues(d.Resource, d.Method, d.Tool(), d.Prompt(), d.ProtocolVersion, errorType).Observe(took.Seconds())
}

func (m *Metrics) verify(_ context.Context, v gatehouse.Verification) {
	m.verifications.WithLabelValues(v.Resource, orNone(v.Issuer), v.Kind, v.Cache, v.Result()).Observe(v.Duration.Seconds())
}

func (m *Metrics) introspect(_ context.Context, i gatehouse.Introspection) {
	m.introspections.WithLabelValues(i.Resource, i.Issuer, i.Result).Observe(i.Duration.Seconds())
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, v := range m.vectors() {
		v.Describe(out)
	}
	for i := range states {
		out <- states[i].desc
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, v := range m.vectors() {
		v.Collect(out)
	}
	for _, guard := range m.guards() {
		stats := guard.Stats()
		for i := range states {
			states[i].collect(out, guard.Resource(), &stats)
		}
	}
}

func (m *Metrics) vectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.decisions, m.decisionDuration, m.operations, m.sessions, m.verifications, m.introspections, m.keyFetches,
	}
}

// guards returns the guards, one for each resource.
func (m *Metrics) guards() map[string]*gatehouse.Guard {
	m.mu.Lock()
	lists := m.lists
	m.mu.Unlock()
	out := make(map[string]*gatehouse.Guard)
	for _, list := range lists {
		for _, guard := range list() {
			out[guard.Resource()] = guard
		}
	}
	return out
}

// Handler returns a handler for scrapes, in a registry of its own: these metrics, and those of the Go
// runtime, of the process and of the build. It is not protected: serve it where only operators can
// reach it. The names of tools and of issuers are among the labels.
func (m *Metrics) Handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		Registry:            registry,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
	})
}
