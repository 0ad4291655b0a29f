package localclerk

import (
	"container/list"
)

// shelf is a map that holds at most max entries and drops the oldest for a new
// one. It is not safe for concurrent use.
type boundedMap[V any] struct {
	max     int
	entries map[string]*list.Element
	order   *list.List // of shelved[V], oldest first
}

type mapEntry[V any] struct {
	key   string
	value V
}

func newBoundedMap[V any](max int) boundedMap[V] {
	return boundedMap[V]{max: max, entries: map[string]*list.Element{}, order: list.New()}
}

func (s *boundedMap[V]) put(key string, value V) {
	s.delete(key)
	if len(s.entries) >= s.max {
		s.delete(s.order.Front().Value.(mapEntry[V]).key)
	}
	s.entries[key] = s.order.PushBack(mapEntry[V]{key, value})
}

func (s *boundedMap[V]) get(key string) (V, bool) {
	e, ok := s.entries[key]
	if !ok {
		var zero V
		return zero, false
	}
	return e.Value.(mapEntry[V]).value, true
}

func (s *boundedMap[V]) delete(key string) {
	if e, ok := s.entries[key]; ok {
		s.order.Remove(e)
		delete(s.entries, key)
	}
}

// all returns the values, oldest first.
func (s *boundedMap[V]) all() []V {
	values := make([]V, 0, len(s.entries))
	for e := s.order.Front(); e != nil; e = e.Next() {
		values = append(values, e.Value.(mapEntry[V]).value)
	}
	return values
}
