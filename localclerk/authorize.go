package localclerk

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxQuery    = 16 << 10
	maxFormBody = 64 << 10
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
	form, refused := readForm(w, r)
	if refused != nil {
		s.showRefusal(w, r, refused)
		return
	}
	req, refused := s.answerable(r.Context(), form)
	if refused != nil {
		s.showRefusal(w, r, refused)
		return
	}
	if refused := req.read(form, s.currentSettings()); refused != nil {
		s.redirectRefusal(w, r, req, refused)
		return
	}
	if r.Header.Get(SignInHeader) != "" {
		s.signInHeadless(w, r, req)
		return
	}
	id := s.vault.begin(req, s.now())
	s.redirect(w, r, continueWith(id))
}

// continuePath is where the pages are: Clerk's second hop.
const continuePath = "/oauth/authorize/continue"

func continueWith(transaction string) string {
	return continuePath + "?" + url.Values{"transaction": {transaction}}.Encode()
}

// readForm returns the parameters of a GET from the query, those of a POST
// from a form in the body.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *refusal) {
	encoded := r.URL.RawQuery
	if r.Method == http.MethodPost {
		if got := r.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/x-www-form-urlencoded") {
			return nil, refuse(invalidRequest, "The content type is '%s', want application/x-www-form-urlencoded.", got)
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFormBody))
		if err != nil {
			return nil, refuse(invalidRequest, "Reading the body: %v.", err)
		}
		encoded = string(body)
	} else if len(encoded) > maxQuery {
		return nil, refuse(invalidRequest, "The query has %d bytes, want at most %d.", len(encoded), maxQuery)
	}
	form, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, refuse(invalidRequest, "The parameters are not form-urlencoded: %v.", err)
	}
	return form, nil
}

func (s *Server) signInHeadless(w http.ResponseWriter, r *http.Request, req authorizeRequest) {
	people := s.currentPeople()
	user, err := people.find(r.Header.Get(SignInHeader))
	if err != nil {
		s.refuseHeader(w, r, SignInHeader, err)
		return
	}
	organization, err := people.chosen(user, r.Header.Get(OrganizationHeader), req.scopes)
	if err != nil {
		s.refuseHeader(w, r, OrganizationHeader, err)
		return
	}
	switch got := r.Header.Get(ConsentHeader); got {
	case "", "allow":
		s.decide(w, r, req, decision{user: user, allow: true, organization: organization})
	case "deny":
		s.decide(w, r, req, decision{user: user})
	default:
		s.refuseHeader(w, r, ConsentHeader, fmt.Errorf("got %q, want allow or deny", got))
	}
}

func (s *Server) refuseHeader(w http.ResponseWriter, r *http.Request, header string, err error) {
	note(r, invalidRequest, header+": "+err.Error(), "send another "+header)
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
func (s *Server) decide(w http.ResponseWriter, r *http.Request, req authorizeRequest, d decision) {
	eventOf(r).User = d.user.ID
	if d.user.Banned {
		s.redirectRefusal(w, r, req, refuse(accessDenied, "The user %s is banned.", d.user.ID).
			mend("sign in as somebody else, or lift the ban"))
		return
	}
	if !d.allow {
		s.redirectRefusal(w, r, req, refuse(accessDenied, "The user denied the request."))
		return
	}
	issued := &code{
		grant: &grant{
			clientID:     req.client.id,
			user:         d.user.ID,
			organization: d.organization,
			scopes:       req.scopes,
			resource:     req.resource,
			nonce:        req.nonce,
		},
		challenge: req.challenge,
		expires:   s.now().Add(codeLifetime),
	}
	if req.redirectNamed {
		issued.redirectURI = req.redirectURI
	}
	s.answer(w, r, req, url.Values{
		"code":  {s.vault.addCode(issued)},
		"scope": {strings.Join(req.scopes, " ")},
	})
}

func (s *Server) redirectRefusal(w http.ResponseWriter, r *http.Request, req authorizeRequest, refused *refusal) {
	note(r, refused.code, refused.description(), refused.fix)
	s.answer(w, r, req, url.Values{
		"error":             {refused.code},
		"error_description": {refused.description()},
	})
}

// answer sends an authorization response, with state and the issuer (RFC 9207),
// to the client's redirect URI.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, req authorizeRequest, params url.Values) {
	eventOf(r).Client = req.client.id
	params.Set("iss", s.issuer)
	if req.state != "" {
		params.Set("state", req.state)
	}
	if req.responseMode == modeFormPost {
		s.showFormPost(w, r, req, params)
		return
	}
	s.redirect(w, r, withQuery(req.redirectURI, params))
}

// withQuery adds params to the query of a URI, keeping the one it has (RFC
// 6749 section 3.1.2).
func withQuery(uri string, params url.Values) string {
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + params.Encode()
}

// redirect sends the browser on: with 302, and with 303 after a POST so that
// it does not post again.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, to string) {
	noStore(w)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", to)
	status := http.StatusFound
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther
	}
	w.WriteHeader(status)
}
