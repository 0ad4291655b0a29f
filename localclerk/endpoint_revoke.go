package localclerk

import (
	"net/http"
	"strings"
)

// serveRevoke is the revocation endpoint (RFC 7009). A JWT access token cannot
// be revoked.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	form, oauthErr := readForm(w, r)
	if oauthErr == nil {
		oauthErr = rejectRepeatedParameters(form)
	}
	var c *client
	if oauthErr == nil {
		c, oauthErr = s.authenticate(r, form)
	}
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
		return oauthErrorf(invalidRequest, "There is no 'token' parameter.")
	}
	if strings.Count(value, ".") == 2 {
		return oauthErrorf(unsupportedTokenType, "A JWT access token is valid until it expires.").
			withFix("revoke the refresh token; for access tokens that can be revoked, make them opaque")
	}
	if owner := s.store.revokeToken(value, c.id); owner != "" && owner != c.id {
		return oauthErrorf(unauthorizedClient, "The token was issued to another client.")
	}
	return nil
}
