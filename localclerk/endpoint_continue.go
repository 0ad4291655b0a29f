package localclerk

import (
	"net/http"
	"net/url"
)

// The values of the action parameter of the pages' buttons.
const (
	actionSignIn  = "sign_in"
	actionSignOut = "sign_out"
	actionAllow   = "allow"
	actionDeny    = "deny"
)

// continuePath is the path of the sign-in and consent pages. As at Clerk, the
// authorization endpoint redirects to it.
const continuePath = "/oauth/authorize/continue"

func continueURL(transaction string) string {
	return continuePath + "?" + url.Values{"transaction": {transaction}}.Encode()
}

// serveContinue shows the page of a transaction: the consent page if the user is
// signed in, else the sign-in page.
func (s *Server) serveContinue(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("transaction")
	t, ok := s.store.transaction(id, s.now())
	if !ok {
		s.showError(w, r, unknownTransaction())
		return
	}
	if user, ok := s.currentDirectory().user(t.user); ok {
		s.showConsent(w, r, id, t.request, user)
		return
	}
	s.showSignIn(w, r, id, t.request)
}

func unknownTransaction() *oauthError {
	return oauthErrorf(invalidRequest, "This sign-in is unknown, completed, or older than %.0f minutes.", transactionLifetime.Minutes()).
		withFix("go back to the application and connect again")
}

// serveDecision handles a button of a page. It requires a same-origin POST and a
// transaction that has not ended; the first Allow or Deny ends it.
func (s *Server) serveDecision(w http.ResponseWriter, r *http.Request) {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		recordError(r, accessDenied, "the form came from another origin", "")
		noStore(w)
		http.Error(w, "the form came from another origin", http.StatusForbidden)
		return
	}
	form, oauthErr := readForm(w, r)
	if oauthErr != nil {
		s.showError(w, r, oauthErr)
		return
	}
	id := form.Get("transaction")
	t, ok := s.store.transaction(id, s.now())
	if !ok {
		s.showError(w, r, unknownTransaction())
		return
	}
	dir := s.currentDirectory()
	switch action := form.Get("action"); action {
	case actionSignIn:
		s.completeSignIn(w, r, id, t, dir, form.Get("user"))
	case actionSignOut:
		s.store.setTransactionUser(id, "")
		s.redirect(w, r, continueURL(id))
	case actionAllow, actionDeny:
		user, ok := dir.user(t.user)
		if !ok {
			s.redirect(w, r, continueURL(id))
			return
		}
		d := decision{user: user, allow: action == actionAllow, organization: form.Get("organization_id")}
		if !dir.maySelectOrganization(user, d.organization, t.request.scopes) {
			s.showError(w, r, oauthErrorf(invalidRequest,
				"%s is not a member of the organization '%s', or the client did not request the scope user:org:read.",
				user.ID, d.organization))
			return
		}
		s.finishTransaction(w, r, id, d)
	default:
		s.showError(w, r, oauthErrorf(invalidRequest,
			"The form's action is '%s', want %s, %s, %s or %s.", action, actionSignIn, actionSignOut, actionAllow, actionDeny))
	}
}

// completeSignIn sets the user of a transaction. If the client has no consent page,
// it also sends the authorization response.
func (s *Server) completeSignIn(w http.ResponseWriter, r *http.Request, id string, t transaction, dir *directory, userID string) {
	user, ok := dir.user(userID)
	if !ok {
		s.showError(w, r, oauthErrorf(invalidRequest, "The user '%s' does not exist.", userID))
		return
	}
	if user.Banned || !t.request.client.consentScreen {
		organization, _ := dir.chooseOrganization(user, "", t.request.scopes)
		s.finishTransaction(w, r, id, decision{user: user, allow: true, organization: organization})
		return
	}
	s.store.setTransactionUser(id, user.ID)
	s.redirect(w, r, continueURL(id))
}

func (s *Server) finishTransaction(w http.ResponseWriter, r *http.Request, id string, d decision) {
	t, ok := s.store.finishTransaction(id, s.now())
	if !ok {
		s.showError(w, r, unknownTransaction())
		return
	}
	s.sendDecision(w, r, t.request, d)
}
