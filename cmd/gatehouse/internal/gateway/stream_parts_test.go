package gateway

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

// inParts returns a text in parts that end at the given places.
type inParts struct {
	parts []string
	err   error
}

func (r *inParts) Read(p []byte) (int, error) {
	for len(r.parts) > 0 && r.parts[0] == "" {
		r.parts = r.parts[1:]
	}
	if len(r.parts) == 0 {
		return 0, r.err
	}
	n := copy(p, r.parts[0])
	r.parts[0] = r.parts[0][n:]
	return n, nil
}

func (r *inParts) Close() error { return nil }

// newListStream returns a stream that is filtered for a GET request whose caller has no role.
func newListStream(t testing.TB, err error, parts ...string) *listStream {
	t.Helper()
	guard, guardErr := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: gatehouse.Provider{Name: "x", Issuer: "https://issuer.example.com", Claims: gatehouse.ClaimNames{
			Roles: []gatehouse.ClaimPath{{"roles"}},
		}},
		Requirements: []gatehouse.Requirement{{Tool: "admin", Require: gatehouse.Require{Roles: []string{"admin"}}}},
	})
	if guardErr != nil {
		t.Fatal(guardErr)
	}
	t.Cleanup(guard.Close)
	e := &endpoint{guard: guard, config: Endpoint{MaxListBytes: 10_000}, logger: slog.New(slog.DiscardHandler)}
	e.lists.hides = true
	x := &exchange{request: httptest.NewRequest(http.MethodGet, "/mcp", nil)}
	return &listStream{source: &inParts{parts, err}, exchange: x, endpoint: e}
}

const parts = "\ufeff: hello\r\n\r\nevent: message\r\nid: 1\r\ndata: {\"result\":\r\ndata: {\"tools\":[{\"name\":\"open\"},{\"name\":\"admin\"}]}}\r\n\r\n" +
	"data: {\"method\":\"x\"}\n\nretry: 5\n\ndata: {\"result\":{}}\r\rdata: {\"incomplete\":"

const filteredParts = ": hello\n\nevent: message\nid: 1\ndata: {\"result\":{\"tools\":[{\"name\":\"open\"}]}}\n\n" +
	"data: {\"method\":\"x\"}\n\nretry: 5\n\ndata: {\"result\":{}}\n\n"

// A stream is filtered in the same way however it arrives.
func TestListStreamInParts(t *testing.T) {
	for i := range len(parts) {
		for _, cut := range [][]string{{parts[:i], parts[i:]}, {parts[:i/2], parts[i/2 : i], parts[i:]}} {
			got, err := io.ReadAll(newListStream(t, io.EOF, cut...))
			if err != nil || string(got) != filteredParts {
				t.Fatalf("cut at %d: got %q, %v, want %q", i, got, err, filteredParts)
			}
		}
	}
	var bytes []string
	for i := range len(parts) {
		bytes = append(bytes, parts[i:i+1])
	}
	if got, err := io.ReadAll(newListStream(t, io.EOF, bytes...)); err != nil || string(got) != filteredParts {
		t.Errorf("byte by byte: got %q, %v, want %q", got, err, filteredParts)
	}
}

// An event is passed on as soon as it is complete, and so is a comment.
func TestListStreamDoesNotWait(t *testing.T) {
	wait := errors.New("the next part has not arrived")
	for text, want := range map[string]string{
		"data: {}\n\n": "data: {}\n\n", ": keep-alive\n": ": keep-alive\n", "data: {}\n\ndata: {": "data: {}\n\n",
	} {
		s := newListStream(t, wait, text)
		buffer := make([]byte, 100)
		n, err := s.Read(buffer)
		if err != nil || string(buffer[:n]) != want {
			t.Errorf("%q: got %q, %v, want %q", text, buffer[:n], err, want)
		}
		if _, err := s.Read(buffer); err != wait {
			t.Errorf("%q: then got %v, want the error of the source", text, err)
		}
	}
}

// Whatever a backend sends, the result does not depend on how it arrives.
func FuzzListStream(f *testing.F) {
	for _, seed := range []string{parts, filteredParts, "data:", "\r\r\n\n", "data\n\n", "data: [{\"result\":{\"tools\":[{\"name\":\"admin\"}]}}]\n\n"} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, text string, at int) {
		cut := 0
		if len(text) > 0 {
			cut = (at%len(text) + len(text)) % len(text)
		}
		whole, wholeErr := io.ReadAll(newListStream(t, io.EOF, text))
		split, splitErr := io.ReadAll(newListStream(t, io.EOF, text[:cut], text[cut:]))
		if string(whole) != string(split) || (wholeErr == nil) != (splitErr == nil) {
			t.Errorf("%q is %q, %v, and cut at %d %q, %v", text, whole, wholeErr, cut, split, splitErr)
		}
	})
}
