package localclerk

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// tokenAnswer is the token endpoint's answer (RFC 6749 section 5.1). Clerk
// writes token_type in lower case.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"`
	IDToken      string `json:"id_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
	TokenType    string `json:"token_type"`
	user         string
}

// serveToken is the token endpoint (RFC 6749 section 3.2).
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	form, refused := readForm(w, r)
	if refused == nil {
		refused = onlyOnce(form)
	}
	var c *client
	if refused == nil {
		c, refused = s.authenticate(r, form)
	}
	var answer tokenAnswer
	if refused == nil {
		answer, refused = s.grantTokens(c, form)
	}
	if refused != nil {
		s.writeRefusal(w, r, refused)
		return
	}
	eventOf(r).User = answer.user
	noStore(w)
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) grantTokens(c *client, form url.Values) (tokenAnswer, *refusal) {
	resource, refused := oneResource(form)
	if refused != nil {
		return tokenAnswer{}, refused
	}
	switch got := form.Get("grant_type"); got {
	case grantAuthorizationCode:
		return s.redeemCode(c, form, resource)
	case grantRefreshToken:
		return s.refreshTokens(c, form, resource)
	default:
		return tokenAnswer{}, refuse(unsupportedGrantType, "The grant_type is '%s', want %s or %s.", got, grantAuthorizationCode, grantRefreshToken)
	}
}

// onlyOnce refuses a parameter that is there twice; resource has its own error.
func onlyOnce(form url.Values) *refusal {
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			return refuse(invalidRequest, "Got %d '%s' parameters, want one.", len(values), name)
		}
	}
	return nil
}

// authenticate finds the client by Basic credentials or by those of the form,
// whichever it registered for (RFC 6749 section 2.3). A public client gives
// only its client_id.
func (s *Server) authenticate(r *http.Request, form url.Values) (*client, *refusal) {
	id, secret, refused := clientCredentials(r, form)
	if refused != nil {
		return nil, refused
	}
	c, refused := s.knownClient(r, id)
	if refused != nil {
		return nil, refused
	}
	if namesDocument(id) && secret != "" {
		return nil, refuse(invalidClient, "A client of a metadata document has no secret.").mend("send client_id alone")
	}
	if !c.public() && !c.secret.is(secret) {
		return nil, refuse(invalidClient, "The provided client secret does not match.").
			mend("send the client_secret that the registration returned")
	}
	return c, nil
}

// knownClient finds a client as it was when it was last authorized: a metadata
// document that cannot be had just now does not end its grants.
func (s *Server) knownClient(r *http.Request, id string) (*client, *refusal) {
	if c, ok := s.vault.client(id); ok {
		if namesDocument(id) {
			return c, s.admitsDocument(id)
		}
		return c, nil
	}
	return s.findClient(r.Context(), id)
}

func clientCredentials(r *http.Request, form url.Values) (id, secret string, refused *refusal) {
	id, secret = form.Get("client_id"), form.Get("client_secret")
	user, password, basic := r.BasicAuth()
	if !basic {
		if r.Header.Get("Authorization") != "" {
			return "", "", refuse(invalidRequest, "The Authorization header is not Basic credentials.")
		}
		return id, secret, nil
	}
	if secret != "" {
		return "", "", refuse(invalidRequest, "There are two client secrets, in the Authorization header and in the body.")
	}
	user, userErr := url.QueryUnescape(user)
	password, passwordErr := url.QueryUnescape(password)
	if userErr != nil || passwordErr != nil {
		return "", "", refuse(invalidRequest, "The Basic credentials are not form-urlencoded (RFC 6749 section 2.3.1).")
	}
	if id != "" && id != user {
		return "", "", refuse(invalidRequest, "The client_id is '%s' in the body and '%s' in the Authorization header.", id, user)
	}
	return user, password, nil
}

// redeemCode is the authorization code grant (RFC 6749 section 4.1.3). A code
// is spent by the first attempt of its client, whatever comes of it.
func (s *Server) redeemCode(c *client, form url.Values, resource string) (tokenAnswer, *refusal) {
	if form.Get("code") == "" {
		return tokenAnswer{}, refuse(invalidRequest, "There is no 'code' parameter.")
	}
	spent, err := s.vault.redeem(form.Get("code"), c.id, s.now())
	if err != nil {
		return tokenAnswer{}, refuse(invalidGrant, "The authorization code: %v.", err).mend("start a new authorization")
	}
	if got := form.Get("redirect_uri"); got != spent.redirectURI && (spent.redirectURI != "" || got != "") {
		return tokenAnswer{}, refuse(invalidGrant, "The redirect_uri is '%s', but the authorization request had '%s'.", got, spent.redirectURI)
	}
	if err := provesPossession(spent.challenge, form.Get("code_verifier")); err != nil {
		return tokenAnswer{}, refuse(invalidGrant, "Of PKCE: %v.", err)
	}
	g := spent.grant
	if refused := sameTarget(g, resource); refused != nil {
		return tokenAnswer{}, refused
	}
	return s.answerTokens(g, g.scopes, func(now time.Time) (string, error) {
		if !slices.Contains(g.scopes, ScopeOfflineAccess) {
			return "", nil
		}
		return s.vault.addRefreshToken(g, now), nil
	})
}

// refreshTokens is the refresh token grant (RFC 6749 section 6). Refresh
// tokens rotate; one that comes back revokes its family.
func (s *Server) refreshTokens(c *client, form url.Values, resource string) (tokenAnswer, *refusal) {
	value := form.Get("refresh_token")
	if value == "" {
		return tokenAnswer{}, refuse(invalidRequest, "There is no 'refresh_token' parameter.")
	}
	g, err := s.vault.peekRefresh(value, c.id)
	if err != nil {
		return tokenAnswer{}, refuse(invalidGrant, "The refresh token: %v.", err).mend("sign in again")
	}
	if refused := sameTarget(g, resource); refused != nil {
		return tokenAnswer{}, refused
	}
	scopes := g.scopes
	if asked := splitScope(form.Get("scope")); len(asked) > 0 {
		scopes = asked
	}
	for _, scope := range scopes {
		if !slices.Contains(g.scopes, scope) {
			return tokenAnswer{}, refuse(invalidScope, "The requested scope '%s' was not originally granted by the resource owner.", scope)
		}
	}
	if refused := c.mayHold(scopes, s.currentSettings()); refused != nil {
		return tokenAnswer{}, refused
	}
	return s.answerTokens(g, scopes, func(now time.Time) (string, error) {
		return s.vault.rotate(value, c.id, now)
	})
}

// sameTarget refuses a resource that is not the grant's. None means the
// grant's.
func sameTarget(g *grant, resource string) *refusal {
	if resource != "" && resource != g.resource {
		return refuse(invalidTarget, "The resource is '%s', but the grant is for '%s'.", resource, g.resource).
			mend("send the same resource to the authorization and to the token endpoint")
	}
	return nil
}

// answerTokens issues what a grant gives for scopes; nextRefresh returns the
// refresh token, or "".
func (s *Server) answerTokens(g *grant, scopes []string, nextRefresh func(time.Time) (string, error)) (tokenAnswer, *refusal) {
	user, ok := s.currentPeople().user(g.user)
	if !ok || user.Banned {
		return tokenAnswer{}, refuse(invalidGrant, "The user %s is banned or gone.", g.user)
	}
	refresh, err := nextRefresh(s.now())
	if err != nil {
		return tokenAnswer{}, refuse(invalidGrant, "The refresh token: %v.", err).mend("sign in again")
	}
	access, err := s.issueAccessToken(g, scopes, s.currentSettings())
	if err != nil {
		return tokenAnswer{}, refuse(serverError, "Of the access token: %v.", err)
	}
	answer := tokenAnswer{
		AccessToken:  access,
		ExpiresIn:    int(accessTokenLifetime / time.Second),
		RefreshToken: refresh,
		Scope:        strings.Join(scopes, " "),
		TokenType:    "bearer",
		user:         g.user,
	}
	if slices.Contains(scopes, ScopeOpenID) {
		if answer.IDToken, err = s.issueIDToken(g, user, scopes); err != nil {
			return tokenAnswer{}, refuse(serverError, "Of the ID token: %v.", err)
		}
	}
	return answer, nil
}
