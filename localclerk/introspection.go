package localclerk

import (
	"net/http"
	"slices"
	"strings"
)

// tokenInfo is the introspection answer (RFC 7662 section 2.2) as Clerk
// publishes it: without exp and aud.
type tokenInfo struct {
	Active       bool   `json:"active"`
	ClientID     string `json:"client_id,omitempty"`
	IssuedAt     int64  `json:"iat,omitempty"`
	Scope        string `json:"scope,omitempty"`
	Subject      string `json:"sub,omitempty"`
	Organization string `json:"org_id,omitempty"`
}

// serveTokenInfo is the introspection endpoint. It takes any confidential
// client's credentials, for any client's tokens.
func (s *Server) serveTokenInfo(w http.ResponseWriter, r *http.Request) {
	form, refused := readForm(w, r)
	if refused == nil {
		refused = onlyOnce(form)
	}
	if refused == nil {
		var c *client
		if c, refused = s.authenticate(r, form); refused == nil && c.public() {
			refused = refuse(invalidClient, "Introspection takes a client with a secret.")
		}
	}
	if refused != nil {
		s.writeRefusal(w, r, refused)
		return
	}
	noStore(w)
	writeJSON(w, http.StatusOK, s.introspect(form.Get("token")))
}

func (s *Server) introspect(value string) tokenInfo {
	if t, ok := s.vault.refreshGrant(value); ok {
		return newTokenInfo(t.grant, t.grant.scopes, t.issued.Unix())
	}
	if t, _, ok := s.liveToken(value); ok {
		return newTokenInfo(t.grant, t.scopes, t.issued.Unix())
	}
	return tokenInfo{}
}

func newTokenInfo(g *grant, scopes []string, issuedAt int64) tokenInfo {
	info := tokenInfo{
		Active:   true,
		ClientID: g.clientID,
		IssuedAt: issuedAt,
		Scope:    strings.Join(scopes, " "),
		Subject:  g.user,
	}
	if slices.Contains(scopes, ScopeOrganization) {
		info.Organization = g.organization
	}
	return info
}

// serveRevoke is the revocation endpoint (RFC 7009). A JWT access token cannot
// be revoked.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	form, refused := readForm(w, r)
	if refused == nil {
		refused = onlyOnce(form)
	}
	var c *client
	if refused == nil {
		c, refused = s.authenticate(r, form)
	}
	if refused == nil {
		refused = s.revokeToken(c, form.Get("token"))
	}
	if refused != nil {
		s.writeRefusal(w, r, refused)
		return
	}
	noStore(w)
	w.WriteHeader(http.StatusOK)
}

func (s *Server) revokeToken(c *client, value string) *refusal {
	if value == "" {
		return refuse(invalidRequest, "There is no 'token' parameter.")
	}
	if strings.Count(value, ".") == 2 {
		return refuse(unsupportedTokenType, "A JWT access token is valid until it expires.").
			mend("revoke the refresh token; for access tokens that can be revoked, make them opaque")
	}
	if owner := s.vault.revoke(value, c.id); owner != "" && owner != c.id {
		return refuse(unauthorizedClient, "The token was issued to another client.")
	}
	return nil
}
