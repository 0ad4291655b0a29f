package localclerk

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCreateApplication(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	made := backend(t, s, "POST", "/v1/oauth_applications", map[string]any{
		"name": "Console", "redirect_uris": []string{testRedirect}, "scopes": "openid profile", "consent_screen_enabled": false,
	}).want(200).object()
	app := application{id: made["client_id"].(string), secret: made["client_secret"].(string)}
	want := parseObject(t, `{
		"object": "oauth_application", "name": "Console", "dynamically_registered": false, "consent_screen_enabled": false,
		"pkce_required": false, "public": false, "scopes": "openid profile", "redirect_uris": ["`+testRedirect+`"],
		"authorize_url": "http://localhost:4000/oauth/authorize", "token_fetch_url": "http://localhost:4000/oauth/token",
		"user_info_url": "http://localhost:4000/oauth/userinfo", "discovery_url": "http://localhost:4000/.well-known/openid-configuration",
		"token_introspection_url": "http://localhost:4000/oauth/token_info"
	}`)
	want["instance_id"], want["client_id"], want["client_secret"] = s.instanceID, app.id, app.secret
	for _, name := range []string{"id", "created_at", "updated_at"} {
		want[name] = made[name]
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	params := with(authorization(app), "scope", "openid profile")
	if got := tokens(t, s, app, params); got["scope"] != "openid profile" || got["refresh_token"] != nil {
		t.Errorf("got %v, want openid profile and no refresh token", got)
	}

	b := browser{t, s}
	uri, query := b.press(b.open(params), "action", actionSignIn, "user", derivedID("user_", "ada")).location()
	if uri != testRedirect || query.Get("code") == "" {
		t.Errorf("signing in leads to %q with %v, want the client without a consent page", uri, query)
	}

	listed := backend(t, s, "GET", "/v1/oauth_applications?name_query="+app.id, nil).want(200).object()
	delete(want, "client_secret")
	if diff := cmp.Diff(map[string]any{"data": []any{want}, "total_count": 1.0}, listed); diff != "" {
		t.Errorf("listed (-want +got)\n%s", diff)
	}
}

func TestCreateApplicationRejects(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	valid := map[string]any{"name": "Console", "redirect_uris": []string{testRedirect}}
	made := backend(t, s, "POST", "/v1/oauth_applications", valid).want(200).object()
	if made["scopes"] != "profile email" || made["consent_screen_enabled"] != true {
		t.Errorf("got %v, want the default scopes and a consent screen", made)
	}
	public := maps.Clone(valid)
	public["public"] = true
	made = backend(t, s, "POST", "/v1/oauth_applications", public).want(200).object()
	if _, ok := made["client_secret"]; ok || made["pkce_required"] != true {
		t.Errorf("got %v, want no secret, and PKCE", made)
	}
	for _, test := range []struct {
		name   string
		value  any
		reason string
	}{
		{"name", "", "got 0 bytes"},
		{"name", strings.Repeat("n", 257), "got 257 bytes"},
		{"redirect_uris", []string{}, "got 0 redirect_uris, want 1 to 50"},
		{"redirect_uris", []string{"http://app.example/"}, "plain http"},
		{"scopes", " ", "it is empty"},
		{"scopes", "notes:read", `got "notes:read"`},
	} {
		invalid := maps.Clone(valid)
		invalid[test.name] = test.value
		first := backend(t, s, "POST", "/v1/oauth_applications", invalid).wantClerkError(422, "form_param_value_invalid")
		if message := first["long_message"].(string); !strings.HasPrefix(message, test.name) || !strings.Contains(message, test.reason) {
			t.Errorf("%s: got %q, want %q", test.name, message, test.reason)
		}
	}
}
