package localclerk

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

const (
	testIssuer   = "http://localhost:4000"
	testRedirect = "http://127.0.0.1:9999/callback"
	testResource = "http://localhost:3000/mcp"
	testState    = "state-of-the-test"
)

var testVerifier = strings.Repeat("verifier-", 6)

var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		panic(err)
	}
	return key
})

// newServer returns a server with DefaultSettings, changed by change.
func newServer(t testing.TB, change func(*Settings)) *Server {
	t.Helper()
	settings := DefaultSettings()
	if change != nil {
		change(&settings)
	}
	s, err := New(Config{Issuer: testIssuer, Settings: &settings, SigningKey: testKey()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// response is a response of the server.
type response struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// send sends a request; headers are name, value, name, value, …
func send(t testing.TB, h http.Handler, method, target, body string, headers ...string) response {
	t.Helper()
	r := httptest.NewRequest(method, testIssuer+target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	got, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{t, w.Code, w.Result().Header, string(got)}
}

func get(t testing.TB, s *Server, target string, headers ...string) response {
	t.Helper()
	return send(t, s, "GET", target, "", headers...)
}

func post(t testing.TB, s *Server, target string, form url.Values, headers ...string) response {
	t.Helper()
	headers = append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)
	return send(t, s, "POST", target, form.Encode(), headers...)
}

func (a response) want(status int) response {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d; body %s", a.status, status, a.body)
	}
	return a
}

// object returns the body, a JSON object.
func (a response) object() map[string]any {
	a.t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/json" {
		a.t.Fatalf("Content-Type %q, want application/json; body %s", got, a.body)
	}
	return parseObject(a.t, a.body)
}

func parseObject(t testing.TB, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatalf("body %q: %v", text, err)
	}
	return object
}

// wantError checks for an OAuth error with code whose description contains reason.
func (a response) wantError(status int, code, reason string) {
	a.t.Helper()
	body := a.want(status).object()
	if body["error"] != code || !strings.Contains(body["error_description"].(string), reason) {
		a.t.Errorf("got %v, want %s with %q", body, code, reason)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		a.t.Errorf("Cache-Control %q, want no-store", got)
	}
}

// wantClerkError checks for Clerk's envelope with one error with code, and returns it.
func (a response) wantClerkError(status int, code string) map[string]any {
	a.t.Helper()
	body := a.want(status).object()
	errs, _ := body["errors"].([]any)
	if len(errs) != 1 || body["clerk_trace_id"] == "" {
		a.t.Fatalf("got %v, want Clerk's envelope with one error", body)
	}
	first := errs[0].(map[string]any)
	if first["code"] != code || first["message"] == "" || first["long_message"] == "" {
		a.t.Errorf("got %v, want code %s", first, code)
	}
	return first
}

// location returns the URI of a redirect without its query, and the query.
func (a response) location() (string, url.Values) {
	a.t.Helper()
	if a.status != http.StatusFound && a.status != http.StatusSeeOther {
		a.t.Fatalf("status %d, want a redirect; body %s", a.status, a.body)
	}
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		a.t.Fatal(err)
	}
	query := u.Query()
	u.RawQuery = ""
	return u.String(), query
}

// application is a registered client.
type application struct{ id, secret string }

// register registers a public client named Test with all scopes. metadata replaces
// members of the request.
func register(t testing.TB, s *Server, metadata map[string]any) application {
	t.Helper()
	body := map[string]any{
		"client_name":                "Test",
		"redirect_uris":              []string{testRedirect},
		"token_endpoint_auth_method": "none",
		"scope":                      strings.Join(s.currentSettings().SupportedScopes(), " "),
	}
	maps.Copy(body, metadata)
	got := registerRaw(t, s, body).want(http.StatusCreated).object()
	secret, _ := got["client_secret"].(string)
	return application{id: got["client_id"].(string), secret: secret}
}

func registerRaw(t testing.TB, s *Server, metadata map[string]any) response {
	t.Helper()
	encoded, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, s, "POST", "/oauth/register", string(encoded), "Content-Type", "application/json")
}

// authorization returns the parameters of a valid authorization request.
func authorization(app application) url.Values {
	return url.Values{
		"response_type":         {"code"},
		"client_id":             {app.id},
		"redirect_uri":          {testRedirect},
		"scope":                 {"openid profile email offline_access"},
		"state":                 {testState},
		"code_challenge":        {challengeOf(testVerifier)},
		"code_challenge_method": {"S256"},
		"resource":              {testResource},
	}
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func authorize(t testing.TB, s *Server, params url.Values, headers ...string) response {
	t.Helper()
	return get(t, s, "/oauth/authorize?"+params.Encode(), headers...)
}

// signIn signs in ada without a browser, unless headers name another user, and
// returns the code.
func signIn(t testing.TB, s *Server, params url.Values, headers ...string) string {
	t.Helper()
	_, query := authorize(t, s, params, append(headers, SignInHeader, "ada")...).location()
	if query.Get("code") == "" {
		t.Fatalf("no code in %v", query)
	}
	return query.Get("code")
}

// redemption returns the parameters of a valid token request for a code.
func redemption(app application, code string) url.Values {
	return url.Values{
		"grant_type":    {"authorization_code"},
		"client_id":     {app.id},
		"code":          {code},
		"redirect_uri":  {testRedirect},
		"code_verifier": {testVerifier},
		"resource":      {testResource},
	}
}

// tokens signs in ada with params and returns the response of the token endpoint.
func tokens(t testing.TB, s *Server, app application, params url.Values, headers ...string) map[string]any {
	t.Helper()
	form := redemption(app, signIn(t, s, params, headers...))
	if app.secret != "" {
		form.Set("client_secret", app.secret)
	}
	return post(t, s, "/oauth/token", form).want(http.StatusOK).object()
}

// decode returns the header and claims of a JWT without verifying it.
func decode(t testing.TB, token any) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token.(string), ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a JWT", token)
	}
	part := func(i int) map[string]any {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		return parseObject(t, string(text))
	}
	return part(0), part(1)
}

// with returns a copy of form in which name has the values. Without values, name is
// removed.
func with(form url.Values, name string, values ...string) url.Values {
	form = maps.Clone(form)
	delete(form, name)
	if len(values) > 0 {
		form[name] = values
	}
	return form
}

func basicCredentials(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}
