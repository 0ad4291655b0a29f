package token

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// member is one member of a header or of a claims set that only some issuers give a
// meaning to.
type member struct {
	name    string
	value   string // JSON
	escaped bool   // whether the name was written with an escape
}

// members are those of one object, in order.
type members []member

// add adds m if its name is one of wanted, or another spelling of one of them. It returns an
// error if m is another spelling of one of known; see [strictjson.Member.CheckSpelling].
func (all *members) add(m strictjson.Member, known, wanted []string) error {
	if err := m.CheckSpelling(known...); err != nil {
		return err
	}
	if slices.Contains(wanted, m.Name) || m.CheckSpelling(wanted...) != nil {
		*all = append(*all, member{m.Name, m.Value, m.Escaped})
	}
	return nil
}

// checkSpelling returns an error if a member is another spelling of one of names. These are
// the names of one provider: those of another one have no meaning in its tokens.
func (all members) checkSpelling(names []string) error {
	for _, m := range all {
		if err := (strictjson.Member{Name: m.name, Escaped: m.escaped}).CheckSpelling(names...); err != nil {
			return err
		}
	}
	return nil
}

// get returns the value of a member, or "" if there is none or it is null, which some
// issuers write in place of no member.
func (all members) get(name string) string {
	for _, m := range all {
		if m.name == name && !m.escaped && m.value != "null" {
			return m.value
		}
	}
	return ""
}

// matches reports whether value, which is JSON, is want: a string with that text, or the
// literal true, false or a number written in the same way.
func matches(value, want string) bool {
	switch strictjson.Kind(value) {
	case '"':
		text, err := strictjson.Text(value)
		return err == nil && text == want
	case 't', 'f', '0':
		return value == want
	}
	return false
}

// marks reports whether value marks a token by the rule want: it matches want, or want is ""
// and value is not null. An array marks a token if one of its items does.
func marks(value, want string) bool {
	if want == "" {
		return value != "null"
	}
	return anyMatches(value, want)
}

// anyMatches reports whether value matches want, or is an array that has an item which does.
func anyMatches(value, want string) bool {
	if strictjson.Kind(value) != '[' {
		return matches(value, want)
	}
	items, err := strictjson.ItemsShallow([]byte(value)) // they may be of several types
	return err == nil && slices.ContainsFunc(items, func(item jsontext.Value) bool { return matches(string(item), want) })
}
