package localclerk

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// What the pages' buttons say they mean.
const (
	actionSignIn  = "sign_in"
	actionSignOut = "sign_out"
	actionAllow   = "allow"
	actionDeny    = "deny"
)

// serveContinue shows a transaction's page: sign-in, or consent once somebody
// is signed in.
func (s *Server) serveContinue(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("transaction")
	t, ok := s.vault.transaction(id, s.now())
	if !ok {
		s.showRefusal(w, r, staleTransaction())
		return
	}
	if user, ok := s.currentPeople().user(t.user); ok {
		s.showConsent(w, r, id, t.request, user)
		return
	}
	s.showSignIn(w, r, id, t.request)
}

func staleTransaction() *refusal {
	return refuse(invalidRequest, "This sign-in is unknown, over, or older than %s.", transactionLifetime).
		mend("go back to the application and connect again")
}

// serveDecision takes the button of a page. It needs a same-origin POST and a
// live transaction; only the first Allow or Deny counts.
func (s *Server) serveDecision(w http.ResponseWriter, r *http.Request) {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		note(r, accessDenied, "the form came from another origin", "")
		noStore(w)
		http.Error(w, "the form came from another origin", http.StatusForbidden)
		return
	}
	form, refused := readForm(w, r)
	if refused != nil {
		s.showRefusal(w, r, refused)
		return
	}
	id := form.Get("transaction")
	t, ok := s.vault.transaction(id, s.now())
	if !ok {
		s.showRefusal(w, r, staleTransaction())
		return
	}
	people := s.currentPeople()
	switch action := form.Get("action"); action {
	case actionSignIn:
		s.signIn(w, r, id, t, people, form.Get("user"))
	case actionSignOut:
		s.vault.signIn(id, "")
		s.redirect(w, r, continueWith(id))
	case actionAllow, actionDeny:
		user, ok := people.user(t.user)
		if !ok {
			s.redirect(w, r, continueWith(id))
			return
		}
		d := decision{user: user, allow: action == actionAllow, organization: form.Get("organization_id")}
		if !people.mayChoose(user, d.organization, t.request.scopes) {
			s.showRefusal(w, r, refuse(invalidRequest, "%s is no member of the organization '%s'.", user.ID, d.organization))
			return
		}
		s.finish(w, r, id, d)
	default:
		s.showRefusal(w, r, refuse(invalidRequest, "The form's action is '%s', want %s, %s, %s or %s.", action, actionSignIn, actionSignOut, actionAllow, actionDeny))
	}
}

// signIn notes who the user is. A client without consent page gets its answer
// at once.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, id string, t transaction, people *directory, userID string) {
	user, ok := people.user(userID)
	if !ok {
		s.showRefusal(w, r, refuse(invalidRequest, "There is no user '%s'.", userID))
		return
	}
	if user.Banned || !t.request.client.consentScreen {
		organization, _ := people.chosen(user, "", t.request.scopes)
		s.finish(w, r, id, decision{user: user, allow: true, organization: organization})
		return
	}
	s.vault.signIn(id, user.ID)
	s.redirect(w, r, continueWith(id))
}

func (s *Server) finish(w http.ResponseWriter, r *http.Request, id string, d decision) {
	t, ok := s.vault.finish(id, s.now())
	if !ok {
		s.showRefusal(w, r, staleTransaction())
		return
	}
	s.decide(w, r, t.request, d)
}

// chosen returns the id of the organization a grant of scopes is for: the one
// named, or the user's first. It is empty if the scopes ask for none.
func (d *directory) chosen(user User, name string, scopes []string) (string, error) {
	if name == "" {
		if in := d.memberships(user.ID); len(in) > 0 && slices.Contains(scopes, ScopeOrganization) {
			return in[0].ID, nil
		}
		return "", nil
	}
	o, _ := d.organization(name)
	if !d.mayChoose(user, o.ID, scopes) || o.ID == "" {
		return "", fmt.Errorf("%s may not choose %q here; with the scope %s there are %q", user.Name(), name, ScopeOrganization, slugs(d.memberships(user.ID)))
	}
	return o.ID, nil
}

// mayChoose reports whether user may grant scopes for the organization; an
// empty id means none.
func (d *directory) mayChoose(user User, organizationID string, scopes []string) bool {
	if organizationID == "" {
		return true
	}
	o, ok := d.organization(organizationID)
	_, member := o.member(user.ID)
	return ok && member && o.ID == organizationID && slices.Contains(scopes, ScopeOrganization)
}

func slugs(organizations []Organization) string {
	var all []string
	for _, o := range organizations {
		all = append(all, o.Slug)
	}
	return strings.Join(all, ", ")
}
