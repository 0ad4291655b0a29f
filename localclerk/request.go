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

// readForm returns the parameters of a GET request from the query, or those of a
// POST request from a form in the body.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *oauthError) {
	encoded := r.URL.RawQuery
	if r.Method == http.MethodPost {
		if got := r.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/x-www-form-urlencoded") {
			return nil, oauthErrorf(invalidRequest, "The content type is '%s', want application/x-www-form-urlencoded.", got)
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFormBody))
		if err != nil {
			return nil, oauthErrorf(invalidRequest, "Reading the body failed: %v.", err)
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

// authenticatedForm returns the form of a request and the client that it
// authenticates.
func (s *Server) authenticatedForm(w http.ResponseWriter, r *http.Request) (url.Values, *client, *oauthError) {
	form, oauthErr := readForm(w, r)
	if oauthErr != nil {
		return nil, nil, oauthErr
	}
	if oauthErr := rejectRepeatedParameters(form); oauthErr != nil {
		return nil, nil, oauthErr
	}
	c, oauthErr := s.authenticate(r, form)
	return form, c, oauthErr
}

// rejectRepeatedParameters rejects a parameter that appears twice (RFC 6749
// section 3.1). A repeated resource has its own error code, see
// resourceParameter.
func rejectRepeatedParameters(form url.Values) *oauthError {
	for name := range form {
		if name == "resource" {
			continue
		}
		if oauthErr := rejectRepeatedParameter(form, name); oauthErr != nil {
			return oauthErr
		}
	}
	return nil
}

func rejectRepeatedParameter(form url.Values, name string) *oauthError {
	if n := len(form[name]); n > 1 {
		return oauthErrorf(invalidRequest, "Got %d '%s' parameters, want one.", n, name)
	}
	return nil
}

// resourceParameter returns the resource parameter of RFC 8707, or "". Clerk
// accepts only one.
func resourceParameter(form url.Values) (string, *oauthError) {
	values := form["resource"]
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", oauthErrorf(invalidTarget,
			"Got %d 'resource' parameters, want one.", len(values)).withFix("send resource once")
	}
	u, err := url.Parse(values[0])
	if err != nil || u.Scheme == "" || strings.Contains(values[0], "#") || len(values[0]) > maxResourceLength {
		return "", oauthErrorf(invalidTarget, "The resource '%s' is not an absolute URI without a fragment.", values[0])
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
