package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestCallNeverShowsSecrets goes through every flow with -v, and looks in all
// that was printed for all that was sent or kept.
func TestCallNeverShowsSecrets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var secrets []string
	keep := func() {
		for _, k := range r.files(t) {
			secrets = append(secrets, string(k.Tokens.Access), string(k.Tokens.Refresh))
		}
	}
	var printed strings.Builder
	call := func(code int, args ...string) {
		t.Helper()
		got := r.call(t, append([]string{"-v", r.mcpURL}, args...)...)
		got.want(t, code)
		printed.WriteString(got.stdout + got.stderr)
	}
	call(exitOK, "whoami")
	keep()
	r.edit(t, func(k *kept) { k.Tokens.Expiry = longAgo })
	call(exitOK, "whoami")
	keep()
	r.edit(t, func(k *kept) { k.Tokens.Access = "made.up.token" })
	call(exitOK, "whoami")
	keep()
	r.edit(t, func(k *kept) { k.Tokens.Expiry, k.Tokens.Refresh = longAgo, "made-up-refresh-token" })
	call(exitOK, "list")
	keep()
	call(exitOK, "--logout")
	r.editAnswer(func(q url.Values) { q.Set("code", "made-up-code") })
	call(exitFailure, "whoami")

	secrets = append(secrets, "made.up.token", "made-up-refresh-token", "made-up-code")
	for _, form := range r.tokens {
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

// TestRegistrationThatCannotBeRead has an answer with a secret in it that is not
// what RFC 7591 says: the libraries' error quotes it whole.
func TestRegistrationThatCannotBeRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.clerkGate = func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path != "/oauth/register" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		w.Write([]byte(`{"client_id":"id","client_secret":"hush-hush","client_secret_expires_at":"never"}`))
		return true
	}
	got := r.call(t, "-v", r.mcpURL, "whoami")
	got.want(t, exitFailure, "does not answer a registration as RFC 7591", "--client-id")
	if strings.Contains(got.stderr, "hush") {
		t.Errorf("the secret was printed:\n%s", got.stderr)
	}
}

// TestPostedSecretsStay has the token endpoint redirect a post elsewhere.
func TestPostedSecretsStay(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/oauth/token", "/oauth/register"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.clerkGate = func(w http.ResponseWriter, req *http.Request) bool {
				switch req.URL.Path {
				case path:
					http.Redirect(w, req, "/elsewhere", http.StatusTemporaryRedirect)
					return true
				case "/elsewhere":
					t.Error("the post went there")
				}
				return false
			}
			r.call(t, r.mcpURL, "whoami").want(t, exitFailure, path+`" redirects to /elsewhere: not sending secrets there`)
		})
	}
}
