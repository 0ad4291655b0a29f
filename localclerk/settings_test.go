package localclerk

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetSettings(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	settings := s.Settings()
	settings.DynamicOAuthClientRegistration = false
	settings.OAuthJWTAccessTokens = false
	settings.CustomScopes = []string{"notes:read"}
	if err := s.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	registerRaw(t, s, map[string]any{"redirect_uris": []string{testRedirect}}).want(422)
	if got := tokens(t, s, app, authorization(app))["access_token"].(string); !strings.HasPrefix(got, opaquePrefix) {
		t.Errorf("got %q, want an opaque token", got)
	}
	settings.CustomScopes[0] = "changed afterwards"
	if diff := cmp.Diff([]string{"notes:read"}, s.Settings().CustomScopes); diff != "" {
		t.Errorf("the caller's slice is the server's\n%s", diff)
	}
	if err := s.SetSettings(Settings{DefaultScopes: []string{"x"}}); err == nil || !strings.Contains(err.Error(), `got "x"`) {
		t.Errorf("got %v, want an error", err)
	}
	if diff := cmp.Diff([]string{"notes:read"}, s.Settings().CustomScopes); diff != "" {
		t.Errorf("an invalid change is applied\n%s", diff)
	}
}
