package trace

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// Limits of what is read and shown of a response, in bytes.
const (
	MaxDocument  = 1 << 20  // of a metadata document, or of the response of a token endpoint
	MaxErrorBody = 64 << 10 // of an error response

	maxAnswerBody = 64 << 20 // of a response of the MCP endpoint
	maxErrorText  = 300      // shown of an error response
)

// requestBody returns a copy of the body of a request, or nil if it cannot be read
// twice.
func requestBody(req *http.Request) []byte {
	if req.GetBody == nil {
		return nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, MaxDocument))
	if err != nil {
		return nil
	}
	return data
}

// Peek returns the body of a response, and leaves it in place for the next reader. A
// body longer than limit bytes is an error.
func Peek(resp *http.Response, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("response is longer than %d bytes", limit)
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return data, nil
}

// limitedBody is a body whose reads fail once it turns out to be too long.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("response is longer than %d bytes", int64(maxAnswerBody))
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// ErrorText returns the error that the body of a response describes, in one short
// line: the members of RFC 6749 section 5.2, those of Clerk's API, or the beginning of
// a plain text. It is "" for a body of another form.
func ErrorText(resp *http.Response, body []byte) string {
	return parseErrorBody(resp, body).text()
}

// errorBody is the body of an error response: RFC 6749 section 5.2 with the reason that
// Gatehouse's guard adds, also as the data of a JSON-RPC error, or the form of Clerk's API.
type errorBody struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	Reason      any    `json:"reason"` // a string from the guard, anything from other servers
	Errors      []struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"errors"`

	plain string // a body of type text/plain
}

func parseErrorBody(resp *http.Response, body []byte) errorBody {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType == "text/plain" {
		return errorBody{plain: string(body)}
	}
	var rpc struct {
		Error *struct {
			Message string    `json:"message"`
			Data    errorBody `json:"data"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &rpc) == nil && rpc.Error != nil {
		rpc.Error.Data.Description = cmp.Or(rpc.Error.Data.Description, rpc.Error.Message)
		return rpc.Error.Data
	}
	var parsed errorBody
	if json.Unmarshal(body, &parsed) != nil {
		return errorBody{}
	}
	return parsed
}

func (e errorBody) text() string {
	text := JoinNonEmpty(": ", e.Code, e.Description)
	switch {
	case e.plain != "":
		text = e.plain
	case e.Code == "" && len(e.Errors) > 0:
		text = JoinNonEmpty(": ", e.Errors[0].Code, e.Errors[0].Message)
	}
	return quote.Clip(OneLine(text), maxErrorText)
}

// otherReason returns the reason if it is not one of Gatehouse's guard.
func (e errorBody) otherReason() string {
	text, _ := e.Reason.(string)
	if e.knownReason() != "" {
		return ""
	}
	return quote.Clip(OneLine(text), maxErrorText)
}

// knownReason returns the reason if it is one of Gatehouse's, and otherwise "".
func (e errorBody) knownReason() reason.Reason {
	text, _ := e.Reason.(string)
	if _, ok := reason.InfoOf(reason.Reason(text)); !ok {
		return ""
	}
	return reason.Reason(text)
}
