// Package challenge writes the WWW-Authenticate header (RFC 9110,
// section 11.6.1), with the parameters of RFC 6750, section 3 and RFC 9728,
// section 5.1. It is pure.
package challenge

import "strings"

// A Bearer is the challenge of a resource protected by bearer tokens. The zero
// value of a field omits its parameter.
type Bearer struct {
	// ResourceMetadata is the absolute URL of the RFC 9728 document.
	ResourceMetadata string
	// Scopes are the scopes that the operation needs.
	Scopes []string
	// Error is an RFC 6750 code. It is empty when the request had no
	// credentials (RFC 6750, section 3.1).
	Error string
	// ErrorDescription is a phrase for the client's developer, without "=".
	ErrorDescription string
}

// String returns the value of a WWW-Authenticate header: the scheme, then
// resource_metadata, scope, error and error_description in this order. Widely used
// clients search for parameter names and ignore quotes, so the free text comes last and
// has no "=".
//
// For any values of the fields, the result is one well-formed challenge on one line. A
// value or a scope with a character that its parameter may not have (RFC 6750, section
// 3; quotes and backslashes are among them) is left out. Nothing is escaped, because
// clients do not unescape. Without any parameter, the result is the scheme.
func (b Bearer) String() string {
	var scopes []string
	for _, scope := range b.Scopes {
		if all(scope, scopeChar) {
			scopes = append(scopes, scope)
		}
	}
	var params []string
	add := func(name, value string, valid func(byte) bool) {
		if all(value, valid) {
			params = append(params, name+`="`+value+`"`)
		}
	}
	add("resource_metadata", b.ResourceMetadata, scopeChar)
	add("scope", strings.Join(scopes, " "), textChar)
	add("error", b.Error, phraseChar)
	add("error_description", b.ErrorDescription, phraseChar)
	return strings.TrimSuffix("Bearer "+strings.Join(params, ", "), " ")
}

// textChar reports whether c is allowed in error and error_description.
func textChar(c byte) bool { return ' ' <= c && c <= '~' && c != '"' && c != '\\' }

// scopeChar reports whether c is allowed in a scope token. URLs need no others.
func scopeChar(c byte) bool { return textChar(c) && c != ' ' }

// phraseChar reports whether c is allowed in the free text that String writes.
func phraseChar(c byte) bool { return textChar(c) && c != '=' }

// all reports whether s is not empty and all its bytes are valid.
func all(s string, valid func(byte) bool) bool {
	for i := range len(s) {
		if !valid(s[i]) {
			return false
		}
	}
	return s != ""
}
