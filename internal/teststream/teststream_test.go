package teststream_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/teststream"
)

func TestReadAll(t *testing.T) {
	for _, test := range []struct {
		name   string
		stream string
		want   []teststream.Event
	}{
		{"empty", "", nil},
		{"comment and retry", ": ping\n\nretry: 1000\n\n", nil},
		{"all fields", "id: 7\nevent: steps\ndata: {}\n\n", []teststream.Event{{ID: "7", Name: "steps", Data: "{}"}}},
		{"no space after the colon", "data:{}\n\n", []teststream.Event{{Data: "{}"}}},
		{"two lines of data", "data: a\ndata: b\n\n", []teststream.Event{{Data: "a\nb"}}},
		{"CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", []teststream.Event{{Data: "a"}, {Data: "b"}}},
		{"without data", "id: 7\n\n", []teststream.Event{{ID: "7"}}},
		{"colon in the data", "data: a: b\n\n", []teststream.Event{{Data: "a: b"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := teststream.ReadAll(strings.NewReader(test.stream))
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("ReadAll = %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestStreamThatEndsInsideAnEvent(t *testing.T) {
	for _, stream := range []string{"data: a", "data: a\n", "data: a\n\ndata: b\n"} {
		if _, err := teststream.ReadAll(strings.NewReader(stream)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: got error %v, want io.ErrUnexpectedEOF", stream, err)
		}
	}
}

func TestNextReturnsAnEventBeforeTheStreamEnds(t *testing.T) {
	read, write := io.Pipe()
	stream := teststream.NewReader(read)
	for n := range 3 {
		want := fmt.Sprint(n)
		go fmt.Fprintf(write, "data: %s\n\n", want)
		if got, err := stream.Next(); err != nil || got.Data != want {
			t.Fatalf("Next = %+v, %v, want the data %q", got, err, want)
		}
	}
	write.Close()
	if _, err := stream.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: got error %v, want io.EOF", err)
	}
}
