package main

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// authResponse is an authorization response (RFC 6749, sections 4.1.2 and
// 4.1.2.1; RFC 9207), unchecked.
type authResponse struct {
	code        secret
	state       string
	iss         string
	err         string // error
	description string // error_description
}

// readAuthResponse reads the query of a redirect URI. It refuses one that is no
// authorization response, or that has a parameter twice (RFC 6749, section 3.1).
func readAuthResponse(query string) (authResponse, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return authResponse{}, errors.New("the address has a malformed query")
	}
	for _, name := range []string{"code", "state", "iss", "error", "error_description"} {
		if len(values[name]) > 1 {
			return authResponse{}, fmt.Errorf("the address has %q twice", name)
		}
	}
	if values.Get("code") == "" && values.Get("error") == "" {
		return authResponse{}, errors.New("the address has neither a code nor an error")
	}
	return authResponse{
		code:        secret(values.Get("code")),
		state:       values.Get("state"),
		iss:         values.Get("iss"),
		err:         values.Get("error"),
		description: values.Get("error_description"),
	}, nil
}

// check says what is wrong with the response to a request with state at the
// authorization server of meta. The go-sdk checks state and iss once more; here
// they get an explanation.
func (r authResponse) check(state string, meta *oauthex.AuthServerMeta) error {
	const again = "start over with the same command, and answer in the window that it opens"
	switch {
	case r.state != state && (r.state != "" || r.err == ""):
		return fail(again, "state of the answer is not the one that was sent; it belongs to another sign-in, or somebody made it up")
	case r.iss != "" && r.iss != meta.Issuer:
		return fail("do not go on: one authorization server answered in the name of another (RFC 9207, section 2.4)",
			"answer comes from issuer %q, want %q", r.iss, meta.Issuer)
	case r.err != "":
		return explainAuthError(r.err, r.description)
	case r.iss == "" && meta.AuthorizationResponseIssParameterSupported:
		return fail("tell who runs the authorization server: its metadata promises iss (RFC 9207, section 2.3)",
			"answer names no issuer, want %q", meta.Issuer)
	}
	return nil
}
