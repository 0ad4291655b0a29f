package gatehouse

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const (
	// maxBody is the limit of a request body in bytes. It is go-sdk's default too.
	maxBody = 4 << 20
	// bodyTimeout is how long a client may take to send the body.
	bodyTimeout = 30 * time.Second
)

// limitBody limits the size of the body of r and the time to send it. The deadline is
// removed at the end of the body, because it would also end the answer, which may be a
// stream that stays open.
func limitBody(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	if rc.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil {
		r.Body = &timedBody{ReadCloser: r.Body, rc: rc}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
}

// timedBody removes the read deadline of the connection when the body ends.
type timedBody struct {
	io.ReadCloser
	rc *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

// readBody returns the body of r and replaces it, so that the handler can read it again.
func readBody(r *http.Request, c *caller) ([]byte, *Rejection) {
	body, err := io.ReadAll(r.Body)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, &Rejection{Reason: reason.BodyTooLarge, Err: err, Identity: c.identity}
	}
	if err != nil {
		return nil, &Rejection{Reason: reason.BodyUnreadable, Err: err, Identity: c.identity}
	}
	r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}
