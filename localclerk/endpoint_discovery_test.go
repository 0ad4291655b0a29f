package localclerk

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAuthorizationServerMetadata(t *testing.T) {
	t.Parallel()
	want := parseObject(t, `{
		"issuer": "http://localhost:4000",
		"authorization_endpoint": "http://localhost:4000/oauth/authorize",
		"token_endpoint": "http://localhost:4000/oauth/token",
		"revocation_endpoint": "http://localhost:4000/oauth/token/revoke",
		"jwks_uri": "http://localhost:4000/.well-known/jwks.json",
		"registration_endpoint": "http://localhost:4000/oauth/register",
		"response_types_supported": ["code"],
		"grant_types_supported": ["authorization_code", "refresh_token"],
		"token_endpoint_auth_methods_supported": ["client_secret_basic", "none", "client_secret_post"],
		"scopes_supported": ["openid", "profile", "email", "public_metadata", "private_metadata", "offline_access", "user:org:read"],
		"subject_types_supported": ["public"],
		"id_token_signing_alg_values_supported": ["RS256"],
		"claims_supported": ["sub", "iss", "aud", "exp", "iat", "email", "name", "org_id"],
		"service_documentation": "https://clerk.com/docs/oauth/scoped-access",
		"ui_locales_supported": ["en"],
		"op_tos_uri": "https://clerk.com/legal/standard-terms",
		"code_challenge_methods_supported": ["S256"],
		"authorization_response_iss_parameter_supported": true
	}`)
	for _, test := range []struct {
		name   string
		change func(*Settings)
		expect func(map[string]any)
	}{
		{"default settings", nil, func(map[string]any) {}},
		{"registration off", func(s *Settings) { s.DynamicOAuthClientRegistration = false }, func(doc map[string]any) {
			delete(doc, "registration_endpoint")
		}},
		{
			name:   "client id metadata documents",
			change: func(s *Settings) { s.ClientIDMetadataDocumentsAdvertised = true },
			expect: func(doc map[string]any) {
				doc["client_id_metadata_document_supported"] = true
			},
		},
		{
			name:   "organizations off",
			change: func(s *Settings) { s.OrganizationsDisabled = true },
			expect: func(doc map[string]any) {
				doc["scopes_supported"] = []any{"openid", "profile", "email", "public_metadata", "private_metadata", "offline_access"}
				doc["claims_supported"] = []any{"sub", "iss", "aud", "exp", "iat", "email", "name"}
			},
		},
		{"a custom scope", func(s *Settings) { s.CustomScopes = []string{"notes:read"} }, func(doc map[string]any) {
			doc["scopes_supported"] = append(slices.Clone(doc["scopes_supported"].([]any)), "notes:read")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := maps.Clone(want)
			test.expect(want)
			got := get(t, newServer(t, test.change), "/.well-known/oauth-authorization-server").want(200).object()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestOpenIDConfigurationDiffers(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(s *Settings) { s.ClientIDMetadataDocumentsAdvertised = true })
	oauth := get(t, s, "/.well-known/oauth-authorization-server").want(200).object()
	oidc := get(t, s, "/.well-known/openid-configuration").want(200).object()
	only := func(a, b map[string]any) []string {
		var names []string
		for name := range a {
			if _, ok := b[name]; !ok {
				names = append(names, name)
			} else if diff := cmp.Diff(a[name], b[name]); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		slices.Sort(names)
		return names
	}
	wantOAuth := []string{
		"client_id_metadata_document_supported", "op_tos_uri", "registration_endpoint", "service_documentation", "ui_locales_supported",
	}
	if diff := cmp.Diff(wantOAuth, only(oauth, oidc)); diff != "" {
		t.Errorf("only in oauth-authorization-server (-want +got)\n%s", diff)
	}
	wantOIDC := []string{
		"backchannel_logout_supported", "frontchannel_logout_supported", "introspection_endpoint", "response_modes_supported",
		"userinfo_endpoint",
	}
	if diff := cmp.Diff(wantOIDC, only(oidc, oauth)); diff != "" {
		t.Errorf("only in openid-configuration (-want +got)\n%s", diff)
	}
}
