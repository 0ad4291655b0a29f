package clerk

import (
	"fmt"
	"testing"
	"time"
)

func TestTokenList(t *testing.T) {
	t.Parallel()
	now := time.Now()
	list := tokenList{limit: 3}
	if list.has("a", now) {
		t.Error("an empty list has a token")
	}
	list.add("a", now.Add(time.Minute), now)
	if !list.has("a", now) || list.has("b", now) {
		t.Error("want a and not b")
	}
	if list.has("a", now.Add(time.Minute)) {
		t.Error("a is in the list after it has expired")
	}
	list.add("b", now.Add(time.Hour), now)
	list.add("c", now.Add(time.Hour), now)
	list.add("d", now.Add(time.Hour), now.Add(time.Minute)) // full: a has expired
	if !list.has("b", now) || !list.has("c", now) || !list.has("d", now) || list.has("a", now) {
		t.Errorf("list %v, want b, c and d", list.expires)
	}
	for i := range 100 {
		name := fmt.Sprint(i)
		list.add(name, now.Add(time.Hour), now)
		if len(list.expires) > list.limit || !list.has(name, now) {
			t.Fatalf("list %v, want at most %d tokens with %s among them", list.expires, list.limit, name)
		}
	}
}
