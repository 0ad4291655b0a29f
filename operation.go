package gatehouse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// maxBody is the limit of a request body; go-sdk's own default is the same.
	maxBody = 4 << 20
	// maxMembers bounds the members of a message and of its params: JSON-RPC has
	// four, and MCP's params have a handful.
	maxMembers = 128
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

// operations lists the operations of a JSON-RPC message or batch. Names of members
// are taken by their case, as go-sdk does: a struct of encoding/json would read
// "Method" as "method". A member that is there twice is refused, since readers differ
// in which of the two counts. What it cannot read is an error, and so is what go-sdk
// alone could.
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
		found, err := operationsIn(message)
		if err != nil {
			return nil, err
		}
		ops = append(ops, found...)
	}
	return ops, nil
}

// operationsIn lists what one message does: usually one thing. Whoever subscribes to
// a resource or asks for completions of its arguments needs what a reader needs.
func operationsIn(message json.RawMessage) ([]operation, error) {
	members, err := membersOf(message)
	if err != nil {
		return nil, err
	}
	if members["method"] == nil { // an answer to the server
		return nil, nil
	}
	var method string
	if err := json.Unmarshal(members["method"], &method); err != nil {
		return nil, err
	}
	switch method {
	case "tools/call", "prompts/get":
		return named(method, members["params"], "name")
	case "resources/read", "resources/subscribe":
		return named("resources/read", members["params"], "uri")
	case "subscriptions/listen":
		return listenedTo(members["params"])
	case "completion/complete":
		return completed(members["params"])
	}
	return []operation{{method: method}}, nil
}

// named returns the operation that params name in member.
func named(method string, params json.RawMessage, member string) ([]operation, error) {
	members, err := membersOf(params)
	if err != nil {
		return nil, err
	}
	op := operation{method: method}
	err = json.Unmarshal(members[member], &op.name)
	return []operation{op}, err
}

// listenedTo returns the resources that params subscribe to (MCP 2026-07-28,
// subscriptions/listen).
func listenedTo(params json.RawMessage) ([]operation, error) {
	members, err := membersOf(params)
	if err != nil || isAbsent(members["notifications"]) {
		return nil, err
	}
	if members, err = membersOf(members["notifications"]); err != nil || isAbsent(members["resourceSubscriptions"]) {
		return nil, err
	}
	var uris []string
	err = json.Unmarshal(members["resourceSubscriptions"], &uris)
	return reads(uris), err
}

func reads(uris []string) (ops []operation) {
	for _, uri := range uris {
		ops = append(ops, operation{"resources/read", uri})
	}
	return ops
}

// completed returns the prompt or the resource whose arguments params complete.
func completed(params json.RawMessage) ([]operation, error) {
	members, err := membersOf(params)
	if err != nil || isAbsent(members["ref"]) {
		return nil, err
	}
	if members, err = membersOf(members["ref"]); err != nil {
		return nil, err
	}
	var kind, name, uri string
	for member, text := range map[string]*string{"type": &kind, "name": &name, "uri": &uri} {
		if !isAbsent(members[member]) {
			err = errors.Join(err, json.Unmarshal(members[member], text))
		}
	}
	return referred(kind, name, uri), err
}

// referred returns what a reference of completion/complete is to.
func referred(kind, name, uri string) []operation {
	switch kind {
	case "ref/prompt":
		return []operation{{"prompts/get", name}}
	case "ref/resource":
		return []operation{{"resources/read", uri}}
	}
	return nil
}

func isAbsent(value json.RawMessage) bool { return value == nil || string(value) == "null" }

var (
	errMemberTwice = errors.New("an object has the same member twice")
	errMembers     = fmt.Errorf("an object has more than %d members", maxMembers)
)

// membersOf returns the members of an object, each of which may be there once; null
// has none. The text must be one JSON value and nothing else.
func membersOf(object json.RawMessage) (map[string]json.RawMessage, error) {
	if !json.Valid(object) {
		return nil, errors.New("not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(object))
	switch start, err := d.Token(); {
	case err != nil:
		return nil, err
	case start == nil:
		return nil, nil
	case start != json.Delim('{'):
		return nil, errors.New("not an object")
	}
	members := make(map[string]json.RawMessage)
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		text, _ := name.(string) // json.Valid leaves nothing else
		if _, twice := members[text]; twice {
			return nil, errMemberTwice
		}
		if len(members) == maxMembers {
			return nil, errMembers
		}
		members[text] = value
	}
	return members, nil
}
