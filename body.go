package gatehouse

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// DefaultMaxBodyBytes is the limit of a request body if [Config.MaxBodyBytes] is zero. It is
// go-sdk's default too.
const DefaultMaxBodyBytes = 4 << 20

// maxBodyBytes is the largest limit of a body. All bodies that arrive at the same time are kept
// in memory.
const maxBodyBytes = 1 << 30

// validateBody checks [Config.MaxBodyBytes] and sets its default.
func (s *settings) validateBody(f *faults) {
	if n := s.MaxBodyBytes; n < 0 || n > maxBodyBytes {
		f.add("MaxBodyBytes", strconv.FormatInt(n, 10), "is out of range",
			fmt.Sprintf("use 0 for the default of %d bytes, or at most %d", DefaultMaxBodyBytes, maxBodyBytes))
	}
	s.MaxBodyBytes = cmp.Or(s.MaxBodyBytes, DefaultMaxBodyBytes)
}

// limitBody limits the size of the body of r and the time to send it, whether or not the
// request has credentials. The caller must call Finish of the result at the end.
func (g *Guard) limitBody(w http.ResponseWriter, r *http.Request) *listen.Body {
	limited := listen.LimitBody(w, r, g.limits.bodies)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(w, r.Body, g.MaxBodyBytes)
	}
	return limited
}

// checkEncoding returns an error if the body is compressed, or is said to be text in another
// encoding than UTF-8. A server that decodes it would read another message than the guard,
// for which the body is JSON in UTF-8 (RFC 8259 §8.1).
func checkEncoding(h http.Header) error {
	for _, coding := range h.Values("Content-Encoding") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return fmt.Errorf("content encoding %s, want none", quote.String(coding))
		}
	}
	for _, value := range h.Values("Content-Type") {
		if !strings.Contains(value, ";") {
			continue
		}
		_, params, err := mime.ParseMediaType(value)
		if err != nil {
			return errors.New("the Content-Type cannot be parsed")
		}
		if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
			return fmt.Errorf("charset %s, want utf-8", quote.String(charset))
		}
	}
	return nil
}

// bufferedBody is a body that was read and can be read again.
type bufferedBody struct {
	bytes.Reader
	text []byte
}

func (b *bufferedBody) Close() error { return nil }

// Bytes returns the whole body. The gateway needs it as it is, because net/http sends a body in one
// write with the header only if its type is one of a few. The caller must not change it.
func (b *bufferedBody) Bytes() []byte { return b.text }

// readBody returns the whole body of r, whose size and time limitBody has limited, and
// replaces it, so that the handler can read it again.
func readBody(r *http.Request, c *caller) ([]byte, *Rejection) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if b, ok := r.Body.(*bufferedBody); ok {
		return b.text, nil
	}
	if limit := c.guard.MaxBodyBytes; r.ContentLength > limit {
		return nil, &Rejection{Reason: reason.BodyTooLarge, Err: &http.MaxBytesError{Limit: limit}, Identity: c.identity}
	}
	source := io.Reader(r.Body)
	if c.anonymous {
		source = io.LimitReader(r.Body, maxAnonymousBody+1)
	}
	text, err := io.ReadAll(source)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, &Rejection{Reason: reason.BodyTooLarge, Err: err, Identity: c.identity}
	}
	if err != nil {
		return nil, &Rejection{Reason: reason.BodyUnreadable, Err: err, Identity: c.identity}
	}
	if c.anonymous && len(text) > maxAnonymousBody {
		return nil, &Rejection{Reason: reason.BodyTooLarge, Err: errAnonymousBody}
	}
	r.Body.Close()
	b := &bufferedBody{text: text}
	b.Reset(text)
	r.Body = b
	return text, nil
}
