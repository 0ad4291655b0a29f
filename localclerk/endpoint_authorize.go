package localclerk

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Request headers of the authorization endpoint for tools and tests without a
// browser; Clerk has none of them. A page of another site cannot send them,
// because that requires a CORS preflight, and the authorization endpoint does not
// answer preflights.
const (
	// SignInHeader names the user who signs in, by ID, username, email address
	// or first name. With it, both pages are skipped.
	SignInHeader = "Localclerk-Sign-In"

	// OrganizationHeader names the chosen organization, by ID or slug. Without
	// it, the user's first organization is chosen.
	OrganizationHeader = "Localclerk-Organization"

	// ConsentHeader is "allow" or "deny". Without it, the user allows.
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
	recordError(r, invalidRequest, header+": "+err.Error(), "correct the header "+header)
	noStore(w)
	http.Error(w, header+": "+err.Error(), http.StatusBadRequest)
}

// decision is the decision of a user about an authorization request.
type decision struct {
	user         User
	allow        bool
	organization string // org_…, or empty
}

// sendDecision sends an authorization response with a code or with access_denied.
func (s *Server) sendDecision(w http.ResponseWriter, r *http.Request, req authorizationRequest, d decision) {
	eventOf(r).User = d.user.ID
	if d.user.Banned {
		s.sendAuthorizationError(w, r, req, oauthErrorf(accessDenied, "The user %s is banned.", d.user.ID).
			withFix("sign in as another user, or unban this one"))
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

// sendAuthorizationResponse sends params to the client's redirect URI, with state
// and the issuer (RFC 9207).
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
