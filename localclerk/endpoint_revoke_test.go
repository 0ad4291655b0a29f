package localclerk

import (
	"net/url"
	"testing"
)

func TestRevoke(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(s *Settings) { s.OAuthJWTAccessTokens = false })
	app := register(t, s, nil)
	other := register(t, s, nil)
	revoke := func(app application, token any) response {
		return post(t, s, "/oauth/token/revoke", url.Values{"token": {token.(string)}, "client_id": {app.id}})
	}
	for _, name := range []string{"access_token", "refresh_token"} {
		got := tokens(t, s, app, authorization(app))
		bearer := "Bearer " + got["access_token"].(string)
		revoke(other, got[name]).wantError(400, unauthorizedClient, "issued to another client")
		get(t, s, "/oauth/userinfo", "Authorization", bearer).want(200)
		revoke(app, got[name]).want(200)
		revoke(app, got[name]).want(200)
		get(t, s, "/oauth/userinfo", "Authorization", bearer).want(401)
		post(t, s, "/oauth/token", refreshing(app, got)).wantError(400, invalidGrant, "it has been revoked")
	}
	revoke(app, "unknown").want(200)
	revoke(app, "").wantError(400, invalidRequest, "'token' parameter is missing")
	revoke(application{id: "x"}, "unknown").wantError(401, invalidClient, "does not exist")
}

func TestJWTCannotBeRevoked(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	token := tokens(t, s, app, authorization(app))["access_token"].(string)
	post(t, s, "/oauth/token/revoke", url.Values{"token": {token}, "client_id": {app.id}}).
		wantError(400, unsupportedTokenType, "valid until it expires")
	get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+token).want(200)
}
