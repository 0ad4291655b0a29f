package localclerk

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
)

const documentURL = "https://app.example/client.json"

// transport responds to requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(status int, contentType, body string, headers ...string) *http.Response {
	w := &http.Response{
		StatusCode: status,
		Header:     http.Header{"Content-Type": {contentType}},
		Body:       io.NopCloser(strings.NewReader(body)),
	}
	for i := 0; i < len(headers); i += 2 {
		w.Header.Set(headers[i], headers[i+1])
	}
	return w
}

func validDocument() map[string]any {
	return map[string]any{
		"client_id":     documentURL,
		"client_name":   "Documented",
		"redirect_uris": []string{testRedirect},
		"scope":         "openid unknown:scope",
	}
}

// newDocumentServer returns a server that accepts metadata documents and fetches
// them with fetch.
func newDocumentServer(t testing.TB, change func(*Settings), fetch transport) *Server {
	t.Helper()
	settings := DefaultSettings()
	settings.ClientIDMetadataDocumentsAdvertised = true
	if change != nil {
		change(&settings)
	}
	s, err := New(Config{Issuer: testIssuer, Settings: &settings, SigningKey: testKey(), HTTPClient: &http.Client{Transport: fetch}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func serveDocument(t testing.TB, document map[string]any, headers ...string) transport {
	t.Helper()
	body, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request) (*http.Response, error) {
		if r.URL.String() != documentURL || r.Method != "GET" {
			return nil, fmt.Errorf("unexpected request %s %s", r.Method, r.URL)
		}
		return respond(200, "application/json", string(body), headers...), nil
	}
}

func TestMetadataDocumentClientSignsIn(t *testing.T) {
	t.Parallel()
	s := newDocumentServer(t, nil, serveDocument(t, validDocument()))
	app := application{id: documentURL}
	got := tokens(t, s, app, with(authorization(app), "scope", "openid offline_access"))
	_, claims := decode(t, got["access_token"])
	if claims["client_id"] != documentURL || claims["scope"] != "openid offline_access" {
		t.Errorf("got claims %v", claims)
	}
	post(t, s, "/oauth/token", refreshing(app, got)).want(200)
	b := browser{t, s}
	transaction := b.open(with(authorization(app), "scope", "openid"))
	b.press(transaction, "action", actionSignIn, "user", derivedID("user_", "ada"))
	if page := b.page(transaction); !strings.Contains(page, "Documented") || !strings.Contains(page, documentURL) {
		t.Error("the consent page does not say whose document it is")
	}
	bare := with(with(authorization(app), "code_challenge"), "code_challenge_method")
	_, query := authorize(t, s, bare, SignInHeader, "ada").location()
	if query.Get("error_description") == "" {
		t.Error("PKCE is not demanded")
	}
	form := with(redemption(app, signIn(t, s, with(authorization(app), "scope", "openid"))), "client_secret", "x")
	post(t, s, "/oauth/token", form).wantError(401, invalidClient, "has no secret")
}

func TestMetadataDocumentRejects(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, member string
		value        any
		reason       string
	}{
		{"another client_id", "client_id", documentURL + "/", "its client_id is"},
		{"no name", "client_name", "", "client_name has 0 bytes"},
		{"long name", "client_name", strings.Repeat("n", 257), "client_name has 257 bytes"},
		{"secret method", "token_endpoint_auth_method", "client_secret_basic", "want none"},
		{"secret", "client_secret", "x", "it has a client_secret"},
		{"no redirect URI", "redirect_uris", []string{}, "0 redirect_uris"},
		{"invalid redirect URI", "redirect_uris", []string{"http://app.example/"}, "plain http"},
		{"wrong type", "redirect_uris", "x", "decoding it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			document := maps.Clone(validDocument())
			document[test.member] = test.value
			wantDocumentRejected(t, newDocumentServer(t, nil, serveDocument(t, document)), test.reason)
		})
	}
}

func wantDocumentRejected(t *testing.T, s *Server, reason string) {
	t.Helper()
	first := authorize(t, s, authorization(application{id: documentURL}), SignInHeader, "ada").wantClerkError(400, invalidClient)
	if message := first["long_message"].(string); !strings.Contains(message, reason) {
		t.Errorf("got %q, want %q", message, reason)
	}
}

func TestMetadataDocumentSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		change        func(*Settings)
		preregistered bool
		reason        string
	}{
		{"advertised", func(*Settings) {}, false, ""},
		{
			name:          "not advertised",
			change:        func(s *Settings) { s.ClientIDMetadataDocumentsAdvertised = false },
			preregistered: true,
			reason:        "does not accept client ID metadata documents",
		},
		{
			name:   "only pre-registered",
			change: func(s *Settings) { s.ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients = true },
			reason: "not preregistered",
		},
		{
			name:          "only pre-registered, and it is",
			change:        func(s *Settings) { s.ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients = true },
			preregistered: true,
		},
		{
			name:   "implicit ones blocked",
			change: func(s *Settings) { s.ClientIDMetadataDocumentsBlockImplicitlyAllowedClients = true },
			reason: "not preregistered",
		},
		{
			name:          "implicit ones blocked, this is explicit",
			change:        func(s *Settings) { s.ClientIDMetadataDocumentsBlockImplicitlyAllowedClients = true },
			preregistered: true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newDocumentServer(t, test.change, serveDocument(t, validDocument()))
			if test.preregistered {
				if err := s.PreregisterClient(documentURL); err != nil {
					t.Fatal(err)
				}
			}
			if test.reason != "" {
				wantDocumentRejected(t, s, test.reason)
				return
			}
			signIn(t, s, with(authorization(application{id: documentURL}), "scope", "openid"))
		})
	}
}

func TestBlockingAnImplicitClientPreventsRefresh(t *testing.T) {
	t.Parallel()
	s := newDocumentServer(t, nil, serveDocument(t, validDocument()))
	app := application{id: documentURL}
	got := tokens(t, s, app, with(authorization(app), "scope", "openid offline_access"))
	settings := s.Settings()
	settings.ClientIDMetadataDocumentsBlockImplicitlyAllowedClients = true
	if err := s.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	post(t, s, "/oauth/token", refreshing(app, got)).wantError(401, invalidClient, "not preregistered")
}

func TestCheckMetadataURL(t *testing.T) {
	t.Parallel()
	for clientID, want := range map[string]string{
		documentURL:                                       "",
		"https://app.example/a/b?c":                       "",
		"http://app.example/client.json":                  "not an https URL",
		"https:///client.json":                            "not an https URL",
		"https://app.example":                             "no path",
		"https://app.example/":                            "no path",
		"https://user@app.example/x":                      "credentials or a fragment",
		"https://app.example/x#":                          "credentials or a fragment",
		"https://app.example/a/../x":                      "dot segments",
		"https://app.example/a/%2e%2e/x":                  "dot segments",
		"https://app.example/" + strings.Repeat("x", 500): "520 bytes, want at most 512",
		"https://[::1":                                    "not a URL",
	} {
		err := checkMetadataURL(clientID)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", clientID, err, want)
		}
	}
	s := newServer(t, nil)
	if err := s.PreregisterClient("https://app.example"); err == nil || !strings.Contains(err.Error(), "no path") {
		t.Errorf("got %v, want an error", err)
	}
}
