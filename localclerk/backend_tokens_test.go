package localclerk

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVerifyAccessToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(s *Settings) { s.AudClaimEnabled = true })
		now := float64(time.Now().Unix())
		for _, path := range []string{"/oauth_applications/access_tokens/verify", "/v1/oauth_applications/access_tokens/verify"} {
			for _, member := range []string{"access_token", "secret"} {
				for _, opaque := range []bool{false, true} {
					token := issueToken(t, s, Token{ClientID: "client", Scopes: []string{"email"}, Resource: testResource, Opaque: opaque})
					got := backend(t, s, "POST", path, map[string]any{member: token}).want(200).object()
					if id, _ := got["id"].(string); !strings.HasPrefix(id, "oat_") || id == token {
						t.Errorf("id %q, want the token's, which is not the token", id)
					}
					delete(got, "id")
					want := map[string]any{
						"object": "clerk_idp_oauth_access_token", "client_id": "client", "subject": derivedID("user_", "ada"),
						"scopes": []any{"email"}, "aud": []any{testResource}, "revoked": false, "revocation_reason": nil, "expired": false,
						"expiration": now + 86401, "created_at": now, "updated_at": now,
					}
					if opaque {
						want["expiration"] = nil
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s, %s, opaque %v (-want +got)\n%s", path, member, opaque, diff)
					}
				}
			}
		}
	})
}

func TestVerifyAccessTokenStates(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(s *Settings) { s.OAuthJWTAccessTokens = false })
	verify := func(token string) response {
		return backend(t, s, "POST", "/oauth_applications/access_tokens/verify", map[string]any{"access_token": token})
	}
	wantState := func(name, token string, revoked, expired bool) {
		t.Helper()
		got := verify(token).want(200).object()
		if got["revoked"] != revoked || got["expired"] != expired || (got["revocation_reason"] != nil) != revoked {
			t.Errorf("%s: got %v, want revoked %v, expired %v", name, got, revoked, expired)
		}
	}
	app := register(t, s, nil)
	token := tokens(t, s, app, authorization(app))["access_token"].(string)
	wantState("valid", token, false, false)
	post(t, s, "/oauth/token/revoke", url.Values{"token": {token}, "client_id": {app.id}}).want(200)
	wantState("revoked", token, true, false)
	wantState("opaque expired", issueToken(t, s, Token{Opaque: true, Lifetime: -time.Hour}), false, true)

	expired := verify(issueToken(t, s, Token{Lifetime: -time.Hour})).want(200).object()
	if diff := cmp.Diff(map[string]any{"active": false}, expired); diff != "" {
		t.Errorf("expired JWT (-want +got)\n%s", diff)
	}
	valid := issueToken(t, s, Token{})
	wantState("valid JWT", valid, false, false)
	for name, token := range map[string]string{
		"unknown opaque":          "oat_" + strings.Repeat("0", 32),
		"forged JWT":              valid[:len(valid)-4] + "AAAA",
		"session token":           issueToken(t, s, Token{Kind: SessionToken}),
		"expired session token":   issueToken(t, s, Token{Kind: SessionToken, Lifetime: -time.Hour}),
		"M2M token":               issueToken(t, s, Token{Kind: M2MToken}),
		"JWT of another instance": issueToken(t, newServer(t, nil), Token{}),
		"garbage":                 "x",
	} {
		t.Run(name, func(t *testing.T) { verify(token).wantClerkError(404, "resource_not_found") })
	}
	verify("").wantClerkError(422, "form_param_value_invalid")
	backend(t, s, "POST", "/oauth_applications/access_tokens/verify", "x").wantClerkError(400, "request_body_invalid")
	backend(t, s, "POST", "/oauth_applications/access_tokens/verify", map[string]any{"token": valid}).
		wantClerkError(400, "request_body_invalid")

	users := s.Users()
	users[0].Banned = true
	if err := s.SetUsers(users, nil); err != nil {
		t.Fatal(err)
	}
	wantState("banned user's JWT", valid, true, false)
}
