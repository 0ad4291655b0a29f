package token

import "time"

// Member is one member of an object, as the scanner reads it.
type Member struct {
	Name string
	value
}

func (m Member) JSON() string               { return m.raw }
func (m Member) Str() (string, error)       { return m.str() }
func (m Member) Strings() ([]string, error) { return m.strings() }
func (m Member) Date() (time.Time, error)   { return m.date() }

// ReadObject returns the members of text.
func ReadObject(text string, reserved ...string) ([]Member, error) {
	var members []Member
	o := object{scanner: scanner{text: text}}
	for o.next() {
		if err := o.checkSpelling(reserved); err != nil {
			return members, err
		}
		members = append(members, Member{o.name, o.value})
	}
	return members, o.err
}
