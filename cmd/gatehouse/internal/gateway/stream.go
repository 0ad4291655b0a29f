package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// streamBody is the body of an event stream that is passed on as it is. If the backend breaks
// it off, the client gets an error response to its request, in place of a broken connection.
type streamBody struct {
	io.ReadCloser
	exchange *exchange
	endpoint *endpoint

	tail []byte // the last bytes that were read
	rest []byte // what is sent in place of the rest
	done bool
}

// maxTail is the length of the longest end of an event.
const maxTail = 4

func (b *streamBody) Read(p []byte) (int, error) {
	if len(b.rest) > 0 {
		n := copy(p, b.rest)
		b.rest = b.rest[n:]
		return n, nil
	}
	if b.done {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	b.tail = appendTail(b.tail, p[:n])
	if err == nil || err == io.EOF {
		return n, err
	}
	rest := b.endpoint.breakOff(b.exchange, err)
	if rest == nil || !endsEvent(b.tail) {
		return n, err
	}
	b.rest, b.done = rest, true
	if n > 0 {
		return n, nil
	}
	return b.Read(p)
}

// appendTail returns the last bytes of tail followed by text.
func appendTail(tail, text []byte) []byte {
	text = text[max(0, len(text)-maxTail):]
	kept := tail[max(0, len(tail)+len(text)-maxTail):]
	return append(tail[:copy(tail, kept)], text...)
}

// endsEvent reports whether no event is incomplete after tail.
func endsEvent(tail []byte) bool {
	return len(tail) == 0 || slices.ContainsFunc([]string{"\n\n", "\r\n\r\n", "\r\r"}, func(end string) bool {
		return bytes.HasSuffix(tail, []byte(end))
	})
}

// breakOff logs that the backend has broken off a stream, and returns the event that says so to
// the client. It returns nil if there is no one to send it to: the client has left, or the
// stream answers no request.
func (e *endpoint) breakOff(x *exchange, err error) []byte {
	if x.request.Context().Err() != nil {
		return nil
	}
	p := problemOf(err)
	if unreadable := (*problem)(nil); errors.As(err, &unreadable) {
		p = unreadable
	}
	e.logProblem(x.request, x, p)
	id := x.requestID()
	if id == nil {
		return nil
	}
	return fmt.Appendf(nil, "event: message\ndata: %s\n\n", rpcError(id, p))
}

// listStream is the body of an event stream with lists that must be filtered. Each event is
// passed on when it is complete.
type listStream struct {
	source   io.ReadCloser
	exchange *exchange
	endpoint *endpoint

	line    []byte   // incomplete
	event   [][]byte // the lines of the event that is incomplete
	size    int64    // of line and event
	skipLF  bool     // whether a line ended with CR, and a LF belongs to it
	begun   bool     // whether the first line has been read
	out     []byte   // to be read
	failure error    // after out
}

// Close implements [io.Closer].
func (s *listStream) Close() error { return s.source.Close() }

func (s *listStream) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if s.failure != nil {
			return 0, s.failure
		}
		n, err := s.source.Read(p)
		if failed := s.feed(p[:n]); failed != nil {
			s.end(unreadableList(failed))
		} else if err != nil && err != io.EOF {
			s.end(err)
		} else if err == io.EOF {
			// An event without its end is not dispatched (HTML Standard §9.2.6).
			s.failure = io.EOF
		}
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// end ends the stream with an event that says why, if possible.
func (s *listStream) end(err error) {
	s.failure = err
	if rest := s.endpoint.breakOff(s.exchange, err); rest != nil {
		s.out = append(s.out, rest...)
		s.failure = io.EOF
	}
}

// feed reads what the backend has sent.
func (s *listStream) feed(text []byte) error {
	for len(text) > 0 {
		if s.skipLF {
			s.skipLF = false
			if text[0] == '\n' {
				text = text[1:]
				continue
			}
		}
		i := bytes.IndexAny(text, "\r\n")
		if i < 0 {
			s.line = append(s.line, text...)
			s.size += int64(len(text))
			break
		}
		s.line = append(s.line, text[:i]...)
		s.size += int64(i) + 1
		s.skipLF = text[i] == '\r'
		text = text[i+1:]
		if s.size > s.endpoint.config.MaxListBytes {
			break
		}
		if err := s.endLine(); err != nil {
			return err
		}
	}
	if s.size > s.endpoint.config.MaxListBytes {
		return fmt.Errorf("an event is longer than %d bytes; raise max_list_bytes", s.endpoint.config.MaxListBytes)
	}
	return nil
}

// endLine handles a complete line.
func (s *listStream) endLine() error {
	line := s.line
	s.line = nil
	if !s.begun {
		s.begun = true
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")) // a byte order mark
	}
	switch {
	case len(line) > 0 && line[0] == ':' && len(s.event) == 0:
		// A comment keeps the connection open, so it must not wait for the end of an event.
		s.out = append(append(s.out, line...), '\n')
		s.size = 0
		return nil
	case len(line) > 0:
		s.event = append(s.event, line)
		return nil
	}
	event := s.event
	s.event, s.size = nil, 0
	return s.dispatch(event)
}

// dispatch passes a complete event on.
func (s *listStream) dispatch(event [][]byte) error {
	var data [][]byte
	for _, line := range event {
		if value, ok := fieldValue(line, "data"); ok {
			data = append(data, value)
		}
	}
	text := bytes.Join(data, []byte("\n"))
	if len(bytes.TrimSpace(text)) == 0 {
		s.write(event, nil)
		return nil
	}
	filtered, err := s.endpoint.filterMessages(s.exchange, text)
	if err != nil {
		return err
	}
	if bytes.Equal(filtered, text) {
		s.write(event, nil)
	} else {
		s.write(event, filtered)
	}
	return nil
}

// write writes the event, with data in place of its own unless data is nil.
func (s *listStream) write(event [][]byte, data []byte) {
	written := false
	for _, line := range event {
		if _, ok := fieldValue(line, "data"); !ok || data == nil {
			s.out = append(append(s.out, line...), '\n')
		} else if !written {
			s.out = append(append(append(s.out, "data: "...), data...), '\n')
			written = true
		}
	}
	s.out = append(s.out, '\n')
}

// fieldValue returns the value of the line if it is the field (HTML Standard §9.2.6).
func fieldValue(line []byte, field string) (value []byte, ok bool) {
	name, value, found := bytes.Cut(line, []byte(":"))
	if string(name) != field {
		return nil, false
	}
	if found && len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	return value, true
}
