//go:build providers && unix

package providers

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/betterauth"
	"github.com/gatehouse-mcp/gatehouse/provider/introspection"
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

func betterAuthProvider(issuer string) gatehouse.Provider {
	return betterauth.New(betterauth.Config{URL: issuer, ScopesSupported: []string{mcpScope}})
}

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
			{"token of a machine", issued["robot"].Access, "machine_token"},
			{"JWT of the session", issued["session"].Access, "wrong_type"},
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
	issued["robot"], err = robotAtBetterAuth(t, issuer).grant(ctx, url.Values{
		"grant_type": {"client_credentials"}, "scope": {mcpScope}, "resource": {e.URL},
	})
	if err != nil {
		t.Fatalf("client credentials: %v", err)
	}
	issued["session"] = tokens{Access: sessionJWT(t, client, issuer)}
	return issued
}

// sessionJWT returns the JWT that the endpoint /token issues to the web pages of the server, which
// the same key signs.
func sessionJWT(t *testing.T, client oauthClient, issuer string) string {
	t.Helper()
	ctx := within(t, stepTime)
	ada := adaAtBetterAuth(t)
	if _, err := client.signIn(ctx, ada, url.Values{"scope": {"openid"}}); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := ada.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := decode[struct{ Token string }](resp)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Token
}

// robotAtBetterAuth returns a client that signs in by itself.
func robotAtBetterAuth(t *testing.T, issuer string) oauthClient {
	t.Helper()
	client := getJSON[oauthClient](t, strings.TrimSuffix(issuer, "/api/auth")+"/robot")
	client.server = discover(t, issuer+"/.well-known/openid-configuration")
	return client
}

// TestBetterAuthIntrospection asks the server about opaque tokens, next to JWTs. Better Auth
// says about an opaque token only to the client that it was issued to that it is active, so a
// server cannot accept opaque tokens of its clients; they have to request its URL as resource.
func TestBetterAuthIntrospection(t *testing.T) {
	e := newEndpoint(t)
	issuer := startBetterAuth(t, e)
	robot := robotAtBetterAuth(t, issuer)
	ask, err := introspection.Func(introspection.Config{
		Issuer: issuer, ClientID: robot.ID, ClientSecret: gatehouse.Secret(robot.Secret),
	})
	if err != nil {
		t.Fatal(err)
	}
	provider := betterAuthProvider(issuer)
	provider.Introspect = ask
	e.protect(t, provider, nil)
	issued := issueAtBetterAuth(t, e, issuer)
	for _, test := range []struct {
		name, token string
		want        gatehouse.Reason
	}{
		{"access token", issued["ada"].Access, ""},
		{"refresh token", issued["openid"].Refresh, "inactive"},
		{"access token for no resource", issued["unbound"].Access, "inactive"},
		{"unknown token", "gjTQqjKZpZGXUYBHHrUhHQZGiwvTBxOA", "inactive"},
	} {
		e.wantReason(t, test.token, test.name, test.want)
	}
}

// recordBetterAuth compares the server's documents and JWTs with those in a file.
func recordBetterAuth(t *testing.T, e *endpoint, issuer string, issued map[string]tokens) {
	t.Helper()
	origin := strings.TrimSuffix(issuer, "/api/auth")
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
		"access token of a robot":  decodeJWT(t, issued["robot"].Access),
		"JWT of the session":       decodeJWT(t, issued["session"].Access),
	}}
	r.compare(t, "provider/betterauth/testdata/recorded-better-auth.json",
		origin, "https://id.example.com", e.URL, "https://mcp.example.com/mcp", r.text("access token", "client_id"), "client-1",
		r.text("access token of a robot", "client_id"), "client-2")
}
