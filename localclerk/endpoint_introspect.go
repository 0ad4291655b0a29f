package localclerk

import (
	"net/http"
	"slices"
	"strings"
)

// introspectionResponse is the introspection response (RFC 7662 section 2.2). As in
// Clerk's API description, it has neither exp nor aud.
type introspectionResponse struct {
	Active       bool   `json:"active"`
	ClientID     string `json:"client_id,omitempty"`
	IssuedAt     int64  `json:"iat,omitempty"`
	Scope        string `json:"scope,omitempty"`
	Subject      string `json:"sub,omitempty"`
	Organization string `json:"org_id,omitempty"`
}

// serveIntrospect is the introspection endpoint (RFC 7662). Any confidential client
// may introspect the tokens of all clients.
func (s *Server) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	form, c, oauthErr := s.authenticatedForm(w, r)
	if oauthErr == nil && c.public() {
		oauthErr = oauthErrorf(invalidClient, "Introspection requires a client with a secret.")
	}
	if oauthErr != nil {
		s.writeOAuthError(w, r, oauthErr)
		return
	}
	noStore(w)
	writeJSON(w, http.StatusOK, s.introspect(form.Get("token")))
}

func (s *Server) introspect(value string) introspectionResponse {
	if t, ok := s.store.refreshToken(value); ok {
		return newIntrospectionResponse(t.grant, t.grant.scopes, t.issuedAt.Unix())
	}
	if t, _, ok := s.activeToken(value); ok {
		return newIntrospectionResponse(t.grant, t.scopes, t.issuedAt.Unix())
	}
	return introspectionResponse{}
}

func newIntrospectionResponse(g *grant, scopes []string, issuedAt int64) introspectionResponse {
	response := introspectionResponse{
		Active:   true,
		ClientID: g.clientID,
		IssuedAt: issuedAt,
		Scope:    strings.Join(scopes, " "),
		Subject:  g.user,
	}
	if slices.Contains(scopes, ScopeOrganization) {
		response.Organization = g.organization
	}
	return response
}
