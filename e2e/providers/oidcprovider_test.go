//go:build providers && unix

package providers

import (
	"net/url"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/introspection"
)

const (
	oidcProviderVersion = "9.13.3" // as in package.json
	nodeStart           = time.Minute
)

// startOIDCProvider starts the server of oidc-provider.mjs and returns its issuer.
func startOIDCProvider(t *testing.T, e *endpoint, format string) string {
	t.Helper()
	requireProgram(t, "node", "nodejs")
	folder := npmCI(t, "e2e", "providers")
	port := freePort(t)
	issuer := "http://127.0.0.1:" + port
	start(t, serverProcess{
		name:   "oidc-provider",
		argv:   []string{"node", "oidc-provider.mjs"},
		dir:    folder,
		env:    []string{"PORT=" + port, "RESOURCE=" + e.URL, "FORMAT=" + format},
		ready:  issuer + "/.well-known/openid-configuration",
		within: nodeStart,
	})
	return issuer
}

// adaAtOIDCProvider returns the browser of the user ada. The consent page has a button only.
func adaAtOIDCProvider(t *testing.T) *browser {
	return newBrowser(t, map[string]string{"login": "ada", "password": "any"})
}

// TestOIDCProviderJWT signs in at a server that issues JWTs as RFC 9068 says, for which the
// provider OIDC needs no setting.
func TestOIDCProviderJWT(t *testing.T) {
	e := newEndpoint(t)
	issuer := startOIDCProvider(t, e, "jwt")
	e.protect(t, gatehouse.OIDC(issuer, mcpScope), nil)
	checkAda := func(t *testing.T, got caller) {
		t.Helper()
		if got.Issuer != issuer || got.Subject != "ada" || got.Kind != "user" || got.Client == "" {
			t.Errorf("got %+v, want the user ada of %s", got, issuer)
		}
	}
	t.Run("go-sdk", func(t *testing.T) { checkAda(t, whoamiOfGoSDK(t, e, adaAtOIDCProvider(t))) })
	t.Run("gatehouse call", func(t *testing.T) { checkAda(t, whoamiOfCall(t, e, adaAtOIDCProvider(t))) })
	t.Run("look-alikes", func(t *testing.T) {
		issued := issueAtOIDCProvider(t, e, issuer)
		for _, test := range []struct {
			name, token string
			want        gatehouse.Reason
		}{
			{"access token", issued["ada"].Access, ""},
			{"ID token", issued["ada"].ID, "wrong_type"},
			{"opaque token for no resource", issued["unbound"].Access, "opaque"},
			{"token of a machine", issued["robot"].Access, "machine_token"},
		} {
			e.wantReason(t, test.token, test.name, test.want)
		}
		recordOIDCProvider(t, e, issuer, issued)
	})
}

// issueAtOIDCProvider gets tokens of every kind.
func issueAtOIDCProvider(t *testing.T, e *endpoint, issuer string) map[string]tokens {
	t.Helper()
	ctx := within(t, stepTime)
	server := discover(t, issuer+"/.well-known/openid-configuration")
	client, err := server.register(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	issued := map[string]tokens{}
	for name, parameters := range map[string]url.Values{
		"ada":     {"scope": {"openid offline_access " + mcpScope}, "resource": {e.URL}, "prompt": {"consent"}},
		"unbound": {"scope": {"openid"}},
	} {
		if issued[name], err = client.signIn(ctx, adaAtOIDCProvider(t), parameters); err != nil {
			t.Fatalf("signing in (%s): %v", name, err)
		}
	}
	machine := oauthClient{server: server, ID: "robot", Secret: "robot-secret"}
	issued["robot"], err = machine.grant(ctx, url.Values{
		"grant_type": {"client_credentials"}, "scope": {mcpScope}, "resource": {e.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// recordOIDCProvider compares the server's documents and JWTs with those in a file.
func recordOIDCProvider(t *testing.T, e *endpoint, issuer string, issued map[string]tokens) {
	t.Helper()
	documents := map[string]map[string]any{}
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"} {
		documents[issuer+path] = getDocument(t, issuer+path)
	}
	r := recording{Server: "oidc-provider " + oidcProviderVersion, Documents: documents, Tokens: map[string]jwt{
		"access token":            decodeJWT(t, issued["ada"].Access),
		"ID token":                decodeJWT(t, issued["ada"].ID),
		"access token of a robot": decodeJWT(t, issued["robot"].Access),
	}}
	r.compare(t, "e2e/providers/testdata/recorded-oidc-provider.json",
		issuer, "https://id.example.com", e.URL, "https://mcp.example.com/mcp", r.text("access token", "client_id"), "client-1")
}

// TestOIDCProviderOpaque signs in at a server that issues opaque tokens, about which the
// guard asks the introspection endpoint.
func TestOIDCProviderOpaque(t *testing.T) {
	e := newEndpoint(t)
	issuer := startOIDCProvider(t, e, "opaque")
	e.protect(t, withIntrospection(t, issuer, mcpScope), nil)
	got := whoamiOfGoSDK(t, e, adaAtOIDCProvider(t))
	if got.Issuer != issuer || got.Subject != "ada" || got.Client == "" {
		t.Errorf("got %+v, want the user ada of %s", got, issuer)
	}
	issued := issueAtOIDCProvider(t, e, issuer)
	for _, test := range []struct {
		name, token string
		want        gatehouse.Reason
	}{
		{"access token", issued["ada"].Access, ""},
		{"refresh token", issued["ada"].Refresh, "unbound"}, // is active too, and has no aud
		{"ID token", issued["ada"].ID, "wrong_type"},
		{"token for no resource", issued["unbound"].Access, "unbound"},
		{"token of a machine", issued["robot"].Access, "missing_claim"}, // the answer has no sub
		{"unknown token", "kFZWjWbXPh7UVm3JxIUZ9tH3tEIY9wnoVkQyAw_TOYD", "inactive"},
	} {
		e.wantReason(t, test.token, test.name, test.want)
	}
}

// withIntrospection returns the provider of an issuer whose opaque tokens are introspected.
func withIntrospection(t *testing.T, issuer string, scopes ...string) gatehouse.Provider {
	t.Helper()
	provider := gatehouse.OIDC(issuer, scopes...)
	var err error
	provider.Introspect, err = introspection.Func(introspection.Config{
		Issuer: issuer, ClientID: "mcp-server", ClientSecret: "mcp-server-secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

// TestOIDCProviderOpaqueOnly asks the server about every token. It does not answer about JWTs.
func TestOIDCProviderOpaqueOnly(t *testing.T) {
	e := newEndpoint(t)
	issuer := startOIDCProvider(t, e, "opaque")
	e.protect(t, introspection.New(introspection.Config{
		Issuer: issuer, ClientID: "mcp-server", ClientSecret: "mcp-server-secret",
	}, mcpScope), nil)
	issued := issueAtOIDCProvider(t, e, issuer)
	e.wantReason(t, issued["ada"].Access, "access token", "")
	e.wantReason(t, issued["ada"].ID, "ID token", "inactive")
}

// TestOIDCProviderUnbound signs in at a server without resource indicators: its tokens name no
// server, so they are rejected.
func TestOIDCProviderUnbound(t *testing.T) {
	e := newEndpoint(t)
	issuer := startOIDCProvider(t, e, "unbound")
	e.protect(t, withIntrospection(t, issuer), nil)
	ctx := within(t, stepTime)
	client, err := discover(t, issuer+"/.well-known/openid-configuration").register(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.signIn(ctx, adaAtOIDCProvider(t), url.Values{"scope": {"openid"}, "resource": {e.URL}})
	if err != nil {
		t.Fatal(err)
	}
	e.wantReason(t, answer.Access, "token for no resource", "unbound")
}
