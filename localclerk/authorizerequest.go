package localclerk

import (
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// Values of response_mode and code_challenge_method that Clerk has.
const (
	modeQuery     = "query"
	modeFormPost  = "form_post"
	challengeS256 = "S256"
)

const (
	minStateLength    = 8
	maxResourceLength = 2048
)

// defaultScope is what a request without scope asks for.
const defaultScope = ScopeProfile + " " + ScopeEmail

// authorizeRequest is an authorization request (RFC 6749 section 4.1.1) that
// may be answered by redirect.
type authorizeRequest struct {
	client        *client
	redirectURI   string // where the answer goes
	redirectNamed bool   // whether the request said so itself
	responseMode  string
	state         string
	nonce         string
	challenge     string
	resource      string
	scopes        []string
}

// answerable finds out who asks and where the answer may go. Until that is
// known, a refusal must not be a redirect (RFC 6749 section 4.1.2.1).
func (s *Server) answerable(ctx context.Context, form url.Values) (authorizeRequest, *refusal) {
	var req authorizeRequest
	for _, name := range []string{"client_id", "redirect_uri"} {
		if n := len(form[name]); n > 1 {
			return req, refuse(invalidRequest, "Got %d '%s' parameters, want one.", n, name)
		}
	}
	c, refused := s.findClient(ctx, form.Get("client_id"))
	if refused != nil {
		return req, refused
	}
	uri, ok := c.redirect(form.Get("redirect_uri"))
	if !ok {
		return req, refuse(invalidRequest, "The redirect_uri '%s' does not match a redirect URI registered for this OAuth application: %s.", form.Get("redirect_uri"), strings.Join(c.redirectURIs, " ")).
			mend("send a registered redirect_uri, or register this one; only the port of a loopback one may differ")
	}
	req.client, req.redirectURI, req.redirectNamed = c, uri, form.Has("redirect_uri")
	req.state = form.Get("state")
	req.responseMode = modeQuery
	if form.Get("response_mode") == modeFormPost {
		req.responseMode = modeFormPost
	}
	return req, nil
}

// findClient returns a registered client, or the one a metadata document
// describes.
func (s *Server) findClient(ctx context.Context, id string) (*client, *refusal) {
	if namesDocument(id) {
		return s.documentClient(ctx, id)
	}
	if c, ok := s.vault.client(id); ok {
		return c, nil
	}
	return nil, refuse(invalidClient, "The requested OAuth 2.0 Client '%s' does not exist.", id).
		mend("register the client again; this local Clerk forgets its clients when it restarts")
}

// read takes in the rest of the request.
func (req *authorizeRequest) read(form url.Values, settings Settings) *refusal {
	for _, check := range []func(url.Values, Settings) *refusal{
		req.readOnce, req.readResource, req.readScope, req.readResponse, req.readPKCE, req.readState, req.readPrompt,
	} {
		if refused := check(form, settings); refused != nil {
			return refused
		}
	}
	return nil
}

func (req *authorizeRequest) readOnce(form url.Values, _ Settings) *refusal {
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			return refuse(invalidRequest, "Got %d '%s' parameters, want one.", len(values), name)
		}
	}
	req.nonce = form.Get("nonce")
	return nil
}

func (req *authorizeRequest) readResource(form url.Values, _ Settings) *refusal {
	var refused *refusal
	req.resource, refused = oneResource(form)
	return refused
}

// oneResource returns the resource parameter of RFC 8707, or "". Clerk takes
// no second one.
func oneResource(form url.Values) (string, *refusal) {
	values := form["resource"]
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", refuse(invalidTarget, "Got %d 'resource' parameters, want one.", len(values)).mend("send resource once")
	}
	u, err := url.Parse(values[0])
	if err != nil || u.Scheme == "" || strings.Contains(values[0], "#") || len(values[0]) > maxResourceLength {
		return "", refuse(invalidTarget, "The resource '%s' is not an absolute URI without fragment.", values[0])
	}
	return values[0], nil
}

func (req *authorizeRequest) readScope(form url.Values, settings Settings) *refusal {
	scope := form.Get("scope")
	if strings.TrimSpace(scope) == "" {
		scope = defaultScope
	}
	req.scopes = splitScope(scope)
	return req.client.mayHold(req.scopes, settings)
}

// mayHold refuses scopes the client or the instance does not have, in Clerk's
// very words.
func (c *client) mayHold(scopes []string, settings Settings) *refusal {
	for _, scope := range scopes {
		if !slices.Contains(c.scopes, scope) || !slices.Contains(settings.scopes(), scope) {
			return refuse(invalidScope, "The OAuth 2.0 Client is not allowed to request scope '%s'.", scope).
				mend("register the client with this scope, or ask for no more than it holds: %s", strings.Join(c.scopes, " "))
		}
	}
	return nil
}

func (req *authorizeRequest) readResponse(form url.Values, _ Settings) *refusal {
	if got := form.Get("response_type"); got != "code" {
		return refuse(unsupportedResponseType, "The client is not allowed to request response_type '%s', want code.", got)
	}
	if got := form.Get("response_mode"); got != "" && !slices.Contains(responseModes, got) {
		return refuse(invalidRequest, "The response_mode is '%s', want query or form_post.", got)
	}
	return nil
}

func (req *authorizeRequest) readPKCE(form url.Values, settings Settings) *refusal {
	challenge, method := form.Get("code_challenge"), form.Get("code_challenge_method")
	if challenge == "" && method == "" {
		if req.client.public() || req.client.pkceRequired || settings.PKCERequired {
			return refuse(invalidRequest, "This client must include a code_challenge when performing the authorize code flow, but it is missing.").
				mend("send code_challenge and code_challenge_method=S256 (RFC 7636)")
		}
		return nil
	}
	if method != challengeS256 {
		return refuse(invalidRequest, "Clients must use code_challenge_method=S256; got '%s'.", method)
	}
	if sum, err := base64.RawURLEncoding.DecodeString(challenge); err != nil || len(sum) != 32 {
		return refuse(invalidRequest, "The code_challenge is not the base64url encoding, without padding, of a SHA-256 sum.")
	}
	req.challenge = challenge
	return nil
}

func (req *authorizeRequest) readState(form url.Values, _ Settings) *refusal {
	if req.state == "" && req.challenge != "" {
		return nil
	}
	if got := len(req.state); got < minStateLength {
		return refuse(invalidState, "The 'state' parameter has %d characters, want at least %d.", got, minStateLength)
	}
	return nil
}

// readPrompt refuses what needs a browser session: this server keeps none, so
// prompt=none never finds anybody, and login and consent go without saying.
func (req *authorizeRequest) readPrompt(form url.Values, _ Settings) *refusal {
	prompts := strings.Fields(form.Get("prompt"))
	for _, prompt := range prompts {
		if !slices.Contains([]string{"none", "login", "consent"}, prompt) {
			return refuse(invalidRequest, "The prompt is '%s', want none, login or consent.", prompt)
		}
	}
	if !slices.Contains(prompts, "none") {
		return nil
	}
	if len(prompts) > 1 {
		return refuse(invalidRequest, "The prompt none goes with no other.")
	}
	return refuse(loginRequired, "Nobody is signed in, and prompt=none forbids to ask.")
}
