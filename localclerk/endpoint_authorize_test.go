package localclerk

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAuthorizeReturnsCodeStateAndIssuer(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	got := authorize(t, s, authorization(app), SignInHeader, "ada")
	uri, query := got.location()
	if got.status != 302 || uri != testRedirect {
		t.Errorf("status %d to %q, want 302 to %q", got.status, uri, testRedirect)
	}
	if len(query.Get("code")) != secretLength {
		t.Errorf("code %q, want %d characters", query.Get("code"), secretLength)
	}
	query.Del("code")
	want := url.Values{"state": {testState}, "iss": {testIssuer}, "scope": {"openid profile email offline_access"}}
	if diff := cmp.Diff(want, query); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAuthorizeKeepsTheRedirectURIsQuery(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, map[string]any{"redirect_uris": []string{testRedirect + "?tenant=7"}})
	_, query := authorize(t, s, with(authorization(app), "redirect_uri"), SignInHeader, "ada").location()
	if query.Get("tenant") != "7" || query.Get("code") == "" {
		t.Errorf("got %v, want tenant 7 and a code", query)
	}
}

// TestAuthorizeRedirectsErrors changes one parameter of a valid request.
func TestAuthorizeRedirectsErrors(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	valid := authorization(register(t, s, map[string]any{"scope": "openid profile email"}))
	signIn(t, s, valid)
	for _, test := range []struct {
		name, param      string
		values           []string
		wantCode, reason string
	}{
		{
			name:     "scope the client lacks",
			param:    "scope",
			values:   []string{"openid private_metadata"},
			wantCode: invalidScope,
			reason:   "The OAuth 2.0 Client is not allowed to request scope 'private_metadata'.",
		},
		{
			name:     "scope the instance lacks",
			param:    "scope",
			values:   []string{"mcp:read"},
			wantCode: invalidScope,
			reason:   "not allowed to request scope 'mcp:read'.",
		},
		{"no response_type", "response_type", nil, unsupportedResponseType, "response_type '', want code"},
		{"implicit", "response_type", []string{"token"}, unsupportedResponseType, "response_type 'token', want code"},
		{
			name:     "hybrid",
			param:    "response_type",
			values:   []string{"code id_token"},
			wantCode: unsupportedResponseType,
			reason:   "response_type 'code id_token'",
		},
		{"response_mode", "response_mode", []string{"fragment"}, invalidRequest, "response_mode is 'fragment'"},
		{"half of PKCE", "code_challenge", nil, invalidRequest, "not the base64url encoding"},
		{
			name:     "other half of PKCE",
			param:    "code_challenge_method",
			wantCode: invalidRequest,
			reason:   "must use code_challenge_method=S256; got ''",
		},
		{
			name:     "plain",
			param:    "code_challenge_method",
			values:   []string{"plain"},
			wantCode: invalidRequest,
			reason:   "must use code_challenge_method=S256; got 'plain'",
		},
		{"short challenge", "code_challenge", []string{"abc"}, invalidRequest, "not the base64url encoding"},
		{
			name:     "padded challenge",
			param:    "code_challenge",
			values:   []string{challengeOf("x") + "="},
			wantCode: invalidRequest,
			reason:   "not the base64url encoding",
		},
		{"short state", "state", []string{"1234567"}, invalidState, "has 7 characters, want at least 8"},
		{"unknown prompt", "prompt", []string{"select_account"}, invalidRequest, "prompt is 'select_account'"},
		{"prompt none", "prompt", []string{"none"}, loginRequired, "does not allow a sign-in page"},
		{"prompt none and more", "prompt", []string{"none login"}, invalidRequest, "none cannot be combined"},
		{
			name:     "two resources",
			param:    "resource",
			values:   []string{testResource, testResource},
			wantCode: invalidTarget,
			reason:   "Got 2 'resource' parameters",
		},
		{"relative resource", "resource", []string{"/mcp"}, invalidTarget, "'/mcp' is not an absolute URI"},
		{"empty resource", "resource", []string{""}, invalidTarget, "'' is not an absolute URI"},
		{"resource with fragment", "resource", []string{testResource + "#x"}, invalidTarget, "without a fragment"},
		{
			name:     "long resource",
			param:    "resource",
			values:   []string{testResource + strings.Repeat("x", maxResourceLength)},
			wantCode: invalidTarget,
			reason:   "without a fragment",
		},
		{"scope twice", "scope", []string{"openid", "profile"}, invalidRequest, "Got 2 'scope' parameters"},
		{"state twice", "state", []string{testState, testState}, invalidRequest, "Got 2 'state' parameters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			invalid := with(valid, test.param, test.values...)
			uri, query := authorize(t, s, invalid, SignInHeader, "ada").location()
			if uri != testRedirect {
				t.Errorf("redirects to %q, want %q", uri, testRedirect)
			}
			if query.Get("error") != test.wantCode || !strings.Contains(query.Get("error_description"), test.reason) {
				t.Errorf("got %v, want %s with %q", query, test.wantCode, test.reason)
			}
			if query.Get("iss") != testIssuer || query.Get("state") != invalid.Get("state") || query.Has("code") {
				t.Errorf("got %v, want iss and state and no code", query)
			}
		})
	}
}

func TestInvalidScopeDescriptionIsClerks(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, map[string]any{"scope": ""})
	_, query := authorize(t, s, authorization(app), SignInHeader, "ada").location()
	const want = "The requested scope is invalid, unknown, or malformed. The OAuth 2.0 Client is not allowed to request scope 'openid'."
	if got := query.Get("error_description"); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestAuthorizeRedirectsOnlyToRegisteredURIs covers RFC 6749 section 4.1.2.1.
func TestAuthorizeRedirectsOnlyToRegisteredURIs(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	valid := authorization(register(t, s, nil))
	signIn(t, s, valid)
	for _, test := range []struct {
		name, param      string
		values           []string
		wantCode, reason string
	}{
		{"no client", "client_id", nil, invalidClient, "Client '' does not exist"},
		{
			name:     "unknown client",
			param:    "client_id",
			values:   []string{"0000000000000000"},
			wantCode: invalidClient,
			reason:   "Client '0000000000000000' does not exist",
		},
		{
			name:     "two clients",
			param:    "client_id",
			values:   []string{valid.Get("client_id"), "x"},
			wantCode: invalidRequest,
			reason:   "Got 2 'client_id' parameters",
		},
		{
			name:     "unregistered redirect URI",
			param:    "redirect_uri",
			values:   []string{"https://evil.example/"},
			wantCode: invalidRequest,
			reason:   "'https://evil.example/' does not match a redirect URI registered",
		},
		{
			name:     "empty redirect URI of many",
			param:    "redirect_uri",
			values:   []string{testRedirect, testRedirect},
			wantCode: invalidRequest,
			reason:   "Got 2 'redirect_uri' parameters",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			invalid := with(valid, test.param, test.values...)
			for _, headers := range [][]string{nil, {SignInHeader, "ada"}} {
				first := authorize(t, s, invalid, headers...).wantClerkError(400, test.wantCode)
				if !strings.Contains(first["long_message"].(string), test.reason) {
					t.Errorf("got %q, want %q in it", first["long_message"], test.reason)
				}
			}
			page := authorize(t, s, invalid, "Accept", "text/html").want(400)
			if !strings.Contains(page.body, "Sign-in cannot continue") || !strings.Contains(page.body, test.wantCode) {
				t.Errorf("the page does not say %s", test.wantCode)
			}
		})
	}
}

func TestAuthorizeSizeLimits(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	get(t, s, "/oauth/authorize?"+strings.Repeat("x", maxQuery+1)).wantClerkError(400, invalidRequest)
	get(t, s, "/oauth/authorize?a=%zz").wantClerkError(400, invalidRequest)
	send(t, s, "POST", "/oauth/authorize", "{}", "Content-Type", "application/json").wantClerkError(400, invalidRequest)
	long := with(authorization(app), "nonce", strings.Repeat("x", maxFormBody))
	post(t, s, "/oauth/authorize", long, SignInHeader, "ada").wantClerkError(400, invalidRequest)
	_, query := post(t, s, "/oauth/authorize", authorization(app), SignInHeader, "ada").location()
	if query.Get("code") == "" {
		t.Errorf("got %v, want a code by POST", query)
	}
}

func TestStateMayBeMissingOnlyWithPKCE(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	confidential := register(t, s, map[string]any{"token_endpoint_auth_method": authPost})
	signIn(t, s, with(authorization(confidential), "state"))
	bare := with(with(authorization(confidential), "code_challenge"), "code_challenge_method")
	signIn(t, s, bare)
	_, query := authorize(t, s, with(bare, "state"), SignInHeader, "ada").location()
	if query.Get("error") != invalidState {
		t.Errorf("got %v, want %s", query, invalidState)
	}
}

func TestPKCERequired(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, method string
		required     bool
		wantError    string
	}{
		{"public", authNone, false, invalidRequest},
		{"confidential", authBasic, false, ""},
		{"confidential, instance requires it", authBasic, true, invalidRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(s *Settings) { s.PKCERequired = test.required })
			app := register(t, s, map[string]any{"token_endpoint_auth_method": test.method})
			signIn(t, s, authorization(app))
			bare := with(with(authorization(app), "code_challenge"), "code_challenge_method")
			_, query := authorize(t, s, bare, SignInHeader, "ada").location()
			if query.Get("error") != test.wantError {
				t.Errorf("got error %q, want %q", query.Get("error"), test.wantError)
			}
		})
	}
}

func TestSignInHeader(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	params := with(authorization(app), "scope", "openid user:org:read")
	ada, _ := s.currentDirectory().findUser("ada")
	engines, _ := s.currentDirectory().organization("analytical-engines")
	bombe, _ := s.currentDirectory().organization("bombe-works")
	for _, test := range []struct {
		name, user, organization, wantUser, wantOrganization string
	}{
		{"username", "ada", "", ada.ID, engines.ID},
		{"username in capitals", "ADA", "", ada.ID, engines.ID},
		{"email", "Ada@Example.com", "", ada.ID, engines.ID},
		{"first name", "Ada", "", ada.ID, engines.ID},
		{"id", ada.ID, "", ada.ID, engines.ID},
		{"organization by slug", "ada", "bombe-works", ada.ID, bombe.ID},
		{"organization by id", "ada", bombe.ID, ada.ID, bombe.ID},
		{"member of none", "katherine", "", derivedID("user_", "katherine"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := tokens(t, s, app, params, SignInHeader, test.user, OrganizationHeader, test.organization)
			_, claims := decode(t, got["access_token"])
			organization, _ := claims["org_id"].(string)
			if claims["sub"] != test.wantUser || organization != test.wantOrganization {
				t.Errorf("got %v of %q, want %v of %q", claims["sub"], organization, test.wantUser, test.wantOrganization)
			}
		})
	}
}

func TestSignInHeaderRejects(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	all := with(authorization(app), "scope", "openid user:org:read")
	for _, test := range []struct {
		name   string
		params url.Values
		header []string
		reason string
	}{
		{
			name:   "unknown user",
			params: all,
			header: []string{SignInHeader, "bob"},
			reason: `no user "bob"; the users are ada, grace, alan, katherine`,
		},
		{
			name:   "unknown organization",
			params: all,
			header: []string{SignInHeader, "ada", OrganizationHeader, "acme"},
			reason: `cannot choose "acme"`,
		},
		{
			name:   "organization of others",
			params: all,
			header: []string{SignInHeader, "grace", OrganizationHeader, "bombe-works"},
			reason: `cannot choose "bombe-works"; with the scope user:org:read the choices are "analytical-engines"`,
		},
		{
			name:   "organization without scope",
			params: authorization(app),
			header: []string{SignInHeader, "ada", OrganizationHeader, "bombe-works"},
			reason: "with the scope user:org:read",
		},
		{"consent", all, []string{SignInHeader, "ada", ConsentHeader, "perhaps"}, `got "perhaps", want allow or deny`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := authorize(t, s, test.params, test.header...).want(400)
			if !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") || !strings.Contains(got.body, test.reason) {
				t.Errorf("got %q, want %q in plain text", got.body, test.reason)
			}
		})
	}
}

func TestConsentHeaderDeny(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	params := authorization(register(t, s, nil))
	_, query := authorize(t, s, params, SignInHeader, "ada", ConsentHeader, "deny").location()
	if query.Get("error") != accessDenied || query.Has("code") || query.Get("iss") != testIssuer || query.Get("state") != testState {
		t.Errorf("got %v, want %s", query, accessDenied)
	}
	_, query = authorize(t, s, params, SignInHeader, "ada", ConsentHeader, "allow").location()
	if !query.Has("code") {
		t.Errorf("got %v, want a code", query)
	}
}

func FuzzAuthorize(f *testing.F) {
	s := newServer(f, nil)
	app := register(f, s, nil)
	f.Add(authorization(app).Encode())
	f.Add("client_id=" + app.id + "&redirect_uri=https://evil.example/")
	f.Add("client_id=" + app.id + "&redirect_uri=http://127.0.0.1:1@evil.example/callback")
	f.Add("client_id=" + app.id + "&response_mode=form_post")
	f.Add("client_id=" + app.id + "&state=\r\nLocation:x")
	f.Add("client_id=" + app.id + "&client_id=x")
	f.Fuzz(func(t *testing.T, query string) {
		got := send(t, s, "POST", "/oauth/authorize", query,
			"Content-Type", "application/x-www-form-urlencoded", SignInHeader, "ada")
		if got.status == 400 {
			return
		}
		if got.status == 200 && strings.Contains(got.body, `action="http://127.0.0.1:`) {
			return
		}
		uri, answer := got.location()
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" || u.Hostname() != "127.0.0.1" || u.Path != "/callback" || u.User != nil {
			t.Errorf("redirects to %q", uri)
		}
		if answer.Has("code") == answer.Has("error") || answer.Get("iss") != testIssuer {
			t.Errorf("answers %v, want a code or an error, and iss", answer)
		}
		if strings.Trim(answer.Get("error_description"), allowedInDescription) != "" {
			t.Errorf("error_description %q has characters RFC 6749 does not allow", answer.Get("error_description"))
		}
	})
}

// allowedInDescription contains the characters that RFC 6749 section 4.1.2.1 allows in
// error_description.
var allowedInDescription = func() string {
	var set strings.Builder
	for c := rune(0x20); c <= 0x7e; c++ {
		if c != '"' && c != '\\' {
			set.WriteRune(c)
		}
	}
	return set.String()
}()
