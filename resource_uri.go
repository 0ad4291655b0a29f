package gatehouse

import (
	"path"
	"slices"
	"strings"
)

const (
	// maxResourceURI is the longest URI of a resource, in bytes, that is compared with
	// requirements. A request for a longer one is rejected if a requirement names resources.
	maxResourceURI = 2048
	// maxDecodings is how many layers of percent-encoding are removed from a URI.
	maxDecodings = 4
)

// uriForms returns the forms that different programs may reduce uri to: with its
// percent-encoding removed layer by layer, scheme and host in lower case, without default
// port, user info, fragment, dot segments and empty segments. Two URIs that share a form may
// name the same resource (RFC 3986 §6.2). ok is false if uri has more layers of
// percent-encoding than anyone writes, or is too long.
//
// With dropQuery, the forms include those without the query: a handler may ignore it.
func uriForms(uri string, dropQuery bool) (forms []string, ok bool) {
	if len(uri) > maxResourceURI {
		return nil, false
	}
	text := trimmed(uri)
	for range maxDecodings {
		forms = union(forms, formsOf(text, dropQuery))
		decoded := decodePercent(text, func(byte) bool { return true })
		if decoded == text {
			return forms, true
		}
		text = trimmed(decoded)
	}
	return nil, false
}

// trimmed returns text without control characters, and without spaces at its ends, which the
// URL parsers of browsers and some file systems ignore.
func trimmed(text string) string { return strings.TrimSpace(strings.Map(dropControl, text)) }

// dropControl drops control characters, as the URL parsers of browsers do with some.
func dropControl(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// formsOf returns the forms of a URI without removing a whole layer of its encoding.
func formsOf(text string, dropQuery bool) []string {
	text = strings.ReplaceAll(text, `\`, "/")
	text = encodeOthers(decodePercent(text, isUnreserved))
	text, _, _ = strings.Cut(text, "#")
	base, query, hasQuery := strings.Cut(text, "?")
	var forms []string
	for _, form := range hierarchyForms(base) {
		if hasQuery {
			forms = append(forms, form+"?"+query)
		}
		if !hasQuery || dropQuery {
			forms = append(forms, form)
		}
	}
	return forms
}

// hierarchyForms returns the forms of a URI without query and fragment. In URIs such as
// notes://name, what stands for a host is a part of the name, so such a URI has a second
// form, in which dot segments also remove that part.
func hierarchyForms(base string) []string {
	scheme, rest, found := strings.Cut(base, ":")
	if !found {
		return []string{base}
	}
	scheme = strings.ToLower(scheme)
	rest, hasAuthority := strings.CutPrefix(rest, "//")
	if !hasAuthority {
		return []string{scheme + ":" + rest, scheme + "://" + cleanPath(rest)}
	}
	authority, route := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, route = rest[:i], rest[i:]
	}
	authority = plainAuthority(scheme, authority)
	if route != "" {
		route = "/" + cleanPath(route)
	}
	forms := []string{scheme + "://" + authority + strings.TrimSuffix(route, "/")}
	if strings.HasSuffix(rest, "/") {
		forms = append(forms, forms[0]+"/")
	}
	if scheme != "http" && scheme != "https" {
		forms = append(forms, scheme+"://"+cleanPath(authority+route), scheme+"://"+cleanPath(rest))
	}
	return forms
}

// cleanPath returns route without dot segments, empty segments, and slashes at its ends.
func cleanPath(route string) string { return strings.TrimPrefix(path.Clean("/"+route), "/") }

// plainAuthority returns the authority in lower case without user info and default port.
func plainAuthority(scheme, authority string) string {
	authority = strings.ToLower(authority[strings.LastIndexByte(authority, '@')+1:])
	switch scheme {
	case "http":
		authority = strings.TrimSuffix(authority, ":80")
	case "https":
		authority = strings.TrimSuffix(authority, ":443")
	case "file":
		if authority == "localhost" { // RFC 8089 §2
			return ""
		}
	}
	return strings.TrimSuffix(strings.TrimSuffix(authority, ":"), ".")
}

// decodePercent replaces each escape of a byte that wanted accepts, and writes the other
// escapes in upper case.
func decodePercent(s string, wanted func(byte) bool) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			b.WriteByte(s[i])
			continue
		}
		if c := unhex(s[i+1])<<4 | unhex(s[i+2]); wanted(c) {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper(s[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

// encodeOthers percent-encodes each byte that a URI cannot contain.
func encodeOthers(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if isUnreserved(c) || strings.IndexByte("%:/?#[]@!$&'()*+,;=", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// isPlainURI reports whether programs read uri in one way: it has no escapes, backslashes, control
// characters, spaces, fragment, user info, and no dot segments or empty ones.
func isPlainURI(uri string) bool {
	if strings.ContainsAny(uri, "%\\ #@") || strings.Map(dropControl, uri) != uri {
		return false
	}
	base, _, _ := strings.Cut(uri, "?")
	if i := strings.Index(base, "://"); i >= 0 {
		base = base[i+len("://"):]
	}
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(base, "/"), "/"), "/")
	return !slices.ContainsFunc(segments, func(s string) bool { return s == "." || s == ".." || s == "" })
}

// shareForm reports whether two lists of forms have one in common.
func shareForm(a, b []string) bool {
	return slices.ContainsFunc(a, func(form string) bool { return slices.Contains(b, form) })
}
