package localclerk

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
		{
			scope: "profile",
			want:  `{"name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace", "username": "ada", "preferred_username": "ada"}`,
		},
		{"public_metadata", `{"public_metadata": {}, "unsafe_metadata": {}}`},
		{"private_metadata", `{"private_metadata": {"tier": "gold"}}`},
		{
			scope: "user:org:read",
			want:  `{"org_id": "` + derivedID("org_", "analytical-engines") + `", "org_name": "Analytical Engines", "org_slug": "analytical-engines"}`,
		},
	} {
		for _, jwts := range []bool{true, false} {
			users := SeedUsers()
			users[0].PrivateMetadata = map[string]any{"tier": "gold"}
			settings := DefaultSettings()
			settings.OAuthJWTAccessTokens = jwts
			s, err := New(Config{
				Issuer:        testIssuer,
				Users:         users,
				Organizations: SeedOrganizations(),
				Settings:      &settings,
				SigningKey:    testKey(),
			})
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

func TestUserInfoRejects(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	got := tokens(t, s, app, authorization(app))
	token := got["access_token"].(string)
	get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+token).want(200)
	get(t, s, "/oauth/userinfo", "Authorization", "bearer "+token).want(200)
	otherServer := newServer(t, nil) // the same key with another kid
	otherApp := register(t, otherServer, nil)
	otherToken := tokens(t, otherServer, otherApp, authorization(otherApp))["access_token"].(string)
	for name, headers := range map[string][]string{
		"no token":          nil,
		"empty":             {"Authorization", "Bearer "},
		"basic":             {"Authorization", "Basic " + token},
		"two headers":       {"Authorization", "Bearer " + token, "Authorization", "Bearer " + token},
		"ID token":          {"Authorization", "Bearer " + got["id_token"].(string)},
		"refresh token":     {"Authorization", "Bearer " + got["refresh_token"].(string)},
		"truncated":         {"Authorization", "Bearer " + token[:len(token)-2]},
		"unknown opaque":    {"Authorization", "Bearer oat_" + strings.Repeat("0", 32)},
		"another instance":  {"Authorization", "Bearer " + otherToken},
		"no algorithm":      {"Authorization", "Bearer " + withoutSignature(t, token)},
		"expiry of no date": {"Authorization", "Bearer " + withChangedClaim(t, s, token, "exp", nil)},
		"another issuer":    {"Authorization", "Bearer " + withChangedClaim(t, s, token, "iss", "http://localhost:4001")},
		"unknown user":      {"Authorization", "Bearer " + withChangedClaim(t, s, token, "sub", "user_x")},
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

// TestUserInfoAcceptsOnlyAccessTokens issues a token of every kind, all signed with the
// same key.
func TestUserInfoAcceptsOnlyAccessTokens(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for kind, want := range map[TokenKind]int{
		OAuthToken: 200, IDToken: 401, SessionToken: 401, TemplateToken: 401, M2MToken: 401, APIKey: 401,
	} {
		if got := get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+issueToken(t, s, Token{Kind: kind})); got.status != want {
			t.Errorf("%s: status %d, want %d", kind, got.status, want)
		}
	}
}
