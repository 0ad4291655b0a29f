package wellknown

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxLength bounds an identifier, in bytes.
const maxLength = 2048

const (
	resourceExample = "https://mcp.example.com/mcp"
	issuerExample   = "https://issuer.example.com"
)

// Resource returns the canonical form of a resource identifier (RFC 8707,
// section 2; MCP authorization, "Canonical Server URI"): the public URL of an
// MCP endpoint. Scheme and host are in lower case, and the scheme's default port and the
// slash of an empty path are dropped. The canonical form of a canonical form is itself.
//
// A resource is absolute, https unless its host is loopback, and has no user
// info, query or fragment. Its path is plain, so that every client and router reads it
// in the same way: without percent-encoding, empty or dot segments, or a trailing slash,
// and outside /.well-known/. Anything else is rejected with a *[Fault], not corrected:
// clients compare this string byte for byte, and a wrong guess would lock them out.
func Resource(raw string) (*url.URL, error) {
	u, err := parse(raw, resourceExample)
	if err != nil {
		return nil, err
	}
	if u.Path == "/" {
		u.Path = ""
	}
	if err := checkPlainPath(u.EscapedPath(), u.Scheme+"://"+u.Host); err != nil {
		return nil, err
	}
	return u, nil
}

// checkPlainPath rejects what every path of an endpoint must not have. before is what a fix
// writes before the path.
func checkPlainPath(path, before string) error {
	switch {
	case strings.Contains(path, "%"):
		return &Fault{"has percent-encoding in its path", "use a path of letters, digits and hyphens"}
	case strings.HasSuffix(path, "/"):
		return &Fault{"has a trailing slash", fmt.Sprintf("write %q", before+strings.TrimSuffix(path, "/"))}
	case strings.HasPrefix(path+"/", prefix):
		return &Fault{"is under /.well-known/, which is public", "serve the MCP endpoint at another path, like /mcp"}
	}
	return nil
}

// Path returns nil if path is the path of an endpoint: what [Resource] accepts after the
// host. Otherwise it returns a *[Fault].
func Path(path string) error {
	if !strings.HasPrefix(path, "/") {
		return &Fault{"does not begin with a slash", `write it like "/mcp"`}
	}
	if strings.ContainsAny(path, "?#") || strings.ContainsFunc(path, notURI) {
		return &Fault{"is not a path", `write it like "/mcp"`}
	}
	if err := checkPath(path); err != nil {
		return err
	}
	return checkPlainPath(path, "")
}

// IssuerOf returns the issuer whose metadata document has the URL (RFC 8414, section 3;
// OpenID Connect Discovery 1.0, section 4). ok is false if it is not the URL of one.
func IssuerOf(document string) (issuer string, ok bool) {
	for _, suffix := range []string{OpenIDConfigurationPath, AuthorizationServerPath} {
		before, after, found := strings.Cut(strings.TrimSuffix(document, "/"), suffix)
		if found && Issuer(before+after) == nil {
			return before + after, true
		}
	}
	return "", false
}

// Issuer returns nil if raw is an issuer identifier (RFC 8414, section 2), and
// otherwise a *[Fault]. An issuer is an absolute URL, https unless its host is loopback,
// without user info, query or fragment. A path is allowed. Issuers are compared as exact
// strings, including a trailing slash, so there is no canonical form.
func Issuer(raw string) error {
	_, err := parse(raw, issuerExample)
	return err
}

// Redacted returns raw for a message: if it is a URL with a password, without that.
func Redacted(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.User == nil {
		return raw
	}
	return u.Redacted()
}

// parse applies the rules that resources and issuers share. The URL that it returns has
// a canonical scheme and host, and the path as written.
func parse(raw, example string) (*url.URL, error) {
	if len(raw) > maxLength {
		return nil, &Fault{fmt.Sprintf("is %d bytes long, want at most %d", len(raw), maxLength), "use a shorter URL"}
	}
	if i := strings.IndexFunc(raw, notURI); i >= 0 {
		r, _ := utf8.DecodeRuneInString(raw[i:])
		return nil, &Fault{
			Problem: fmt.Sprintf("has the character %q, which is not allowed in a URL", r),
			Fix:     "write the URL in ASCII, percent-encoded, and its host in the xn-- form",
		}
	}
	if !strings.Contains(raw, "://") || strings.HasPrefix(raw, "://") {
		return nil, &Fault{"is not an absolute URL", fmt.Sprintf("write it in full, like %q", example)}
	}
	u, err := url.Parse(raw)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, &Fault{"is not a URL: " + err.Error(), fmt.Sprintf("write it like %q", example)}
	}
	if err := checkParts(raw, u); err != nil {
		return nil, err
	}
	if u.Host, err = canonicalHost(u); err != nil {
		return nil, err
	}
	if u.Scheme == "http" && !IsLoopback(u.Host) {
		return nil, &Fault{"is not https", "use https, or http only on localhost"}
	}
	return u, checkPath(u.EscapedPath())
}

func checkParts(raw string, u *url.URL) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return &Fault{fmt.Sprintf("has scheme %q, want https", u.Scheme), "use https, or http only on localhost"}
	case u.User != nil:
		return &Fault{"has user info", "remove everything between // and @"}
	case strings.Contains(raw, "#"):
		return &Fault{"has a fragment", "remove the # and everything after it"}
	case u.RawQuery != "" || u.ForceQuery:
		return &Fault{"has a query", "remove the ? and everything after it"}
	}
	return nil
}

// checkPath rejects an escaped path that two programs may read differently.
func checkPath(path string) error {
	if strings.ContainsAny(path, "[]") {
		return &Fault{"has a bracket in its path", "remove or percent-encode it"}
	}
	if strings.Contains(path, "//") {
		return &Fault{"has // in its path", "write one slash"}
	}
	for segment := range strings.SplitSeq(path, "/") {
		plain, err := url.PathUnescape(segment)
		switch {
		case err != nil:
			return &Fault{fmt.Sprintf("has an invalid escape in path segment %q", segment), "write % and two hexadecimal digits"}
		case plain == "." || plain == "..":
			return &Fault{fmt.Sprintf("has the dot segment %q in its path", segment), "write the path it leads to"}
		case strings.ContainsFunc(plain, delimiter):
			return &Fault{fmt.Sprintf("has an escaped delimiter in path segment %q", segment), "write the path without it"}
		}
	}
	return nil
}

// notURI reports whether r is not a character of a URI (RFC 3986, section 2).
func notURI(r rune) bool {
	alphanumeric := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !alphanumeric && !strings.ContainsRune("-._~:/?#[]@!$&'()*+,;=%", r)
}

// delimiter reports whether r, unescaped, would separate segments or end a path, or is
// a control character.
func delimiter(r rune) bool {
	return strings.ContainsRune(`/\%?#`, r) || r < ' ' || r == 0x7f
}
