package localclerk

import (
	"fmt"
	"net/http"
	"strings"
)

// Error codes of RFC 6749, 7009, 7591 and 8707 and of OpenID Connect Core 1.0,
// and invalid_state, which is Clerk's own.
const (
	accessDenied            = "access_denied"
	invalidClient           = "invalid_client"
	invalidClientMetadata   = "invalid_client_metadata"
	invalidGrant            = "invalid_grant"
	invalidRedirectURI      = "invalid_redirect_uri"
	invalidRequest          = "invalid_request"
	invalidScope            = "invalid_scope"
	invalidState            = "invalid_state"
	invalidTarget           = "invalid_target"
	loginRequired           = "login_required"
	serverError             = "server_error"
	unauthorizedClient      = "unauthorized_client"
	unsupportedGrantType    = "unsupported_grant_type"
	unsupportedResponseType = "unsupported_response_type"
	unsupportedTokenType    = "unsupported_token_type"
)

// standardDescriptions are the sentences with which Clerk begins the
// error_description of a code. The detail follows.
var standardDescriptions = map[string]string{
	accessDenied:            "The resource owner or authorization server denied the request.",
	invalidClient:           "Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method).",
	invalidClientMetadata:   "The value of one of the client metadata fields is invalid.",
	invalidGrant:            "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.",
	invalidRedirectURI:      "The value of one or more redirection URIs is invalid.",
	invalidRequest:          "The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, or is otherwise malformed.",
	invalidScope:            "The requested scope is invalid, unknown, or malformed.",
	invalidState:            "The state is missing or does not have enough characters and is therefore considered too weak.",
	invalidTarget:           "The requested resource is invalid, missing, unknown, or malformed.",
	loginRequired:           "The authorization server requires end-user authentication.",
	serverError:             "The authorization server encountered an unexpected condition that prevented it from fulfilling the request.",
	unauthorizedClient:      "The client is not authorized to request a token using this method.",
	unsupportedGrantType:    "The authorization grant type is not supported by the authorization server.",
	unsupportedResponseType: "The authorization server does not support obtaining a code using this method.",
	unsupportedTokenType:    "The authorization server does not support the revocation of the presented token type.",
}

// oauthError is an OAuth error response: of the token endpoint (RFC 6749 section
// 5.2) or of the authorization endpoint (section 4.1.2.1). Nil means no error.
type oauthError struct {
	code   string
	detail string // what is wrong with this request
	fix    string // what a developer can do about it, for the error page and the event
}

func oauthErrorf(code, format string, args ...any) *oauthError {
	return &oauthError{code: code, detail: sanitizeDescription(fmt.Sprintf(format, args...))}
}

// description returns the error_description.
func (e *oauthError) description() string { return standardDescriptions[e.code] + " " + e.detail }

// withFix sets what a developer can do about the error.
func (e *oauthError) withFix(format string, args ...any) *oauthError {
	e.fix = fmt.Sprintf(format, args...)
	return e
}

// sanitizeDescription replaces the characters that RFC 6749 section 5.2 does not
// allow in error_description.
func sanitizeDescription(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r > '~' || r == '\\':
			return '?'
		}
		return r
	}, s)
}

// status returns the HTTP status of an error that is not sent by redirect.
func (e *oauthError) status() int {
	switch e.code {
	case invalidClient:
		return http.StatusUnauthorized
	case serverError:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

func (s *Server) writeOAuthError(w http.ResponseWriter, r *http.Request, oauthErr *oauthError) {
	recordError(r, oauthErr.code, oauthErr.description(), oauthErr.fix)
	noStore(w)
	if _, _, basic := r.BasicAuth(); basic && oauthErr.code == invalidClient {
		w.Header().Set("WWW-Authenticate", `Basic realm="Clerk"`)
	}
	writeJSON(w, oauthErr.status(), struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{oauthErr.code, oauthErr.description()})
}
