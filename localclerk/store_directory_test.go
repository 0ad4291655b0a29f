package localclerk

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSeedIDsAreStable(t *testing.T) {
	t.Parallel()
	a, b := newServer(t, nil), newServer(t, nil)
	if diff := cmp.Diff(a.directory.users, b.directory.users); diff != "" {
		t.Errorf("users differ\n%s", diff)
	}
	if diff := cmp.Diff(a.directory.organizations, b.directory.organizations); diff != "" {
		t.Errorf("organizations differ\n%s", diff)
	}
	if a.keys.kid == b.keys.kid {
		t.Error("two instances have one kid")
	}
	for _, u := range a.directory.users {
		if !strings.HasPrefix(u.ID, "user_") || len(u.ID) != len("user_")+resourceIDLength {
			t.Errorf("user id %q, want user_ and %d characters", u.ID, resourceIDLength)
		}
	}
}

func TestFindUserIsUnambiguous(t *testing.T) {
	t.Parallel()
	d, err := newDirectory([]User{
		{Username: "a1", FirstName: "Ann"},
		{Username: "a2", FirstName: "Ann"},
		{Username: "ann.b", FirstName: "a1"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := d.findUser("a1"); err != nil || u.Username != "a1" {
		t.Errorf("got %v, %v, want the user whose username it is", u, err)
	}
	if _, err := d.findUser("ann"); err == nil || !strings.Contains(err.Error(), "more than one user") {
		t.Errorf("got %v, want it to be ambiguous", err)
	}
	if _, err := d.findUser(""); err == nil {
		t.Error("the empty name finds a user")
	}
}

func TestUserNamesAreBounded(t *testing.T) {
	t.Parallel()
	d := &directory{}
	for range 25 {
		d.users = append(d.users, User{Username: "u"})
	}
	if got := d.userNames(); !strings.HasSuffix(got, ", 5 more") {
		t.Errorf("got %q, want 5 more", got)
	}
}
