package record_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/record"
)

func TestRoundTrip(t *testing.T) {
	lists := [][]string{nil, {}, {""}, {"profile", "email", strings.Repeat("x", 300)}}
	times := []time.Time{{}, time.Unix(0, 0), time.Unix(1_800_000_000, 5), time.Unix(-5, 0), time.Unix(253402300799, 999_999_999)}
	var w record.Writer
	w.Bool(true)
	w.Bool(false)
	w.Uint(1 << 63)
	w.String("")
	w.String(strings.Repeat("é", 100))
	for _, list := range lists {
		w.Strings(list)
	}
	for _, at := range times {
		w.Time(at)
	}
	if got := string(w.Bytes()); got != w.Record() {
		t.Errorf("Bytes = %q, want the record, %q", got, w.Record())
	}
	r := record.NewReader(w.Record())
	if got := r.Bool(); !got {
		t.Errorf("Bool = %t, want true", got)
	}
	if got := r.Bool(); got {
		t.Errorf("Bool = %t, want false", got)
	}
	if got := r.Uint(); got != 1<<63 {
		t.Errorf("Uint = %d, want 1<<63", got)
	}
	if got := r.String(); got != "" {
		t.Errorf("String = %q, want none", got)
	}
	if got := r.String(); got != strings.Repeat("é", 100) {
		t.Errorf("String = %q, want 100 times é", got)
	}
	for _, want := range lists {
		if got := r.Strings(); !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("Strings = %#v, want %#v", got, want)
		}
	}
	for _, want := range times {
		if got := r.Time(); !got.Equal(want) {
			t.Errorf("Time = %v, want %v", got, want)
		}
	}
	if got := r.String(); got != "" {
		t.Errorf("String after the end = %q, want none", got)
	}
}

// FuzzReader reads text that no Writer made: no method may panic, or allocate more than the
// text allows.
func FuzzReader(f *testing.F) {
	var w record.Writer
	w.Strings([]string{"a", "b"})
	w.Time(time.Unix(5, 6))
	f.Add(w.Record())
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Add(strings.Repeat("\x80", 20))
	f.Fuzz(func(t *testing.T, text string) {
		r := record.NewReader(text)
		r.Bool()
		if list := r.Strings(); len(list) > len(text) {
			t.Fatalf("%d items of %d bytes", len(list), len(text))
		}
		r.Time()
		if s := r.String(); !strings.Contains(text, s) {
			t.Fatalf("String = %q, which is not a part of %q", s, text)
		}
	})
}

// FuzzRoundTrip writes values and reads them back.
func FuzzRoundTrip(f *testing.F) {
	f.Add(true, uint64(3), "text", "a b", int64(1_800_000_000), int64(7))
	f.Fuzz(func(t *testing.T, b bool, n uint64, s, list string, seconds, nanoseconds int64) {
		seconds %= 1 << 40
		at := time.Unix(seconds, nanoseconds&0xffffff)
		items := strings.Split(list, " ")
		var w record.Writer
		w.Bool(b)
		w.Uint(n)
		w.String(s)
		w.Strings(items)
		w.Time(at)
		r := record.NewReader(w.Record())
		if r.Bool() != b || r.Uint() != n || r.String() != s || !slices.Equal(r.Strings(), items) || !r.Time().Equal(at) {
			t.Fatalf("%t, %d, %q, %q, %v are read back as other values", b, n, s, items, at)
		}
	})
}
