package gatehouse_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestBodyIsBoundedAndWhole(t *testing.T) {
	is := newIssuer(t)
	var got int
	handler := newGuard(t, is, requirements).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 8<<20)
		for {
			n, err := r.Body.Read(buf)
			got += n
			if err != nil {
				return
			}
		}
	}))
	header := bearer(is.token(resource))
	text := `{"method":"tools/call","params":{"name":"read","arguments":"` + strings.Repeat("x", 1<<20) + `"}}`
	if resp := send(handler, request{body: text, header: header}); resp.StatusCode != 200 || got != len(text) {
		t.Errorf("status %d, handler read %d bytes; want 200 and %d", resp.StatusCode, got, len(text))
	}
	resp := send(handler, request{body: strings.Repeat("x", 4<<20+1), header: header})
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over the limit: status %d, want 413", resp.StatusCode)
	}
}

// deadlines records the read deadlines that are set on a connection.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// TestBodyDeadline: the deadline of a body is removed at its end, and a request without a
// body has none, since it would also end the answer, which may be a stream.
func TestBodyDeadline(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	}))
	for text, want := range map[string]int{`{"jsonrpc":"2.0"}`: 2, "": 0} {
		r := request{body: text, header: bearer(is.token(resource))}.make()
		if text == "" {
			r.Body = http.NoBody
		}
		w := &deadlines{ResponseWriter: httptest.NewRecorder()}
		handler.ServeHTTP(w, r)
		if len(w.set) != want || want == 2 && (w.set[0].IsZero() || !w.set[1].IsZero()) {
			t.Errorf("body %q: deadlines %v, want %d of which the last is zero", text, w.set, want)
		}
	}
}
