package window

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

const (
	// maxStreams bounds the event streams that are open at once, one for each page.
	maxStreams = 32
	// heartbeat is the interval of the comments that keep an idle stream open, and that
	// reveal a page that has been closed.
	heartbeat = 15 * time.Second
	// streamTime bounds one stream. The page then reconnects and resumes.
	streamTime = time.Hour
)

// serveSteps answers with the steps after the ID in the query parameter "after".
func (w *Window) serveSteps(rw http.ResponseWriter, r *http.Request) {
	after, err := readID(r.URL.Query().Get("after"))
	if err != nil {
		writeError(rw, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(rw, http.StatusOK, w.journal.after(after))
}

// serveEvents sends steps as server-sent events. The ID of a "steps" event is that of its
// last step, so that Last-Event-ID resumes the stream. It may have runs that changed without a
// step. A "change" event means that settings or faults have changed, and a "clear" event that
// all steps before it were removed.
func (w *Window) serveEvents(rw http.ResponseWriter, r *http.Request) {
	after, err := readID(r.Header.Get("Last-Event-ID"))
	if err != nil {
		writeError(rw, http.StatusBadRequest, err.Error())
		return
	}
	select {
	case w.streams <- struct{}{}:
		defer func() { <-w.streams }()
	default:
		problem := fmt.Sprintf("%d event streams are open, which is the limit; close a page", maxStreams)
		writeError(rw, http.StatusServiceUnavailable, problem)
		return
	}
	control := http.NewResponseController(rw)
	// The server's deadlines would end the stream early.
	control.SetReadDeadline(time.Time{})
	control.SetWriteDeadline(time.Time{})
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.WriteHeader(http.StatusOK)
	w.stream(rw, control, r, after)
}

// stream sends steps until the client disconnects, Follow returns, or streamTime is over.
func (w *Window) stream(rw http.ResponseWriter, control *http.ResponseController, r *http.Request, after uint64) {
	end := time.NewTimer(streamTime)
	defer end.Stop()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	first := w.journal.after(after)
	changes, clears, version := first.stateChanges, first.clears, uint64(0)
	if after > 0 && after <= first.clearedAt {
		clears-- // the page may show steps that were cleared while it was disconnected
	}
	fmt.Fprint(rw, "retry: 1000\n\n")
	for {
		u := w.journal.since(after, version)
		version = u.version
		if u.clears != clears {
			clears, after = u.clears, max(after, u.clearedAt)
			fmt.Fprintf(rw, "id: %d\nevent: clear\ndata: {}\n\n", u.clearedAt)
		}
		if len(u.Steps) > 0 || len(u.Runs) > 0 {
			if len(u.Steps) > 0 {
				after = u.Steps[len(u.Steps)-1].ID
			}
			data, err := json.Marshal(u)
			if err != nil {
				return
			}
			fmt.Fprintf(rw, "id: %d\nevent: steps\ndata: %s\n\n", after, data)
		}
		if u.stateChanges != changes {
			changes = u.stateChanges
			fmt.Fprint(rw, "event: change\ndata: {}\n\n")
		}
		if control.Flush() != nil {
			return
		}
		select {
		case <-u.next:
		case <-beat.C:
			fmt.Fprint(rw, ": heartbeat\n\n")
		case <-end.C:
			return
		case <-w.done:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// readID parses the ID of a step. An empty text means 0, before the first step.
func readID(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("got step %s, want a number", quote.String(text))
	}
	return id, nil
}
