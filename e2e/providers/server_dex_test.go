//go:build providers && sources && unix

package providers

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse"
)

// dexProgram is Dex. Its releases have tags that are not versions of the module.
var dexProgram = gitProgram{
	name:       "dex",
	repository: "https://github.com/dexidp/dex",
	tag:        "v2.45.1",
	pkg:        "./cmd/dex",
	ldflags:    "-X main.version=v2.45.1",
}

const (
	dexStart = time.Minute
	// dexAudience is the beginning of a scope with which a client asks for a token whose
	// audience is another client. The MCP server is such a client: its ID is its URL.
	dexAudience = "audience:server:client_id:"
	dexClient   = "desktop-client"
	dexUser     = "ada@example.com"
	dexPassword = "password"
)

// dexConfig is the configuration of a Dex that keeps everything in memory. The hash is that
// of dexPassword. The second client is the MCP server, which trusts the first one to ask for
// tokens for it.
const dexConfig = `
issuer: http://127.0.0.1:%[1]s/dex
storage: {type: memory}
web: {http: "127.0.0.1:%[1]s"}
oauth2: {skipApprovalScreen: true}
enablePasswordDB: true
staticPasswords:
  - email: ada@example.com
    hash: $2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W
    username: Ada Lovelace
    userID: 08a8684b-db88-4b73-90a9-3cd1661f5466
    groups: [engineering]
staticClients:
  - id: desktop-client
    name: Desktop client
    public: true
    redirectURIs: ["%[3]s"]
  - id: "%[2]s"
    name: MCP server
    secret: only-for-tests
    trustedPeers: [desktop-client]
`

// dex is a running Dex.
type dex struct {
	authorizationServer
	client oauthClient
}

// startDex starts Dex for an MCP server.
func startDex(t *testing.T, resource string) dex {
	t.Helper()
	program := dexProgram.build(t)
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "dex.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, dexConfig, port, resource, redirectURI), 0o600); err != nil {
		t.Fatal(err)
	}
	document := "http://127.0.0.1:" + port + "/dex/.well-known/openid-configuration"
	start(t, serverProcess{name: "dex", argv: []string{program, "serve", file}, ready: document, within: dexStart})
	d := dex{authorizationServer: discover(t, document)}
	d.client = oauthClient{server: d.authorizationServer, ID: dexClient}
	return d
}

func (d dex) browser(t *testing.T) *browser {
	t.Helper()
	return newBrowser(t, map[string]string{"login": dexUser, "password": dexPassword})
}

// signIn signs the user in with scopes.
func (d dex) signIn(t *testing.T, scope string) tokens {
	t.Helper()
	answer, err := d.client.signIn(within(t, stepTime), d.browser(t), url.Values{
		"scope": {scope},
		"nonce": {"a-nonce-of-the-client"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestDex signs in at a Dex. It has no dynamic registration and does not know the parameter
// resource (RFC 8707), so the client is registered before, and the audience is a scope.
func TestDex(t *testing.T) {
	e := newEndpoint(t)
	d := startDex(t, e.URL)
	scope := dexAudience + e.URL
	provider := gatehouse.OIDC(d.Issuer, "openid", "groups", scope)
	provider.Tokens.Types = []string{""} // Dex writes no typ
	e.protect(t, provider, nil)

	mine := d.signIn(t, "openid groups offline_access "+scope)
	e.wantReason(t, mine.Access, "access token", "")
	e.wantReason(t, mine.Refresh, "refresh token", "opaque")
	e.wantReason(t, d.signIn(t, "openid").Access, "token for the client itself", "wrong_audience")
	refreshed, err := d.client.grant(within(t, stepTime), url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {mine.Refresh},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(decodeJWT(t, mine.Access), decodeJWT(t, mine.ID), decodeJWT(t, refreshed.ID), decodeJWT(t, refreshed.Access))
	got := whoamiOf(t, e, d.client.goSDK(d.browser(t)))
	want := caller{
		Issuer:      d.Issuer,
		Subject:     decodeJWT(t, mine.Access).Claims["sub"].(string),
		Client:      dexClient,
		Scopes:      []string{},
		Roles:       []string{},
		Permissions: []string{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("whoami (-want +got):\n%s", diff)
	}
}
