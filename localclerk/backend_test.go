package localclerk

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// backend sends a Backend API request with the right key.
func backend(t testing.TB, s *Server, method, target string, body any) response {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, s, method, target, string(encoded), "Authorization", "Bearer "+s.SecretKey(), "Content-Type", "application/json")
}

func TestBackendNeedsTheSecretKey(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	if !strings.HasPrefix(s.SecretKey(), "sk_test_") || len(s.SecretKey()) < 40 {
		t.Errorf("secret key %q, want sk_test_ and something random", s.SecretKey())
	}
	for _, target := range []string{
		"GET /v1/jwks", "GET /v1/instance", "GET /v1/instance/oauth_application_settings", "PATCH /v1/instance/oauth_application_settings",
		"GET /v1/oauth_applications", "POST /v1/oauth_applications", "GET /v1/users/x", "GET /v1/users/x/organization_memberships",
		"GET /v1/organizations/x/memberships", "POST /oauth_applications/access_tokens/verify", "POST /v1/oauth_applications/access_tokens/verify",
	} {
		method, path, _ := strings.Cut(target, " ")
		send(t, s, method, path, "{}").wantClerkError(401, "authorization_header_format_invalid")
		send(t, s, method, path, "{}", "Authorization", "Basic "+s.SecretKey()).wantClerkError(401, "authorization_header_format_invalid")
		for _, key := range []string{"sk_test_x", s.SecretKey() + "x", s.SecretKey()[:40]} {
			send(t, s, method, path, "{}", "Authorization", "Bearer "+key).wantClerkError(401, "clerk_key_invalid")
		}
		if got := send(t, s, method, path, "{}", "Authorization", "Bearer "+s.SecretKey()); got.status == 401 {
			t.Errorf("%s with the right key: status 401", target)
		}
	}
}

func TestVerifyAccessToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(s *Settings) { s.AudClaimEnabled = true })
		now := float64(time.Now().Unix())
		for _, path := range []string{"/oauth_applications/access_tokens/verify", "/v1/oauth_applications/access_tokens/verify"} {
			for _, member := range []string{"access_token", "secret"} {
				for _, opaque := range []bool{false, true} {
					token := mint(t, s, Token{ClientID: "client", Scopes: []string{"email"}, Resource: testResource, Opaque: opaque})
					got := backend(t, s, "POST", path, map[string]any{member: token}).want(200).object()
					if id, _ := got["id"].(string); !strings.HasPrefix(id, "oat_") || id == token {
						t.Errorf("id %q, want the token's, which is not the token", id)
					}
					delete(got, "id")
					want := map[string]any{
						"object": "clerk_idp_oauth_access_token", "client_id": "client", "subject": derivedID("user_", "ada"),
						"scopes": []any{"email"}, "aud": []any{testResource}, "revoked": false, "revocation_reason": nil, "expired": false,
						"expiration": now + 86401, "created_at": now, "updated_at": now,
					}
					if opaque {
						want["expiration"] = nil
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s, %s, opaque %v (-want +got)\n%s", path, member, opaque, diff)
					}
				}
			}
		}
	})
}

func TestVerifyAccessTokenStates(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(s *Settings) { s.OAuthJWTAccessTokens = false })
	verify := func(token string) response {
		return backend(t, s, "POST", "/oauth_applications/access_tokens/verify", map[string]any{"access_token": token})
	}
	wantState := func(name, token string, revoked, expired bool) {
		t.Helper()
		got := verify(token).want(200).object()
		if got["revoked"] != revoked || got["expired"] != expired || (got["revocation_reason"] != nil) != revoked {
			t.Errorf("%s: got %v, want revoked %v, expired %v", name, got, revoked, expired)
		}
	}
	app := register(t, s, nil)
	token := tokens(t, s, app, authorization(app))["access_token"].(string)
	wantState("live", token, false, false)
	post(t, s, "/oauth/token/revoke", url.Values{"token": {token}, "client_id": {app.id}}).want(200)
	wantState("revoked", token, true, false)
	wantState("opaque expired", mint(t, s, Token{Opaque: true, Lifetime: -time.Hour}), false, true)

	if diff := cmp.Diff(map[string]any{"active": false}, verify(mint(t, s, Token{Lifetime: -time.Hour})).want(200).object()); diff != "" {
		t.Errorf("expired JWT (-want +got)\n%s", diff)
	}
	good := mint(t, s, Token{})
	wantState("live JWT", good, false, false)
	for name, token := range map[string]string{
		"unknown opaque":          "oat_" + strings.Repeat("0", 32),
		"forged JWT":              good[:len(good)-4] + "AAAA",
		"session token":           mint(t, s, Token{Kind: SessionToken}),
		"expired session token":   mint(t, s, Token{Kind: SessionToken, Lifetime: -time.Hour}),
		"M2M token":               mint(t, s, Token{Kind: M2MToken}),
		"JWT of another instance": mint(t, newServer(t, nil), Token{}),
		"garbage":                 "x",
	} {
		t.Run(name, func(t *testing.T) { verify(token).wantClerkError(404, "resource_not_found") })
	}
	verify("").wantClerkError(422, "form_param_value_invalid")
	backend(t, s, "POST", "/oauth_applications/access_tokens/verify", "x").wantClerkError(400, "request_body_invalid")
	backend(t, s, "POST", "/oauth_applications/access_tokens/verify", map[string]any{"token": good}).wantClerkError(400, "request_body_invalid")

	users := s.Users()
	users[0].Banned = true
	if err := s.SetUsers(users, nil); err != nil {
		t.Fatal(err)
	}
	wantState("banned user's JWT", good, true, false)
}

func TestSettingsOverTheBackend(t *testing.T) {
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
		t.Errorf("after refusals (-want +got)\n%s", diff)
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

func TestCreateApplication(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	made := backend(t, s, "POST", "/v1/oauth_applications", map[string]any{
		"name": "Console", "redirect_uris": []string{testRedirect}, "scopes": "openid profile", "consent_screen_enabled": false,
	}).want(200).object()
	app := application{id: made["client_id"].(string), secret: made["client_secret"].(string)}
	want := parseObject(t, `{
		"object": "oauth_application", "name": "Console", "dynamically_registered": false, "consent_screen_enabled": false,
		"pkce_required": false, "public": false, "scopes": "openid profile", "redirect_uris": ["`+testRedirect+`"],
		"authorize_url": "http://localhost:4000/oauth/authorize", "token_fetch_url": "http://localhost:4000/oauth/token",
		"user_info_url": "http://localhost:4000/oauth/userinfo", "discovery_url": "http://localhost:4000/.well-known/openid-configuration",
		"token_introspection_url": "http://localhost:4000/oauth/token_info"
	}`)
	want["instance_id"], want["client_id"], want["client_secret"] = s.instanceID, app.id, app.secret
	for _, name := range []string{"id", "created_at", "updated_at"} {
		want[name] = made[name]
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	params := with(authorization(app), "scope", "openid profile")
	if got := tokens(t, s, app, params); got["scope"] != "openid profile" || got["refresh_token"] != nil {
		t.Errorf("got %v, want openid profile and no refresh token", got)
	}

	b := browser{t, s}
	uri, query := b.press(b.open(params), "action", actionSignIn, "user", derivedID("user_", "ada")).location()
	if uri != testRedirect || query.Get("code") == "" {
		t.Errorf("signing in leads to %q with %v, want the client without a consent page", uri, query)
	}

	listed := backend(t, s, "GET", "/v1/oauth_applications?name_query="+app.id, nil).want(200).object()
	delete(want, "client_secret")
	if diff := cmp.Diff(map[string]any{"data": []any{want}, "total_count": 1.0}, listed); diff != "" {
		t.Errorf("listed (-want +got)\n%s", diff)
	}
}

func TestCreateApplicationRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	good := map[string]any{"name": "Console", "redirect_uris": []string{testRedirect}}
	made := backend(t, s, "POST", "/v1/oauth_applications", good).want(200).object()
	if made["scopes"] != "profile email" || made["consent_screen_enabled"] != true {
		t.Errorf("got %v, want the default scopes and a consent screen", made)
	}
	public := maps.Clone(good)
	public["public"] = true
	made = backend(t, s, "POST", "/v1/oauth_applications", public).want(200).object()
	if _, ok := made["client_secret"]; ok || made["pkce_required"] != true {
		t.Errorf("got %v, want no secret, and PKCE", made)
	}
	for _, test := range []struct {
		name   string
		value  any
		reason string
	}{
		{"name", "", "got 0 bytes"},
		{"name", strings.Repeat("n", 257), "got 257 bytes"},
		{"redirect_uris", []string{}, "got 0, want 1 to 50"},
		{"redirect_uris", []string{"http://app.example/"}, "plain http"},
		{"scopes", " ", "there are none"},
		{"scopes", "notes:read", `got "notes:read"`},
	} {
		bad := maps.Clone(good)
		bad[test.name] = test.value
		first := backend(t, s, "POST", "/v1/oauth_applications", bad).wantClerkError(422, "form_param_value_invalid")
		if message := first["long_message"].(string); !strings.HasPrefix(message, test.name) || !strings.Contains(message, test.reason) {
			t.Errorf("%s: got %q, want %q", test.name, message, test.reason)
		}
	}
}

func TestPaging(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	var ids []string
	for i := range 12 {
		ids = append(ids, register(t, s, map[string]any{"client_name": fmt.Sprintf("Client %c", 'A'+i)}).id)
	}
	page := func(query string) []string {
		t.Helper()
		got := backend(t, s, "GET", "/v1/oauth_applications?"+query, nil).want(200).object()
		got2 := []string{}
		for _, item := range got["data"].([]any) {
			got2 = append(got2, item.(map[string]any)["client_id"].(string))
		}
		return got2
	}
	for query, want := range map[string][]string{
		"":                     ids[:10],
		"limit=3":              ids[:3],
		"limit=3&offset=11":    ids[11:],
		"offset=99":            {},
		"name_query=client+c":  ids[2:3],
		"name_query=" + ids[4]: ids[4:5],
	} {
		if diff := cmp.Diff(want, page(query)); diff != "" {
			t.Errorf("%q (-want +got)\n%s", query, diff)
		}
	}
	for _, query := range []string{"limit=0", "limit=501", "limit=x", "offset=-1"} {
		backend(t, s, "GET", "/v1/oauth_applications?"+query, nil).wantClerkError(422, "form_param_value_invalid")
	}
}

func TestUserOverTheBackend(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	ada := derivedID("user_", "ada")
	got := backend(t, s, "GET", "/v1/users/"+ada, nil).want(200).object()
	want := parseObject(t, `{
		"object": "user", "username": "ada", "first_name": "Ada", "last_name": "Lovelace", "image_url": "", "has_image": false,
		"public_metadata": {}, "private_metadata": {}, "unsafe_metadata": {}, "banned": false, "locked": false,
		"email_addresses": [{"object": "email_address", "email_address": "ada@example.com", "verification": {"status": "verified"}}]
	}`)
	email := derivedID("idn_", "ada@example.com")
	want["id"], want["primary_email_address_id"] = ada, email
	want["email_addresses"].([]any)[0].(map[string]any)["id"] = email
	want["created_at"], want["updated_at"] = got["created_at"], got["updated_at"]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	backend(t, s, "GET", "/v1/users/ada", nil).wantClerkError(404, "resource_not_found")
	if err := s.SetUsers([]User{{Username: "bare"}, {Email: "e@example.com", EmailUnverified: true}}, nil); err != nil {
		t.Fatal(err)
	}
	bare := backend(t, s, "GET", "/v1/users/"+derivedID("user_", "bare"), nil).want(200).object()
	if bare["primary_email_address_id"] != nil || bare["first_name"] != nil || len(bare["email_addresses"].([]any)) != 0 {
		t.Errorf("got %v, want no email and no name", bare)
	}
	unverified := backend(t, s, "GET", "/v1/users/"+derivedID("user_", "e@example.com"), nil).want(200)
	if !strings.Contains(unverified.body, `"status":"unverified"`) {
		t.Errorf("got %s, want an unverified email", unverified.body)
	}
}

func TestMembershipsOverTheBackend(t *testing.T) {
	t.Parallel()
	organizations := SeedOrganizations()
	organizations[1].Members[1].Permissions = []string{"org:notes:read"}
	s, err := New(Config{Issuer: testIssuer, Users: SeedUsers(), Organizations: organizations, SigningKey: testKey()})
	if err != nil {
		t.Fatal(err)
	}
	ada, bombe := derivedID("user_", "ada"), derivedID("org_", "bombe-works")
	ofUser := backend(t, s, "GET", "/v1/users/"+ada+"/organization_memberships", nil).want(200).object()
	memberships := ofUser["data"].([]any)
	if len(memberships) != 2 || ofUser["total_count"] != 2.0 {
		t.Fatalf("got %d memberships of %v, want 2", len(memberships), ofUser["total_count"])
	}
	got := memberships[1].(map[string]any)
	want := parseObject(t, `{
		"object": "organization_membership", "role": "org:member", "role_name": "Member", "permissions": ["org:notes:read"],
		"public_metadata": {}, "private_metadata": {},
		"organization": {"object": "organization", "name": "Bombe Works", "slug": "bombe-works", "members_count": 2},
		"public_user_data": {"first_name": "Ada", "last_name": "Lovelace", "identifier": "ada@example.com", "image_url": "", "has_image": false}
	}`)
	want["public_user_data"].(map[string]any)["user_id"] = ada
	organization := want["organization"].(map[string]any)
	organization["id"] = bombe
	for _, object := range []map[string]any{want, organization} {
		object["created_at"], object["updated_at"] = got["created_at"], got["created_at"]
	}
	want["id"] = got["id"]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	ofOrganization := backend(t, s, "GET", "/v1/organizations/"+bombe+"/memberships", nil).want(200).object()["data"].([]any)
	if !slices.ContainsFunc(ofOrganization, func(m any) bool { return cmp.Equal(m, any(want)) }) || len(ofOrganization) != 2 {
		t.Errorf("the organization has %v, want the same membership among 2", ofOrganization)
	}
	none := backend(t, s, "GET", "/v1/users/"+derivedID("user_", "katherine")+"/organization_memberships", nil).want(200)
	if none.body != `{"data":[],"total_count":0}` {
		t.Errorf("got %s, want an empty list", none.body)
	}
	backend(t, s, "GET", "/v1/users/x/organization_memberships", nil).wantClerkError(404, "resource_not_found")
	backend(t, s, "GET", "/v1/organizations/x/memberships", nil).wantClerkError(404, "resource_not_found")
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	register(t, s, map[string]any{"token_endpoint_auth_method": authBasic})
	c := s.store.allClients()[0]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, value := range []secret{s.secretKey, c.secret} {
			if got := fmt.Sprintf(verb, value); strings.Contains(got, string(value)) {
				t.Errorf("%s prints the secret", verb)
			}
			if got := fmt.Sprintf(verb, struct{ S secret }{value}); strings.Contains(got, string(value)) {
				t.Errorf("%s of a struct prints the secret", verb)
			}
		}
	}
	if got := s.secretKey.LogValue().String(); got != redacted {
		t.Errorf("logs as %q, want %q", got, redacted)
	}
	if secret("").matches("") {
		t.Error("the empty secret is known")
	}
}
