package localclerk

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

func basicCredentials(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func TestUserInfo(t *testing.T) {
	t.Parallel()
	ada := derivedID("user_", "ada")
	base := map[string]any{"object": "oauth_user_info", "user_id": ada, "sub": ada}
	for _, test := range []struct {
		scope string
		want  string
	}{
		{"openid", `{}`},
		{"email", `{"email": "ada@example.com", "email_verified": true}`},
		{"profile", `{"name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace", "username": "ada", "preferred_username": "ada"}`},
		{"public_metadata", `{"public_metadata": {}, "unsafe_metadata": {}}`},
		{"private_metadata", `{"private_metadata": {"tier": "gold"}}`},
		{"user:org:read", `{"org_id": "` + derivedID("org_", "analytical-engines") + `", "org_name": "Analytical Engines", "org_slug": "analytical-engines"}`},
	} {
		for _, jwts := range []bool{true, false} {
			users := SeedUsers()
			users[0].PrivateMetadata = map[string]any{"tier": "gold"}
			settings := DefaultSettings()
			settings.OAuthJWTAccessTokens = jwts
			s, err := New(Config{Issuer: testIssuer, Users: users, Organizations: SeedOrganizations(), Settings: &settings, SigningKey: testKey()})
			if err != nil {
				t.Fatal(err)
			}
			app := register(t, s, nil)
			token := tokens(t, s, app, with(authorization(app), "scope", test.scope))["access_token"].(string)
			want := parseObject(t, test.want)
			for name, value := range base {
				want[name] = value
			}
			want["instance_id"] = s.keys.kid
			for _, method := range []string{"GET", "POST"} {
				got := send(t, s, method, "/oauth/userinfo", "", "Authorization", "Bearer "+token).want(200).object()
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s with %s, JWT %v (-want +got)\n%s", method, test.scope, jwts, diff)
				}
			}
		}
	}
}

func TestUserInfoRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	got := tokens(t, s, app, authorization(app))
	token := got["access_token"].(string)
	get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+token).want(200)
	get(t, s, "/oauth/userinfo", "Authorization", "bearer "+token).want(200)
	stranger := newServer(t, nil) // the same key under another kid
	strangersApp := register(t, stranger, nil)
	for name, headers := range map[string][]string{
		"no token":          nil,
		"empty":             {"Authorization", "Bearer "},
		"basic":             {"Authorization", "Basic " + token},
		"two headers":       {"Authorization", "Bearer " + token, "Authorization", "Bearer " + token},
		"ID token":          {"Authorization", "Bearer " + got["id_token"].(string)},
		"refresh token":     {"Authorization", "Bearer " + got["refresh_token"].(string)},
		"truncated":         {"Authorization", "Bearer " + token[:len(token)-2]},
		"unknown opaque":    {"Authorization", "Bearer oat_" + strings.Repeat("0", 32)},
		"another instance":  {"Authorization", "Bearer " + tokens(t, stranger, strangersApp, authorization(strangersApp))["access_token"].(string)},
		"no algorithm":      {"Authorization", "Bearer " + unsigned(t, token)},
		"expiry of no date": {"Authorization", "Bearer " + resigned(t, s, token, "exp", nil)},
		"another issuer":    {"Authorization", "Bearer " + resigned(t, s, token, "iss", "http://localhost:4001")},
		"unknown user":      {"Authorization", "Bearer " + resigned(t, s, token, "sub", "user_x")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := get(t, s, "/oauth/userinfo", headers...).wantClerkError(401, "oauth_fetch_user_error")
			if first["long_message"] != "Unable to fetch user info. Check if access token is present and valid." {
				t.Errorf("got %q", first["long_message"])
			}
		})
	}
}

// resigned returns token with one claim changed; nil removes it.
func resigned(t *testing.T, s *Server, token, claim string, value any) string {
	t.Helper()
	_, claims := decode(t, token)
	claims[claim] = value
	if value == nil {
		delete(claims, claim)
	}
	signed, err := s.keys.sign(s.keys.header(typAccessToken), jwt.MapClaims(claims))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func unsigned(t *testing.T, token string) string {
	t.Helper()
	_, claims := decode(t, token)
	text, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims(claims)).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestJWTAccessTokenExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		app := register(t, s, nil)
		token := tokens(t, s, app, authorization(app))["access_token"].(string)
		time.Sleep(24 * time.Hour)
		get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+token).want(200)
		time.Sleep(time.Second)
		get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+token).want(401)
	})
}

func TestTokenInfo(t *testing.T) {
	t.Parallel()
	for _, jwts := range []bool{true, false} {
		s := newServer(t, func(s *Settings) { s.OAuthJWTAccessTokens = jwts })
		app := register(t, s, nil)
		asker := register(t, s, map[string]any{"token_endpoint_auth_method": authBasic})
		ask := func(token any) map[string]any {
			return post(t, s, "/oauth/token_info", url.Values{"token": {token.(string)}}, "Authorization", "Basic "+basicCredentials(asker.id, asker.secret)).want(200).object()
		}
		got := tokens(t, s, app, with(authorization(app), "scope", "email user:org:read offline_access"))
		for _, name := range []string{"access_token", "refresh_token"} {
			info := ask(got[name])
			if iat, _ := info["iat"].(float64); iat == 0 {
				t.Errorf("%s: no iat", name)
			}
			delete(info, "iat")
			want := map[string]any{
				"active": true, "client_id": app.id, "scope": "email user:org:read offline_access",
				"sub": derivedID("user_", "ada"), "org_id": derivedID("org_", "analytical-engines"),
			}
			if diff := cmp.Diff(want, info); diff != "" {
				t.Errorf("%s, JWT %v (-want +got)\n%s", name, jwts, diff)
			}
		}
		if diff := cmp.Diff(map[string]any{"active": false}, ask("x")); diff != "" {
			t.Errorf("unknown token (-want +got)\n%s", diff)
		}
		post(t, s, "/oauth/token_info", url.Values{"token": {"x"}, "client_id": {app.id}}).wantError(401, invalidClient, "a client with a secret")
		post(t, s, "/oauth/token_info", url.Values{"token": {"x"}}).wantError(401, invalidClient, "does not exist")
	}
}

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
	revoke(app, "").wantError(400, invalidRequest, "no 'token' parameter")
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
