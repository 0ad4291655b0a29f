package localclerk

import (
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

func TestAccessTokenClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := float64(time.Now().Unix())
		for _, test := range []struct {
			name, scope string
			resource    []string
			change      func(*Settings)
			extra       map[string]any
		}{
			{name: "plain", scope: "email profile", resource: []string{testResource}},
			{
				name:     "aud claim",
				scope:    "email",
				resource: []string{testResource},
				change:   func(s *Settings) { s.AudClaimEnabled = true },
				extra:    map[string]any{"aud": []any{testResource}},
			},
			{name: "aud claim without resource", scope: "email",
				change: func(s *Settings) { s.AudClaimEnabled = true }},
			{name: "organization", scope: "email user:org:read",
				extra: map[string]any{"org_id": derivedID("org_", "analytical-engines")}},
		} {
			s := newServer(t, test.change)
			app := register(t, s, nil)
			form := redemption(app, signIn(t, s, with(with(authorization(app), "scope", test.scope), "resource", test.resource...)))
			got := post(t, s, "/oauth/token", with(form, "resource")).want(200).object()
			header, claims := decode(t, got["access_token"])
			if diff := cmp.Diff(map[string]any{"alg": "RS256", "kid": s.keys.kid, "typ": "at+jwt"}, header); diff != "" {
				t.Errorf("%s: header (-want +got)\n%s", test.name, diff)
			}
			if jti, _ := claims["jti"].(string); !regexp.MustCompile(`^oat_[0-9A-Z]{16}$`).MatchString(jti) {
				t.Errorf("%s: jti %q, want oat_ and 16 capitals or digits", test.name, jti)
			}
			delete(claims, "jti")
			want := map[string]any{
				"client_id": app.id,
				"iss":       testIssuer,
				"sub":       derivedID("user_", "ada"),
				"scope":     test.scope,
				"iat":       now,
				"nbf":       now - 10,
				"exp":       now + 86401,
			}
			for name, value := range test.extra {
				want[name] = value
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("%s: claims (-want +got)\n%s", test.name, diff)
			}
			if _, err := jwt.Parse(got["access_token"].(string), s.keys.verificationKeys); err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
		}
	})
}

func TestIDToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := float64(time.Now().Unix())
		s := newServer(t, nil)
		app := register(t, s, nil)
		params := with(with(authorization(app), "scope", "openid email user:org:read"), "nonce", "n-1")
		got := tokens(t, s, app, params)
		header, claims := decode(t, got["id_token"])
		if header["typ"] != "JWT" || header["kid"] != s.keys.kid {
			t.Errorf("header %v, want typ JWT and the one kid", header)
		}
		delete(claims, "jti")
		want := map[string]any{
			"aud":            []any{app.id},
			"iss":            testIssuer,
			"sub":            derivedID("user_", "ada"),
			"iat":            now,
			"exp":            now + 86400,
			"nonce":          "n-1",
			"email":          "ada@example.com",
			"email_verified": true,
			"org_id":         derivedID("org_", "analytical-engines"),
		}
		if diff := cmp.Diff(want, claims); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
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

// withChangedClaim returns token with one claim changed; nil removes it.
func withChangedClaim(t *testing.T, s *Server, token, claim string, value any) string {
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

func withoutSignature(t *testing.T, token string) string {
	t.Helper()
	_, claims := decode(t, token)
	text, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims(claims)).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
