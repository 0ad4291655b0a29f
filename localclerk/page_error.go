package localclerk

import (
	"net/http"
	"strings"
)

// showError responds to an authorization request whose error must not be sent to the
// redirect URI: with a page to browsers, and with Clerk's error envelope to other
// clients.
func (s *Server) showError(w http.ResponseWriter, r *http.Request, oauthErr *oauthError) {
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		s.writeClerkError(w, r, clerkError{
			status:      http.StatusBadRequest,
			Code:        oauthErr.code,
			Message:     standardDescriptions[oauthErr.code],
			LongMessage: oauthErr.description(),
			fix:         oauthErr.fix,
		})
		return
	}
	recordError(r, oauthErr.code, oauthErr.description(), oauthErr.fix)
	s.renderPage(w, http.StatusBadRequest, errorPage, struct {
		layout
		Code, Problem, Fix string
	}{s.layout(), oauthErr.code, oauthErr.detail, oauthErr.fix}, "")
}
