package localclerk

import (
	"strings"
	"testing"
)

func TestSetUsers(t *testing.T) {
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
	check("removed", SeedUsers()[1:], 401, invalidGrant)
	if err := s.SetUsers(nil, nil); err == nil {
		t.Error("SetUsers accepts an empty list")
	}
	if got := len(s.Users()); got != 3 {
		t.Errorf("%d users after a rejected change, want 3", got)
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
