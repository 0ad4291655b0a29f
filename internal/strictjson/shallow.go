package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxShallowDepth is how many levels of arrays and objects a text may have that
// MembersShallow or ItemsShallow reads, the outermost included. It is the bound of the
// go-sdk, which reads the same messages.
const MaxShallowDepth = 1000

// shallow are the options for values that are passed on and not read: they may repeat
// a name and may contain half a surrogate pair.
var shallow = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// MembersShallow returns the members of data, which must be one JSON object, by name.
// It is [Members] for an object whose values the caller reads only in part, such as the
// arguments of a tool call: the names of data are read strictly, but its values need
// only be JSON (RFC 8259 §2) and UTF-8. They may repeat a name, contain an escape of half
// a surrogate pair, a number that a float64 cannot hold, and more than MaxDepth levels.
// The caller must read the values that it uses with this package as well. The values
// are parts of data.
func MembersShallow(data []byte) (map[string]jsontext.Value, error) {
	d, err := openShallow(data, '{', "an object")
	if err != nil {
		return nil, err
	}
	defer d.release()
	members := map[string]jsontext.Value{}
	for d.PeekKind() != '}' {
		if len(members) == MaxMembers {
			return nil, fmt.Errorf("more than %d members", MaxMembers)
		}
		name, err := d.nextName()
		if err != nil {
			return nil, err
		}
		if members[name] != nil {
			return nil, fmt.Errorf("member %.64q appears twice", name)
		}
		if members[name], err = d.nextValue(); err != nil {
			return nil, err
		}
	}
	if err := d.closeShallow(); err != nil {
		return nil, err
	}
	return members, nil
}

// ItemsShallow returns the items of data, which must be one JSON array, and checks them
// as MembersShallow checks the values of members. The items are parts of data.
func ItemsShallow(data []byte) ([]jsontext.Value, error) {
	d, err := openShallow(data, '[', "an array")
	if err != nil {
		return nil, err
	}
	defer d.release()
	var items []jsontext.Value
	for d.PeekKind() != ']' {
		item, err := d.nextValue()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	if err := d.closeShallow(); err != nil {
		return nil, err
	}
	return items, nil
}

// openShallow returns a decoder that has read the start of data, which must be an object
// or array as kind says. The caller must release it.
func openShallow(data []byte, kind jsontext.Kind, want string) (*decoder, error) {
	// The bytes must be UTF-8 everywhere: a reader that takes a broken sequence to be
	// longer than it is could miss the end of a string.
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	if err := checkShallowDepth(data); err != nil {
		return nil, err
	}
	if got := jsontext.Value(bytes.TrimLeft(data, " \t\r\n")); got.Kind() != kind {
		return nil, fmt.Errorf("got %s, want %s", Describe(string(got)), want)
	}
	d := decoderOf(data, shallow...)
	if _, err := d.ReadToken(); err != nil {
		d.release()
		return nil, readError(err)
	}
	return d, nil
}

// closeShallow reads the end of the object or array, after which only white space may follow.
func (d *decoder) closeShallow() error {
	if _, err := d.ReadToken(); err != nil {
		return readError(err)
	}
	return d.expectEnd()
}

// nextName reads the name of a member, which must be valid without replacements.
func (d *decoder) nextName() (string, error) {
	name, err := d.next()
	if err != nil {
		return "", err
	}
	return Text(string(d.data[name.start:name.end]))
}

// nextValue reads a value.
func (d *decoder) nextValue() (jsontext.Value, error) {
	value, err := d.next()
	if err != nil {
		return nil, err
	}
	return d.data[value.start:value.end:value.end], nil
}

// checkShallowDepth checks that data has at most MaxShallowDepth levels. It does not
// check anything else about data: reading it does.
func checkShallowDepth(data []byte) error {
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > MaxShallowDepth {
				return fmt.Errorf("more than %d levels of arrays and objects", MaxShallowDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
