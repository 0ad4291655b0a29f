//go:build providers && unix

package providers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/introspection"
	"github.com/gatehouse-mcp/gatehouse/provider/keycloak"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

// The realms of the tests. They have the same users and clients.
const (
	realm      = "gatehouse"
	otherRealm = "other"
)

// keycloakConfig returns the configuration of a realm.
func keycloakConfig(k *keycloakServer) keycloak.Config {
	return keycloak.Config{ServerURL: k.url, Realm: realm, ScopesSupported: []string{mcpScope}}
}

func keycloakProvider(k *keycloakServer) gatehouse.Provider { return keycloak.New(keycloakConfig(k)) }

// TestKeycloak signs in at a Keycloak as it comes, where an audience mapper in the client
// scope mcp:tools binds tokens to the MCP server.
func TestKeycloak(t *testing.T) {
	e := newEndpoint(t)
	k := startKeycloak(t, "")
	mapper := object{"included.custom.audience": e.URL}
	k.createRealm(t, realm, e.URL, mapper)
	k.createRealm(t, otherRealm, e.URL, mapper)
	e.protect(t, keycloakProvider(k), nil)

	t.Run("registered dynamically", func(t *testing.T) { k.checkDynamic(t, whoamiOfGoSDK(t, e, adaAtKeycloak(t))) })
	t.Run("gatehouse call", func(t *testing.T) { k.checkDynamic(t, whoamiOfCall(t, e, adaAtKeycloak(t))) })
	for name, argv := range scriptClients {
		t.Run(name, func(t *testing.T) { k.checkDynamic(t, whoamiOfScript(t, e, adaAtKeycloak(t), argv(t))) })
	}
	t.Run("roles", func(t *testing.T) { checkRolesOfDynamic(t, k, e) })
	t.Run("introspection", func(t *testing.T) { checkIntrospection(t, k, e) })
	t.Run("machine", func(t *testing.T) { checkMachine(t, k, e) })
	t.Run("denied", func(t *testing.T) { checkDenied(t, k) })
	issued := k.issue(t, "")
	t.Run("registered by hand", func(t *testing.T) { k.checkByHand(t, e, issued, desktop) })
	t.Run("rfc9068", func(t *testing.T) { k.checkByHand(t, e, issued, desktopRFC) })
	t.Run("only rfc9068", func(t *testing.T) { checkOnlyRFC(t, k, e, issued) })
	t.Run("look-alikes", func(t *testing.T) { k.checkLookalikes(t, e, issued) })
	k.record(t, e, issued, "provider/keycloak/testdata/recorded-keycloak.json", "")
}

// TestKeycloakFeatures signs in at a Keycloak with the experimental features of MCP: the
// parameter resource (RFC 8707), and client ID metadata documents.
func TestKeycloakFeatures(t *testing.T) {
	e := newEndpoint(t)
	metadata := newMetadataClient(t)
	k := startKeycloak(t, "resource-indicators,cimd", "--truststore-paths="+metadata.certificate)
	mapper := object{"included.client.audience": mcpClient}
	k.createRealm(t, realm, e.URL, mapper)
	k.createRealm(t, otherRealm, e.URL, mapper)
	k.trustMetadataDocuments(t, realm)
	e.protect(t, keycloakProvider(k), nil)

	t.Run("registered dynamically", func(t *testing.T) { k.checkDynamic(t, whoamiOfGoSDK(t, e, adaAtKeycloak(t))) })
	t.Run("client ID metadata document", func(t *testing.T) {
		got := whoamiOf(t, e, &auth.AuthorizationCodeHandlerConfig{
			ClientIDMetadataDocumentConfig: &auth.ClientIDMetadataDocumentConfig{URL: metadata.url},
			RedirectURL:                    redirectURI,
			AuthorizationCodeFetcher:       adaAtKeycloak(t).fetchCode,
		})
		k.checkDynamic(t, got)
		if got.Client != metadata.url {
			t.Errorf("got client %q, want the URL of the document, %q", got.Client, metadata.url)
		}
	})
	issued := k.issue(t, e.URL)
	t.Run("registered by hand", func(t *testing.T) { k.checkByHand(t, e, issued, desktop) })
	t.Run("without resource", func(t *testing.T) {
		answer, err := k.client(t, realm, desktop).signIn(within(t, stepTime), adaAtKeycloak(t), withoutResource(mcpScope))
		if err != nil {
			t.Fatal(err)
		}
		e.wantReason(t, answer.Access, "token without the parameter resource", "wrong_audience")
	})
	t.Run("unknown resource", func(t *testing.T) {
		_, err := k.client(t, realm, desktop).signIn(within(t, stepTime), adaAtKeycloak(t),
			url.Values{"scope": {mcpScope}, "resource": {"https://unknown.example.com/mcp"}})
		if err == nil {
			t.Error("got a token for an unknown resource, want an error")
		} else {
			t.Logf("unknown resource: %v", err)
		}
	})
	k.record(t, e, issued, "provider/keycloak/testdata/recorded-keycloak-features.json", " with --features=resource-indicators,cimd")
}

// checkDynamic checks the identity of a caller whose client registered itself. Its tokens have
// no roles: a client that registers with scopes does not get the realm's default scopes, among
// them roles.
func (k *keycloakServer) checkDynamic(t *testing.T, got caller) {
	t.Helper()
	if got.Issuer != k.issuer(realm) || got.Subject == "" || got.Client == "" || !slices.Contains(got.Scopes, mcpScope) {
		t.Errorf("got %+v, want a user of %s with the scope %s", got, k.issuer(realm), mcpScope)
	}
}

// checkByHand checks the identity of a caller whose client an administrator registered.
func (k *keycloakServer) checkByHand(t *testing.T, e *endpoint, issued map[string]tokens, client string) {
	t.Helper()
	e.wantReason(t, issued[client].Access, "access token", "")
	got := e.whoamiWith(t, issued[client].Access)
	k.checkDynamic(t, got)
	if got.Client != client {
		t.Errorf("got client %q, want %q", got.Client, client)
	}
	checkRoles(t, got)
	if got.Name != "Ada Lovelace" {
		t.Errorf("got the name %q, want Ada Lovelace", got.Name)
	}
	if client == desktop && got.Organization != organization { // which requests the scope organization
		t.Errorf("got organization %q, want %q", got.Organization, organization)
	}
}

func checkRoles(t *testing.T, got caller) {
	t.Helper()
	if !slices.Contains(got.Roles, realmRole) {
		t.Errorf("got roles %q, want also %q", got.Roles, realmRole)
	}
	if want := mcpClient + ":" + clientRole; !slices.Contains(got.Permissions, want) {
		t.Errorf("got permissions %q, want also %q", got.Permissions, want)
	}
}

// checkDenied denies the consent, for which Keycloak asks because the client registered itself.
func checkDenied(t *testing.T, k *keycloakServer) {
	ctx := within(t, stepTime)
	client, err := k.discover(t, realm).register(ctx, mcpScope)
	if err != nil {
		t.Fatal(err)
	}
	ada := adaAtKeycloak(t)
	if _, err := client.signIn(ctx, ada, url.Values{"scope": {mcpScope}}); err != nil {
		t.Fatalf("consenting: %v", err)
	}
	denying := adaAtKeycloak(t)
	denying.deny = true
	client, err = k.discover(t, realm).register(ctx, mcpScope)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.signIn(ctx, denying, url.Values{"scope": {mcpScope}})
	if err == nil || err.Error() != "access_denied: " {
		t.Errorf("got %v, want access_denied", err)
	}
}

// checkRolesOfDynamic checks what a client that registered itself learns of its user. Without
// Full Scope Allowed, which such a client does not have, the realm's own scope roles adds no
// role: a client scope has to name the roles that its clients may get, as mcp:roles does.
func checkRolesOfDynamic(t *testing.T, k *keycloakServer, e *endpoint) {
	ctx := within(t, stepTime)
	signIn := func(scopes string) caller {
		t.Helper()
		client, err := k.discover(t, realm).register(ctx, scopes)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.signIn(ctx, adaAtKeycloak(t), url.Values{"scope": {scopes}})
		if err != nil {
			t.Fatal(err)
		}
		got := e.whoamiWith(t, answer.Access)
		k.checkDynamic(t, got)
		return got
	}
	checkRoles(t, signIn(mcpScope+" "+rolesScope))
	if got := signIn(mcpScope + " roles profile"); got.Name != "Ada Lovelace" || len(got.Roles)+len(got.Permissions) > 0 {
		t.Errorf("got %+v, want the name of the user and no roles", got)
	}
}

// checkIntrospection checks a guard that asks Keycloak about every token. With that, it also
// accepts lightweight tokens, which have almost no claims.
func checkIntrospection(t *testing.T, k *keycloakServer, e *endpoint) {
	provider := introspection.New(introspection.Config{
		Issuer: k.issuer(realm), ClientID: mcpClient, ClientSecret: mcpSecret,
	}, mcpScope)
	jwts := keycloakProvider(k)
	provider.Tokens, provider.Claims, provider.Complete = jwts.Tokens, jwts.Claims, jwts.Complete
	e.protect(t, provider, nil)
	defer e.protect(t, jwts, nil)
	ctx := within(t, stepTime)
	for _, id := range []string{desktop, desktopLight} {
		answer, err := k.client(t, realm, id).signIn(ctx, adaAtKeycloak(t), url.Values{"scope": {"openid " + mcpScope}})
		if err != nil {
			t.Fatal(err)
		}
		e.wantReason(t, answer.Access, "access token of "+id, "")
		e.wantReason(t, answer.ID, "ID token of "+id, "inactive")
		e.wantReason(t, answer.Refresh, "refresh token of "+id, "inactive")
	}
}

// checkMachine checks a guard that accepts tokens of machines.
func checkMachine(t *testing.T, k *keycloakServer, e *endpoint) {
	answer, err := k.client(t, realm, robot).grant(within(t, stepTime), url.Values{
		"grant_type": {"client_credentials"}, "scope": {mcpScope},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := keycloakConfig(k)
	cfg.AllowMachines = true
	e.protect(t, keycloak.New(cfg), nil)
	defer e.protect(t, keycloakProvider(k), nil)
	if got := e.whoamiWith(t, answer.Access); got.Kind != "machine" || got.Client != robot {
		t.Errorf("got %+v, want the machine %s", got, robot)
	}
}

// checkOnlyRFC checks a guard that accepts only the type of RFC 9068.
func checkOnlyRFC(t *testing.T, k *keycloakServer, e *endpoint, issued map[string]tokens) {
	provider := keycloakProvider(k)
	provider.Tokens.Types = []string{"at+jwt"}
	e.protect(t, provider, nil)
	defer e.protect(t, keycloakProvider(k), nil)
	e.wantReason(t, issued[desktopRFC].Access, "token of the type at+jwt", "")
	e.wantReason(t, issued[desktop].Access, "token of the type JWT", "wrong_type")
}

// issue gets tokens of every kind, by the name of the client or of what is special. Clients
// send the parameter resource (RFC 8707) if resource is not empty.
func (k *keycloakServer) issue(t *testing.T, resource string) map[string]tokens {
	t.Helper()
	withResource := func(scope string) url.Values {
		request := url.Values{"scope": {scope}}
		if resource != "" {
			request.Set("resource", resource)
		}
		return request
	}
	ctx := within(t, stepTime)
	dynamic, err := k.discover(t, realm).register(ctx, mcpScope)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := k.discover(t, realm).register(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	issued := map[string]tokens{}
	for name, signIn := range map[string]struct {
		client     oauthClient
		parameters url.Values
	}{
		desktop:         {k.client(t, realm, desktop), withResource("openid organization offline_access " + mcpScope)},
		desktopRFC:      {k.client(t, realm, desktopRFC), withResource(mcpScope)},
		"dynamic":       {dynamic, withResource(mcpScope)},
		"without scope": {k.client(t, realm, desktop), withoutResource("openid")},
		"no audience":   {plain, withoutResource("openid")},
		desktopLight:    {k.client(t, realm, desktopLight), withoutResource(mcpScope)}, // has no audience for resource to select
		otherRealm:      {k.client(t, otherRealm, desktop), withoutResource(mcpScope)},
	} {
		if issued[name], err = signIn.client.signIn(ctx, adaAtKeycloak(t), signIn.parameters); err != nil {
			t.Fatalf("signing in (%s): %v", name, err)
		}
	}
	grace := newBrowser(t, map[string]string{"username": "grace", "password": gracePassword}) // has no role of the MCP server
	if issued["account only"], err = k.client(t, realm, desktop).signIn(ctx, grace, withoutResource("openid")); err != nil {
		t.Fatalf("signing grace in: %v", err)
	}
	issued[robot], err = k.client(t, realm, robot).grant(ctx, url.Values{"grant_type": {"client_credentials"}, "scope": {mcpScope}})
	if err != nil {
		t.Fatalf("client credentials: %v", err)
	}
	return issued
}

func withoutResource(scope string) url.Values { return url.Values{"scope": {scope}} }

// checkLookalikes checks that the realm's other tokens are rejected, and those of another
// realm of the same server.
func (k *keycloakServer) checkLookalikes(t *testing.T, e *endpoint, issued map[string]tokens) {
	for _, test := range []struct {
		name, token string
		want        gatehouse.Reason
	}{
		{"ID token", issued[desktop].ID, "wrong_type"},
		{"offline refresh token", issued[desktop].Refresh, "wrong_algorithm"},
		{"refresh token", issued["dynamic"].Refresh, "wrong_algorithm"},
		{"token of another realm", issued[otherRealm].Access, "wrong_issuer"},
		{"token without the scope of the audience mapper", issued["without scope"].Access, "wrong_audience"},
		{"token for the account console only", issued["account only"].Access, "wrong_audience"},
		{"token without an audience", issued["no audience"].Access, "unbound"},
		{"lightweight token", issued[desktopLight].Access, "missing_claim"},
		{"token of a machine", issued[robot].Access, "machine_token"},
	} {
		e.wantReason(t, test.token, test.name, test.want)
	}
}

// record compares the documents and the tokens of the realm with those in a file.
func (k *keycloakServer) record(t *testing.T, e *endpoint, issued map[string]tokens, file, variant string) {
	documents := map[string]map[string]any{}
	for _, path := range []string{
		"/realms/" + realm + "/.well-known/openid-configuration",
		"/realms/" + realm + "/.well-known/oauth-authorization-server",
		"/.well-known/oauth-authorization-server/realms/" + realm,
		"/realms/" + realm + "/protocol/openid-connect/certs",
	} {
		documents[k.url+path] = getDocument(t, k.url+path)
	}
	recorded := map[string]jwt{}
	for name, answer := range issued {
		for kind, token := range map[string]string{"access token": answer.Access, "ID token": answer.ID, "refresh token": answer.Refresh} {
			if token != "" {
				recorded[name+": "+kind] = decodeJWT(t, token)
			}
		}
	}
	r := recording{Server: "Keycloak " + keycloakVersion + variant, Documents: documents, Tokens: recorded}
	r.compare(t, file, k.url, "http://localhost:8080", e.URL, "https://mcp.example.com/mcp",
		r.text("dynamic: access token", "azp"), "client-1", r.text("no audience: access token", "azp"), "client-2")
}

// metadataClient is a client with a client ID metadata document.
type metadataClient struct {
	url         string // of the document, and so the ID of the client
	certificate string // file with the certificate of the server of the document
}

// newMetadataClient serves the document of a client with https, as the specification requires.
func newMetadataClient(t *testing.T) metadataClient {
	t.Helper()
	var c metadataClient
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(object{
			"client_id": c.url, "client_name": "Gatehouse provider tests", "redirect_uris": []string{redirectURI},
			"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
			"token_endpoint_auth_method": "none", "scope": mcpScope,
		})
	}))
	t.Cleanup(server.Close)
	c.url = server.URL + "/client.json"
	c.certificate = writeCertificate(t, server.Certificate())
	return c
}

// trustMetadataDocuments adds the client policy that accepts client ID metadata documents of
// this machine.
func (k *keycloakServer) trustMetadataDocuments(t *testing.T, realm string) {
	t.Helper()
	k.logIn(t)
	const profile = "client ID metadata documents"
	hosts := []string{"127.0.0.1"}
	k.admin(t, http.MethodPut, fmt.Sprintf("/%s/client-policies/profiles", realm), object{"profiles": []object{{
		"name": profile,
		"executors": []object{{
			"executor":      "client-id-metadata-document",
			"configuration": object{"cimd-allow-http-scheme": true, "cimd-allow-permitted-domains": hosts},
		}},
	}}})
	k.admin(t, http.MethodPut, fmt.Sprintf("/%s/client-policies/policies", realm), object{"policies": []object{{
		"name": profile, "enabled": true, "profiles": []string{profile},
		"conditions": []object{{
			"condition": "client-id-uri",
			"configuration": object{
				"client-id-uri-scheme": []string{"https"}, "client-id-uri-allow-permitted-domains": hosts,
			},
		}},
	}}})
}
