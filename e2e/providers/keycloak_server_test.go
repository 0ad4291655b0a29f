//go:build providers && unix

package providers

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const (
	keycloakVersion = "26.7.3"
	keycloakSHA256  = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
	keycloakStart   = 15 * time.Minute // it takes one or two, and longer on a busy machine
	adminName       = "admin"
	adminPassword   = "admin"
)

// keycloakServer is a running Keycloak.
type keycloakServer struct {
	url   string // http://127.0.0.1:PORT
	token string // of the administrator
}

// startKeycloak starts a Keycloak with its development database in memory. features may be
// empty. options are added to the command line.
func startKeycloak(t *testing.T, features string, options ...string) *keycloakServer {
	t.Helper()
	folder := unpackKeycloak(t, features)
	k := &keycloakServer{url: "http://127.0.0.1:" + freePort(t)}
	address, err := url.Parse(k.url)
	if err != nil {
		t.Fatal(err)
	}
	argv := []string{
		filepath.Join(folder, "bin", "kc.sh"), "start-dev", "--db=dev-mem",
		"--http-host=127.0.0.1", "--http-port=" + address.Port(),
	}
	if features != "" {
		argv = append(argv, "--features="+features)
	}
	start(t, serverProcess{
		name: "keycloak",
		argv: append(argv, options...),
		env: []string{
			"KC_BOOTSTRAP_ADMIN_USERNAME=" + adminName, "KC_BOOTSTRAP_ADMIN_PASSWORD=" + adminPassword,
			"JAVA_OPTS_KC_HEAP=-Xms64m -Xmx768m",
		},
		ready:  k.url + "/realms/master",
		within: keycloakStart,
	})
	return k
}

// unpackKeycloak downloads Keycloak's distribution from Maven's central repository, unless
// it is there, and returns the folder with its files. Keycloak writes the result of a build
// into it, which depends on its features, so each set of features has a folder of its own.
func unpackKeycloak(t *testing.T, features string) string {
	t.Helper()
	requireProgram(t, "java", "openjdk-17-jre-headless")
	cache := cacheFolder(t, "keycloak")
	archive := filepath.Join(cache, "keycloak-quarkus-dist-"+keycloakVersion+".zip")
	if checkSum(archive, keycloakSHA256) != nil {
		requireProgram(t, "mvn", "maven")
		run(t, cache, "mvn", "--batch-mode", "--quiet", "--strict-checksums",
			"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy", "-Dmdep.overWriteReleases=true",
			"-Dartifact=org.keycloak:keycloak-quarkus-dist:"+keycloakVersion+":zip", "-DoutputDirectory="+cache)
		if err := checkSum(archive, keycloakSHA256); err != nil {
			t.Fatal(err)
		}
	}
	folder := filepath.Join(cache, "keycloak-"+keycloakVersion+"-"+features)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	installed(t, folder, []byte(keycloakSHA256), func() {
		if err := unzip(archive, folder); err != nil {
			t.Fatal(err)
		}
	})
	return filepath.Join(folder, "keycloak-"+keycloakVersion)
}

// unzip unpacks an archive, whose checksum was checked, into a folder.
func unzip(archive, folder string) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, f := range r.File {
		if f.FileInfo().IsDir() {
			continue
		}
		if err := unzipFile(f, filepath.Join(folder, filepath.FromSlash(f.Name))); err != nil {
			return err
		}
	}
	return nil
}

func unzipFile(f *zip.File, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	mode := os.FileMode(0o644)
	if filepath.Ext(f.Name) == ".sh" {
		mode = 0o755
	}
	out, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// issuer returns the issuer of a realm.
func (k *keycloakServer) issuer(realm string) string { return k.url + "/realms/" + realm }

func (k *keycloakServer) discover(t testing.TB, realm string) authorizationServer {
	t.Helper()
	return discover(t, k.issuer(realm)+"/.well-known/openid-configuration")
}

// logIn gets a token for the Admin REST API. It is valid for a minute.
func (k *keycloakServer) logIn(t *testing.T) {
	t.Helper()
	admin := oauthClient{server: k.discover(t, "master"), ID: "admin-cli"}
	answer, err := admin.grant(within(t, stepTime), url.Values{
		"grant_type": {"password"}, "username": {adminName}, "password": {adminPassword},
	})
	if err != nil {
		t.Fatal(err)
	}
	k.token = answer.Access
}

// admin sends a request to the Admin REST API. It returns the body, or the ID in the header
// Location of an answer that has one.
func (k *keycloakServer) admin(t *testing.T, method, path string, body any) string {
	t.Helper()
	answer, err := k.tryAdmin(within(t, stepTime), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func (k *keycloakServer) tryAdmin(ctx context.Context, method, path string, body any) (string, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return "", err
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, k.url+"/admin/realms"+path, content)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+k.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return "", err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return "", fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if location := resp.Header.Get("Location"); location != "" {
		return filepath.Base(location), nil
	}
	return string(text), nil
}

// get fetches an object of the Admin REST API.
func (k *keycloakServer) get(t *testing.T, path string) (answer object) {
	t.Helper()
	if err := json.Unmarshal([]byte(k.admin(t, http.MethodGet, path, nil)), &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// list fetches a list of the Admin REST API.
func (k *keycloakServer) list(t *testing.T, path string) (objects []map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(k.admin(t, http.MethodGet, path, nil)), &objects); err != nil {
		t.Fatal(err)
	}
	return objects
}

// Names in the realms.
const (
	mcpScope      = "mcp:tools"
	rolesScope    = "mcp:roles"  // puts roles into tokens of clients that registered themselves
	mcpClient     = "mcp-server" // stands for the MCP server
	mcpSecret     = "mcp-server-secret"
	desktop       = "desktop" // a client that is registered by hand
	desktopRFC    = "desktop-rfc9068"
	desktopLight  = "desktop-lightweight"
	robot         = "robot" // signs in by itself
	robotSecret   = "robot-secret"
	adaPassword   = "ada-password"
	gracePassword = "grace-password"
	realmRole     = "editor"
	clientRole    = "reader"
	organization  = "acme"
	audienceOfMCP = "audience of the MCP server"
)

// adaAtKeycloak returns the browser of the user ada, without cookies.
func adaAtKeycloak(t *testing.T) *browser {
	return newBrowser(t, map[string]string{"username": "ada", "password": adaPassword})
}

// client returns a client that is registered by hand at a realm.
func (k *keycloakServer) client(t *testing.T, realm, id string) oauthClient {
	t.Helper()
	c := oauthClient{server: k.discover(t, realm), ID: id}
	c.Secret = map[string]string{robot: robotSecret, mcpClient: mcpSecret}[id]
	return c
}

type object = map[string]any

// createRealm makes a realm with a user, clients, roles and an organization, as an
// administrator would. audience is the content of the audience mapper in the scope mcp:tools.
func (k *keycloakServer) createRealm(t *testing.T, realm, resource string, audience object) {
	t.Helper()
	k.logIn(t)
	k.admin(t, http.MethodPost, "", object{
		"realm": realm, "enabled": true, "organizationsEnabled": true,
		"roles": object{
			"realm":  []object{{"name": realmRole}},
			"client": object{mcpClient: []object{{"name": clientRole}}},
		},
		"users": []object{{
			"username": "ada", "enabled": true, "emailVerified": true,
			"email": "ada@example.com", "firstName": "Ada", "lastName": "Lovelace",
			"credentials": []object{{"type": "password", "value": adaPassword}},
			"realmRoles":  []string{realmRole, "default-roles-" + realm}, "clientRoles": object{mcpClient: []string{clientRole}},
		}, {
			"username": "grace", "enabled": true, "emailVerified": true,
			"email": "grace@example.com", "firstName": "Grace", "lastName": "Hopper",
			"credentials": []object{{"type": "password", "value": gracePassword}},
			"realmRoles":  []string{"default-roles-" + realm},
		}},
		"clients": []object{
			{
				"clientId": mcpClient, "secret": mcpSecret, "standardFlowEnabled": false, "publicClient": false,
				"attributes": object{"resource_url": resource},
			},
			publicClient(desktop, nil),
			publicClient(desktopRFC, object{"access.token.header.type.rfc9068": "true"}),
			publicClient(desktopLight, object{"client.use.lightweight.access.token.enabled": "true"}),
			{
				"clientId": robot, "secret": robotSecret, "publicClient": false,
				"standardFlowEnabled": false, "serviceAccountsEnabled": true,
			},
		},
	})
	k.addScope(t, realm, audience)
	k.addRolesScope(t, realm)
	k.trustLoopback(t, realm)
	k.addOrganization(t, realm)
}

func publicClient(id string, attributes object) object {
	return object{
		"clientId": id, "publicClient": true, "standardFlowEnabled": true, "directAccessGrantsEnabled": false,
		"redirectUris": []string{redirectURI}, "attributes": attributes,
	}
}

// addScope makes the optional client scope mcp:tools, with an audience mapper.
func (k *keycloakServer) addScope(t *testing.T, realm string, audience object) {
	t.Helper()
	config := object{"access.token.claim": "true", "introspection.token.claim": "true"}
	for name, value := range audience {
		config[name] = value
	}
	scope := k.admin(t, http.MethodPost, "/"+realm+"/client-scopes", object{
		"name": mcpScope, "protocol": "openid-connect",
		"attributes": object{"include.in.token.scope": "true", "display.on.consent.screen": "true", "consent.screen.text": "Use the tools"},
		"protocolMappers": []object{{
			"name": audienceOfMCP, "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper", "config": config,
		}},
	})
	k.admin(t, http.MethodPut, "/"+realm+"/default-optional-client-scopes/"+scope, nil)
	for _, client := range k.list(t, "/"+realm+"/clients") { // those that are new get it by default
		switch client["clientId"] {
		case desktop, desktopRFC, desktopLight, robot:
			k.admin(t, http.MethodPut, fmt.Sprintf("/%s/clients/%s/optional-client-scopes/%s", realm, client["id"], scope), nil)
		}
	}
}

// addRolesScope makes the optional client scope mcp:roles, with mappers for roles and with the
// roles that it may put into tokens. A client that registers itself has neither: the scope
// roles, which is a default of the realm, is not given to a client that registers with scopes,
// and Full Scope Allowed is off.
func (k *keycloakServer) addRolesScope(t *testing.T, realm string) {
	t.Helper()
	mapper := func(provider, claim string) object {
		return object{
			"name": claim, "protocol": "openid-connect", "protocolMapper": provider,
			"config": object{
				"claim.name": claim, "jsonType.label": "String", "multivalued": "true",
				"access.token.claim": "true", "introspection.token.claim": "true",
			},
		}
	}
	scope := k.admin(t, http.MethodPost, "/"+realm+"/client-scopes", object{
		"name": rolesScope, "protocol": "openid-connect", "attributes": object{"include.in.token.scope": "true"},
		"protocolMappers": []object{
			mapper("oidc-usermodel-realm-role-mapper", "realm_access.roles"),
			mapper("oidc-usermodel-client-role-mapper", "resource_access.${client_id}.roles"),
		},
	})
	k.admin(t, http.MethodPut, "/"+realm+"/default-optional-client-scopes/"+scope, nil)
	mappings := fmt.Sprintf("/%s/client-scopes/%s/scope-mappings", realm, scope)
	k.admin(t, http.MethodPost, mappings+"/realm", []object{k.get(t, "/"+realm+"/roles/"+realmRole)})
	server := k.list(t, "/"+realm+"/clients?clientId="+mcpClient)
	if len(server) != 1 {
		t.Fatalf("got %d clients, want %s", len(server), mcpClient)
	}
	role := k.get(t, fmt.Sprintf("/%s/clients/%s/roles/%s", realm, server[0]["id"], clientRole))
	k.admin(t, http.MethodPost, fmt.Sprintf("%s/clients/%s", mappings, server[0]["id"]), []object{role})
}

// trustLoopback lets clients on this machine register without a token.
func (k *keycloakServer) trustLoopback(t *testing.T, realm string) {
	t.Helper()
	for _, policy := range k.list(t, "/"+realm+"/components?type=org.keycloak.services.clientregistration.policy.ClientRegistrationPolicy") {
		if policy["providerId"] != "trusted-hosts" {
			continue
		}
		policy["config"] = object{
			"trusted-hosts": []string{"127.0.0.1", "localhost"},
			"host-sending-registration-request-must-match": []string{"true"},
			"client-uris-must-match":                       []string{"true"},
		}
		k.admin(t, http.MethodPut, fmt.Sprintf("/%s/components/%s", realm, policy["id"]), policy)
	}
}

// addOrganization makes an organization of which ada is a member.
func (k *keycloakServer) addOrganization(t *testing.T, realm string) {
	t.Helper()
	id := k.admin(t, http.MethodPost, "/"+realm+"/organizations", object{
		"name": "Acme", "alias": organization, "domains": []object{{"name": "acme.example.com"}},
	})
	users := k.list(t, "/"+realm+"/users?username=ada")
	if len(users) != 1 {
		t.Fatalf("got %d users, want ada", len(users))
	}
	k.admin(t, http.MethodPost, fmt.Sprintf("/%s/organizations/%s/members", realm, id), users[0]["id"])
}
