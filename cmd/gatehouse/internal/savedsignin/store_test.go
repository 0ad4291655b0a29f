package savedsignin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newTestStore(t *testing.T) *Store {
	return NewStore(filepath.Join(t.TempDir(), "gatehouse"), func(string, ...any) {})
}

func sampleSignIn() *SignIn {
	return &SignIn{
		Account: Account{Resource: "https://mcp.example.com/mcp"},
		Issuer:  "https://clerk.example.com",
		Client:  Client{ID: "id", Secret: "hush", RedirectURI: "http://127.0.0.1:1/callback", Scope: "a b", Registered: true},
		Tokens: &Tokens{
			Access:  "at",
			Type:    "bearer",
			Refresh: "rt",
			Scope:   "a",
			Expiry:  time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		},
	}
}

func TestStoreSeparatesAccounts(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	changes := map[string]func(k *SignIn){
		"control":      func(*SignIn) {},
		"resource":     func(k *SignIn) { k.Account.Resource += "/" },
		"user":         func(k *SignIn) { k.Account.User = "ada" },
		"organization": func(k *SignIn) { k.Account.Organization = "acme" },
		"client":       func(k *SignIn) { k.Account.ClientID = "id" },
		"issuer":       func(k *SignIn) { k.Issuer += "/" },
	}
	for name, change := range changes {
		k := sampleSignIn()
		change(k)
		k.Tokens.Access = Secret(name)
		if err := s.Save(k); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range changes {
		k := sampleSignIn()
		change(k)
		got, err := s.Load(k.Account, k.Issuer)
		if err != nil || got == nil {
			t.Fatalf("Load of %s: %v, %v", name, got, err)
		}
		if got.Tokens.Access != Secret(name) {
			t.Errorf("Load of %s returns the sign-in of %s", name, string(got.Tokens.Access))
		}
	}
}

// TestStoreChecksContent has a file under the name of another account.
func TestStoreChecksContent(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	ada, grace := sampleSignIn(), sampleSignIn()
	ada.Account.User, grace.Account.User = "ada", "grace"
	if err := s.Save(ada); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path(ada.Account, ada.Issuer), s.path(grace.Account, grace.Issuer)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(grace.Account, grace.Issuer); got != nil || err != nil {
		t.Errorf("Load for grace = %v, %v, want none", got, err)
	}
}

func TestStoreRoundTrip(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	want := sampleSignIn()
	if err := s.Save(want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load(want.Account, want.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
	if err := s.Remove(want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(want.Account, want.Issuer); got != nil || err != nil {
		t.Errorf("Load after Remove = %v, %v, want none", got, err)
	}
	if err := s.Remove(want); err != nil {
		t.Errorf("Remove of a sign-in that does not exist: %v", err)
	}
}

func TestStoreNewest(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	for _, issuer := range []string{"https://b.example.com", "https://c.example.com", "https://a.example.com"} {
		k := sampleSignIn()
		k.Issuer = issuer
		if err := s.Save(k); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Newest(sampleSignIn().Account)
	if err != nil || got == nil {
		t.Fatalf("Newest = %v, %v", got, err)
	}
	if want := "https://a.example.com"; got.Issuer != want {
		t.Errorf("Newest returns issuer %q, want %q, which was saved last", got.Issuer, want)
	}
	if got, err := s.Newest(Account{Resource: "https://other.example.com"}); got != nil || err != nil {
		t.Errorf("Newest of another resource = %v, %v, want none", got, err)
	}
}

// TestStoreSaveIsAtomic has several programs read and write one file: no reader sees a
// part of a sign-in.
func TestStoreSaveIsAtomic(t *testing.T) {
	t.Parallel()
	const writers, rounds = 4, 25
	s := newTestStore(t)
	first := sampleSignIn()
	if err := s.Save(first); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			var errs error
			for i := range rounds {
				k := sampleSignIn()
				k.Tokens.Access = Secret(strings.Repeat(fmt.Sprint(w), 100*i))
				_, loadErr := s.Load(k.Account, k.Issuer)
				errs = errors.Join(errs, s.Save(k), loadErr)
			}
			done <- errs
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	files, err := os.ReadDir(s.dir)
	if err != nil || len(files) != 1 {
		t.Errorf("the directory has %v (%v), want one file", files, err)
	}
}

func TestStoreLock(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	k := sampleSignIn()
	unlock, err := s.Lock(t.Context(), k.Account, k.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.Lock(t.Context(), k.Account, "https://other.example.com")
	if err != nil {
		t.Fatalf("Lock of another issuer: %v", err)
	}
	other()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Lock(ctx, k.Account, k.Issuer); !errors.Is(err, context.Canceled) {
		t.Errorf("Lock of a locked sign-in, canceled: %v, want %v", err, context.Canceled)
	}

	got := make(chan func())
	go func() {
		unlock, err := s.Lock(t.Context(), k.Account, k.Issuer)
		if err != nil {
			t.Error(err)
		}
		got <- unlock
	}()
	unlock()
	(<-got)()
}

func TestStoreLimit(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	if err := s.makeDir(); err != nil {
		t.Fatal(err)
	}
	for i := range maxFiles + 1 {
		if err := os.WriteFile(filepath.Join(s.dir, fmt.Sprintf("%d.json", i)), nil, fileMode); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.List("https://mcp.example.com/mcp")
	if err == nil || !strings.Contains(err.Error(), "has more than 1000 sign-ins") {
		t.Errorf("List = %v, want an error that there are too many", err)
	}
}

func TestSecretsAreRedacted(t *testing.T) {
	t.Parallel()
	k := sampleSignIn()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("saved", "access", k.Tokens.Access)
	for _, shown := range []string{
		fmt.Sprint(k.Tokens.Access),
		fmt.Sprintf("%v %+v %#v %q", k.Tokens.Refresh, *k.Tokens, *k.Tokens, k.Client.Secret),
		log.String(),
	} {
		for _, value := range []string{`"at"`, `"rt"`, "hush", " at ", "=at"} {
			if strings.Contains(shown, value) {
				t.Errorf("%q is shown in %q", value, shown)
			}
		}
		if !strings.Contains(shown, redacted) {
			t.Errorf("no %q in %q", redacted, shown)
		}
	}
}

// FuzzDecode checks that an accepted sign-in names its resource, issuer and client, and
// that it is the same after it was written and read again.
func FuzzDecode(f *testing.F) {
	good, err := json.Marshal(sampleSignIn())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}"))
	f.Add([]byte(`{"account":{"resource":"r"},"issuer":"i","client":{"client_id":"c"},"tokens":null}`))
	f.Add([]byte(`{"account":{"resource":"r"},"issuer":"i","client":{"client_id":"c"},"tokens":{"expiry":"0000-13-01T00:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Decode(data)
		if err != nil {
			return
		}
		if got.Account.Resource == "" || got.Issuer == "" || got.Client.ID == "" {
			t.Fatalf("Decode accepts %+v", got)
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		reread, err := Decode(again)
		if err != nil {
			t.Fatalf("Decode of %s: %v", again, err)
		}
		if diff := cmp.Diff(got, reread, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Fatalf("written again (-first +second):\n%s", diff)
		}
	})
}
