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

	"github.com/gatehouse-mcp/gatehouse/examples/recipes"
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
// of dexPassword. The other clients are MCP servers, which trust the first one to ask for tokens
// for them.
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
  - id: "%[4]s"
    name: Another MCP server
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
	if err := os.WriteFile(file, fmt.Appendf(nil, dexConfig, port, resource, redirectURI, otherResource), 0o600); err != nil {
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
	e.protect(t, recipes.Dex(d.Issuer, e.URL), nil)
	mine := d.signIn(t, dexScopes(e.URL))
	// A user has one refresh token for each client ID: the next sign-in replaces it, also that
	// of another program with the same client ID.
	refreshed := d.client.refresh(t, mine)
	d.checkWhoami(t, e, decodeJWT(t, mine.Access))
	own := d.signIn(t, "openid groups")
	e.wantReasons(t, []lookalike{
		{"access token", mine.Access, ""},
		{"access token after a refresh", refreshed.Access, ""},
		{"ID token", mine.ID, "wrong_type"},
		// Without c_hash, an ID token is the same as an access token: same claims, same
		// audience, same lifetime.
		{"ID token after a refresh", refreshed.ID, ""},
		{"refresh token", mine.Refresh, "opaque"},
		{"token for another server", d.signIn(t, dexScopes(otherResource)).Access, "wrong_audience"},
		{"token for the client itself", own.Access, "missing_claim"}, // azp
		{"ID token for the client itself", own.ID, "missing_claim"},
	})
	d.record(t, e.URL, map[string]string{
		"access token":                mine.Access,
		"ID token":                    mine.ID,
		"ID token after a refresh":    refreshed.ID,
		"token for the client itself": own.Access,
	})
}

// dexScopes are what a client requests for an MCP server.
func dexScopes(resource string) string {
	return "openid groups offline_access " + dexAudience + resource
}

// checkWhoami signs the user in with clients that are registered already, and calls the tool
// whoami. The claims are those of an access token of the same user.
func (d dex) checkWhoami(t *testing.T, e *endpoint, token jwt) {
	t.Helper()
	subject, _ := token.Claims["sub"].(string)
	want := caller{
		Issuer:      d.Issuer,
		Kind:        "user",
		Provider:    "Dex",
		Subject:     subject,
		Client:      dexClient,
		Scopes:      []string{},
		Roles:       []string{"engineering"},
		Permissions: []string{},
	}
	for name, got := range map[string]caller{
		"go-sdk":         whoamiOf(t, e, d.client.goSDK(d.browser(t))),
		"gatehouse call": whoamiOfCall(t, e, d.browser(t), d.client.flags()...),
	} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("whoami of %s (-want +got):\n%s", name, diff)
		}
	}
}

// record compares documents and tokens with those in a file.
func (d dex) record(t *testing.T, resource string, issued map[string]string) {
	t.Helper()
	document := d.Issuer + "/.well-known/openid-configuration"
	r := recording{
		Server: "Dex " + dexProgram.tag,
		Documents: map[string]map[string]any{
			document:  getDocument(t, document),
			d.JWKSURI: getDocument(t, d.JWKSURI),
		},
		Tokens: map[string]jwt{},
	}
	for name, token := range issued {
		r.Tokens[name] = decodeJWT(t, token)
	}
	r.compare(t, "e2e/providers/testdata/recorded-dex.json",
		d.Issuer, "https://dex.example.com/dex", resource, recordedResource)
}
