package main

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

func newTestStore(t *testing.T) *store {
	return &store{dir: filepath.Join(t.TempDir(), "gatehouse"), con: &console{stderr: new(bytes.Buffer)}}
}

func sampleKept() *kept {
	return &kept{
		Account: account{Resource: "https://mcp.example.com/mcp"},
		Issuer:  "https://clerk.example.com",
		Client:  client{ID: "id", Secret: "hush", RedirectURI: "http://127.0.0.1:1/callback", Scope: "a b", Registered: true},
		Tokens:  &tokens{Access: "at", Type: "bearer", Refresh: "rt", Scope: "a", Expiry: longAgo},
	}
}

func TestStoreKeepsAccountsApart(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	changes := map[string]func(k *kept){
		"control":      func(*kept) {},
		"resource":     func(k *kept) { k.Account.Resource += "/" },
		"user":         func(k *kept) { k.Account.User = "ada" },
		"organization": func(k *kept) { k.Account.Organization = "acme" },
		"client":       func(k *kept) { k.Account.ClientID = "id" },
		"issuer":       func(k *kept) { k.Issuer += "/" },
	}
	for name, change := range changes {
		k := sampleKept()
		change(k)
		k.Tokens.Access = secret(name)
		if err := s.save(k); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range changes {
		k := sampleKept()
		change(k)
		got, err := s.load(k.Account, k.Issuer)
		if err != nil || got == nil {
			t.Fatalf("load of %s: %v, %v", name, got, err)
		}
		if got.Tokens.Access != secret(name) {
			t.Errorf("load of %s gives the sign-in of %s", name, string(got.Tokens.Access))
		}
	}
}

// TestStoreLooksInside has a file in the place of another.
func TestStoreLooksInside(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	ada, grace := sampleKept(), sampleKept()
	ada.Account.User, grace.Account.User = "ada", "grace"
	if err := s.save(ada); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path(ada.Account, ada.Issuer), s.path(grace.Account, grace.Issuer)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.load(grace.Account, grace.Issuer); got != nil || err != nil {
		t.Errorf("load for grace = %v, %v, want nothing", got, err)
	}
}

func TestStoreRoundTrip(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	want := sampleKept()
	if err := s.save(want); err != nil {
		t.Fatal(err)
	}
	got, err := s.load(want.Account, want.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
	if err := s.remove(want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.load(want.Account, want.Issuer); got != nil || err != nil {
		t.Errorf("load after remove = %v, %v, want nothing", got, err)
	}
	if err := s.remove(want); err != nil {
		t.Errorf("remove of what is not there: %v", err)
	}
}

func TestStoreFindsTheNewest(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	for _, issuer := range []string{"https://b.example.com", "https://c.example.com", "https://a.example.com"} {
		k := sampleKept()
		k.Issuer = issuer
		if err := s.save(k); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.find(sampleKept().Account)
	if err != nil || got == nil {
		t.Fatalf("find = %v, %v", got, err)
	}
	if want := "https://a.example.com"; got.Issuer != want {
		t.Errorf("find gives issuer %q, want %q, which was saved last", got.Issuer, want)
	}
	if got, err := s.find(account{Resource: "https://other.example.com"}); got != nil || err != nil {
		t.Errorf("find of another resource = %v, %v, want nothing", got, err)
	}
}

// TestStoreSavesWhole has readers and writers at one file: nobody sees half a
// sign-in.
func TestStoreSavesWhole(t *testing.T) {
	t.Parallel()
	const writers, rounds = 4, 25
	s := newTestStore(t)
	first := sampleKept()
	if err := s.save(first); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			var errs error
			for i := range rounds {
				k := sampleKept()
				k.Tokens.Access = secret(strings.Repeat(fmt.Sprint(w), 100*i))
				_, loadErr := s.load(k.Account, k.Issuer)
				errs = errors.Join(errs, s.save(k), loadErr)
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
		t.Errorf("the folder holds %v (%v), want one file", files, err)
	}
}

func TestStoreLock(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	k := sampleKept()
	unlock, err := s.lock(t.Context(), k.Account, k.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.lock(t.Context(), k.Account, "https://other.example.com")
	if err != nil {
		t.Fatalf("lock of another issuer: %v", err)
	}
	other()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.lock(ctx, k.Account, k.Issuer); !errors.Is(err, context.Canceled) {
		t.Errorf("lock of what is locked, cancelled: %v, want %v", err, context.Canceled)
	}

	got := make(chan func())
	go func() {
		unlock, err := s.lock(t.Context(), k.Account, k.Issuer)
		if err != nil {
			t.Error(err)
		}
		got <- unlock
	}()
	unlock()
	(<-got)()
}

func TestStoreHasABound(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	if err := s.makeDir(); err != nil {
		t.Fatal(err)
	}
	for i := range maxSignInFiles + 1 {
		if err := os.WriteFile(filepath.Join(s.dir, fmt.Sprintf("%d.json", i)), nil, privateFile); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.at("https://mcp.example.com/mcp")
	wantErr(t, err, "holds more than 1000 sign-ins")
}

func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	k := sampleKept()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("kept", "access", k.Tokens.Access)
	for _, shown := range []string{
		fmt.Sprint(k.Tokens.Access), fmt.Sprintf("%v %+v %#v %q", k.Tokens.Refresh, *k.Tokens, *k.Tokens, k.Client.Secret), log.String(),
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

// FuzzDecodeKept: what is accepted names its resource, issuer and client, and
// survives being written again.
func FuzzDecodeKept(f *testing.F) {
	good, err := json.Marshal(sampleKept())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}"))
	f.Add([]byte(`{"account":{"resource":"r"},"issuer":"i","client":{"client_id":"c"},"tokens":null}`))
	f.Add([]byte(`{"account":{"resource":"r"},"issuer":"i","client":{"client_id":"c"},"tokens":{"expiry":"0000-13-01T00:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeKept(data)
		if err != nil {
			return
		}
		if got.Account.Resource == "" || got.Issuer == "" || got.Client.ID == "" {
			t.Fatalf("decodeKept accepts %+v", got)
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		reread, err := decodeKept(again)
		if err != nil {
			t.Fatalf("decodeKept of %s: %v", again, err)
		}
		if diff := cmp.Diff(got, reread, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Fatalf("written again (-first +second):\n%s", diff)
		}
	})
}
