package trace

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// WithoutQuery returns a URL without its user name, query and fragment, which may hold
// secrets.
func WithoutQuery(u *url.URL) string {
	bare := *u
	bare.User, bare.RawQuery, bare.Fragment, bare.RawFragment = nil, "", "", ""
	return bare.String()
}

// RedirectTarget returns " to URL" for a Location header, without the query of the URL,
// or "" if there is no URL.
func RedirectTarget(location string) string {
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return ""
	}
	return " to " + WithoutQuery(u)
}

// SortedScope returns a scope with its values in alphabetical order. Servers and the
// go-sdk return them in any order.
func SortedScope(scope string) string {
	values := strings.Fields(scope)
	slices.Sort(values)
	return strings.Join(values, " ")
}

// OneLine returns s with a space in the place of each control character, and without
// space around it.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
}

// IfSet returns s formatted with format, or "" if s is empty.
func IfSet(format, s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(format, s)
}

// JoinNonEmpty joins the parts that are not empty.
func JoinNonEmpty(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(parts), func(part string) bool { return part == "" }), separator)
}
