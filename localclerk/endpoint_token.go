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
type tokenResponse struct {
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
	form, oauthErr := readForm(w, r)
	if oauthErr == nil {
		oauthErr = rejectRepeatedParameters(form)
	}
	var c *client
	if oauthErr == nil {
		c, oauthErr = s.authenticate(r, form)
	}
	var response tokenResponse
	if oauthErr == nil {
		response, oauthErr = s.grantTokens(c, form)
	}
	if oauthErr != nil {
		s.writeOAuthError(w, r, oauthErr)
		return
	}
	eventOf(r).User = response.user
	noStore(w)
	writeJSON(w, http.StatusOK, response)
}

func (s *Server) grantTokens(c *client, form url.Values) (tokenResponse, *oauthError) {
	resource, oauthErr := resourceParameter(form)
	if oauthErr != nil {
		return tokenResponse{}, oauthErr
	}
	switch got := form.Get("grant_type"); got {
	case grantAuthorizationCode:
		return s.redeemCode(c, form, resource)
	case grantRefreshToken:
		return s.refreshTokens(c, form, resource)
	default:
		return tokenResponse{}, oauthErrorf(unsupportedGrantType, "The grant_type is '%s', want %s or %s.", got, grantAuthorizationCode, grantRefreshToken)
	}
}

// redeemCode is the authorization code grant (RFC 6749 section 4.1.3). A code
// is spent by the first attempt of its client, whatever comes of it.
func (s *Server) redeemCode(c *client, form url.Values, resource string) (tokenResponse, *oauthError) {
	if form.Get("code") == "" {
		return tokenResponse{}, oauthErrorf(invalidRequest, "There is no 'code' parameter.")
	}
	redeemed, err := s.store.redeemCode(form.Get("code"), c.id, s.now())
	if err != nil {
		return tokenResponse{}, oauthErrorf(invalidGrant, "The authorization code: %v.", err).withFix("start a new authorization")
	}
	if got := form.Get("redirect_uri"); got != redeemed.redirectURI && (redeemed.redirectURI != "" || got != "") {
		return tokenResponse{}, oauthErrorf(invalidGrant, "The redirect_uri is '%s', but the authorization request had '%s'.", got, redeemed.redirectURI)
	}
	if err := checkCodeVerifier(redeemed.codeChallenge, form.Get("code_verifier")); err != nil {
		return tokenResponse{}, oauthErrorf(invalidGrant, "Of PKCE: %v.", err)
	}
	g := redeemed.grant
	if oauthErr := checkSameResource(g, resource); oauthErr != nil {
		return tokenResponse{}, oauthErr
	}
	return s.issueTokens(g, g.scopes, func(now time.Time) (string, error) {
		if !slices.Contains(g.scopes, ScopeOfflineAccess) {
			return "", nil
		}
		return s.store.addRefreshToken(g, now), nil
	})
}

// refreshTokens is the refresh token grant (RFC 6749 section 6). Refresh
// tokens rotate; one that comes back revokes its family.
func (s *Server) refreshTokens(c *client, form url.Values, resource string) (tokenResponse, *oauthError) {
	value := form.Get("refresh_token")
	if value == "" {
		return tokenResponse{}, oauthErrorf(invalidRequest, "There is no 'refresh_token' parameter.")
	}
	g, err := s.store.checkRefreshToken(value, c.id)
	if err != nil {
		return tokenResponse{}, oauthErrorf(invalidGrant, "The refresh token: %v.", err).withFix("sign in again")
	}
	if oauthErr := checkSameResource(g, resource); oauthErr != nil {
		return tokenResponse{}, oauthErr
	}
	scopes := g.scopes
	if requested := splitScope(form.Get("scope")); len(requested) > 0 {
		scopes = requested
	}
	for _, scope := range scopes {
		if !slices.Contains(g.scopes, scope) {
			return tokenResponse{}, oauthErrorf(invalidScope, "The requested scope '%s' was not originally granted by the resource owner.", scope)
		}
	}
	if oauthErr := c.checkScopes(scopes, s.currentSettings()); oauthErr != nil {
		return tokenResponse{}, oauthErr
	}
	return s.issueTokens(g, scopes, func(now time.Time) (string, error) {
		return s.store.rotateRefreshToken(value, c.id, now)
	})
}

// sameTarget refuses a resource that is not the grant's. None means the
// grant's.
func checkSameResource(g *grant, resource string) *oauthError {
	if resource != "" && resource != g.resource {
		return oauthErrorf(invalidTarget, "The resource is '%s', but the grant is for '%s'.", resource, g.resource).
			withFix("send the same resource to the authorization and to the token endpoint")
	}
	return nil
}

// answerTokens issues what a grant gives for scopes; nextRefresh returns the
// refresh token, or "".
func (s *Server) issueTokens(g *grant, scopes []string, nextRefreshToken func(time.Time) (string, error)) (tokenResponse, *oauthError) {
	user, ok := s.currentDirectory().user(g.user)
	if !ok || user.Banned {
		return tokenResponse{}, oauthErrorf(invalidGrant, "The user %s is banned or gone.", g.user)
	}
	refresh, err := nextRefreshToken(s.now())
	if err != nil {
		return tokenResponse{}, oauthErrorf(invalidGrant, "The refresh token: %v.", err).withFix("sign in again")
	}
	access, err := s.issueAccessToken(g, scopes, s.currentSettings())
	if err != nil {
		return tokenResponse{}, oauthErrorf(serverError, "Of the access token: %v.", err)
	}
	response := tokenResponse{
		AccessToken:  access,
		ExpiresIn:    int(accessTokenLifetime / time.Second),
		RefreshToken: refresh,
		Scope:        strings.Join(scopes, " "),
		TokenType:    "bearer",
		user:         g.user,
	}
	if slices.Contains(scopes, ScopeOpenID) {
		if response.IDToken, err = s.issueIDToken(g, user, scopes); err != nil {
			return tokenResponse{}, oauthErrorf(serverError, "Of the ID token: %v.", err)
		}
	}
	return response, nil
}
