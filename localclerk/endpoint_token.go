package localclerk

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// tokenResponse is the response of the token endpoint (RFC 6749 section 5.1). Clerk
// writes token_type in lower case.
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"`
	IDToken      string `json:"id_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
	TokenType    string `json:"token_type"`
	user         string // for the event
}

// serveToken is the token endpoint (RFC 6749 section 3.2).
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	form, c, oauthErr := s.authenticatedForm(w, r)
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
		return tokenResponse{}, oauthErrorf(unsupportedGrantType,
			"The grant_type is '%s', want %s or %s.", got, grantAuthorizationCode, grantRefreshToken)
	}
}

// redeemCode is the authorization code grant (RFC 6749 section 4.1.3). The first
// request of the client uses up the code, even if the request fails.
func (s *Server) redeemCode(c *client, form url.Values, resource string) (tokenResponse, *oauthError) {
	if form.Get("code") == "" {
		return tokenResponse{}, oauthErrorf(invalidRequest, "The 'code' parameter is missing.")
	}
	redeemed, err := s.store.redeemCode(form.Get("code"), c.id, s.now())
	if err != nil {
		return tokenResponse{}, oauthErrorf(invalidGrant,
			"The authorization code is not accepted: %v.", err).withFix("start a new authorization")
	}
	if got := form.Get("redirect_uri"); got != redeemed.redirectURI && (redeemed.redirectURI != "" || got != "") {
		return tokenResponse{}, oauthErrorf(invalidGrant,
			"The redirect_uri is '%s', but the authorization request had '%s'.", got, redeemed.redirectURI)
	}
	if err := checkCodeVerifier(redeemed.codeChallenge, form.Get("code_verifier")); err != nil {
		return tokenResponse{}, oauthErrorf(invalidGrant, "PKCE verification failed: %v.", err)
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

// refreshTokens is the refresh token grant (RFC 6749 section 6). Each refresh token
// works once; a second use revokes its grant.
func (s *Server) refreshTokens(c *client, form url.Values, resource string) (tokenResponse, *oauthError) {
	value := form.Get("refresh_token")
	if value == "" {
		return tokenResponse{}, oauthErrorf(invalidRequest, "The 'refresh_token' parameter is missing.")
	}
	g, err := s.store.checkRefreshToken(value, c.id)
	if err != nil {
		return tokenResponse{}, oauthErrorf(invalidGrant, "The refresh token is not accepted: %v.", err).withFix("sign in again")
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
			return tokenResponse{}, oauthErrorf(invalidScope,
				"The requested scope '%s' was not originally granted by the resource owner.", scope)
		}
	}
	if oauthErr := c.checkScopes(scopes, s.currentSettings()); oauthErr != nil {
		return tokenResponse{}, oauthErr
	}
	return s.issueTokens(g, scopes, func(now time.Time) (string, error) {
		return s.store.rotateRefreshToken(value, c.id, now)
	})
}

// checkSameResource rejects a resource parameter that is not the resource of the
// grant. An empty resource means that of the grant.
func checkSameResource(g *grant, resource string) *oauthError {
	if resource != "" && resource != g.resource {
		return oauthErrorf(invalidTarget, "The resource is '%s', but the grant is for '%s'.", resource, g.resource).
			withFix("send the same resource to the authorization endpoint and to the token endpoint")
	}
	return nil
}

// issueTokens issues the tokens of a grant for scopes. nextRefreshToken returns the
// new refresh token, or "" for none.
func (s *Server) issueTokens(g *grant, scopes []string, nextRefreshToken func(time.Time) (string, error)) (tokenResponse, *oauthError) {
	user, ok := s.currentDirectory().user(g.user)
	if !ok || user.Banned {
		return tokenResponse{}, oauthErrorf(invalidGrant, "The user %s is banned or was removed.", g.user)
	}
	refresh, err := nextRefreshToken(s.now())
	if err != nil {
		return tokenResponse{}, oauthErrorf(invalidGrant, "The refresh token is not accepted: %v.", err).withFix("sign in again")
	}
	access, err := s.issueAccessToken(g, scopes, s.currentSettings())
	if err != nil {
		return tokenResponse{}, oauthErrorf(serverError, "Issuing the access token failed: %v.", err)
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
			return tokenResponse{}, oauthErrorf(serverError, "Issuing the ID token failed: %v.", err)
		}
	}
	return response, nil
}
