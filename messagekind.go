package gatehouse

import (
	"bytes"
	"net/http"
)

// Methods that open something that lasts longer than one answer.
const (
	methodInitialize = "initialize"           // opens a session, until revision 2025-11-25
	methodListen     = "subscriptions/listen" // opens a stream, since revision 2026-07-28
)

// messageKind is what the guard must know of a request to end it in time.
type messageKind struct {
	stream       bool // whether the answer is a stream without an end of its own
	opensSession bool // whether the answer may open a session
	batch        bool // whether there may be several answers; set only if the body was parsed
}

// kindOf returns the kind of a request with the given body. The headers that repeat the
// method are not used: servers compare them with the body in the newest revision only.
//
// A body that cannot be parsed is rejected only if requirements depend on it. Otherwise
// the server may read it differently, so it counts as both kinds.
func kindOf(r *http.Request, body []byte) messageKind {
	switch {
	case r.Method == http.MethodGet:
		return messageKind{stream: true}
	case r.Method != http.MethodPost || !mayOpen(body):
		return messageKind{}
	}
	kind, err := parseKind(body)
	if err != nil {
		return messageKind{stream: true, opensSession: true}
	}
	return kind
}

// mayOpen reports whether a message in body can have one of the methods above: without an
// escape, JSON has only one way to write them. Most bodies need not be parsed because of it.
func mayOpen(body []byte) bool {
	return bytes.IndexByte(body, '\\') >= 0 ||
		bytes.Contains(body, []byte(methodInitialize)) || bytes.Contains(body, []byte(methodListen))
}

func parseKind(body []byte) (kind messageKind, err error) {
	messages, err := messagesOf(body)
	if err != nil {
		return kind, err
	}
	kind.batch = isBatch(body)
	for _, message := range messages {
		m, err := membersOf(message)
		if err != nil {
			return kind, err
		}
		if m["method"] == nil {
			continue
		}
		var method string
		if err := m.text("method", &method); err != nil {
			return kind, err
		}
		kind.stream = kind.stream || method == methodListen
		kind.opensSession = kind.opensSession || method == methodInitialize
	}
	return kind, nil
}
