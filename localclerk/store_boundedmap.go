package localclerk

import (
	"container/list"
)

// boundedMap is a map with at most max entries. A new entry evicts the oldest
// one. It is not safe for concurrent use.
type boundedMap[V any] struct {
	max     int
	entries map[string]*list.Element
	order   *list.List // of mapEntry[V], oldest first
}

type mapEntry[V any] struct {
	key   string
	value V
}

func newBoundedMap[V any](max int) boundedMap[V] {
	return boundedMap[V]{max: max, entries: map[string]*list.Element{}, order: list.New()}
}

func (m *boundedMap[V]) put(key string, value V) {
	m.delete(key)
	if len(m.entries) >= m.max {
		m.delete(m.order.Front().Value.(mapEntry[V]).key)
	}
	m.entries[key] = m.order.PushBack(mapEntry[V]{key, value})
}

func (m *boundedMap[V]) get(key string) (V, bool) {
	e, ok := m.entries[key]
	if !ok {
		var zero V
		return zero, false
	}
	return e.Value.(mapEntry[V]).value, true
}

func (m *boundedMap[V]) delete(key string) {
	if e, ok := m.entries[key]; ok {
		m.order.Remove(e)
		delete(m.entries, key)
	}
}

// all returns the values, oldest first.
func (m *boundedMap[V]) all() []V {
	values := make([]V, 0, len(m.entries))
	for e := m.order.Front(); e != nil; e = e.Next() {
		values = append(values, e.Value.(mapEntry[V]).value)
	}
	return values
}
