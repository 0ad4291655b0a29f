package window

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/teststream"
)

// listen opens the event stream and returns a function that reads the next event.
func listen(t *testing.T, r *rig, lastEventID string) (next func() (id, event, data string), end func()) {
	t.Helper()
	req, err := http.NewRequest("GET", r.page.URL+Path+"api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", lastEventID)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || !isEventStream(resp.Header) {
		t.Fatalf("got %d %q, want a stream", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	stream := teststream.NewReader(resp.Body)
	return func() (id, event, data string) {
		got, err := stream.Next()
		if err != nil {
			t.Fatal(err)
		}
		return got.ID, got.Name, got.Data
	}, func() { resp.Body.Close() }
}

func TestStreamResumes(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	add := func(title string) { r.journal.add(Step{Title: title, Time: time.Now()}, owner{}) }
	add("one")
	add("two")
	next, end := listen(t, r, "")
	id, event, data := next()
	if got := titles(t, data); id != "2" || event != "steps" || strings.Join(got, " ") != "one two" {
		t.Fatalf("got %s event %s: %q, want both steps", event, id, got)
	}
	add("three")
	if id, _, data = next(); id != "3" || strings.Join(titles(t, data), " ") != "three" {
		t.Fatalf("got event %s: %s, want the third step as it happens", id, data)
	}
	end()
	add("four")
	next, _ = listen(t, r, id)
	if id, _, data = next(); id != "4" || strings.Join(titles(t, data), " ") != "four" {
		t.Errorf("resumed with event %s: %s, want the fourth step alone", id, data)
	}
	r.journal.stateChanged()
	if _, event, _ := next(); event != "change" {
		t.Errorf("got event %q, want a change", event)
	}
}

func TestClear(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	add := func(title string) { r.journal.add(Step{Title: title, Time: time.Now()}, owner{}) }
	add("one")
	next, end := listen(t, r, "")
	if _, event, _ := next(); event != "steps" {
		t.Fatalf("got event %q, want steps", event)
	}
	if resp, body := postJSON(t, r.page.URL+Path+"api/clear", `{}`); resp.StatusCode != http.StatusOK {
		t.Fatalf("clear answered %d %s", resp.StatusCode, body)
	}
	if id, event, _ := next(); event != "clear" || id != "1" {
		t.Errorf("got event %q with ID %s, want clear with that of the last step", event, id)
	}
	if u := r.journal.after(0); len(u.Steps) > 0 || len(u.Runs) > 0 {
		t.Errorf("got %+v after clear, want nothing", u)
	}
	add("two")
	if id, _, data := next(); id != "2" || strings.Join(titles(t, data), " ") != "two" {
		t.Errorf("got event %s: %s, want the second step", id, data)
	}
	end()
	next, _ = listen(t, r, "1") // a page that was disconnected
	if _, event, _ := next(); event != "clear" {
		t.Errorf("resumed with event %q, want clear", event)
	}
	next, _ = listen(t, r, "2")
	add("three")
	if _, event, data := next(); event != "steps" || !strings.Contains(data, "runs") {
		t.Errorf("resumed with event %q: %s, want runs or steps", event, data)
	}
}

// TestStreamSendsRuns changes a run without a step.
func TestStreamSendsRuns(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.journal.add(Step{Time: time.Now(), Kind: kindChallenge, Outcome: Succeeded}, owner{userAgent: "a"})
	next, _ := listen(t, r, "")
	next()
	r.journal.abandon(time.Now().Add(clientWait))
	if id, event, data := next(); id != "1" || event != "steps" || !strings.Contains(data, `"outcome":"abandoned"`) {
		t.Errorf("got event %q with ID %s: %s, want the abandoned run", event, id, data)
	}
}

func titles(t *testing.T, data string) (titles []string) {
	t.Helper()
	var n update
	if err := json.Unmarshal([]byte(data), &n); err != nil {
		t.Fatal(err)
	}
	for _, s := range n.Steps {
		titles = append(titles, s.Title)
	}
	if len(n.Steps) > 0 && len(n.Runs) == 0 {
		t.Errorf("got steps without their run: %s", data)
	}
	return titles
}

func TestStreamAfterARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.journal.add(Step{Title: "one", Time: time.Now()}, owner{})
	next, _ := listen(t, r, "700")
	if id, _, data := next(); id != "1" || len(titles(t, data)) != 1 {
		t.Errorf("got event %s: %s, want all steps", id, data)
	}
}

func TestStreamIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for range maxStreams {
		r.streams <- struct{}{}
	}
	resp, body := do(t, "GET", r.page.URL+Path+"api/events", "")
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "close a page") {
		t.Errorf("got %d %s, want 503", resp.StatusCode, body)
	}
	<-r.streams
	next, _ := listen(t, r, "")
	r.journal.stateChanged()
	if _, event, _ := next(); event != "change" {
		t.Errorf("got event %q after a stream has ended, want a change", event)
	}
}

func TestStepsForPrograms(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, title := range []string{"one", "two"} {
		r.journal.add(Step{Title: title, Time: time.Now()}, owner{})
	}
	if _, body := do(t, "GET", r.page.URL+Path+"api/steps?after=1", ""); strings.Join(titles(t, body), " ") != "two" {
		t.Errorf("got %s, want the second step", body)
	}
	for _, path := range []string{"api/steps?after=x", "api/steps?after=-1"} {
		resp, body := do(t, "GET", r.page.URL+Path+path, "")
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "want a number") {
			t.Errorf("%s: got %d %s, want 400", path, resp.StatusCode, body)
		}
	}
	resp, body := do(t, "GET", r.page.URL+Path+"api/events", "", "Last-Event-ID", "x")
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d %s, want 400", resp.StatusCode, body)
	}
}
