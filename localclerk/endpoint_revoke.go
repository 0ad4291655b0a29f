package localclerk

import (
	"net/http"
	"strings"
)

// serveRevoke is the revocation endpoint (RFC 7009). As at Clerk, a JWT access token
// cannot be revoked.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	form, c, oauthErr := s.authenticatedForm(w, r)
	if oauthErr == nil {
		oauthErr = s.revokeToken(c, form.Get("token"))
	}
	if oauthErr != nil {
		s.writeOAuthError(w, r, oauthErr)
		return
	}
	noStore(w)
	w.WriteHeader(http.StatusOK)
}

func (s *Server) revokeToken(c *client, value string) *oauthError {
	if value == "" {
		return oauthErrorf(invalidRequest, "The 'token' parameter is missing.")
	}
	if strings.Count(value, ".") == 2 {
		return oauthErrorf(unsupportedTokenType, "A JWT access token is valid until it expires.").
			withFix("revoke the refresh token, or turn off oauth_jwt_access_tokens, since opaque access tokens can be revoked")
	}
	if owner := s.store.revokeToken(value, c.id); owner != "" && owner != c.id {
		return oauthErrorf(unauthorizedClient, "The token was issued to another client.")
	}
	return nil
}
