package otel

import (
	"sync"

	"go.opentelemetry.io/otel/metric"
)

// maxSets bounds the kept sets of attributes. The attributes are bounded too, but their product is larger.
const maxSets = 4096

// setKey is a kind of measurement and the values of its attributes.
type setKey [7]string

// sets keeps the sets of attributes of measurements, because making one takes as long as the measurement.
// The zero value is empty.
type sets struct {
	mu   sync.RWMutex
	kept map[setKey]metric.MeasurementOption
}

// get returns the set for the key, whose pairs are those of a name and its value.
func (s *sets) get(key setKey, pairs func() []string) metric.MeasurementOption {
	s.mu.RLock()
	option := s.kept[key]
	s.mu.RUnlock()
	if option != nil {
		return option
	}
	option = with(pairs()...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = make(map[setKey]metric.MeasurementOption)
	}
	if len(s.kept) < maxSets {
		s.kept[key] = option
	}
	return option
}
