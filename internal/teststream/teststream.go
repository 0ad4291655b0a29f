// Package teststream reads server-sent events in a test. Only tests import it.
package teststream

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// Event is one server-sent event. Fields that the event does not have are empty.
type Event struct {
	ID   string
	Name string // of the field "event"
	Data string // the lines of all data fields, joined by "\n"
}

// Reader reads the events of one stream. It is not safe for concurrent use.
type Reader struct{ lines *bufio.Reader }

// NewReader returns a reader of the events in r, the body of a response of type
// text/event-stream.
func NewReader(r io.Reader) *Reader { return &Reader{bufio.NewReader(r)} }

// Next waits for the next event and returns it. At the end of the stream the error is
// [io.EOF]. If the stream ends inside an event, it is [io.ErrUnexpectedEOF]: a client
// discards such an event. Comments and the retry field are skipped.
func (r *Reader) Next() (Event, error) {
	var (
		event Event
		data  []string
		begun bool
	)
	for {
		line, err := r.lines.ReadString('\n')
		if errors.Is(err, io.EOF) && (begun || line != "") {
			return Event{}, io.ErrUnexpectedEOF
		}
		if err != nil {
			return Event{}, err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" && begun {
			event.Data = strings.Join(data, "\n")
			return event, nil
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			event.ID = value
		case "event":
			event.Name = value
		case "data":
			data = append(data, value)
		default:
			continue
		}
		begun = true
	}
}

// ReadAll returns all events of a stream that has an end.
func ReadAll(r io.Reader) ([]Event, error) {
	var events []Event
	stream := NewReader(r)
	for {
		event, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, event)
	}
}
