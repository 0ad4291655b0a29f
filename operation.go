package gatehouse

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

const (
	// maxBody is the limit of a request body; go-sdk's own default is the same.
	maxBody = 4 << 20
	// bodyTimeout is how long a client may take to send its body.
	bodyTimeout = 30 * time.Second
)

// operation is one JSON-RPC request, as far as requirements look.
type operation struct{ method, name string }

// limitBody bounds the size of a body and the time that it may take. The deadline
// ends with the body: the answer may be a stream without end.
func limitBody(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	if rc.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil {
		r.Body = &timedBody{ReadCloser: r.Body, rc: rc}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
}

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

// operations lists the operations of a JSON-RPC message or batch. It reads as
// go-sdk does, where names differ by case and of two members with one name the
// last counts: a struct of encoding/json would read "Method" as "method". What it
// cannot read is an error, and so is what go-sdk alone could.
func operations(body []byte) ([]operation, error) {
	var messages []json.RawMessage
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		if err := json.Unmarshal(body, &messages); err != nil {
			return nil, err
		}
	} else {
		messages = append(messages, body)
	}
	var ops []operation
	for _, message := range messages {
		op, err := operationIn(message)
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func operationIn(message json.RawMessage) (op operation, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(message, &members); err != nil {
		return op, err
	}
	if members["method"] == nil { // an answer to the server
		return op, nil
	}
	if err := json.Unmarshal(members["method"], &op.method); err != nil {
		return op, err
	}
	member := ""
	switch op.method {
	case "tools/call", "prompts/get":
		member = "name"
	case "resources/read", "resources/subscribe":
		op.method, member = "resources/read", "uri"
	default:
		return op, nil
	}
	var params map[string]json.RawMessage
	if err := json.Unmarshal(members["params"], &params); err != nil {
		return op, err
	}
	return op, json.Unmarshal(params[member], &op.name)
}
