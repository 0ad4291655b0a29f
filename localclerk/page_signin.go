package localclerk

import (
	"cmp"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// accountView is a user as shown on a page.
type accountView struct {
	ID, Name, Initials, Detail string
}

func newAccountView(u User) accountView {
	view := accountView{ID: u.ID, Name: u.Name(), Detail: cmp.Or(u.Email, u.Username)}
	for _, part := range strings.Fields(view.Name) {
		first, _ := utf8.DecodeRuneInString(part)
		view.Initials += string(unicode.ToUpper(first))
	}
	if u.Banned {
		view.Detail += ", banned"
	}
	return view
}

func (s *Server) showSignIn(w http.ResponseWriter, r *http.Request, transaction string, req authorizationRequest) {
	eventOf(r).Client = req.client.id
	var accounts []accountView
	for _, u := range s.currentDirectory().users {
		accounts = append(accounts, newAccountView(u))
	}
	s.renderPage(w, http.StatusOK, signInPage, struct {
		layout
		Client, Transaction, SignIn string
		Users                       []accountView
	}{s.layout(), req.client.name, transaction, actionSignIn, accounts}, req.redirectURI)
}
