//go:build providers && unix

package providers

import (
	"net/url"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

const betterAuthVersion = "1.7.5" // of better-auth and of @better-auth/oauth-provider, as in package.json

// startBetterAuth starts the server of better-auth.mjs and returns its issuer, which has a
// path.
func startBetterAuth(t *testing.T, e *endpoint) string {
	t.Helper()
	requireProgram(t, "node", "nodejs")
	folder := npmCI(t, "e2e", "providers")
	port := freePort(t)
	issuer := "http://127.0.0.1:" + port + "/api/auth"
	start(t, serverProcess{
		name:   "better-auth",
		argv:   []string{"node", "better-auth.mjs"},
		dir:    folder,
		env:    []string{"PORT=" + port, "RESOURCE=" + e.URL},
		ready:  issuer + "/.well-known/openid-configuration",
		within: nodeStart,
	})
	return issuer
}

// adaAtBetterAuth returns the browser of the user ada.
func adaAtBetterAuth(t *testing.T) *browser {
	return newBrowser(t, map[string]string{"email": "ada@example.com", "password": "ada-password"})
}

// betterAuthProvider returns the provider, for which OIDC needs no setting.
func betterAuthProvider(issuer string) gatehouse.Provider { return gatehouse.OIDC(issuer, mcpScope) }

func TestBetterAuth(t *testing.T) {
	e := newEndpoint(t)
	issuer := startBetterAuth(t, e)
	e.protect(t, betterAuthProvider(issuer), nil)
	checkAda := func(t *testing.T, got caller) {
		t.Helper()
		if got.Issuer != issuer || got.Subject == "" || got.Kind != "user" || got.Client == "" {
			t.Errorf("got %+v, want a user of %s", got, issuer)
		}
	}
	t.Run("go-sdk", func(t *testing.T) { checkAda(t, whoamiOfGoSDK(t, e, adaAtBetterAuth(t))) })
	t.Run("gatehouse call", func(t *testing.T) { checkAda(t, whoamiOfCall(t, e, adaAtBetterAuth(t))) })
	for name, argv := range scriptClients {
		t.Run(name, func(t *testing.T) { checkAda(t, whoamiOfScript(t, e, adaAtBetterAuth(t), argv(t))) })
	}
	t.Run("look-alikes", func(t *testing.T) {
		issued := issueAtBetterAuth(t, e, issuer)
		for _, test := range []struct {
			name, token string
			want        gatehouse.Reason
		}{
			{"access token", issued["ada"].Access, ""},
			{"access token with openid", issued["openid"].Access, ""},
			{"ID token", issued["openid"].ID, "wrong_type"},
			{"refresh token", issued["openid"].Refresh, "opaque"},
			{"access token for no resource", issued["unbound"].Access, "opaque"},
		} {
			e.wantReason(t, test.token, test.name, test.want)
		}
		recordBetterAuth(t, e, issuer, issued)
	})
}

// issueAtBetterAuth gets tokens of every kind.
func issueAtBetterAuth(t *testing.T, e *endpoint, issuer string) map[string]tokens {
	t.Helper()
	ctx := within(t, stepTime)
	client, err := discover(t, issuer+"/.well-known/openid-configuration").register(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	issued := map[string]tokens{}
	for name, parameters := range map[string]url.Values{
		"ada":     {"scope": {mcpScope}, "resource": {e.URL}},
		"openid":  {"scope": {"openid profile email offline_access " + mcpScope}, "resource": {e.URL}},
		"unbound": {"scope": {"openid"}},
	} {
		if issued[name], err = client.signIn(ctx, adaAtBetterAuth(t), parameters); err != nil {
			t.Fatalf("signing in (%s): %v", name, err)
		}
	}
	return issued
}

// recordBetterAuth compares the server's documents and JWTs with those in a file.
func recordBetterAuth(t *testing.T, e *endpoint, issuer string, issued map[string]tokens) {
	t.Helper()
	origin := issuer[:len(issuer)-len("/api/auth")]
	documents := map[string]map[string]any{}
	for _, path := range []string{
		"/.well-known/oauth-authorization-server/api/auth", "/api/auth/.well-known/openid-configuration", "/api/auth/jwks",
	} {
		documents[origin+path] = getDocument(t, origin+path)
	}
	r := recording{Server: "Better Auth " + betterAuthVersion, Documents: documents, Tokens: map[string]jwt{
		"access token":             decodeJWT(t, issued["ada"].Access),
		"access token with openid": decodeJWT(t, issued["openid"].Access),
		"ID token":                 decodeJWT(t, issued["openid"].ID),
	}}
	r.compare(t, "provider/betterauth/testdata/recorded-better-auth.json",
		origin, "https://id.example.com", e.URL, "https://mcp.example.com/mcp", r.text("access token", "client_id"), "client-1")
}
