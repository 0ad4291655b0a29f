package localclerk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "encoding the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// noStore keeps an answer out of every cache (RFC 6749 section 5.1).
func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}

// Error codes of RFC 6749 and its companions.
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

// firstSentence is what Clerk's error_description starts with for a code. What
// is particular follows.
var firstSentence = map[string]string{
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

// refusal is an OAuth error: the answer of the token endpoint (RFC 6749
// section 5.2), or of the authorization endpoint (section 4.1.2.1).
type refusal struct {
	code        string
	particulars string
	fix         string // what a developer does about it
}

func refuse(code, particulars string, args ...any) *refusal {
	return &refusal{code: code, particulars: describable(fmt.Sprintf(particulars, args...))}
}

// description is the refusal's error_description.
func (r *refusal) description() string { return firstSentence[r.code] + " " + r.particulars }

// mend adds what a developer does about the refusal.
func (r *refusal) mend(format string, args ...any) *refusal {
	r.fix = fmt.Sprintf(format, args...)
	return r
}

// describable replaces what RFC 6749 section 5.2 keeps out of error_description.
func describable(s string) string {
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

// status is the HTTP status of a refusal that is not a redirect.
func (r *refusal) status() int {
	switch r.code {
	case invalidClient:
		return http.StatusUnauthorized
	case serverError:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

func (s *Server) writeRefusal(w http.ResponseWriter, r *http.Request, refused *refusal) {
	note(r, refused.code, refused.description(), refused.fix)
	noStore(w)
	if _, _, basic := r.BasicAuth(); basic && refused.code == invalidClient {
		w.Header().Set("WWW-Authenticate", `Basic realm="Clerk"`)
	}
	writeJSON(w, refused.status(), struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{refused.code, refused.description()})
}

// clerkError is one error of Clerk's own envelope.
type clerkError struct {
	status      int
	fix         string
	Message     string `json:"message"`
	LongMessage string `json:"long_message"`
	Code        string `json:"code"`
}

func (s *Server) writeClerkError(w http.ResponseWriter, r *http.Request, e clerkError) {
	note(r, e.Code, e.LongMessage, e.fix)
	noStore(w)
	writeJSON(w, e.status, struct {
		Errors  []clerkError `json:"errors"`
		TraceID string       `json:"clerk_trace_id"`
	}{[]clerkError{e}, randomString(hex, 32)})
}
