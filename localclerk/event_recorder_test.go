package localclerk

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/url"
	"strings"
	"testing"
)

func TestEventsMaskSecrets(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	settings := DefaultSettings()
	s, err := New(Config{Issuer: testIssuer, Settings: &settings, SigningKey: testKey(), Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	app := register(t, s, map[string]any{"token_endpoint_auth_method": authPost})
	code := signIn(t, s, authorization(app))
	form := with(redemption(app, code), "client_secret", app.secret)
	got := post(t, s, "/oauth/token", form).want(200).object()
	again := post(t, s, "/oauth/token", with(refreshing(app, got), "client_secret", app.secret)).want(200).object()
	get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+got["access_token"].(string))
	post(t, s, "/oauth/token/revoke", url.Values{
		"token":         {again["refresh_token"].(string)},
		"client_id":     {app.id},
		"client_secret": {app.secret},
	})
	made := backend(t, s, "POST", "/v1/oauth_applications", map[string]any{
		"name":          "x",
		"redirect_uris": []string{testRedirect},
	}).want(200).object()
	basic := basicCredentials(app.id, app.secret)
	post(t, s, "/oauth/token_info", url.Values{"token": {"x"}}, "Authorization", "Basic "+basic)

	eventsJSON, err := json.Marshal(storedEvents(s))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"code": code, "verifier": testVerifier, "client secret": app.secret, "secret key": s.SecretKey(), "basic": basic,
		"access token": got["access_token"].(string), "ID token": got["id_token"].(string),
		"refresh token": got["refresh_token"].(string), "next refresh token": again["refresh_token"].(string),
		"application's secret": made["client_secret"].(string),
	} {
		for where, text := range map[string]string{"events": string(eventsJSON), "log": log.String()} {
			if strings.Contains(text, value) || strings.Contains(text, value[len(value)/2:]) {
				t.Errorf("the %s contain the %s", where, name)
			}
		}
	}
	if !strings.Contains(string(eventsJSON), code[:6]+"… (43 characters)") {
		t.Error("the events do not contain the beginning and the length of the code")
	}
	if !strings.Contains(log.String(), `"path":"/oauth/token"`) || !strings.Contains(log.String(), `"client":"`+app.id) {
		t.Errorf("the log lacks the token request: %s", log.String())
	}
}

func TestEventsContainParametersAndClaims(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	if e := lastEvent(t, s); e.Request["redirect_uris"] != `["`+testRedirect+`"]` || e.Response["scope"] == "" {
		t.Errorf("registration: got %v and %v", e.Request, e.Response)
	}
	code := signIn(t, s, authorization(app))
	if e := lastEvent(t, s); e.Request["resource"] != testResource || e.Response["iss"] != testIssuer || e.Request[SignInHeader] != "ada" {
		t.Errorf("authorization: got %v and %v", e.Request, e.Response)
	}
	post(t, s, "/oauth/token", redemption(app, code)).want(200)
	e := lastEvent(t, s)
	if e.Request["grant_type"] != "authorization_code" || e.Response["token_type"] != "bearer" {
		t.Errorf("token: got %v and %v", e.Request, e.Response)
	}
	if claims := parseObject(t, e.Response["access_token.claims"]); claims["sub"] != derivedID("user_", "ada") {
		t.Errorf("claims: got %v", claims)
	}
}

// TestEveryErrorHasAFix sends one invalid request to each endpoint.
func TestEveryErrorHasAFix(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	for _, test := range []struct {
		name, wantError, wantFix string
		do                       func()
	}{
		{
			name:      "scope",
			wantError: invalidScope,
			wantFix:   "register the client with this scope",
			do:        func() { authorize(t, s, with(authorization(app), "scope", "x")) },
		},
		{"state", invalidState, "random state", func() { authorize(t, s, with(authorization(app), "state", "x")) }},
		{
			name:      "redirect URI",
			wantError: invalidRequest,
			wantFix:   "registered redirect_uri",
			do:        func() { authorize(t, s, with(authorization(app), "redirect_uri", "x")) },
		},
		{
			name:      "deny",
			wantError: accessDenied,
			wantFix:   "press Allow",
			do:        func() { authorize(t, s, authorization(app), SignInHeader, "ada", ConsentHeader, "deny") },
		},
		{
			name:      "header",
			wantError: invalidRequest,
			wantFix:   "correct the header Localclerk-Sign-In",
			do:        func() { authorize(t, s, authorization(app), SignInHeader, "bob") },
		},
		{"page", invalidRequest, "connect again", func() { get(t, s, continueURL("x")) }},
		{
			name:      "other origin",
			wantError: accessDenied,
			wantFix:   "sign in again",
			do:        func() { post(t, s, continuePath, nil, "Origin", "https://evil.example") },
		},
		{"register", invalidRedirectURI, "register redirect URIs", func() { registerRaw(t, s, nil) }},
		{
			name:      "client",
			wantError: invalidClient,
			wantFix:   "register the client again",
			do:        func() { post(t, s, "/oauth/token", url.Values{"client_id": {"x"}}) },
		},
		{"code", invalidGrant, "new authorization", func() { post(t, s, "/oauth/token", redemption(app, "x")) }},
		{"token", "oauth_fetch_user_error", "active access token", func() { get(t, s, "/oauth/userinfo") }},
		{
			name:      "secret key",
			wantError: "clerk_key_invalid",
			wantFix:   "secret key of this local Clerk",
			do:        func() { get(t, s, "/v1/jwks", "Authorization", "Bearer x") },
		},
		{"host", "host_invalid", "URL of the issuer", func() { get(t, s, "/", "Host", "evil.example") }},
		{"unknown path", "resource_not_found", "correct the request", func() { get(t, s, "/") }},
	} {
		test.do()
		e := lastEvent(t, s)
		if !e.Rejected() || e.Error != test.wantError || e.Problem == "" || !strings.Contains(e.Fix, test.wantFix) {
			t.Errorf("%s: got %q, %q; fix %q", test.name, e.Error, e.Problem, e.Fix)
		}
	}
}

func FuzzRecorder(f *testing.F) {
	f.Add("a=b&code=secretsecretsecretsecretsecret", "application/x-www-form-urlencoded")
	f.Add(`{"code":"secretsecretsecretsecretsecret","x":[1]}`, "application/json")
	f.Add(`{"access_token":"a.e30.b"}`, "application/json; charset=utf-8")
	f.Add("\xff", ";")
	s := newServer(f, nil)
	f.Fuzz(func(t *testing.T, body, contentType string) {
		send(t, s, "POST", "/nowhere", body, "Content-Type", contentType).want(404)
		e := lastEvent(t, s)
		for name, value := range e.Request {
			if secretParameters[strings.ToLower(name)] && !strings.HasSuffix(value, " characters)") {
				t.Errorf("%s is recorded as %q", name, value)
			}
		}
		if _, err := json.Marshal(e); err != nil {
			t.Error(err)
		}
	})
}
