package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// otherForms are values of members that a sign-in does not use, by the path of the document.
// Package oauthex or oauth2 knows each of these members and expects another form.
var otherForms = map[string]map[string]any{
	"/oauth/register": { // as Ory Hydra sends them
		"jwks":                map[string]any{},
		"contacts":            nil,
		"client_uri":          "",
		"client_id_issued_at": "2026-07-28T00:00:00Z",
		"logo_uri":            []any{},
	},
	"/oauth/token": {"error": nil, "error_description": []any{}, "error_uri": 7, "scope": []string{"profile", "email"}},
	"/.well-known/oauth-authorization-server": {
		"service_documentation":                      map[string]any{"en": "https://docs.example.com"},
		"op_policy_uri":                              false,
		"ui_locales_supported":                       "en",
		"grant_types_supported":                      "authorization_code",
		"response_modes_supported":                   map[string]any{},
		"op_tos_uri":                                 nil,
		"revocation_endpoint_auth_methods_supported": 1,
	},
}

// TestCallIgnoresTheFormOfUnusedMembers has an authorization server whose documents have
// members in other forms than the libraries expect.
func TestCallIgnoresTheFormOfUnusedMembers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	changed := map[string]bool{}
	f.editJSON = func(path string, document map[string]any) {
		for name, value := range otherForms[path] {
			document[name] = value
			changed[path] = true
		}
	}
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	if len(changed) != len(otherForms) {
		t.Errorf("changed %d documents, want %d", len(changed), len(otherForms))
	}
}

// TestCallIgnoresTheFormOfUnusedResourceMembers does the same with protected resource metadata.
func TestCallIgnoresTheFormOfUnusedResourceMembers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.metadata = nil
	f.noMetadataURL = true
	f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path != "/.well-known/oauth-protected-resource" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"resource":"` + f.mcpOrigin() + `","authorization_servers":["` + f.clerkURL + `"],` +
			`"resource_name":{"en":"Notes"},"bearer_methods_supported":"header","jwks_uri":7,"dpop_bound_access_tokens_required":"no"}`))
		return true
	}
	f.call(t, "-v", f.mcpURL, "whoami").want(t, exitOK, "read the protected resource metadata")
}

// TestCallChecksTheMembersThatItUses has documents with one member that matters in another form.
func TestCallChecksTheMembersThatItUses(t *testing.T) {
	t.Parallel()
	const server, registration = "/.well-known/oauth-authorization-server", "/oauth/register"
	for _, test := range []struct {
		name, path, member string
		value              any
		wantErr            string
	}{
		{"issuer", server, "issuer", 7, "reading the metadata of the authorization server"},
		{"token endpoint", server, "token_endpoint", []string{}, "reading the metadata of the authorization server"},
		{"keys", server, "jwks_uri", map[string]any{}, "reading the metadata of the authorization server"},
		{"PKCE", server, "code_challenge_methods_supported", "S256", "reading the metadata of the authorization server"},
		{"link that is a script", server, "op_tos_uri", "javascript:alert(1)", `disallowed scheme "javascript"`},
		{"client", registration, "client_id", 7, "defines: client_id is a number, want a string"},
		{"no client", registration, "client_id", nil, "defines: client_id is missing or empty"},
		{"long answer", registration, "jwks", strings.Repeat("a", 1<<20), "longer than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.editJSON = func(path string, document map[string]any) {
				if path == test.path {
					document[test.member] = test.value
				}
			}
			f.call(t, f.mcpURL, "whoami").want(t, exitFailure, "gatehouse: error: ", test.wantErr, "gatehouse: hint: ")
		})
	}
}

// TestCallRequestsScopesInOrder signs in to a server that asks for scopes: the authorization
// request has them in the order of the server, then those of the command line, then others.
func TestCallRequestsScopesInOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.metadata.ScopesSupported = []string{"profile", "email", "public_metadata"}
	const want = "profile email public_metadata private_metadata offline_access"
	for range 8 { // the order of a map of five is seldom the same in all
		f.config = t.TempDir()
		f.browse = func(link string) error {
			u, err := url.Parse(link)
			if err != nil {
				return err
			}
			if got := u.Query().Get("scope"); got != want {
				t.Errorf("authorization request has scope %q, want %q", got, want)
			}
			return f.browser(map[string]string{localclerk.SignInHeader: "ada"})(link)
		}
		f.call(t, f.mcpURL, "whoami", "--scope", "private_metadata").want(t, exitOK)
	}
}
