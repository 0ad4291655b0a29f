package localclerk

import (
	"strings"
	"testing"
)

func TestHome(t *testing.T) {
	t.Parallel()
	b := browser{t, newServer(t, nil)}
	page := b.get("/").want(200)
	for _, want := range []string{
		"MCP_USE_OAUTH_CLERK_FRONTEND_API_URL=<wbr>" + testIssuer,
		"Ada Lovelace",
		"ada@example.com",
		`href="/.well-known/oauth-authorization-server"`,
	} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page.body, b.s.SecretKey()) {
		t.Error("the page shows the secret key")
	}
	if !strings.HasPrefix(page.header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-") {
		t.Errorf("Content-Security-Policy %q", page.header.Get("Content-Security-Policy"))
	}
	get(t, b.s, "/", "Accept", "application/json").wantClerkError(404, "resource_not_found")
	get(t, b.s, "/").wantClerkError(404, "resource_not_found")
	b.get("/other").wantClerkError(404, "resource_not_found")
}
