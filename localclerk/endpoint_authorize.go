package localclerk

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Headers for tools and tests, which have no browser. A page of another site
// cannot send them: that takes a preflight, and the authorization endpoint
// answers none.
const (
	// SignInHeader names who signs in, and skips both pages: a user's id,
	// username, email or first name.
	SignInHeader = "Localclerk-Sign-In"

	// OrganizationHeader names the organization chosen, by id or slug. Without
	// it the user's first organization is.
	OrganizationHeader = "Localclerk-Organization"

	// ConsentHeader is "allow" (also without it) or "deny".
	ConsentHeader = "Localclerk-Consent"
)

// serveAuthorize is the authorization endpoint (RFC 6749 section 3.1).
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	form, oauthErr := readForm(w, r)
	if oauthErr != nil {
		s.showError(w, r, oauthErr)
		return
	}
	req, oauthErr := s.newAuthorizationRequest(r.Context(), form)
	if oauthErr != nil {
		s.showError(w, r, oauthErr)
		return
	}
	if oauthErr := req.readParameters(form, s.currentSettings()); oauthErr != nil {
		s.sendAuthorizationError(w, r, req, oauthErr)
		return
	}
	if r.Header.Get(SignInHeader) != "" {
		s.signInByHeader(w, r, req)
		return
	}
	id := s.store.beginTransaction(req, s.now())
	s.redirect(w, r, continueURL(id))
}

func (s *Server) signInByHeader(w http.ResponseWriter, r *http.Request, req authorizationRequest) {
	dir := s.currentDirectory()
	user, err := dir.findUser(r.Header.Get(SignInHeader))
	if err != nil {
		s.rejectHeader(w, r, SignInHeader, err)
		return
	}
	organization, err := dir.chooseOrganization(user, r.Header.Get(OrganizationHeader), req.scopes)
	if err != nil {
		s.rejectHeader(w, r, OrganizationHeader, err)
		return
	}
	switch got := r.Header.Get(ConsentHeader); got {
	case "", "allow":
		s.sendDecision(w, r, req, decision{user: user, allow: true, organization: organization})
	case "deny":
		s.sendDecision(w, r, req, decision{user: user})
	default:
		s.rejectHeader(w, r, ConsentHeader, fmt.Errorf("got %q, want allow or deny", got))
	}
}

func (s *Server) rejectHeader(w http.ResponseWriter, r *http.Request, header string, err error) {
	recordError(r, invalidRequest, header+": "+err.Error(), "send another "+header)
	noStore(w)
	http.Error(w, header+": "+err.Error(), http.StatusBadRequest)
}

// decision is what a user makes of an authorization request.
type decision struct {
	user         User
	allow        bool
	organization string // org_…, or empty
}

// decide answers an authorization request with a code or with access_denied.
func (s *Server) sendDecision(w http.ResponseWriter, r *http.Request, req authorizationRequest, d decision) {
	eventOf(r).User = d.user.ID
	if d.user.Banned {
		s.sendAuthorizationError(w, r, req, oauthErrorf(accessDenied, "The user %s is banned.", d.user.ID).
			withFix("sign in as somebody else, or lift the ban"))
		return
	}
	if !d.allow {
		s.sendAuthorizationError(w, r, req, oauthErrorf(accessDenied, "The user denied the request."))
		return
	}
	issued := &authorizationCode{
		grant: &grant{
			clientID:     req.client.id,
			user:         d.user.ID,
			organization: d.organization,
			scopes:       req.scopes,
			resource:     req.resource,
			nonce:        req.nonce,
		},
		codeChallenge: req.codeChallenge,
		expiresAt:     s.now().Add(codeLifetime),
	}
	if req.redirectURISent {
		issued.redirectURI = req.redirectURI
	}
	s.sendAuthorizationResponse(w, r, req, url.Values{
		"code":  {s.store.addCode(issued)},
		"scope": {strings.Join(req.scopes, " ")},
	})
}

func (s *Server) sendAuthorizationError(w http.ResponseWriter, r *http.Request, req authorizationRequest, oauthErr *oauthError) {
	recordError(r, oauthErr.code, oauthErr.description(), oauthErr.fix)
	s.sendAuthorizationResponse(w, r, req, url.Values{
		"error":             {oauthErr.code},
		"error_description": {oauthErr.description()},
	})
}

// answer sends an authorization response, with state and the issuer (RFC 9207),
// to the client's redirect URI.
func (s *Server) sendAuthorizationResponse(w http.ResponseWriter, r *http.Request, req authorizationRequest, params url.Values) {
	eventOf(r).Client = req.client.id
	params.Set("iss", s.issuer)
	if req.state != "" {
		params.Set("state", req.state)
	}
	if req.responseMode == modeFormPost {
		s.showFormPost(w, r, req, params)
		return
	}
	s.redirect(w, r, appendQuery(req.redirectURI, params))
}
