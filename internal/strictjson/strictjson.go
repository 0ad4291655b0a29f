// Package strictjson reads JSON that decides about access: tokens, key sets, answers
// of an issuer and JSON-RPC messages. Two readers of one text must not see two
// different values, so the package rejects whatever readers are known to disagree
// about (RFC 8259 §4, §8.1 and §8.2, RFC 7493, RFC 8725 §3.7):
//
//   - text after the value;
//   - two members of one object with the same name, at every depth;
//   - text that is not UTF-8, and escapes of half a surrogate pair;
//   - numbers that a float64 cannot hold;
//   - more than [MaxDepth] levels of arrays and objects;
//   - more than [MaxMembers] members of the object that [Walk] or [Members] reads.
//
// Names are compared byte by byte: "ISS" is not "iss". [Member.CheckSpelling] rejects
// names that a reader which ignores case would take for another.
//
// [MembersShallow] and [ItemsShallow] read one level of a text whose values the caller
// passes on, such as the arguments of a tool call, and check the values less strictly.
package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxDepth is how many levels of arrays and objects a value may have, itself included.
	MaxDepth = 32
	// MaxMembers is how many members the object that Walk or Members reads may have.
	// The objects in it are bounded by the size of the text alone.
	MaxMembers = 128
)

// Unmarshal reads data, one JSON value, into v as [json.Unmarshal] does. Members that
// v has no field for are checked like all others and then ignored.
func Unmarshal(data []byte, v any) error {
	if err := checkBounds(data, 1); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// UnmarshalWalked is [Unmarshal] for a text that [Walk] has read without an error, which
// checked the bounds already.
func UnmarshalWalked(data []byte, v any) error { return json.Unmarshal(data, v) }

// Member is one member of an object. Its strings are parts of the text that Walk reads,
// except for a Name that was written with an escape.
type Member struct {
	Name    string // with its escapes replaced
	Escaped bool   // whether Name was written with an escape
	Value   string // JSON
}

// CheckSpelling returns an error if the name of m equals one of names except for
// letter case or Unicode folding ("Iss" or "ſub"), or if it is one of names and was
// written with escapes. Readers that ignore case, or that do not replace escapes in
// names, would see another member than this package does.
func (m Member) CheckSpelling(names ...string) error {
	for _, name := range names {
		if strings.EqualFold(m.Name, name) && (m.Escaped || m.Name != name) {
			return fmt.Errorf("member %.64q, want it spelled %q", m.Name, name)
		}
	}
	return nil
}

// Walk calls visit for each member of text, which must be one JSON object, in order.
// It returns the first error, its own or that of visit. What visit has seen counts
// only if Walk returns nil: an error can follow the last member.
func Walk(text string, visit func(Member) error) error {
	d := decoderOfText(text)
	defer d.release()
	return d.walk(func(name, value span) (err error) {
		m := Member{Value: text[value.start:value.end]}
		quoted := text[name.start:name.end]
		m.Escaped = strings.IndexByte(quoted, '\\') >= 0
		if m.Name, err = Text(quoted); err != nil {
			return err
		}
		return visit(m)
	})
}

// Members returns the members of data, which must be one JSON object, by name. The
// values are parts of data.
func Members(data []byte) (map[string]jsontext.Value, error) {
	d := decoderOf(data)
	defer d.release()
	members := map[string]jsontext.Value{}
	err := d.walk(func(name, value span) error {
		text, err := Text(string(data[name.start:name.end]))
		members[text] = data[value.start:value.end:value.end]
		return err
	})
	if err != nil {
		return nil, err
	}
	return members, nil
}

// sureDigits is a number of digits that a float64 can always hold, if not exactly.
const sureDigits = 300

// span is a part of a text: the bytes from start up to end.
type span struct{ start, end int }

// walk calls visit with the place of each member's name, in quotes, and value.
func (d *decoder) walk(visit func(name, value span) error) error {
	if d.PeekKind() != '{' {
		value, err := d.ReadValue()
		if err != nil {
			return readError(err)
		}
		return fmt.Errorf("got %s, want an object", Describe(string(value)))
	}
	if _, err := d.ReadToken(); err != nil {
		return readError(err)
	}
	for count := 0; d.PeekKind() != '}'; count++ {
		if count == MaxMembers {
			return fmt.Errorf("more than %d members", MaxMembers)
		}
		name, err := d.next()
		if err != nil {
			return err
		}
		value, err := d.next()
		if err != nil {
			return err
		}
		if err := checkMember(d.data[value.start:value.end]); err != nil {
			return err
		}
		if err := visit(name, value); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return readError(err)
	}
	return d.expectEnd()
}

// checkMember checks the depth and the numbers of a member's value.
func checkMember(value jsontext.Value) error {
	switch value.Kind() {
	case '{', '[':
		if isPlain(value) {
			return nil
		}
		return checkBounds(value, 2)
	case '0':
		return checkNumber(string(value))
	}
	return nil
}

// isPlain reports whether value, which is JSON, is certainly within the bounds: it has too
// few brackets to be too deep, and nothing that could be a number out of range. Most
// arrays and objects of tokens are, and need no second decoder.
func isPlain(value jsontext.Value) bool {
	if len(value) > sureDigits || bytes.Count(value, []byte("["))+bytes.Count(value, []byte("{")) >= MaxDepth {
		return false
	}
	for i := 1; i < len(value); i++ {
		if (value[i] == 'e' || value[i] == 'E') && '0' <= value[i-1] && value[i-1] <= '9' {
			return false
		}
	}
	return true
}

// Text returns the characters of value, which must be a JSON string.
func Text(value string) (string, error) {
	if Kind(value) != '"' {
		return "", fmt.Errorf("got %s, want a string", Describe(value))
	}
	if strings.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], nil
	}
	text, err := jsontext.AppendUnquote(nil, value)
	return string(text), err
}

// Texts returns the items of value, which must be a JSON array of strings.
func Texts(value string) ([]string, error) {
	if Kind(value) != '[' {
		return nil, fmt.Errorf("got %s, want an array of strings", Describe(value))
	}
	d := decoderOfText(value)
	defer d.release()
	if _, err := d.ReadToken(); err != nil {
		return nil, readError(err)
	}
	list := []string{}
	for d.PeekKind() != ']' {
		item, err := d.next()
		if err != nil {
			return nil, err
		}
		text, err := Text(value[item.start:item.end])
		if err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, readError(err)
	}
	return list, d.expectEnd()
}

// Kind returns the kind of value, which must be JSON.
func Kind(value string) jsontext.Kind {
	if value == "" {
		return jsontext.KindInvalid
	}
	return jsontext.Value(value[:1]).Kind()
}

// Describe returns the kind of value in words, for errors: "a number".
func Describe(value string) string {
	switch Kind(value) {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '0':
		return "a number"
	case '"':
		return "a string"
	case '[':
		return "an array"
	case '{':
		return "an object"
	}
	return "no value"
}

// maxKept is the largest text, in bytes, that a decoder for reuse may refer to.
const maxKept = 16 << 10

// decoder is a reusable decoder. With the default options it rejects duplicate names and
// invalid UTF-8. A new one allocates a dozen objects, more than the rest of the
// verification of a token.
type decoder struct {
	jsontext.Decoder
	data   []byte // what it reads
	reader bytes.Buffer
	copied []byte // of a string that it reads
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// decoderOf returns a decoder of data. The caller must release it.
func decoderOf(data []byte, options ...jsontext.Options) *decoder {
	d := decoders.Get().(*decoder)
	d.read(data, options...)
	return d
}

// decoderOfText returns a decoder of text. The caller must release it.
func decoderOfText(text string) *decoder {
	d := decoders.Get().(*decoder)
	d.copied = append(d.copied[:0], text...)
	d.read(d.copied)
	return d
}

func (d *decoder) read(data []byte, options ...jsontext.Options) {
	d.data = data
	d.reader = *bytes.NewBuffer(data)
	d.Reset(&d.reader, options...)
}

// release keeps d for reuse, unless it would keep a large text in memory.
func (d *decoder) release() {
	if cap(d.data) <= maxKept {
		decoders.Put(d)
	}
}

// next reads the next name or value and returns where it is.
func (d *decoder) next() (span, error) {
	value, err := d.ReadValue()
	if err != nil {
		return span{}, readError(err)
	}
	end := int(d.InputOffset())
	return span{end - len(value), end}, nil
}

// expectEnd checks that only white space is left.
func (d *decoder) expectEnd() error {
	if _, err := d.ReadToken(); err != io.EOF {
		return errors.New("text after the value")
	}
	return nil
}

// checkBounds checks that data is one JSON value whose outermost array or object is at
// the given depth and whose innermost is at most at MaxDepth, and checks its numbers.
func checkBounds(data []byte, depth int) error {
	d := decoderOf(data)
	defer d.release()
	for {
		token, err := d.ReadToken()
		if err != nil {
			return readError(err)
		}
		if depth-1+d.StackDepth() > MaxDepth {
			return fmt.Errorf("more than %d levels of arrays and objects", MaxDepth)
		}
		if token.Kind() == '0' {
			if err := checkNumber(token.String()); err != nil {
				return err
			}
		}
		if d.StackDepth() == 0 {
			return d.expectEnd()
		}
	}
}

// checkNumber rejects a number that a float64 cannot hold: readers disagree about it,
// and some fail.
func checkNumber(text string) error {
	if len(text) <= sureDigits && strings.IndexByte(text, 'e') < 0 && strings.IndexByte(text, 'E') < 0 {
		return nil
	}
	if _, err := strconv.ParseFloat(text, 64); err != nil {
		return errors.New("number out of range")
	}
	return nil
}

// readError returns err as what is wrong and where.
func readError(err error) error {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return err
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return fmt.Errorf("byte %d: member %.64q appears twice", syntax.ByteOffset, syntax.JSONPointer.LastToken())
	}
	return fmt.Errorf("byte %d: %w", syntax.ByteOffset, syntax.Err)
}
