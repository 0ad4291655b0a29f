package otel

import (
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// maxSets bounds the sets of attributes. The attributes are bounded too, but their product is larger.
const maxSets = 4096

// set is a set of attributes for measurements, and the same for spans.
type set struct {
	option     metric.MeasurementOption
	attributes []attribute.KeyValue
}

// setKey is a kind of measurement and the values of its attributes.
type setKey [10]string

// sets keeps the sets of attributes of measurements, because making one takes as long as the measurement.
// The zero value is empty.
type sets struct {
	mu    sync.RWMutex
	byKey map[setKey]*set
}

// get returns the set for the key, for a measurement.
func (s *sets) get(key setKey, pairs func() []string) metric.MeasurementOption {
	return s.find(key, pairs).option
}

// find returns the set for the key, whose pairs are those of a name and its value.
func (s *sets) find(key setKey, pairs func() []string) *set {
	s.mu.RLock()
	found := s.byKey[key]
	s.mu.RUnlock()
	if found != nil {
		return found
	}
	list := attributes(pairs()...)
	// NewSet sorts the list that it gets.
	found = &set{metric.WithAttributeSet(attribute.NewSet(slices.Clone(list)...)), slices.Clip(list)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey == nil {
		s.byKey = make(map[setKey]*set)
	}
	if len(s.byKey) < maxSets {
		s.byKey[key] = found
	}
	return found
}
