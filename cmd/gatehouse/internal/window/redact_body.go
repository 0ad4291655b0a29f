package window

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
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
	switch {
	case strings.HasPrefix(media, "multipart/"):
		return withheld // MCP and OAuth have no such bodies
	case media == "text/event-stream":
		shown = r.eventStream(text, cut)
	case media == "application/x-www-form-urlencoded":
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
	shown, _, err := r.value(decoder, false)
	if err != nil {
		return string(shown), err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return string(shown), errNotJSON
	}
	return string(shown), nil
}

// value reads the next value and returns it without secrets; all of it is one if secret
// is set. If it is a string, text is the string itself. With an error, shown is nil, or a
// container without the members that are missing.
func (r redactor) value(decoder *json.Decoder, secret bool) (shown []byte, text string, err error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, "", err
	}
	switch token := token.(type) {
	case json.Delim:
		shown, err = r.container(decoder, token, secret)
		return shown, "", err
	case string:
		if secret {
			return quoteJSON(shorten(token)), token, nil
		}
		return quoteJSON(r.text(token)), token, nil
	case json.Number:
		if secret {
			return quoteJSON(shorten(token.String())), "", nil
		}
		return []byte(token), "", nil
	}
	return quoteJSON(token), "", nil // true, false or null
}

// member is a member of an object, or an item of an array, which has no name.
type member struct {
	name  string
	text  string // the value, if that is a string
	shown []byte // the value without secrets
}

// container reads the rest of an object or array that begins with open.
func (r redactor) container(decoder *json.Decoder, open json.Delim, secret bool) ([]byte, error) {
	if r.depth++; r.depth > maxNesting {
		return r.join(open, nil), errTooNested
	}
	var members []member
	for decoder.More() {
		m, err := r.member(decoder, open == '{', secret)
		if m.shown != nil {
			members = append(members, m)
		}
		if err != nil {
			redactPairs(members, open == '{', false)
			return r.join(open, members), err
		}
	}
	_, err := decoder.Token()
	redactPairs(members, open == '{', err == nil)
	return r.join(open, members), err
}

// join returns an object or array with the given members.
func (r redactor) join(open json.Delim, members []member) []byte {
	shown := []byte{byte(open)}
	for i, m := range members {
		if i > 0 {
			shown = append(shown, ',')
		}
		if open == '{' {
			shown = append(append(shown, quoteJSON(r.text(m.name))...), ':')
		}
		shown = append(shown, m.shown...)
	}
	return append(shown, byte(open)+2) // in ASCII, the closing bracket is two after the opening one
}

// member reads a member of an object, or an item of an array. With an error, its value is
// nil if nothing of it could be read.
func (r redactor) member(decoder *json.Decoder, named, secret bool) (m member, err error) {
	if named {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return member{}, cmp.Or(err, errNotJSON)
		}
		m.name = name
		secret = secret || isSecretName(name)
	}
	m.shown, m.text, err = r.value(decoder, secret)
	if isSecretParameter(m.name) && randomText.MatchString(m.text) {
		m.shown = quoteJSON(shorten(m.text))
	}
	return m, err
}

// minPairedValue is the length from which a string after a secret name in an array is its
// value, and not the next name of a list of names.
const minPairedValue = 12

// redactPairs removes the secrets from lists of headers and parameters, in which the name is a
// value too: {"name": "Authorization", "value": …} and ["Authorization", …]. In an object that
// is cut off, the name may be missing.
func redactPairs(members []member, object, complete bool) {
	if !object {
		for i := 1; i < len(members); i++ {
			if m := &members[i]; isSecretName(members[i-1].text) && len(m.text) >= minPairedValue {
				m.shown = quoteJSON(shorten(m.text))
			}
		}
		return
	}
	isName := func(m member) bool { return slices.Contains([]string{"name", "key", "header"}, normalName(m.name)) }
	name := slices.IndexFunc(members, isName)
	if complete && name < 0 || name >= 0 && !isSecretParameter(members[name].text) {
		return
	}
	for i, m := range members {
		switch {
		case !slices.Contains([]string{"value", "values"}, normalName(m.name)):
		case m.text != "":
			members[i].shown = quoteJSON(shorten(m.text))
		default:
			members[i].shown = quoteJSON(withheld)
		}
	}
}

// quoteJSON returns v, which is a string, a bool or nil, as JSON without escapes for HTML.
func quoteJSON(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.Encode(v) // these types have no error
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
