package localclerk

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBackendSettings(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	const path = "/v1/instance/oauth_application_settings"
	want := parseObject(t, `{
		"object": "oauth_application_settings",
		"dynamic_oauth_client_registration": true,
		"default_scopes": null,
		"oauth_jwt_access_tokens": true,
		"client_id_metadata_documents_advertised": false,
		"client_id_metadata_documents_only_allow_pre_registered_clients": false,
		"client_id_metadata_documents_block_implicitly_allowed_clients": false,
		"aud_claim_enabled": false,
		"pkce_required": false
	}`)
	if diff := cmp.Diff(want, backend(t, s, "GET", path, nil).want(200).object()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	changes := map[string]any{
		"dynamic_oauth_client_registration": false, "oauth_jwt_access_tokens": false, "aud_claim_enabled": true, "pkce_required": true,
		"client_id_metadata_documents_advertised":                        true,
		"client_id_metadata_documents_only_allow_pre_registered_clients": true,
		"client_id_metadata_documents_block_implicitly_allowed_clients":  true,
		"default_scopes": []any{"openid", "profile"},
	}
	for name, value := range changes {
		want := maps.Clone(want)
		want[name] = value
		got := backend(t, s, "PATCH", path, map[string]any{name: value}).want(200).object()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		back := map[string]any{name: false}
		if name == "default_scopes" {
			back[name] = nil
		}
		backend(t, s, "PATCH", path, back).want(200)
		if name == "dynamic_oauth_client_registration" || name == "oauth_jwt_access_tokens" {
			backend(t, s, "PATCH", path, map[string]any{name: true}).want(200)
		}
	}
	backend(t, s, "PATCH", path, map[string]any{"default_scopes": []string{"x"}}).wantClerkError(422, "form_param_value_invalid")
	backend(t, s, "PATCH", path, map[string]any{"dcr": true}).wantClerkError(400, "request_body_invalid")
	backend(t, s, "PATCH", path, map[string]any{"pkce_required": "yes"}).wantClerkError(400, "request_body_invalid")
	if diff := cmp.Diff(want, backend(t, s, "GET", path, nil).want(200).object()); diff != "" {
		t.Errorf("after rejected requests (-want +got)\n%s", diff)
	}
}

func TestBackendKeysAndInstance(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	public := get(t, s, "/.well-known/jwks.json").want(200).object()
	if diff := cmp.Diff(public, backend(t, s, "GET", "/v1/jwks", nil).want(200).object()); diff != "" {
		t.Errorf("keys (-public +backend)\n%s", diff)
	}
	want := map[string]any{"object": "instance", "id": s.keys.kid, "environment_type": "development", "allowed_origins": nil}
	if diff := cmp.Diff(want, backend(t, s, "GET", "/v1/instance", nil).want(200).object()); diff != "" {
		t.Errorf("instance (-want +got)\n%s", diff)
	}
}
