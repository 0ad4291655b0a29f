package signin

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
)

// authResponse is an authorization response that is not checked yet (RFC 6749 sections
// 4.1.2 and 4.1.2.1, RFC 9207).
type authResponse struct {
	code        savedsignin.Secret
	state       string
	iss         string
	err         string // error
	description string // error_description
}

// parseAuthResponse parses the query of a redirect URI. It is an error if the query is
// not an authorization response, or if a parameter appears twice (RFC 6749 section
// 3.1).
func parseAuthResponse(query string) (authResponse, error) {
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
		code:        savedsignin.Secret(values.Get("code")),
		state:       values.Get("state"),
		iss:         values.Get("iss"),
		err:         values.Get("error"),
		description: values.Get("error_description"),
	}, nil
}

// check returns an error unless the response is a successful answer to the request with
// state for the wanted scopes, from the authorization server with metadata. The go-sdk checks state and iss
// again; the errors of check have an explanation.
func (r authResponse) check(state string, wanted []string, metadata *oauthex.AuthServerMeta) error {
	const again = "run the same command again, and sign in in the window that it opens"
	switch {
	case r.state != state:
		return failure.New(
			again,
			"authorization response has another state than the request; it belongs to another sign-in, or it is forged")
	case r.iss != "" && r.iss != metadata.Issuer:
		return failure.New("do not continue: one authorization server answered in the name of another (RFC 9207 section 2.4)",
			"authorization response has issuer %q, want %q", r.iss, metadata.Issuer)
	case r.err != "":
		return explainAuthError(r.err, r.description, wanted, metadata)
	case r.iss == "" && metadata.AuthorizationResponseIssParameterSupported:
		return failure.New(
			"report this to the operator of the authorization server: its metadata announces iss (RFC 9207 section 2.3)",
			"authorization response has no issuer, want %q", metadata.Issuer)
	}
	return nil
}
