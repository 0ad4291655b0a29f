package localclerk

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSettingsChangeLive(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	settings := s.Settings()
	settings.DynamicOAuthClientRegistration = false
	settings.OAuthJWTAccessTokens = false
	settings.CustomScopes = []string{"notes:read"}
	if err := s.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	registerRaw(t, s, map[string]any{"redirect_uris": []string{testRedirect}}).want(422)
	if got := tokens(t, s, app, authorization(app))["access_token"].(string); !strings.HasPrefix(got, opaquePrefix) {
		t.Errorf("got %q, want an opaque token", got)
	}
	settings.CustomScopes[0] = "changed afterwards"
	if diff := cmp.Diff([]string{"notes:read"}, s.Settings().CustomScopes); diff != "" {
		t.Errorf("the caller's slice is the server's\n%s", diff)
	}
	if err := s.SetSettings(Settings{DefaultScopes: []string{"x"}}); err == nil || !strings.Contains(err.Error(), `got "x"`) {
		t.Errorf("got %v, want a refusal", err)
	}
	if diff := cmp.Diff([]string{"notes:read"}, s.Settings().CustomScopes); diff != "" {
		t.Errorf("a refused change is in force\n%s", diff)
	}
}

func TestPeopleChangeLive(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	got := tokens(t, s, app, authorization(app))
	bearer := "Bearer " + got["access_token"].(string)
	check := func(name string, users []User, wantUserInfo int, wantRefresh string) {
		t.Helper()
		if err := s.SetUsers(users, nil); err != nil {
			t.Fatal(err)
		}
		if got := get(t, s, "/oauth/userinfo", "Authorization", bearer); got.status != wantUserInfo {
			t.Errorf("%s: userinfo answers %d, want %d", name, got.status, wantUserInfo)
		}
		refreshed := post(t, s, "/oauth/token", refreshing(app, got)).object()
		if code, _ := refreshed["error"].(string); code != wantRefresh {
			t.Errorf("%s: refreshing answers %q, want %q", name, code, wantRefresh)
		}
		if wantRefresh == "" {
			got = refreshed
		}
	}
	check("unchanged", SeedUsers(), 200, "")
	banned := SeedUsers()
	banned[0].Banned = true
	check("banned", banned, 401, invalidGrant)
	check("unbanned", SeedUsers(), 200, "")
	check("gone", SeedUsers()[1:], 401, invalidGrant)
	if err := s.SetUsers(nil, nil); err == nil {
		t.Error("nobody at all is let through")
	}
	if got := len(s.Users()); got != 3 {
		t.Errorf("%d users after a refused change, want 3", got)
	}
}

func TestRevokeUser(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(s *Settings) { s.OAuthJWTAccessTokens = false })
	app := register(t, s, nil)
	ada := tokens(t, s, app, authorization(app))
	grace := tokens(t, s, app, authorization(app), SignInHeader, "grace")
	pending := redemption(app, signIn(t, s, authorization(app)))
	if err := s.RevokeUser("ada"); err != nil {
		t.Fatal(err)
	}
	post(t, s, "/oauth/token", pending).wantError(400, invalidGrant, "it has been revoked")
	post(t, s, "/oauth/token", refreshing(app, ada)).wantError(400, invalidGrant, "it has been revoked")
	get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+ada["access_token"].(string)).want(401)
	get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+grace["access_token"].(string)).want(200)
	if err := s.RevokeUser("bob"); err == nil || !strings.Contains(err.Error(), `no user "bob"`) {
		t.Errorf("got %v, want no such user", err)
	}
}

func TestRotateKey(t *testing.T) {
	t.Parallel()
	second, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		rotation Rotation
		keys     int
		oldWorks bool
	}{
		{"new kid", Rotation{}, 1, false},
		{"new kid, overlap", Rotation{Overlap: true}, 2, true},
		{"same kid", Rotation{SameKeyID: true}, 1, false},
		{"same kid, overlap", Rotation{SameKeyID: true, Overlap: true}, 2, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			old := mint(t, s, Token{})
			oldKid := s.keys.kid
			test.rotation.Key = second
			if err := s.RotateKey(test.rotation); err != nil {
				t.Fatal(err)
			}
			set := get(t, s, "/.well-known/jwks.json").want(200).object()["keys"].([]any)
			first := set[0].(map[string]any)
			if len(set) != test.keys || (first["kid"] == oldKid) != test.rotation.SameKeyID {
				t.Errorf("got keys %v of old kid %s", set, oldKid)
			}
			fresh := mint(t, s, Token{})
			if header, _ := decode(t, fresh); header["kid"] != first["kid"] {
				t.Errorf("signs under %v, want %v", header["kid"], first["kid"])
			}
			get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+fresh).want(200)
			want := http.StatusUnauthorized
			if test.oldWorks {
				want = http.StatusOK
			}
			got := get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+old)
			if got.status != want {
				t.Errorf("the old token: status %d, want %d", got.status, want)
			}
			if s.instanceID != oldKid {
				t.Errorf("instance %q, want it to stay %q", s.instanceID, oldKid)
			}
		})
	}
}

func TestRotationIsBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for range 2 * maxPublishedKeys {
		if err := s.RotateKey(Rotation{Overlap: true, Key: testKey()}); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.keys.publishedKeys); got != maxPublishedKeys {
		t.Errorf("%d keys are published, want %d", got, maxPublishedKeys)
	}
	if s.keys.publishedKeys[0].kid != s.keys.kid {
		t.Error("the signing key is not the first")
	}
}

func TestFaultStatus(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	const keys, discovery = "/.well-known/jwks.json", "/.well-known/openid-configuration"
	for _, test := range []struct {
		name            string
		faults          Faults
		keys, discovery int
		retryAfter      string
	}{
		{"none", Faults{}, 200, 200, ""},
		{"outage", Faults{Status: 503}, 503, 503, "5"},
		{"error", Faults{Status: 500}, 500, 500, ""},
		{"outage of the keys", Faults{Status: 503, Paths: []string{keys}}, 503, 200, "5"},
		{"mended", Faults{}, 200, 200, ""},
	} {
		if err := s.SetFaults(test.faults); err != nil {
			t.Fatal(err)
		}
		got := get(t, s, keys)
		if got.status != test.keys || got.header.Get("Retry-After") != test.retryAfter {
			t.Errorf("%s: keys answer %d with Retry-After %q", test.name, got.status, got.header.Get("Retry-After"))
		}
		if got.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: a browser cannot read the answer", test.name)
		}
		if got := get(t, s, discovery); got.status != test.discovery {
			t.Errorf("%s: discovery answers %d, want %d", test.name, got.status, test.discovery)
		}
	}
}

func TestFaultLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		if err := s.SetFaults(Faults{Latency: 3 * time.Second, Paths: []string{"/oauth/"}}); err != nil {
			t.Fatal(err)
		}
		took := func(target string) time.Duration {
			start := time.Now()
			get(t, s, target)
			return time.Since(start)
		}
		if got := took("/oauth/userinfo"); got != 3*time.Second {
			t.Errorf("userinfo took %s, want 3s", got)
		}
		if got := took("/.well-known/jwks.json"); got != 0 {
			t.Errorf("keys took %s, want no time", got)
		}
		impatient := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Second)
			defer cancel()
			s.ServeHTTP(w, r.WithContext(ctx))
		})
		start := time.Now()
		send(t, impatient, "GET", "/oauth/userinfo", "")
		if got := time.Since(start); got != time.Second {
			t.Errorf("a client that leaves after 1s was held for %s", got)
		}
	})
}

func TestClockOffset(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		for _, offset := range []time.Duration{time.Hour, -time.Hour} {
			if err := s.SetFaults(Faults{ClockOffset: offset}); err != nil {
				t.Fatal(err)
			}
			token := mint(t, s, Token{})
			_, claims := decode(t, token)
			if got, want := claims["iat"], float64(time.Now().Add(offset).Unix()); got != want {
				t.Errorf("%s: iat %v, want %v", offset, got, want)
			}
			get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+token).want(200)
		}
	})
}

func TestSetFaultsRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for want, faults := range map[string]Faults{
		"Latency is -1s":           {Latency: -time.Second},
		"Latency is 1h0m0s":        {Latency: time.Hour},
		"Status is 404":            {Status: 404},
		"Status is 600":            {Status: 600},
		"ClockOffset is -876000h":  {ClockOffset: -100 * 365 * 24 * time.Hour},
		"Paths has 101 paths":      {Paths: make([]string, 101)},
		"want 500 to 599, or 0 fo": {Status: 1},
	} {
		if err := s.SetFaults(faults); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if diff := cmp.Diff(Faults{}, s.Faults()); diff != "" {
		t.Errorf("a refused fault is in force\n%s", diff)
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			got := tokens(t, s, app, authorization(app))
			post(t, s, "/oauth/token", refreshing(app, got))
		})
		group.Go(func() {
			if err := s.SetSettings(s.Settings()); err != nil {
				t.Error(err)
			}
			if err := s.SetUsers(s.Users(), s.Organizations()); err != nil {
				t.Error(err)
			}
			if err := s.RotateKey(Rotation{Key: testKey()}); err != nil {
				t.Error(err)
			}
			if err := s.SetFaults(Faults{}); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			for range s.Events(ended, 0) {
			}
		})
	}
	group.Wait()
}
