package localclerk

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// remembered returns the events s remembers.
func remembered(s *Server) []Event {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	var events []Event
	for e := range s.Events(ended, 0) {
		events = append(events, e)
	}
	return events
}

func lastEvent(t testing.TB, s *Server) Event {
	t.Helper()
	events := remembered(s)
	if len(events) == 0 {
		t.Fatal("no event")
	}
	return events[len(events)-1]
}

func TestEventsTellTheStory(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	get(t, s, "/.well-known/oauth-authorization-server")
	send(t, s, "OPTIONS", "/oauth/register", "", "Origin", "https://app.example")
	app := register(t, s, map[string]any{"client_name": "Probe", "token_endpoint_auth_method": authPost})
	b := browser{t, s}
	transaction := b.open(authorization(app))
	b.page(transaction)
	b.press(transaction, "action", actionSignIn, "user", derivedID("user_", "ada"))
	b.page(transaction)
	_, query := b.press(transaction, "action", actionAllow).location()
	form := with(redemption(app, query.Get("code")), "client_secret", app.secret)
	got := post(t, s, "/oauth/token", form).want(200).object()
	get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+got["access_token"].(string))
	get(t, s, "/.well-known/jwks.json")
	post(t, s, "/oauth/token_info", url.Values{"token": {"x"}, "client_id": {app.id}, "client_secret": {app.secret}})
	post(t, s, "/oauth/token/revoke", url.Values{"token": {"x"}, "client_id": {app.id}, "client_secret": {app.secret}})
	backend(t, s, "GET", "/v1/instance", nil)
	get(t, s, "/nowhere")

	type line struct {
		ID         uint64
		Step       Step
		Method     string
		Status     int
		ClientName string
		User       string
		Error      string
	}
	ada := derivedID("user_", "ada")
	want := []line{
		{1, StepMetadata, "GET", 200, "", "", ""},
		{2, StepPreflight, "OPTIONS", 204, "", "", ""},
		{3, StepRegistration, "POST", 201, "Probe", "", ""},
		{4, StepAuthorization, "GET", 302, "Probe", "", ""},
		{5, StepPage, "GET", 200, "Probe", "", ""},
		{6, StepDecision, "POST", 303, "", "", ""},
		{7, StepPage, "GET", 200, "Probe", ada, ""},
		{8, StepDecision, "POST", 303, "Probe", ada, ""},
		{9, StepToken, "POST", 200, "Probe", ada, ""},
		{10, StepUserInfo, "GET", 200, "", ada, ""},
		{11, StepKeys, "GET", 200, "", "", ""},
		{12, StepIntrospection, "POST", 200, "Probe", "", ""},
		{13, StepRevocation, "POST", 200, "Probe", "", ""},
		{14, StepBackend, "GET", 200, "", "", ""},
		{15, StepOther, "GET", 404, "", "", "resource_not_found"},
	}
	var lines []line
	for _, e := range remembered(s) {
		lines = append(lines, line{e.ID, e.Step, e.Method, e.Status, e.ClientName, e.User, e.Error})
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEventsShortenSecrets(t *testing.T) {
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
	post(t, s, "/oauth/token/revoke", with(url.Values{"token": {again["refresh_token"].(string)}, "client_id": {app.id}}, "client_secret", app.secret))
	made := backend(t, s, "POST", "/v1/oauth_applications", map[string]any{"name": "x", "redirect_uris": []string{testRedirect}}).want(200).object()
	basic := basicCredentials(app.id, app.secret)
	post(t, s, "/oauth/token_info", url.Values{"token": {"x"}}, "Authorization", "Basic "+basic)

	told, err := json.Marshal(remembered(s))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"code": code, "verifier": testVerifier, "client secret": app.secret, "secret key": s.SecretKey(), "basic": basic,
		"access token": got["access_token"].(string), "ID token": got["id_token"].(string),
		"refresh token": got["refresh_token"].(string), "next refresh token": again["refresh_token"].(string),
		"application's secret": made["client_secret"].(string),
	} {
		for where, text := range map[string]string{"events": string(told), "log": log.String()} {
			if strings.Contains(text, value) || strings.Contains(text, value[len(value)/2:]) {
				t.Errorf("the %s tell the %s", where, name)
			}
		}
	}
	if !strings.Contains(string(told), code[:6]+"… (43 characters)") {
		t.Error("the events do not tell one code from another")
	}
	if !strings.Contains(log.String(), `"path":"/oauth/token"`) || !strings.Contains(log.String(), `"client":"`+app.id) {
		t.Errorf("the log lacks the token request: %s", log.String())
	}
}

func TestEventsHoldParametersAndClaims(t *testing.T) {
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

// TestEveryRefusalSaysWhatToDo sends one bad request to each endpoint.
func TestEveryRefusalSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	for _, test := range []struct {
		name, wantError, wantFix string
		do                       func()
	}{
		{"scope", invalidScope, "register the client with this scope", func() { authorize(t, s, with(authorization(app), "scope", "x")) }},
		{"state", invalidState, "random state", func() { authorize(t, s, with(authorization(app), "state", "x")) }},
		{"redirect URI", invalidRequest, "registered redirect_uri", func() { authorize(t, s, with(authorization(app), "redirect_uri", "x")) }},
		{"deny", accessDenied, "press Allow", func() { authorize(t, s, authorization(app), SignInHeader, "ada", ConsentHeader, "deny") }},
		{"header", invalidRequest, "another Localclerk-Sign-In", func() { authorize(t, s, authorization(app), SignInHeader, "bob") }},
		{"page", invalidRequest, "connect again", func() { get(t, s, continueURL("x")) }},
		{"other origin", accessDenied, "sign in again", func() { post(t, s, continuePath, nil, "Origin", "https://evil.example") }},
		{"register", invalidRedirectURI, "register redirect URIs", func() { registerRaw(t, s, nil) }},
		{"client", invalidClient, "register the client again", func() { post(t, s, "/oauth/token", url.Values{"client_id": {"x"}}) }},
		{"code", invalidGrant, "new authorization", func() { post(t, s, "/oauth/token", redemption(app, "x")) }},
		{"token", "oauth_fetch_user_error", "live access token", func() { get(t, s, "/oauth/userinfo") }},
		{"secret key", "clerk_key_invalid", "this server's own", func() { get(t, s, "/v1/jwks", "Authorization", "Bearer x") }},
		{"host", "host_invalid", "issuer's own URL", func() { get(t, s, "/", "Host", "evil.example") }},
		{"nowhere", "resource_not_found", "correct the request", func() { get(t, s, "/") }},
	} {
		test.do()
		e := lastEvent(t, s)
		if !e.Rejected() || e.Error != test.wantError || e.Problem == "" || !strings.Contains(e.Fix, test.wantFix) {
			t.Errorf("%s: got %q, %q; fix %q", test.name, e.Error, e.Problem, e.Fix)
		}
	}
}

func TestEventsFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		get(t, s, "/1")
		get(t, s, "/2")
		ctx, cancel := context.WithCancel(t.Context())
		paths := make(chan string)
		go func() {
			defer close(paths)
			for e := range s.Events(ctx, 1) {
				paths <- e.Path
			}
		}()
		if got := <-paths; got != "/2" {
			t.Errorf("got %s first, want /2", got)
		}
		synctest.Wait()
		get(t, s, "/3")
		if got := <-paths; got != "/3" {
			t.Errorf("got %s, want /3", got)
		}
		cancel()
		if got, ok := <-paths; ok {
			t.Errorf("got %s after the context ended", got)
		}
	})
}

func TestEventsStopWithTheReader(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	get(t, s, "/1")
	get(t, s, "/2")
	count := 0
	for range s.Events(t.Context(), 0) {
		count++
		break
	}
	if count != 1 {
		t.Errorf("read %d events, want 1", count)
	}
}

func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for range maxEvents + 10 {
		get(t, s, "/")
	}
	events := remembered(s)
	if len(events) != maxEvents || events[0].ID != 11 {
		t.Errorf("%d events from %d, want %d from 11", len(events), events[0].ID, maxEvents)
	}
	huge := url.Values{}
	for i := range 100 {
		huge.Set(strings.Repeat("n", i+1), "x")
	}
	huge.Set("scope", strings.Repeat("s", 2*maxRecordedValue))
	get(t, s, "/oauth/authorize?"+huge.Encode())
	e := lastEvent(t, s)
	if len(e.Request) > maxRecordedFields+1 {
		t.Errorf("%d parameters, want at most %d", len(e.Request), maxRecordedFields)
	}
	for name, value := range e.Request {
		if len(value) > maxRecordedValue+len("…") {
			t.Errorf("%s has %d bytes, want at most %d", name, len(value), maxRecordedValue)
		}
	}
	send(t, s, "POST", "/oauth/register", strings.Repeat(" ", 2*maxRecordedBody), "Content-Type", "application/json").want(400)
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
				t.Errorf("%s is told as %q", name, value)
			}
		}
		if _, err := json.Marshal(e); err != nil {
			t.Error(err)
		}
	})
}
