// Package record keeps strings, lists and times together in one string.
//
// A value with many strings costs the garbage collector time in each of its runs, for as
// long as the value lives. Ten thousand verified tokens, kept as structs, made a call of a
// server with new tokens 40 % more expensive than the same tokens in one string each; see
// docs/performance.md.
package record

import (
	"encoding/binary"
	"slices"
	"time"
)

// Writer makes a record. The zero value is empty. Each method adds one value.
type Writer struct{ text []byte }

// Grow makes room for n bytes, so that they are added without a copy of what is there.
func (w *Writer) Grow(n int) { w.text = slices.Grow(w.text, n) }

// Record returns the values that were added. A [Reader] reads them in the same order.
func (w *Writer) Record() string { return string(w.text) }

// Bytes returns the same as Record, without a copy: they are valid until the next value is added.
func (w *Writer) Bytes() []byte { return w.text }

// Bool adds b.
func (w *Writer) Bool(b bool) {
	if b {
		w.Uint(1)
	} else {
		w.Uint(0)
	}
}

// Uint adds n.
func (w *Writer) Uint(n uint64) { w.text = binary.AppendUvarint(w.text, n) }

// String adds s.
func (w *Writer) String(s string) {
	w.Uint(uint64(len(s)))
	w.text = append(w.text, s...)
}

// Strings adds list. A nil list stays nil.
func (w *Writer) Strings(list []string) {
	if list == nil {
		w.Uint(0)
		return
	}
	w.Uint(uint64(len(list)) + 1)
	for _, s := range list {
		w.String(s)
	}
}

// Time adds t, without its location. The zero time stays zero.
func (w *Writer) Time(t time.Time) {
	w.Bool(!t.IsZero())
	if !t.IsZero() {
		w.text = binary.LittleEndian.AppendUint64(w.text, uint64(t.Unix()))
		w.Uint(uint64(t.Nanosecond()))
	}
}

// Reader reads the values of a record. The strings that it returns are parts of the record.
// If the record does not have the next value, it returns the zero value, here and from then
// on.
type Reader struct{ rest string }

// NewReader returns a reader of what [Writer.Record] returned.
func NewReader(record string) Reader { return Reader{record} }

// Bool returns the next value.
func (r *Reader) Bool() bool { return r.Uint() == 1 }

// Uint returns the next value.
func (r *Reader) Uint() uint64 {
	var n uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		b := r.rest[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			r.rest = r.rest[i+1:]
			return n
		}
	}
	r.rest = ""
	return 0
}

// String returns the next value.
func (r *Reader) String() string { return r.take(r.Uint()) }

// take returns the next n bytes, or "" if there are fewer.
func (r *Reader) take(n uint64) string {
	if n > uint64(len(r.rest)) {
		r.rest = ""
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// Strings returns the next value.
func (r *Reader) Strings() []string {
	n := r.Uint()
	if n == 0 || n-1 > uint64(len(r.rest)) { // each item takes a byte at least
		return nil
	}
	list := make([]string, n-1)
	for i := range list {
		list[i] = r.String()
	}
	return list
}

// Time returns the next value, in the local time zone.
func (r *Reader) Time() time.Time {
	if !r.Bool() {
		return time.Time{}
	}
	text := r.take(8)
	if text == "" {
		return time.Time{}
	}
	seconds := binary.LittleEndian.Uint64([]byte(text))
	return time.Unix(int64(seconds), int64(r.Uint()))
}
