package localclerk

import (
	"slices"
	"testing"
	"time"
)

func TestOpaqueTokensAreListed(t *testing.T) {
	t.Parallel()
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	issueToken := func(token Token) string {
		t.Helper()
		value, err := s.IssueToken(token)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	live := issueToken(Token{User: "grace", Opaque: true, ClientID: "client"})
	issueToken(Token{User: "grace", Opaque: true, Lifetime: -time.Hour})
	issueToken(Token{User: "grace"})

	listed := s.OpaqueTokens()
	if len(listed) != 1 || listed[0].ClientID != "client" || listed[0].Revoked {
		t.Fatalf("OpaqueTokens() = %+v, want the live opaque one alone", listed)
	}
	if listed[0].ID == live {
		t.Error("the list has the token itself, want its id only")
	}
	if err := s.RevokeUser("grace"); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.OpaqueToken(live); !ok || !got.Revoked {
		t.Errorf("OpaqueToken = %+v, %v, want it revoked", got, ok)
	}
	if got, ok := s.OpaqueToken(live + "x"); ok {
		t.Errorf("OpaqueToken of an unknown one = %+v, want none", got)
	}
}

func TestClientsAreListed(t *testing.T) {
	t.Parallel()
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Clients(); len(got) != 0 {
		t.Fatalf("Clients() of a new server = %+v, want none", got)
	}
	s.store.addClient(&client{
		id:           "one",
		name:         "One",
		redirectURIs: []string{"https://one.example/callback"},
		dynamic:      true,
		secret:       "hidden",
	})
	got := s.Clients()
	if len(got) != 1 || got[0].ID != "one" || got[0].Public || !got[0].Dynamic {
		t.Fatalf("Clients() = %+v, want the confidential dynamic client one", got)
	}
	got[0].RedirectURIs[0] = "changed"
	if again := s.Clients(); !slices.Equal(again[0].RedirectURIs, []string{"https://one.example/callback"}) {
		t.Errorf("Clients() shares its lists: got %q", again[0].RedirectURIs)
	}
}
