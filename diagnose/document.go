package diagnose

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// maxItems bounds how many strings of a list in a document are read.
const maxItems = 500

// objectOf returns the members of the JSON object in an answer, or the problem because of
// which a client cannot read it.
func objectOf(a *answer) (members map[string]json.RawMessage, problem string) {
	switch {
	case a.err != nil:
		return nil, describeError(a.err)
	case a.location() != nil:
		return nil, "redirect to " + withoutQuery(a.location().String())
	case a.status != http.StatusOK:
		return nil, fmt.Sprintf("status %d", a.status)
	case a.bodyErr != nil:
		return nil, "the body breaks off: " + bareError(a.bodyErr).Error()
	case a.truncated:
		return nil, fmt.Sprintf("the body is larger than %d bytes", len(a.body))
	case a.isHTML():
		return nil, "a web page (HTML)"
	}
	if err := json.Unmarshal(a.body, &members); err != nil || members == nil {
		return nil, "not a JSON object"
	}
	return members, ""
}

// text returns a member that is a string, or "".
func text(members map[string]json.RawMessage, name string) string {
	var s string
	if json.Unmarshal(members[name], &s) != nil {
		return ""
	}
	return s
}

// list returns a member that is a list of strings. It is nil if the member is absent or has
// another form.
func list(members map[string]json.RawMessage, name string) []string {
	var s []string
	if json.Unmarshal(members[name], &s) != nil || s == nil {
		return nil
	}
	return s[:min(len(s), maxItems)]
}

func flag(members map[string]json.RawMessage, name string) bool {
	var b bool
	return json.Unmarshal(members[name], &b) == nil && b
}

func readResource(place string, a *answer) observedResource {
	r := observedResource{Place: place, URL: a.request.url, Status: a.status}
	if len(a.redirects) > 0 {
		r.URL = a.redirects[len(a.redirects)-1]
	}
	members, problem := objectOf(a)
	if r.Problem = problem; problem != "" {
		return r
	}
	r.Resource = text(members, "resource")
	r.AuthorizationServers = list(members, "authorization_servers")
	r.Scopes = list(members, "scopes_supported")
	r.HasScopes = r.Scopes != nil
	return r
}

func readServer(form string, a *answer) observedServer {
	s := observedServer{Form: form, URL: a.request.url, Status: a.status}
	members, problem := objectOf(a)
	if s.Problem = problem; problem != "" {
		return s
	}
	s.Issuer = text(members, "issuer")
	s.AuthorizationEndpoint = text(members, "authorization_endpoint")
	s.TokenEndpoint = text(members, "token_endpoint")
	s.RegistrationEndpoint = text(members, "registration_endpoint")
	s.RevocationEndpoint = text(members, "revocation_endpoint")
	s.JWKSURI = text(members, "jwks_uri")
	s.AuthMethods = list(members, "token_endpoint_auth_methods_supported")
	s.ChallengeMethods = list(members, "code_challenge_methods_supported")
	s.ResponseTypes = list(members, "response_types_supported")
	s.GrantTypes = list(members, "grant_types_supported")
	s.Scopes = list(members, "scopes_supported")
	s.CIMD = flag(members, "client_id_metadata_document_supported")
	s.IssParameter = flag(members, "authorization_response_iss_parameter_supported")
	return s
}

// guardBody is the JSON body with which the guard of Gatehouse rejects a request.
type guardBody struct {
	Error  string `json:"error"`
	Reason string `json:"reason"`
}

func readGuardBody(a *answer) guardBody {
	var b guardBody
	if a.err != nil || json.Unmarshal(a.body, &b) != nil {
		return guardBody{}
	}
	return b
}

// saysUnauthorized reports whether the body of an answer says that a token is missing,
// whatever its status is.
func saysUnauthorized(a *answer) bool {
	body := readGuardBody(a)
	if body.Error == "missing_token" || body.Error == "invalid_token" || body.Reason == "no_credentials" {
		return true
	}
	text := strings.ToLower(string(a.body[:min(len(a.body), 2048)]))
	return !a.isHTML() && (strings.Contains(text, "unauthorized") || strings.Contains(text, "unauthenticated"))
}
