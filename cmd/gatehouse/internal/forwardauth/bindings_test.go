package forwardauth

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// A session works only for the user who sent its ID first.
func TestSessionOfAnotherUser(t *testing.T) {
	for _, proxy := range Proxies() {
		f := newFixture(t, proxy, nil)
		ada, eve := f.issuer.Token(resource), f.issuer.Token(resource, testissuer.Claim("sub", "user_eve"))
		for _, step := range []struct {
			token, session string
			want           int
		}{{ada, "s1", 200}, {eve, "s1", 404}, {ada, "s1", 200}, {eve, "s2", 200}, {ada, "s2", 404}, {eve, "", 200}} {
			if resp := f.ask(client{header: bearer(step.token, "Mcp-Session-Id", step.session)}); resp.StatusCode != step.want {
				t.Errorf("%s, session %q: got status %d, want %d", proxy, step.session, resp.StatusCode, step.want)
			}
		}
	}
}

func wantUse(t *testing.T, b *bindings, id, user string, want gatehouse.Reason) {
	t.Helper()
	var got gatehouse.Reason
	if err := b.use([]string{id}, user); err != nil {
		got = err.reason
	}
	if got != want {
		t.Errorf("session %.20q of %q: got reason %q, want %q", id, user, got, want)
	}
}

func TestBindingsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBindings()
		wantUse(t, b, "s1", "ada", "")
		time.Sleep(bindingTime)
		wantUse(t, b, "s1", "eve", reasonOtherUser)
		wantUse(t, b, "s1", "ada", "") // which begins the time again
		time.Sleep(bindingTime)
		wantUse(t, b, "s1", "eve", reasonOtherUser)
		time.Sleep(time.Nanosecond)
		wantUse(t, b, "s1", "eve", "")
		wantUse(t, b, "s1", "ada", reasonOtherUser)
	})
}

// A user with too many sessions loses the oldest, and takes none from others.
func TestBindingsOfOneUser(t *testing.T) {
	b := newBindings()
	wantUse(t, b, "other", "ada", "")
	for i := range maxBindingsPerUser {
		wantUse(t, b, fmt.Sprint("s", i), "eve", "")
	}
	wantUse(t, b, "s0", "eve", "") // now s1 is the oldest
	wantUse(t, b, "one more", "eve", "")
	wantUse(t, b, "s0", "ada", reasonOtherUser)
	wantUse(t, b, "s1", "ada", "")
	wantUse(t, b, "other", "eve", reasonOtherUser)
}

func TestBindingsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBindings()
		for i := range maxBindings {
			wantUse(t, b, fmt.Sprint("s", i), fmt.Sprint("user", i/maxBindingsPerUser), "")
		}
		wantUse(t, b, "one more", "ada", reasonTooMany)
		wantUse(t, b, "s0", "user0", "")
		time.Sleep(bindingTime + time.Nanosecond)
		wantUse(t, b, "one more", "ada", "")
		if len(b.byID) != 1 || len(b.byUser) != 1 {
			t.Errorf("got %d sessions of %d users after all others have ended, want 1 of 1", len(b.byID), len(b.byUser))
		}
		wantUse(t, b, strings.Repeat("s", maxSessionID+1), "ada", reasonOtherUser)
	})
}
