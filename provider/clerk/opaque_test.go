package clerk_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

// backend starts a Backend API that answers with the handler, and counts the requests.
func backend(t *testing.T, answer http.HandlerFunc) (url string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

const secretKey = "sk_test_0123456789"

// answering returns a Backend API that checks the secret key, and then gives one answer.
func answering(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+secretKey {
			http.Error(w, "wrong key", http.StatusUnauthorized)
			return
		}
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// TestVerifyStatuses has the answers of Clerk about an opaque token.
func TestVerifyStatuses(t *testing.T) {
	record := func(changes ...string) string {
		body := `{"object":"clerk_idp_oauth_access_token","id":"oat_1","client_id":"client_1","subject":"user_1","scopes":["profile","email"],"revoked":false,"expired":false,"expiration":4000000000,"created_at":1700000000}`
		for i := 0; i+1 < len(changes); i += 2 {
			if !strings.Contains(body, changes[i]) {
				t.Fatalf("no %s to change", changes[i])
			}
			body = strings.ReplaceAll(body, changes[i], changes[i+1])
		}
		return body
	}
	tests := []struct {
		name       string
		answer     http.HandlerFunc
		token      string
		wantReason gatehouse.Reason // of a rejected token
		wantDown   bool             // the provider is unavailable; if neither, the token is accepted
	}{
		{name: "control", answer: answering(200, record())},
		{
			name:   "dates in milliseconds",
			answer: answering(200, record("4000000000", "4000000000000", "1700000000", "1700000000000")),
		},
		{name: "no expiration", answer: answering(200, record("4000000000", "null"))},
		{name: "bound to this server", answer: answering(200, record(`"revoked"`, `"aud":["`+resource+`"],"revoked"`))},
		{name: "empty audience", answer: answering(200, record(`"revoked"`, `"aud":[],"revoked"`))},
		{name: "null audience", answer: answering(200, record(`"revoked"`, `"aud":null,"revoked"`))},

		{
			name:       "bound to another",
			answer:     answering(200, record(`"revoked"`, `"aud":["https://other.example.com"],"revoked"`)),
			wantReason: "wrong_audience",
		},
		{name: "revoked", answer: answering(200, record(`"revoked":false`, `"revoked":true`)), wantReason: "inactive"},
		{name: "expired", answer: answering(200, record(`"expired":false`, `"expired":true`)), wantReason: "inactive"},
		{name: "past expiration", answer: answering(200, record("4000000000", "1600000000")), wantReason: "expired"},
		{name: "active false", answer: answering(200, `{"active":false}`), wantReason: "inactive"},
		{
			name:   "active true",
			answer: answering(200, record(`"revoked"`, `"active":true,"revoked"`)),
		},
		{
			name:       "active false, with all of a valid token",
			answer:     answering(200, record(`"revoked"`, `"active":false,"revoked"`)),
			wantReason: "inactive",
		},
		{
			name:       "active is a string",
			answer:     answering(200, record(`"revoked"`, `"active":"true","revoked"`)),
			wantReason: "inactive",
		},
		{
			name:       "active is null",
			answer:     answering(200, record(`"revoked"`, `"active":null,"revoked"`)),
			wantReason: "inactive",
		},
		{name: "unknown", answer: answering(404, `{"errors":[]}`), wantReason: "inactive"},
		{name: "machine", answer: answering(200, record("user_1", "mch_1")), wantReason: "wrong_subject"},
		{name: "no client", answer: answering(200, record("client_1", "")), wantReason: "missing_claim"},
		{name: "machine token", answer: answering(200, record()), token: "mt_abc", wantReason: "opaque"},
		{name: "API key", answer: answering(200, record()), token: "ak_abc", wantReason: "opaque"},

		{name: "wrong secret key", answer: answering(401, `{}`), wantDown: true},
		{name: "throttled", answer: answering(429, `{}`, "Retry-After", "7"), wantDown: true},
		{name: "broken", answer: answering(500, `{}`), wantDown: true},
		{name: "HTML", answer: answering(200, `<html>`), wantDown: true},
		{
			name:     "neither revoked nor expired",
			answer:   answering(200, `{"subject":"user_1","client_id":"c"}`),
			wantDown: true,
		},
		{
			name:     "revoked twice",
			answer:   answering(200, record(`"revoked":false`, `"revoked":true,"revoked":false`)),
			wantDown: true,
		},
		{name: "revoked in upper case", answer: answering(200, record(`"revoked"`, `"REVOKED"`)), wantDown: true},
		{name: "10 MB", answer: answering(200, strings.Repeat(" ", 10<<20)), wantDown: true},
		{name: "redirect", answer: answering(307, "", "Location", "http://localhost:1/"), wantDown: true},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			url, _ := backend(t, test.answer)
			p := clerk.New(clerk.Config{FrontendAPIURL: "https://clerk.example.com", SecretKey: secretKey, BackendAPIURL: url})
			token := test.token
			if token == "" {
				token = fmt.Sprintf("oat_%032d", i)
			}
			_, err := call(t, p, token)
			var rejected *gatehouse.TokenError
			isToken := errors.As(err, &rejected)
			switch {
			case test.wantDown && (err == nil || isToken):
				t.Errorf("error %v, want one that is not about the token", err)
			case test.wantReason != "" && (!isToken || rejected.Reason != test.wantReason):
				t.Errorf("error %v, want reason %q", err, test.wantReason)
			case !test.wantDown && test.wantReason == "" && err != nil:
				t.Errorf("error %v, want the token accepted", err)
			}
		})
	}
}

// A Backend API at http://clerk.localhost is on this machine, whatever DNS says, and so the
// secret key stays there.
func TestBackendOnLoopbackNeedsNoDNS(t *testing.T) {
	url, requests := backend(t, answering(404, `{"errors":[]}`))
	p := clerk.New(clerk.Config{
		FrontendAPIURL: "https://clerk.example.com",
		SecretKey:      secretKey,
		BackendAPIURL:  strings.Replace(url, "127.0.0.1", "clerk.localhost", 1),
	})
	_, err := call(t, p, "oat_loopback")
	var rejected *gatehouse.TokenError
	if !errors.As(err, &rejected) || rejected.Reason != "inactive" || requests.Load() != 1 {
		t.Errorf("error %v after %d requests, want reason inactive after 1", err, requests.Load())
	}
}

func TestOpaqueTokensOfALocalClerk(t *testing.T) {
	in := start(t)
	raw := mint(t, in, localclerk.Token{User: "ada", Scopes: []string{"profile", "email"}, Opaque: true})
	if !strings.HasPrefix(raw, "oat_") {
		t.Fatalf("token %q is not opaque", raw)
	}
	with := clerk.New(clerk.Config{FrontendAPIURL: in.Issuer(), SecretKey: clerk.Secret(in.SecretKey()), BackendAPIURL: in.Issuer()})
	req, err := call(t, with, raw)
	if err != nil {
		t.Fatal(err)
	}
	if user, err := clerk.Profile(t.Context(), req); err != nil || user.Name != "Ada Lovelace" {
		t.Errorf("Profile = %+v, %v", user, err)
	}
	_, err = call(t, clerk.Provider(in.Issuer()), raw)
	var rejected *gatehouse.TokenError
	if !errors.As(err, &rejected) || rejected.Reason != "opaque" {
		t.Errorf("without a secret key: %v, want reason opaque", err)
	}
	if hint := clerk.Provider(in.Issuer()).Hints["opaque"]; !strings.Contains(hint, "CLERK_SECRET_KEY") || !strings.Contains(hint, "Generate access tokens as JWTs") {
		t.Errorf("hint %q names neither the setting nor the switch", hint)
	}
	// JWTs are verified without a request to Clerk.
	if _, err := call(t, with, mint(t, in, accessToken("profile"))); err != nil {
		t.Errorf("a JWT of the same instance: %v", err)
	}
}

func TestOpaqueAnswersAreCached(t *testing.T) {
	url, requests := backend(t, answering(404, "{}"))
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: resource, Logger: slog.New(slog.DiscardHandler),
		Provider: clerk.New(clerk.Config{FrontendAPIURL: "https://clerk.example.com", SecretKey: secretKey, BackendAPIURL: url}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := guard.Verify(t.Context(), "oat_bad", nil); err == nil {
			t.Fatal("accepted")
		}
	}
	if got := requests.Load(); got != 1 {
		t.Errorf("%d requests to Clerk about one invalid token, want 1", got)
	}
}

func TestThrottlingIsRespected(t *testing.T) {
	url, requests := backend(t, answering(429, "{}", "Retry-After", "30"))
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: resource, Logger: slog.New(slog.DiscardHandler),
		Provider: clerk.New(clerk.Config{FrontendAPIURL: "https://clerk.example.com", SecretKey: secretKey, BackendAPIURL: url}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		_, err := guard.Verify(t.Context(), fmt.Sprintf("oat_%d", i), nil)
		var hinted interface{ RetryAfter() time.Duration }
		if !errors.As(err, &hinted) || hinted.RetryAfter() > 30*time.Second || hinted.RetryAfter() < 20*time.Second {
			t.Fatalf("error %v, want one that says when to try again", err)
		}
	}
	if got := requests.Load(); got != 1 {
		t.Errorf("%d requests to Clerk after it answered 429, want 1", got)
	}
}

func TestSecretPrintsAsPlaceholder(t *testing.T) {
	cfg := clerk.Config{SecretKey: secretKey}
	p := clerk.New(clerk.Config{FrontendAPIURL: "https://clerk.example.com", SecretKey: secretKey, BackendAPIURL: "ftp://x"})
	for _, text := range []string{fmt.Sprint(cfg), fmt.Sprintf("%+v %#v %s %q", cfg, cfg, cfg.SecretKey, cfg.SecretKey), fmt.Sprintf("%+v", p), fmt.Sprint(p.Err)} {
		if strings.Contains(text, secretKey) {
			t.Errorf("the text contains the key: %s", text)
		}
	}
	for _, invalid := range []clerk.Secret{"pk_test_x", "whatever", "sk_test_with space"} {
		err := clerk.New(clerk.Config{FrontendAPIURL: "https://clerk.example.com", SecretKey: invalid}).Err
		if err == nil || strings.Contains(err.Error(), string(invalid)) {
			t.Errorf("key %q: error %v; want one without the key", string(invalid), err)
		}
	}
}

// TestSecretKeyOfAnotherInstance gives a development instance the key of a production instance.
func TestSecretKeyOfAnotherInstance(t *testing.T) {
	t.Parallel()
	const development, production = "https://verb-noun-42.clerk.accounts.dev", "https://clerk.example.com"
	for _, test := range []struct{ name, url, key, wantErr string }{
		{name: "control, development", url: development, key: "sk_test_x"},
		{name: "control, production", url: production, key: "sk_live_x"},
		{
			name:    "production key, development instance",
			url:     development,
			key:     "sk_live_x",
			wantErr: `SecretKey is the key of a production instance, and "` + development + `" is a development instance; copy both`,
		},
	} {
		err := clerk.New(clerk.Config{FrontendAPIURL: test.url, SecretKey: clerk.Secret(test.key)}).Err
		if test.wantErr == "" && err != nil || test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
			t.Errorf("%s:\n got %v\nwant %s", test.name, err, test.wantErr)
		}
		if err != nil && strings.Contains(err.Error(), test.key) {
			t.Errorf("%s: the error contains the key: %v", test.name, err)
		}
	}
}
