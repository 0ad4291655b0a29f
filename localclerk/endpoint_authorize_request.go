package localclerk

import (
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// The values of response_mode and code_challenge_method that Clerk supports.
const (
	modeQuery     = "query"
	modeFormPost  = "form_post"
	challengeS256 = "S256"
)

const (
	minStateLength    = 8
	maxResourceLength = 2048
)

// defaultScope is the scope of a request without one.
const defaultScope = ScopeProfile + " " + ScopeEmail

// authorizationRequest is an authorization request (RFC 6749 section 4.1.1) whose
// client and redirect URI are valid.
type authorizationRequest struct {
	client          *client
	redirectURI     string // for the response
	redirectURISent bool   // whether the request contains redirect_uri
	responseMode    string
	state           string
	nonce           string
	codeChallenge   string
	resource        string
	scopes          []string
}

// newAuthorizationRequest reads and checks client_id and redirect_uri. An error
// about them must not be sent to the redirect URI (RFC 6749 section 4.1.2.1);
// errors of readParameters are.
func (s *Server) newAuthorizationRequest(ctx context.Context, form url.Values) (authorizationRequest, *oauthError) {
	var req authorizationRequest
	for _, name := range []string{"client_id", "redirect_uri"} {
		if oauthErr := rejectRepeatedParameter(form, name); oauthErr != nil {
			return req, oauthErr
		}
	}
	c, oauthErr := s.findClient(ctx, form.Get("client_id"))
	if oauthErr != nil {
		return req, oauthErr
	}
	uri, ok := c.resolveRedirectURI(form.Get("redirect_uri"))
	if !ok {
		return req, oauthErrorf(invalidRequest,
			"The redirect_uri '%s' does not match a redirect URI registered for this OAuth application: %s.",
			form.Get("redirect_uri"), strings.Join(c.redirectURIs, " ")).
			withFix("send a registered redirect_uri, or register this one; only the port of a loopback URI may differ")
	}
	req.client, req.redirectURI, req.redirectURISent = c, uri, form.Has("redirect_uri")
	req.state = form.Get("state")
	req.responseMode = modeQuery
	if form.Get("response_mode") == modeFormPost {
		req.responseMode = modeFormPost
	}
	return req, nil
}

// findClient returns a registered client, or the client that a metadata document
// describes.
func (s *Server) findClient(ctx context.Context, id string) (*client, *oauthError) {
	if isDocumentURL(id) {
		return s.clientFromDocument(ctx, id)
	}
	if c, ok := s.store.client(id); ok {
		return c, nil
	}
	return nil, oauthErrorf(invalidClient, "The requested OAuth 2.0 Client '%s' does not exist.", id).
		withFix("register the client again; this local Clerk loses its clients when it restarts")
}

// readParameters reads and checks the other parameters.
func (req *authorizationRequest) readParameters(form url.Values, settings Settings) *oauthError {
	if oauthErr := rejectRepeatedParameters(form); oauthErr != nil {
		return oauthErr
	}
	for _, read := range []func(url.Values, Settings) *oauthError{
		req.readNonce, req.readResource, req.readScope, req.readResponse, req.readPKCE, req.readState, req.readPrompt,
	} {
		if oauthErr := read(form, settings); oauthErr != nil {
			return oauthErr
		}
	}
	return nil
}

func (req *authorizationRequest) readNonce(form url.Values, _ Settings) *oauthError {
	req.nonce = form.Get("nonce")
	return nil
}

func (req *authorizationRequest) readResource(form url.Values, _ Settings) *oauthError {
	var oauthErr *oauthError
	req.resource, oauthErr = resourceParameter(form)
	return oauthErr
}

func (req *authorizationRequest) readScope(form url.Values, settings Settings) *oauthError {
	scope := form.Get("scope")
	if strings.TrimSpace(scope) == "" {
		scope = defaultScope
	}
	req.scopes = splitScope(scope)
	return req.client.checkScopes(req.scopes, settings)
}

// checkScopes rejects scopes that the client or the instance does not have, with
// the same description as Clerk.
func (c *client) checkScopes(scopes []string, settings Settings) *oauthError {
	for _, scope := range scopes {
		if !slices.Contains(c.scopes, scope) || !slices.Contains(settings.SupportedScopes(), scope) {
			return oauthErrorf(invalidScope, "The OAuth 2.0 Client is not allowed to request scope '%s'.", scope).
				withFix("register the client with this scope, or request only the scopes that it has: %s", strings.Join(c.scopes, " "))
		}
	}
	return nil
}

func (req *authorizationRequest) readResponse(form url.Values, _ Settings) *oauthError {
	if got := form.Get("response_type"); got != "code" {
		return oauthErrorf(unsupportedResponseType, "The client is not allowed to request response_type '%s', want code.", got)
	}
	if got := form.Get("response_mode"); got != "" && !slices.Contains(responseModes, got) {
		return oauthErrorf(invalidRequest, "The response_mode is '%s', want query or form_post.", got)
	}
	return nil
}

func (req *authorizationRequest) readPKCE(form url.Values, settings Settings) *oauthError {
	challenge, method := form.Get("code_challenge"), form.Get("code_challenge_method")
	if challenge == "" && method == "" {
		if req.client.public() || req.client.pkceRequired || settings.PKCERequired {
			return oauthErrorf(invalidRequest,
				"This client must include a code_challenge when performing the authorize code flow, but it is missing.").
				withFix("send code_challenge and code_challenge_method=S256 (RFC 7636)")
		}
		return nil
	}
	if method != challengeS256 {
		return oauthErrorf(invalidRequest, "Clients must use code_challenge_method=S256; got '%s'.", method)
	}
	if sum, err := base64.RawURLEncoding.DecodeString(challenge); err != nil || len(sum) != 32 {
		return oauthErrorf(invalidRequest, "The code_challenge is not the base64url encoding, without padding, of a SHA-256 sum.")
	}
	req.codeChallenge = challenge
	return nil
}

func (req *authorizationRequest) readState(form url.Values, _ Settings) *oauthError {
	if req.state == "" && req.codeChallenge != "" {
		return nil
	}
	if got := len(req.state); got < minStateLength {
		return oauthErrorf(invalidState, "The 'state' parameter has %d characters, want at least %d.", got, minStateLength)
	}
	return nil
}

// readPrompt rejects prompt=none. This server keeps no browser sessions, so the user
// is never signed in already, and login and consent are always shown.
func (req *authorizationRequest) readPrompt(form url.Values, _ Settings) *oauthError {
	prompts := strings.Fields(form.Get("prompt"))
	for _, prompt := range prompts {
		if !slices.Contains([]string{"none", "login", "consent"}, prompt) {
			return oauthErrorf(invalidRequest, "The prompt is '%s', want none, login or consent.", prompt)
		}
	}
	if !slices.Contains(prompts, "none") {
		return nil
	}
	if len(prompts) > 1 {
		return oauthErrorf(invalidRequest, "The prompt none cannot be combined with other values.")
	}
	return oauthErrorf(loginRequired, "The user is not signed in, and prompt=none does not allow a sign-in page.")
}
