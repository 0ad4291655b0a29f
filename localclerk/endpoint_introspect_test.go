package localclerk

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIntrospect(t *testing.T) {
	t.Parallel()
	for _, jwts := range []bool{true, false} {
		s := newServer(t, func(s *Settings) { s.OAuthJWTAccessTokens = jwts })
		app := register(t, s, nil)
		introspector := register(t, s, map[string]any{"token_endpoint_auth_method": authBasic})
		ask := func(token any) map[string]any {
			credentials := "Basic " + basicCredentials(introspector.id, introspector.secret)
			return post(t, s, "/oauth/token_info", url.Values{"token": {token.(string)}}, "Authorization", credentials).want(200).object()
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
		post(t, s, "/oauth/token_info", url.Values{"token": {"x"}, "client_id": {app.id}}).
			wantError(401, invalidClient, "a client with a secret")
		post(t, s, "/oauth/token_info", url.Values{"token": {"x"}}).wantError(401, invalidClient, "does not exist")
	}
}
