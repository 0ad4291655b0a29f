package localclerk

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxQuery    = 16 << 10
	maxFormBody = 64 << 10
)

// readForm returns the parameters of a GET from the query, those of a POST
// from a form in the body.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *oauthError) {
	encoded := r.URL.RawQuery
	if r.Method == http.MethodPost {
		if got := r.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/x-www-form-urlencoded") {
			return nil, oauthErrorf(invalidRequest, "The content type is '%s', want application/x-www-form-urlencoded.", got)
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFormBody))
		if err != nil {
			return nil, oauthErrorf(invalidRequest, "Reading the body: %v.", err)
		}
		encoded = string(body)
	} else if len(encoded) > maxQuery {
		return nil, oauthErrorf(invalidRequest, "The query has %d bytes, want at most %d.", len(encoded), maxQuery)
	}
	form, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, oauthErrorf(invalidRequest, "The parameters are not form-urlencoded: %v.", err)
	}
	return form, nil
}

// onlyOnce refuses a parameter that is there twice; resource has its own error.
func rejectRepeatedParameters(form url.Values) *oauthError {
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			return oauthErrorf(invalidRequest, "Got %d '%s' parameters, want one.", len(values), name)
		}
	}
	return nil
}

// oneResource returns the resource parameter of RFC 8707, or "". Clerk takes
// no second one.
func resourceParameter(form url.Values) (string, *oauthError) {
	values := form["resource"]
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", oauthErrorf(invalidTarget, "Got %d 'resource' parameters, want one.", len(values)).withFix("send resource once")
	}
	u, err := url.Parse(values[0])
	if err != nil || u.Scheme == "" || strings.Contains(values[0], "#") || len(values[0]) > maxResourceLength {
		return "", oauthErrorf(invalidTarget, "The resource '%s' is not an absolute URI without fragment.", values[0])
	}
	return values[0], nil
}

// bearer returns the token of the Authorization header (RFC 6750 section 2.1),
// or "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || len(r.Header.Values("Authorization")) != 1 {
		return ""
	}
	return token
}
