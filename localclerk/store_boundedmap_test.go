package localclerk

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBoundedMap(t *testing.T) {
	t.Parallel()
	s := newBoundedMap[int](2)
	s.put("a", 1)
	s.put("b", 2)
	s.put("a", 3)
	s.put("c", 4)
	if _, ok := s.get("b"); ok {
		t.Error("the oldest entry is still there")
	}
	if diff := cmp.Diff([]int{3, 4}, s.all()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	s.delete("a")
	s.delete("a")
	if diff := cmp.Diff([]int{4}, s.all()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
