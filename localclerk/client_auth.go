package localclerk

import (
	"net/http"
	"net/url"
)

// authenticate returns the client that the request authenticates with Basic
// credentials or with client_id and client_secret in the form (RFC 6749 section
// 2.3). Both are accepted, whichever method the client registered. A public
// client sends only its client_id.
func (s *Server) authenticate(r *http.Request, form url.Values) (*client, *oauthError) {
	id, secret, oauthErr := clientCredentials(r, form)
	if oauthErr != nil {
		return nil, oauthErr
	}
	c, oauthErr := s.lastKnownClient(r, id)
	if oauthErr != nil {
		return nil, oauthErr
	}
	if isDocumentURL(id) && secret != "" {
		return nil, oauthErrorf(invalidClient,
			"A client with a client ID metadata document has no secret.").withFix("send only client_id")
	}
	if !c.public() && !c.secret.matches(secret) {
		return nil, oauthErrorf(invalidClient, "The provided client secret does not match.").
			withFix("send the client_secret that the registration returned")
	}
	return c, nil
}

// lastKnownClient returns a client as it was when it was last authorized. It does
// not fetch a metadata document again, so that a document that is unavailable
// does not end the grants of its client.
func (s *Server) lastKnownClient(r *http.Request, id string) (*client, *oauthError) {
	if c, ok := s.store.client(id); ok {
		if isDocumentURL(id) {
			return c, s.checkDocumentAllowed(id)
		}
		return c, nil
	}
	return s.findClient(r.Context(), id)
}

func clientCredentials(r *http.Request, form url.Values) (id, secret string, oauthErr *oauthError) {
	id, secret = form.Get("client_id"), form.Get("client_secret")
	user, password, basic := r.BasicAuth()
	if !basic {
		if r.Header.Get("Authorization") != "" {
			return "", "", oauthErrorf(invalidRequest, "The Authorization header is not Basic credentials.")
		}
		return id, secret, nil
	}
	if secret != "" {
		return "", "", oauthErrorf(invalidRequest,
			"Got two client secrets, in the Authorization header and in the body; want one.")
	}
	user, userErr := url.QueryUnescape(user)
	password, passwordErr := url.QueryUnescape(password)
	if userErr != nil || passwordErr != nil {
		return "", "", oauthErrorf(invalidRequest, "The Basic credentials are not form-urlencoded (RFC 6749 section 2.3.1).")
	}
	if id != "" && id != user {
		return "", "", oauthErrorf(invalidRequest,
			"The client_id is '%s' in the body and '%s' in the Authorization header.", id, user)
	}
	return user, password, nil
}
