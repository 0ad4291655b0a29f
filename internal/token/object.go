package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxMembers = 128 // members of a header or of the claims
	maxDepth   = 32  // arrays and objects inside each other, the outermost included
)

// object reads one JSON text (RFC 8259) that must be an object, member by member
// and in a single pass, stricter than encoding/json: a member may come only once
// (RFC 7519 §4), and the text must be valid UTF-8 (RFC 8725 §3.7).
//
//	for o.next() {
//		use(o.name, o.value)
//	}
//	return o.err
type object struct {
	scanner

	name    string
	escaped bool // name was written with a backslash
	value   value
	err     error

	names [maxMembers]string
	count int
}

// next reads the next member into o.name and o.value. It returns false after the
// last one, once nothing follows the object, and at the first fault, which is then in o.err.
func (o *object) next() bool {
	if o.err != nil {
		return false
	}
	more := false
	more, o.err = o.member()
	return more && o.err == nil
}

func (o *object) member() (more bool, err error) {
	o.space()
	switch {
	case o.count == 0:
		if !utf8.ValidString(o.text) {
			return false, errors.New("not UTF-8")
		}
		if !o.take('{') {
			return false, o.fault("want an object")
		}
		if o.space(); o.take('}') {
			return false, o.end()
		}
	case o.take('}'):
		return false, o.end()
	case !o.take(','):
		return false, o.fault("want a comma or the end of the object")
	}
	name, err := o.nameAndColon()
	if err != nil {
		return false, err
	}
	if err := o.admit(name); err != nil {
		return false, err
	}
	o.value, err = o.scan(1)
	return true, err
}

// end makes sure that nothing follows the object.
func (o *object) end() error {
	if o.space(); o.at < len(o.text) {
		return o.fault("text after the object")
	}
	return nil
}

// admit makes name the current member's, unless the object must not have it.
func (o *object) admit(name value) (err error) {
	o.escaped = name.escaped
	if o.name, err = name.str(); err != nil {
		return fmt.Errorf("member name: %w", err)
	}
	for _, seen := range o.names[:o.count] {
		if seen == o.name {
			return fmt.Errorf("member %s twice", quote(o.name))
		}
	}
	if o.count == maxMembers {
		return fmt.Errorf("more than %d members", maxMembers)
	}
	o.names[o.count] = o.name
	o.count++
	return nil
}

// checkSpelling refuses the current member if its name can be taken for another of
// names, by a reader that ignores case or by one that does not know escapes: no two
// readers of one token may see two tokens.
func (o *object) checkSpelling(names ...[]string) error {
	for _, list := range names {
		if i := slices.IndexFunc(list, o.misspells); i >= 0 {
			return fmt.Errorf("member %s, want it spelled %q", quote(o.name), list[i])
		}
	}
	return nil
}

// misspells reports whether the current member's name is name in other letter case or in escapes.
func (o *object) misspells(name string) bool {
	return strings.EqualFold(o.name, name) && (o.escaped || o.name != name)
}

// value is the text of one JSON value, free of space around it and known to be valid.
type value struct {
	raw     string
	escaped bool // a string with a backslash in it
}

func (v value) isNull() bool   { return v.raw == "null" }
func (v value) isString() bool { return v.raw[0] == '"' }
func (v value) isArray() bool  { return v.raw[0] == '[' }
func (v value) isNumber() bool { return v.raw[0] == '-' || '0' <= v.raw[0] && v.raw[0] <= '9' }

// str returns a string's characters.
func (v value) str() (string, error) {
	if !v.isString() {
		return "", fmt.Errorf("%s, want a string", quote(v.raw))
	}
	if !v.escaped {
		return v.raw[1 : len(v.raw)-1], nil
	}
	var s string
	if err := json.Unmarshal([]byte(v.raw), &s); err != nil {
		return "", err
	}
	// encoding/json puts U+FFFD for half a surrogate pair: many texts would read as one.
	if strings.ContainsRune(s, utf8.RuneError) {
		return "", errors.New("half a surrogate pair in a string")
	}
	return s, nil
}

// strOrNull returns a string's characters, or nothing for null.
func (v value) strOrNull() (string, error) {
	if v.isNull() {
		return "", nil
	}
	return v.str()
}

// strings returns the items of an array of strings, or a single string as one item.
func (v value) strings() ([]string, error) {
	if v.isString() {
		s, err := v.str()
		return []string{s}, err
	}
	if !v.isArray() {
		return nil, fmt.Errorf("%s, want a string or an array of strings", quote(v.raw))
	}
	list := []string{}
	s := scanner{text: v.raw, at: 1}
	for s.space(); !s.take(']'); s.space() {
		s.take(',')
		s.space()
		item, err := s.scan(1)
		if err != nil {
			return nil, err
		}
		text, err := item.str()
		if err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, nil
}
