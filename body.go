package gatehouse

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// maxBody is the limit of a request body in bytes. It is go-sdk's default too.
const maxBody = 4 << 20

// limitBody limits the size of the body of r and the time to send it, whether or not the
// request has credentials. The caller must call Finish of the result at the end.
func limitBody(w http.ResponseWriter, r *http.Request, timeouts listen.BodyTimeouts) *listen.Body {
	limited := listen.LimitBody(w, r, timeouts)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	return limited
}

// bufferedBody is a body that was read and can be read again.
type bufferedBody struct {
	bytes.Reader
	text []byte
}

func (b *bufferedBody) Close() error { return nil }

// readBody returns the whole body of r, whose size and time limitBody has limited, and
// replaces it, so that the handler can read it again.
func readBody(r *http.Request, c *caller) ([]byte, *Rejection) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if b, ok := r.Body.(*bufferedBody); ok {
		return b.text, nil
	}
	text, err := io.ReadAll(r.Body)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, &Rejection{Reason: reason.BodyTooLarge, Err: err, Identity: c.identity}
	}
	if err != nil {
		return nil, &Rejection{Reason: reason.BodyUnreadable, Err: err, Identity: c.identity}
	}
	r.Body.Close()
	b := &bufferedBody{text: text}
	b.Reset(text)
	r.Body = b
	return text, nil
}
