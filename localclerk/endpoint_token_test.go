package localclerk

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTokenResponse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, scope      string
		refresh, idToken bool
	}{
		{"bare", "profile email", false, false},
		{"openid", "openid", false, true},
		{"offline_access", "profile offline_access", true, false},
		{"both", "openid offline_access", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			app := register(t, s, nil)
			got := post(t, s, "/oauth/token", redemption(app, signIn(t, s, with(authorization(app), "scope", test.scope)))).want(200)
			if got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", got.header.Get("Cache-Control"))
			}
			body := got.object()
			if body["token_type"] != "bearer" || body["expires_in"] != 86400.0 || body["scope"] != test.scope {
				t.Errorf("got %v", body)
			}
			if _, ok := body["refresh_token"]; ok != test.refresh {
				t.Errorf("refresh token: %v, want %v", ok, test.refresh)
			}
			if _, ok := body["id_token"]; ok != test.idToken {
				t.Errorf("ID token: %v, want %v", ok, test.idToken)
			}
		})
	}
}

func TestScopeDefaultsToProfileAndEmail(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	got := tokens(t, s, app, with(authorization(app), "scope"))
	if got["scope"] != "profile email" {
		t.Errorf("got scope %q, want %q", got["scope"], "profile email")
	}
}

func TestRedeemCodeRejects(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	other := register(t, s, nil)
	valid := func() url.Values { return redemption(app, signIn(t, s, authorization(app))) }
	post(t, s, "/oauth/token", valid()).want(200)
	post(t, s, "/oauth/token", with(valid(), "resource")).want(200)
	for _, test := range []struct {
		name, param      string
		values           []string
		wantStatus       int
		wantCode, reason string
	}{
		{"no grant type", "grant_type", nil, 400, unsupportedGrantType, "grant_type is ''"},
		{"other grant type", "grant_type", []string{"password"}, 400, unsupportedGrantType, "grant_type is 'password'"},
		{"no code", "code", nil, 400, invalidRequest, "'code' parameter is missing"},
		{"unknown code", "code", []string{"x"}, 400, invalidGrant, "unknown or was issued to another client"},
		{
			name:       "another client",
			param:      "client_id",
			values:     []string{other.id},
			wantStatus: 400,
			wantCode:   invalidGrant,
			reason:     "unknown or was issued to another client",
		},
		{"unknown client", "client_id", []string{"x"}, 401, invalidClient, "Client 'x' does not exist"},
		{"no client", "client_id", nil, 401, invalidClient, "Client '' does not exist"},
		{
			name:       "another redirect URI",
			param:      "redirect_uri",
			values:     []string{testRedirect + "2"},
			wantStatus: 400,
			wantCode:   invalidGrant,
			reason:     "authorization request had '" + testRedirect + "'",
		},
		{"no redirect URI", "redirect_uri", nil, 400, invalidGrant, "redirect_uri is ''"},
		{"no verifier", "code_verifier", nil, 400, invalidGrant, "0 characters, want 43 to 128"},
		{
			name:       "short verifier",
			param:      "code_verifier",
			values:     []string{strings.Repeat("v", 42)},
			wantStatus: 400,
			wantCode:   invalidGrant,
			reason:     "42 characters, want 43 to 128",
		},
		{
			name:       "another verifier",
			param:      "code_verifier",
			values:     []string{strings.Repeat("v", 43)},
			wantStatus: 400,
			wantCode:   invalidGrant,
			reason:     "did not match the code verifier",
		},
		{
			name:       "another resource",
			param:      "resource",
			values:     []string{testResource + "/"},
			wantStatus: 400,
			wantCode:   invalidTarget,
			reason:     "the grant is for '" + testResource + "'",
		},
		{"two resources", "resource", []string{testResource, testResource}, 400, invalidTarget, "Got 2 'resource'"},
		{"two codes", "code", []string{"a", "b"}, 400, invalidRequest, "Got 2 'code' parameters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			invalid := valid()
			post(t, s, "/oauth/token", with(invalid, test.param, test.values...)).wantError(test.wantStatus, test.wantCode, test.reason)
		})
	}
}

func TestResourceOnlyInTheTokenRequest(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	form := redemption(app, signIn(t, s, with(authorization(app), "resource")))
	post(t, s, "/oauth/token", form).wantError(400, invalidTarget, "but the grant is for ''")
}

func TestRedirectURIOmittedFromBothRequests(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	unnamed := with(authorization(app), "redirect_uri")
	post(t, s, "/oauth/token", with(redemption(app, signIn(t, s, unnamed)), "redirect_uri")).want(200)
	post(t, s, "/oauth/token", redemption(app, signIn(t, s, unnamed))).wantError(400, invalidGrant, "authorization request had ''")
}

// TestVerifierWithoutChallenge covers the downgrade of RFC 9700 section 4.8.2.
func TestVerifierWithoutChallenge(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, map[string]any{"token_endpoint_auth_method": authPost})
	bare := with(with(authorization(app), "code_challenge"), "code_challenge_method")
	form := with(redemption(app, signIn(t, s, bare)), "client_secret", app.secret)
	post(t, s, "/oauth/token", form).wantError(400, invalidGrant, "had no code_challenge")
	form = with(redemption(app, signIn(t, s, bare)), "client_secret", app.secret)
	post(t, s, "/oauth/token", with(form, "code_verifier")).want(200)
}

func TestCodeExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		app := register(t, s, nil)
		early, late := redemption(app, signIn(t, s, authorization(app))), redemption(app, signIn(t, s, authorization(app)))
		time.Sleep(codeLifetime - time.Second)
		post(t, s, "/oauth/token", early).want(200)
		time.Sleep(time.Second)
		post(t, s, "/oauth/token", late).wantError(400, invalidGrant, "it has expired")
	})
}

func TestFailedRequestUsesUpTheCode(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	form := redemption(app, signIn(t, s, authorization(app)))
	post(t, s, "/oauth/token", with(form, "code_verifier", strings.Repeat("x", 43))).wantError(400, invalidGrant, "did not match")
	post(t, s, "/oauth/token", form).wantError(400, invalidGrant, "it was used before")
}

func TestReusedCodeRevokesItsGrant(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(s *Settings) { s.OAuthJWTAccessTokens = false })
	app := register(t, s, nil)
	form := redemption(app, signIn(t, s, authorization(app)))
	got := post(t, s, "/oauth/token", form).want(200).object()
	bearer := "Bearer " + got["access_token"].(string)
	get(t, s, "/oauth/userinfo", "Authorization", bearer).want(200)
	post(t, s, "/oauth/token", form).wantError(400, invalidGrant, "it was used before")
	get(t, s, "/oauth/userinfo", "Authorization", bearer).wantClerkError(401, "oauth_fetch_user_error")
	post(t, s, "/oauth/token", refreshing(app, got)).wantError(400, invalidGrant, "it has been revoked")
}

// refreshing returns the parameters that refresh got.
func refreshing(app application, got map[string]any) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {app.id}, "refresh_token": {got["refresh_token"].(string)}}
}

func TestRefreshTokenRotates(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	first := tokens(t, s, app, authorization(app))
	second := post(t, s, "/oauth/token", refreshing(app, first)).want(200).object()
	if second["refresh_token"] == first["refresh_token"] || second["access_token"] == first["access_token"] {
		t.Error("the refreshed tokens are the old ones")
	}
	if second["scope"] != first["scope"] || second["id_token"] == nil {
		t.Errorf("got %v, want the same scope and an ID token", second)
	}
	third := post(t, s, "/oauth/token", refreshing(app, second)).want(200).object()
	post(t, s, "/oauth/token", refreshing(app, first)).
		wantError(400, invalidGrant, "it was used before; every token of this grant is now revoked")
	post(t, s, "/oauth/token", refreshing(app, third)).wantError(400, invalidGrant, "it has been revoked")
}

func TestRefreshScopeNarrowsOnlyTheAccessToken(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	first := tokens(t, s, app, authorization(app))
	narrow := post(t, s, "/oauth/token", with(refreshing(app, first), "scope", "email")).want(200).object()
	_, claims := decode(t, narrow["access_token"])
	if narrow["scope"] != "email" || claims["scope"] != "email" || narrow["id_token"] != nil {
		t.Errorf("got %v with claims %v, want email only", narrow, claims)
	}
	wide := post(t, s, "/oauth/token", refreshing(app, narrow)).want(200).object()
	if wide["scope"] != first["scope"] {
		t.Errorf("got scope %q after narrowing, want %q", wide["scope"], first["scope"])
	}
}

func TestRefreshRejects(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	other := register(t, s, nil)
	valid := func() url.Values { return refreshing(app, tokens(t, s, app, authorization(app))) }
	post(t, s, "/oauth/token", valid()).want(200)
	post(t, s, "/oauth/token", with(valid(), "resource", testResource)).want(200)
	for _, test := range []struct {
		name, param      string
		values           []string
		wantCode, reason string
	}{
		{"no token", "refresh_token", nil, invalidRequest, "'refresh_token' parameter is missing"},
		{"unknown token", "refresh_token", []string{"x"}, invalidGrant, "unknown or was issued to another client"},
		{"another client", "client_id", []string{other.id}, invalidGrant, "unknown or was issued to another client"},
		{"another resource", "resource", []string{"http://localhost:3001/mcp"}, invalidTarget, "the grant is for"},
		{
			name:     "more scope",
			param:    "scope",
			values:   []string{"openid private_metadata"},
			wantCode: invalidScope,
			reason:   "'private_metadata' was not originally granted",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			form := valid()
			post(t, s, "/oauth/token", with(form, test.param, test.values...)).wantError(400, test.wantCode, test.reason)
			post(t, s, "/oauth/token", form).want(200)
		})
	}
}

func TestTokenEndpointAcceptsOnlyForms(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	send(t, s, "POST", "/oauth/token", `{}`, "Content-Type", "application/json").
		wantError(400, invalidRequest, "content type is 'application/json'")
	send(t, s, "POST", "/oauth/token", "grant_type=%zz", "Content-Type", "application/x-www-form-urlencoded").
		wantError(400, invalidRequest, "not form-urlencoded")
	post(t, s, "/oauth/token", url.Values{"code": {strings.Repeat("x", maxFormBody)}}).wantError(400, invalidRequest, "too large")
	get(t, s, "/oauth/token").want(404)
}

func TestRemovedScopePreventsRefresh(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(s *Settings) { s.CustomScopes = []string{"notes:read"} })
	app := register(t, s, nil)
	got := tokens(t, s, app, with(authorization(app), "scope", "notes:read offline_access"))
	got = post(t, s, "/oauth/token", refreshing(app, got)).want(200).object()
	s.settings.CustomScopes = nil
	post(t, s, "/oauth/token", refreshing(app, got)).wantError(400, invalidScope, "not allowed to request scope 'notes:read'")
}

func TestOpaqueAccessToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(s *Settings) { s.OAuthJWTAccessTokens = false })
		app := register(t, s, nil)
		token := tokens(t, s, app, authorization(app))["access_token"].(string)
		if !regexp.MustCompile(`^oat_[0-9A-Za-z]{32}$`).MatchString(token) {
			t.Errorf("got %q, want oat_ and 32 letters and digits", token)
		}
		time.Sleep(24 * time.Hour)
		get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+token).want(200)
		time.Sleep(time.Second)
		get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+token).want(401)
	})
}
