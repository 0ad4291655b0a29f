package otel

import (
	"testing"

	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// namedMeter is a meter that keeps the names of instruments with their units.
type namedMeter struct {
	metric.Meter
	names map[string]string
}

func (m namedMeter) Int64Counter(name string, o ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	m.names[name] = metric.NewInt64CounterConfig(o...).Unit()
	return m.Meter.Int64Counter(name, o...)
}

func (m namedMeter) Float64Histogram(name string, o ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	m.names[name] = metric.NewFloat64HistogramConfig(o...).Unit()
	return m.Meter.Float64Histogram(name, o...)
}

// Names returns the units of all metrics by name.
func Names(t *testing.T) map[string]string {
	t.Helper()
	names := make(map[string]string)
	meter := namedMeter{sdkmetric.NewMeterProvider().Meter("test"), names}
	if _, err := newInstruments(meter); err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		names[s.name] = s.unit
	}
	return names
}
