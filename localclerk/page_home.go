package localclerk

import (
	"net/http"
	"strings"
)

// serveHome answers browsers at / with a page that says what this server is. Other
// clients get the same 404 as at any unknown path, as at Clerk.
func (s *Server) serveHome(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		s.serveNotFound(w, r)
		return
	}
	var accounts []accountView
	for _, u := range s.currentDirectory().users {
		accounts = append(accounts, newAccountView(u))
	}
	s.renderPage(w, http.StatusOK, homePage, struct {
		layout
		Users []accountView
	}{s.layout(), accounts}, "")
}
