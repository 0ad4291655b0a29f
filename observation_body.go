package gatehouse

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// observedMessage is what observers need of a message. It decides nothing: requirements read the
// message on their own, strictly.
type observedMessage struct {
	method, name, protocolVersion string
	traceparent, tracestate       string // in params._meta
}

var errNotObserved = errors.New("not one object whose names are unique and written without escapes")

// readObserved reads a message in one pass, because every request is read.
func readObserved(body []byte) (m observedMessage, err error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	err = m.readObject(d, observedTop)
	return m, err
}

// observedObject is one of the objects of a message.
type observedObject int

const (
	observedSkipped observedObject = iota
	observedTop
	observedParams
	observedMeta
)

// member returns where the text of a member belongs, or which object it is. name is JSON.
func (m *observedMessage) member(of observedObject, name []byte) (text *string, object observedObject) {
	switch of {
	case observedTop:
		switch string(name) {
		case `"method"`:
			return &m.method, observedSkipped
		case `"params"`:
			return nil, observedParams
		}
	case observedParams:
		switch string(name) {
		case `"name"`:
			return &m.name, observedSkipped
		case `"protocolVersion"`:
			return &m.protocolVersion, observedSkipped
		case `"_meta"`:
			return nil, observedMeta
		}
	case observedMeta:
		switch string(name) {
		case `"traceparent"`:
			return &m.traceparent, observedSkipped
		case `"tracestate"`:
			return &m.tracestate, observedSkipped
		}
	}
	return nil, observedSkipped
}

// readObject reads an object of the message. Members that are not needed are skipped, and so are those
// of another type than expected.
func (m *observedMessage) readObject(d *jsontext.Decoder, of observedObject) error {
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return errNotObserved
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil || bytes.IndexByte(name, '\\') >= 0 {
			return errNotObserved
		}
		text, object := m.member(of, name)
		switch kind := d.PeekKind(); {
		case text != nil && *text != "":
			return errNotObserved // the member appears twice
		case text != nil && kind == '"':
			token, err := d.ReadToken()
			if err != nil {
				return err
			}
			*text = token.String()
		case object != observedSkipped && kind == '{':
			err = m.readObject(d, object)
		default:
			err = d.SkipValue()
		}
		if err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}
