package localclerk

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// backend sends a Backend API request with the secret key.
func backend(t testing.TB, s *Server, method, target string, body any) response {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, s, method, target, string(encoded), "Authorization", "Bearer "+s.SecretKey(), "Content-Type", "application/json")
}

func TestBackendRequiresTheSecretKey(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	if !strings.HasPrefix(s.SecretKey(), "sk_test_") || len(s.SecretKey()) < 40 {
		t.Errorf("secret key %q, want sk_test_ and something random", s.SecretKey())
	}
	for _, target := range []string{
		"GET /v1/jwks",
		"GET /v1/instance",
		"GET /v1/instance/oauth_application_settings",
		"PATCH /v1/instance/oauth_application_settings",
		"GET /v1/oauth_applications",
		"POST /v1/oauth_applications",
		"GET /v1/users/x",
		"GET /v1/users/x/organization_memberships",
		"GET /v1/organizations/x/memberships",
		"POST /oauth_applications/access_tokens/verify",
		"POST /v1/oauth_applications/access_tokens/verify",
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
