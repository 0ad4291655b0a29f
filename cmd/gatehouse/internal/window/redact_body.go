package window

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

// redactBody returns a body as it may be shown, without own, the token of the request.
// JSON is indented. Of a body that is cut off, the last value, parameter or word is
// left out, since it may be half a secret.
func redactBody(h http.Header, body []byte, cut bool, own string) string {
	r := newRedactor(own)
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	text := strings.ToValidUTF8(string(body), "?")
	var shown string
	switch media {
	case "text/event-stream":
		shown = r.eventStream(text, cut)
	case "application/x-www-form-urlencoded":
		if cut {
			text = text[:strings.LastIndex(text, "&")+1]
		}
		shown = r.query(text)
	default:
		shown = indent(r.body(text, cut))
	}
	if cut {
		shown += "…"
	}
	return shown
}

// body returns a body of JSON or text, not indented.
func (r redactor) body(text string, cut bool) string {
	if !cut {
		return r.text(text)
	}
	if shown, err := r.json(strings.TrimRight(text, numberChars)); err == nil || shown != "" {
		return shown
	}
	return r.text(text[:strings.LastIndexAny(text, " \t\r\n")+1])
}

// numberChars are left out at the end of JSON that is cut off: half a number is a
// number too.
const numberChars = "0123456789+-.eE"

// eventStream returns server-sent events (HTML Living Standard §9.2) without secrets.
// The data of an event may be JSON that is divided into lines, so it is read as one text.
func (r redactor) eventStream(text string, cut bool) string {
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	if last := len(lines) - 1; cut && !strings.HasPrefix(lines[last], "data:") {
		lines = lines[:last]
	}
	var shown, data []string
	for _, line := range lines {
		if value, ok := strings.CutPrefix(line, "data:"); ok {
			data = append(data, strings.TrimPrefix(value, " "))
			continue
		}
		shown = append(r.appendData(shown, data, false), r.text(line))
		data = nil
	}
	return strings.Join(r.appendData(shown, data, cut), "\n")
}

// appendData appends the data lines of one event.
func (r redactor) appendData(lines, data []string, cut bool) []string {
	if len(data) == 0 {
		return lines
	}
	shown := r.body(strings.Join(data, "\n"), cut)
	return append(lines, "data: "+strings.ReplaceAll(shown, "\n", "\ndata: "))
}

// indent returns JSON on several lines, and other text unchanged.
func indent(text string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") != nil {
		return text
	}
	return b.String()
}

// compact returns JSON without white space.
func compact(text string) string {
	var b bytes.Buffer
	json.Compact(&b, []byte(text))
	return b.String()
}

var (
	errNotJSON   = errors.New("not one JSON array, object or string")
	errTooNested = errors.New("nested too deep")
)

// json returns text, one JSON array, object or string, without secrets and white space.
// If text is malformed or cut off, it returns an error and the values before that point.
func (r redactor) json(text string) (string, error) {
	if start := strings.TrimLeft(text, " \t\r\n"); start == "" || !strings.Contains(`{["`, start[:1]) {
		return "", errNotJSON
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	shown, err := r.value(decoder, false)
	if err != nil {
		return string(shown), err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return string(shown), errNotJSON
	}
	return string(shown), nil
}

// value reads the next value and returns it without secrets; all of it is one if secret
// is set. With an error, it returns nil, or a container without the members that are missing.
func (r redactor) value(decoder *json.Decoder, secret bool) ([]byte, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return r.container(decoder, '{', '}', secret)
		}
		return r.container(decoder, '[', ']', secret)
	case string:
		if secret {
			return quoteJSON(shorten(token)), nil
		}
		return quoteJSON(r.text(token)), nil
	case json.Number:
		if secret {
			return quoteJSON(shorten(token.String())), nil
		}
		return []byte(token), nil
	}
	return quoteJSON(token), nil // true, false or null
}

// container reads the rest of an object or array.
func (r redactor) container(decoder *json.Decoder, open, end byte, secret bool) ([]byte, error) {
	shown := []byte{open}
	if r.depth++; r.depth > maxNesting {
		return append(shown, end), errTooNested
	}
	for decoder.More() {
		member, err := r.member(decoder, open == '{', secret)
		if member != nil && len(shown) > 1 {
			shown = append(shown, ',')
		}
		shown = append(shown, member...)
		if err != nil {
			return append(shown, end), err
		}
	}
	_, err := decoder.Token()
	return append(shown, end), err
}

// member reads a member of an object, or an item of an array, which has no name. With an
// error, it returns nil if nothing of the value could be read.
func (r redactor) member(decoder *json.Decoder, named, secret bool) (member []byte, err error) {
	if named {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, cmp.Or(err, errNotJSON)
		}
		secret = secret || isSecretName(name)
		member = append(quoteJSON(r.text(name)), ':')
	}
	value, err := r.value(decoder, secret)
	if value == nil {
		return nil, err
	}
	return append(member, value...), err
}

// quoteJSON returns v, which is a string, a bool or nil, as JSON without escapes for HTML.
func quoteJSON(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.Encode(v) // these types have no error
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
