package localclerk

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRegisterPublicClient(t *testing.T) {
	t.Parallel()
	got := registerRaw(t, newServer(t, nil), map[string]any{
		"client_name":                "Probe",
		"client_uri":                 "https://probe.example",
		"redirect_uris":              []string{"https://probe.example/callback", "cursor://anysphere/callback"},
		"grant_types":                []string{"authorization_code", "refresh_token"},
		"response_types":             []string{"code"},
		"token_endpoint_auth_method": "none",
		"application_type":           "web",
		"software_id":                "unknown members are ignored",
	}).want(201).object()
	if id := got["client_id"].(string); !regexp.MustCompile(`^[0-9A-Za-z]{16}$`).MatchString(id) {
		t.Errorf("client_id %q, want 16 letters and digits", id)
	}
	delete(got, "client_id")
	delete(got, "client_id_issued_at")
	want := parseObject(t, `{
		"client_name": "Probe",
		"client_uri": "https://probe.example",
		"redirect_uris": ["https://probe.example/callback", "cursor://anysphere/callback"],
		"grant_types": ["authorization_code"],
		"response_types": ["code"],
		"scope": "email offline_access profile",
		"token_endpoint_auth_method": "none",
		"application_type": "web"
	}`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRegisterConfidentialClient(t *testing.T) {
	t.Parallel()
	for requested, want := range map[string]string{"": authBasic, authBasic: authBasic, authPost: authPost} {
		got := registerRaw(t, newServer(t, nil), map[string]any{
			"redirect_uris":              []string{testRedirect},
			"token_endpoint_auth_method": requested,
		}).want(201).object()
		if secret, _ := got["client_secret"].(string); len(secret) != 32 {
			t.Errorf("%q: client_secret %q, want 32 characters", requested, secret)
		}
		if got["client_secret_expires_at"] != 0.0 {
			t.Errorf("%q: client_secret_expires_at %v, want 0", requested, got["client_secret_expires_at"])
		}
		if got["token_endpoint_auth_method"] != want {
			t.Errorf("%q: token_endpoint_auth_method %q, want %q", requested, got["token_endpoint_auth_method"], want)
		}
		if got["client_name"] != got["client_id"] {
			t.Errorf("%q: client_name %q, want the client_id", requested, got["client_name"])
		}
	}
}

func TestRegisterScopes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, requested, want string
		change                func(*Settings)
	}{
		{name: "factory default", want: "email offline_access profile"},
		{name: "blank", requested: " ", want: "email offline_access profile"},
		{name: "sorted, with offline_access", requested: "profile openid", want: "offline_access openid profile"},
		{name: "repeated", requested: "openid openid offline_access", want: "offline_access openid"},
		{name: "instance default", want: "email offline_access openid",
			change: func(s *Settings) { s.DefaultScopes = []string{"openid", "email"} }},
		{name: "instance default of none", want: "offline_access",
			change: func(s *Settings) { s.DefaultScopes = []string{} }},
		{name: "requested beats instance default", requested: "profile", want: "offline_access profile",
			change: func(s *Settings) { s.DefaultScopes = []string{"openid"} }},
		{name: "custom", requested: "notes:read", want: "notes:read offline_access",
			change: func(s *Settings) { s.CustomScopes = []string{"notes:read"} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := registerRaw(t, newServer(t, test.change), map[string]any{
				"redirect_uris": []string{testRedirect},
				"scope":         test.requested,
			}).want(201).object()
			if got["scope"] != test.want {
				t.Errorf("got scope %q, want %q", got["scope"], test.want)
			}
		})
	}
}

func TestRegisterRejects(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	valid := map[string]any{"client_name": "Test", "redirect_uris": []string{testRedirect}, "token_endpoint_auth_method": "none"}
	registerRaw(t, s, valid).want(201)
	for _, test := range []struct {
		name             string
		field            string
		value            any
		wantCode, reason string
	}{
		{"no redirect URI", "redirect_uris", []string{}, invalidRedirectURI, "got 0 redirect_uris"},
		{
			name:     "too many redirect URIs",
			field:    "redirect_uris",
			value:    strings.Split(strings.Repeat(testRedirect+" ", 51), " "),
			wantCode: invalidRedirectURI,
			reason:   "got 52 redirect_uris, want 1 to 50",
		},
		{"relative", "redirect_uris", []string{"/callback"}, invalidRedirectURI, "is not absolute"},
		{"not a URI", "redirect_uris", []string{"http://[::1"}, invalidRedirectURI, "is not a URI"},
		{"fragment", "redirect_uris", []string{testRedirect + "#"}, invalidRedirectURI, "has a fragment"},
		{"second one invalid", "redirect_uris", []string{testRedirect, "callback"}, invalidRedirectURI, "is not absolute"},
		{"javascript", "redirect_uris", []string{"javascript:alert(1)"}, invalidRedirectURI, "browsers run"},
		{
			name:     "JavaScript in capitals",
			field:    "redirect_uris",
			value:    []string{"JAVASCRIPT:alert(1)"},
			wantCode: invalidRedirectURI,
			reason:   "browsers run",
		},
		{"data", "redirect_uris", []string{"data:text/html,x"}, invalidRedirectURI, "browsers run"},
		{
			name:     "plain http elsewhere",
			field:    "redirect_uris",
			value:    []string{"http://app.example/callback"},
			wantCode: invalidRedirectURI,
			reason:   "plain http",
		},
		{"no host", "redirect_uris", []string{"https:///callback"}, invalidRedirectURI, "has no host"},
		{"user name", "redirect_uris", []string{"https://a@b.example/"}, invalidRedirectURI, "user name"},
		{
			name:     "too long",
			field:    "redirect_uris",
			value:    []string{"https://a.example/" + strings.Repeat("a", maxURILength)},
			wantCode: invalidRedirectURI,
			reason:   "want at most 1024",
		},
		{
			name:     "wrong type",
			field:    "redirect_uris",
			value:    "https://a.example/",
			wantCode: invalidClientMetadata,
			reason:   "not a JSON object of client metadata",
		},
		{
			name:     "auth method",
			field:    "token_endpoint_auth_method",
			value:    "private_key_jwt",
			wantCode: invalidClientMetadata,
			reason:   "is 'private_key_jwt', want one of",
		},
		{"application type", "application_type", "toaster", invalidClientMetadata, "is 'toaster', want web or native"},
		{"long name", "client_name", strings.Repeat("n", 257), invalidClientMetadata, "client_name has 257 bytes"},
		{
			name:     "long client URI",
			field:    "client_uri",
			value:    strings.Repeat("n", 1025),
			wantCode: invalidClientMetadata,
			reason:   "client_uri has 1025 bytes",
		},
		{"long logo URI", "logo_uri", strings.Repeat("n", 1025), invalidClientMetadata, "logo_uri has 1025 bytes"},
		{"long scope", "scope", strings.Repeat("n", 1025), invalidClientMetadata, "scope has 1025 bytes"},
		{
			name:     "unknown scope",
			field:    "scope",
			value:    "openid notes:read",
			wantCode: invalidClientMetadata,
			reason:   "does not support the scope 'notes:read'",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			invalid := maps.Clone(valid)
			invalid[test.field] = test.value
			registerRaw(t, s, invalid).wantError(400, test.wantCode, test.reason)
		})
	}
}

func TestRegisterBody(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	const valid = `{"redirect_uris":["` + testRedirect + `"]}`
	send(t, s, "POST", "/oauth/register", valid, "Content-Type", "application/json; charset=utf-8").want(201)
	for _, test := range []struct{ name, contentType, body, reason string }{
		{"form", "application/x-www-form-urlencoded", valid, "want application/json"},
		{"no type", "", valid, "want application/json"},
		{"no JSON", "application/json", "redirect_uris=x", "not a JSON object"},
		{"array", "application/json", "[]", "not a JSON object"},
		{"empty", "application/json", "", "not a JSON object"},
		{"too large", "application/json", strings.Repeat(" ", maxRegistrationBody) + valid, "too large"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			send(t, s, "POST", "/oauth/register", test.body, "Content-Type", test.contentType).
				wantError(400, invalidClientMetadata, test.reason)
		})
	}
}

func TestRegistrationDisabled(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(s *Settings) { s.DynamicOAuthClientRegistration = false })
	registerRaw(t, s, map[string]any{"redirect_uris": []string{testRedirect}}).
		wantClerkError(422, "feature_requires_dynamic_oauth_client_registration")
}

func FuzzRegister(f *testing.F) {
	f.Add(`{"redirect_uris":["http://127.0.0.1/cb"],"scope":"openid"}`)
	f.Add(`{"redirect_uris":["cursor://x;y/cb"],"token_endpoint_auth_method":"none","client_name":"<b>"}`)
	f.Add(`{"redirect_uris":["https://a;b,c/ '\""]}`)
	f.Add(`{"redirect_uris":["http://[::1%25eth0]/"]}`)
	f.Add(`[`)
	s := newServer(f, nil)
	f.Fuzz(func(t *testing.T, body string) {
		got := send(t, s, "POST", "/oauth/register", body, "Content-Type", "application/json")
		if got.status == 400 {
			return
		}
		c, ok := s.store.client(got.want(201).object()["client_id"].(string))
		if !ok || len(c.redirectURIs) == 0 {
			t.Fatalf("registered without redirect URI: %s", body)
		}
		for _, uri := range c.redirectURIs {
			u, err := url.Parse(uri)
			if err != nil || u.Scheme == "" || u.Scheme == "javascript" || u.Fragment != "" {
				t.Errorf("registered %q", uri)
			}
			if strings.ContainsAny(cspFormTarget(uri), "; ,'\"*\n") {
				t.Errorf("%q becomes the policy source %q", uri, cspFormTarget(uri))
			}
		}
	})
}

func TestRegistrationEchoIsJSON(t *testing.T) {
	t.Parallel()
	name := `Quote " and <tag> and ü`
	app := registerRaw(t, newServer(t, nil), map[string]any{"redirect_uris": []string{testRedirect}, "client_name": name}).want(201)
	var got struct {
		ClientName string `json:"client_name"`
	}
	if err := json.Unmarshal([]byte(app.body), &got); err != nil || got.ClientName != name {
		t.Errorf("got %q, %v", got.ClientName, err)
	}
}
