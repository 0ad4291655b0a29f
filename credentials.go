package gatehouse

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// credentials returns the bearer token of r (RFC 6750 §2.1), whose characters are
// still to be looked at. Exactly one Authorization header counts; the query is never
// read as a token, only refused.
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

func tokenInQuery(u *url.URL) bool {
	if !strings.Contains(u.RawQuery, "access") && !strings.Contains(u.RawQuery, "%") {
		return false
	}
	return u.Query().Has("access_token")
}

var errNotToken68 = &TokenError{Reason: reason.MalformedCredentials, err: errors.New("not one word of the characters of a bearer token (RFC 6750 section 2.1)")}

// isToken68 reports whether s is a b64token of RFC 6750 §2.1.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if !token68[s[i]] {
			return false
		}
	}
	return s != ""
}

// token68 holds the characters of a b64token.
var token68 = func() (set [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/") {
		set[c] = true
	}
	return set
}()
