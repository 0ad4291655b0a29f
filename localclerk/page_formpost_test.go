package localclerk

import (
	"strings"
	"testing"
)

func TestFormPost(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, map[string]any{"redirect_uris": []string{"cursor://app/callback"}})
	params := with(with(authorization(app), "redirect_uri"), "response_mode", "form_post")
	page := authorize(t, s, params, SignInHeader, "ada").want(200)
	for _, want := range []string{
		`action="cursor://app/callback"`,
		`name="code"`,
		`name="state" value="` + testState + `"`,
		`name="iss" value="` + testIssuer + `"`,
	} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' cursor:;") {
		t.Errorf("Content-Security-Policy %q does not allow the form", policy)
	}
	page = authorize(t, s, with(params, "scope", "x"), SignInHeader, "ada").want(200)
	if !strings.Contains(page.body, `name="error" value="invalid_scope"`) {
		t.Error("the error is not posted")
	}
}
