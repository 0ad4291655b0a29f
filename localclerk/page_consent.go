package localclerk

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

type scopeItem struct{ Scope, Description string }

var scopeDescriptions = map[string]string{
	ScopeOpenID:          "Confirm your identity",
	ScopeProfile:         "See your name, username and picture",
	ScopeEmail:           "See your email address",
	ScopePublicMetadata:  "See your public metadata",
	ScopePrivateMetadata: "See your private metadata",
	ScopeOfflineAccess:   "Keep access while you are away",
	ScopeOrganization:    "See the organization you choose",
}

func scopeItems(scopes []string) []scopeItem {
	var items []scopeItem
	for _, scope := range scopes {
		items = append(items, scopeItem{scope, cmp.Or(scopeDescriptions[scope], "Use a custom permission:")})
	}
	return items
}

type organizationOption struct{ ID, Name, Role string }

func (s *Server) showConsent(w http.ResponseWriter, r *http.Request, transaction string, req authorizationRequest, user User) {
	eventOf(r).Client, eventOf(r).User = req.client.id, user.ID
	var options []organizationOption
	for _, o := range s.currentDirectory().memberships(user.ID) {
		m, _ := o.member(user.ID)
		options = append(options, organizationOption{o.ID, o.Name, strings.TrimPrefix(m.Role, "org:")})
	}
	target, loopback := redirectTarget(req.redirectURI)
	s.renderPage(w, http.StatusOK, consentPage, struct {
		layout
		Client, ClientURI, Transaction string
		User, Target                   string
		Loopback, PicksOrganization    bool
		Scopes                         []scopeItem
		Organizations                  []organizationOption
		Allow, Deny, SignOut           string
	}{
		layout:            s.layout(),
		Client:            req.client.name,
		ClientURI:         req.client.uri,
		Transaction:       transaction,
		User:              user.Name(),
		Target:            target,
		Loopback:          loopback,
		PicksOrganization: slices.Contains(req.scopes, ScopeOrganization),
		Scopes:            scopeItems(req.scopes),
		Organizations:     options,
		Allow:             actionAllow,
		Deny:              actionDeny,
		SignOut:           actionSignOut,
	}, req.redirectURI)
}

// redirectTarget returns the host or scheme of a redirect URI for display, and
// reports whether it leads to an app on this computer.
func redirectTarget(uri string) (name string, loopback bool) {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return uri, false
	case u.Host == "":
		return u.Scheme + ":", true
	case u.Scheme != "http" && u.Scheme != "https":
		return u.Scheme + "://" + u.Host, true
	}
	return u.Host, isLoopbackHost(u.Hostname())
}
