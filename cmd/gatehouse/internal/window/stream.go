package window

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxStreams bounds the pages that are open at once.
	maxStreams = 32
	// heartbeat keeps a quiet stream alive, and finds out that a page is gone.
	heartbeat = 15 * time.Second
	// streamTime bounds one stream; the page resumes where it ended.
	streamTime = time.Hour
)

// serveSteps answers with the steps after the one that the parameter "after"
// names, for programs.
func (w *Window) serveSteps(rw http.ResponseWriter, r *http.Request) {
	after, err := readID(r.URL.Query().Get("after"))
	if err != nil {
		writeError(rw, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(rw, http.StatusOK, w.journal.after(after))
}

// serveEvents streams steps as server-sent events. Each "steps" event has the
// ID of its last step, so that Last-Event-ID resumes; "change" says that the
// state is to be read again.
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
		writeError(rw, http.StatusServiceUnavailable, fmt.Sprintf("%d pages are open already; close one", maxStreams))
		return
	}
	control := http.NewResponseController(rw)
	// Servers have deadlines for requests, which would end the stream early.
	control.SetReadDeadline(time.Time{})
	control.SetWriteDeadline(time.Time{})
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.WriteHeader(http.StatusOK)
	w.stream(rw, control, r, after)
}

func (w *Window) stream(rw http.ResponseWriter, control *http.ResponseController, r *http.Request, after uint64) {
	end := time.NewTimer(streamTime)
	defer end.Stop()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	changes := w.journal.after(after).changes
	fmt.Fprint(rw, "retry: 1000\n\n")
	for {
		n := w.journal.after(after)
		if len(n.Steps) > 0 {
			after = n.Steps[len(n.Steps)-1].ID
			data, err := json.Marshal(n)
			if err != nil {
				return
			}
			fmt.Fprintf(rw, "id: %d\nevent: steps\ndata: %s\n\n", after, data)
		}
		if n.changes != changes {
			changes = n.changes
			fmt.Fprint(rw, "event: change\ndata: {}\n\n")
		}
		if control.Flush() != nil {
			return
		}
		select {
		case <-n.more:
		case <-beat.C:
			fmt.Fprint(rw, ": still here\n\n")
		case <-end.C:
			return
		case <-w.done:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// readID reads the ID of a step; none is 0, before the first.
func readID(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("got step %q, want a number", clip(text, maxName))
	}
	return id, nil
}
