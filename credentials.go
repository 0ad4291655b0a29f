package gatehouse

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// credentials is checks 4 and 5: it returns the bearer token of r (RFC 6750 §2.1), or why
// there is none. There must be exactly one Authorization header. The token's characters
// are not checked yet; see isToken68.
func credentials(r *http.Request) (raw string, why Reason) {
	if tokenInQuery(r.URL) {
		return "", reason.TokenInQuery
	}
	headers := r.Header["Authorization"]
	switch {
	case len(headers) == 0 || len(headers) == 1 && headers[0] == "":
		return "", reason.NoCredentials
	case len(headers) > 1:
		return "", reason.MalformedCredentials
	}
	scheme, rest, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", reason.WrongScheme
	}
	return strings.Trim(rest, " "), ""
}

// tokenInQuery reports whether the query has access_token (RFC 6750 §2.3). A query
// without that text and without an escape is not parsed.
func tokenInQuery(u *url.URL) bool {
	if !strings.Contains(u.RawQuery, "access") && !strings.Contains(u.RawQuery, "%") {
		return false
	}
	return u.Query().Has("access_token")
}

var errNotToken68 = &TokenError{
	Reason: reason.MalformedCredentials,
	err:    errors.New("the credentials are not one word of the characters of a bearer token (RFC 6750 section 2.1)"),
}

// isToken68 reports whether s is a b64token (RFC 6750 §2.1; called token68 in RFC 9110).
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if !token68[s[i]] {
			return false
		}
	}
	return s != ""
}

// token68 is the set of characters of a token68, without the final "=".
var token68 = func() (set [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/") {
		set[c] = true
	}
	return set
}()
