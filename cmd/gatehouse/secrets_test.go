package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
)

// TestCallNeverShowsSecrets runs every flow with -v, and checks that no secret that was
// sent or saved appears in the output.
func TestCallNeverShowsSecrets(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var secrets []string
	collect := func() {
		for _, k := range f.files(t) {
			secrets = append(secrets, string(k.Tokens.Access), string(k.Tokens.Refresh))
		}
	}
	var printed strings.Builder
	call := func(code int, args ...string) {
		t.Helper()
		got := f.call(t, append([]string{"-v", f.mcpURL}, args...)...)
		got.want(t, code)
		printed.WriteString(got.stdout + got.stderr)
	}
	call(exitOK, "whoami")
	collect()
	f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Expiry = longAgo })
	call(exitOK, "whoami")
	collect()
	f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Access = "made.up.token" })
	call(exitOK, "whoami")
	collect()
	f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Expiry, k.Tokens.Refresh = longAgo, "made-up-refresh-token" })
	call(exitOK, "list")
	collect()
	call(exitOK, "--logout")
	f.editResponse(func(q url.Values) { q.Set("code", "made-up-code") })
	call(exitFailure, "whoami")

	secrets = append(secrets, "made.up.token", "made-up-refresh-token", "made-up-code")
	for _, form := range f.tokens {
		secrets = append(secrets, form.Get("code"), form.Get("code_verifier"), form.Get("refresh_token"), form.Get("client_secret"))
	}
	looked := 0
	for _, value := range secrets {
		if value == "" {
			continue
		}
		looked++
		if strings.Contains(printed.String(), value) {
			t.Errorf("%q was printed:\n%s", value, printed.String())
		}
	}
	if looked < 15 {
		t.Errorf("looked for %d secrets, want at least 15", looked)
	}
}

// TestMalformedRegistration has a registration response with a secret that is not in the
// form of RFC 7591: the error of the library quotes it completely.
func TestMalformedRegistration(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path != "/oauth/register" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		w.Write([]byte(`{"client_id":"id","client_secret":"hush-hush","client_secret_expires_at":"never"}`))
		return true
	}
	got := f.call(t, "-v", f.mcpURL, "whoami")
	got.want(t, exitFailure, "answers the client registration in another form than RFC 7591", "--client-id")
	if strings.Contains(got.stderr, "hush") {
		t.Errorf("the secret was printed:\n%s", got.stderr)
	}
}

// TestPostsAreNotRedirected has endpoints that redirect a request with secrets.
func TestPostsAreNotRedirected(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/oauth/token", "/oauth/register"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
				switch req.URL.Path {
				case path:
					http.Redirect(w, req, "/elsewhere", http.StatusTemporaryRedirect)
					return true
				case "/elsewhere":
					t.Error("the redirect was followed")
				}
				return false
			}
			f.call(t, f.mcpURL, "whoami").want(t, exitFailure, path+`" redirects to /elsewhere; not sending secrets there`)
		})
	}
}
