package clerkfile_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/clerkfile"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	file, err := clerkfile.Parse("clerk.yaml", []byte(clerkfile.Template))
	if err != nil {
		t.Fatal(err)
	}
	server, err := localclerk.New(localclerk.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Apply(server); err != nil {
		t.Fatalf("applying the template: %v", err)
	}
	if got := server.Users(); len(got) != 2 || got[0].FirstName != "Ada" {
		t.Errorf("users %+v", got)
	}
	if got := server.Organizations(); len(got) != 1 || len(got[0].Members) != 2 || got[0].Members[0].Role != "org:admin" {
		t.Errorf("organizations %+v", got)
	}
	if s := server.Settings(); !s.DynamicOAuthClientRegistration || len(s.DefaultScopes) != 4 || s.OrganizationsDisabled {
		t.Errorf("settings %+v", s)
	}
}

func TestAbsentSections(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "settings: {aud_claim_enabled: true}\n"} {
		file, err := clerkfile.Parse("f", []byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if diff := cmp.Diff(localclerk.SeedUsers(), file.Users); diff != "" {
			t.Errorf("%q: users (-want +got):\n%s", text, diff)
		}
		if want := strings.Contains(text, "true"); file.Settings.AudClaimEnabled != want || !file.Settings.OAuthJWTAccessTokens {
			t.Errorf("%q: settings %+v", text, file.Settings)
		}
	}
	file, err := clerkfile.Parse("f", []byte("users: [{username: x}]"))
	if err != nil || len(file.Organizations) != 0 {
		t.Errorf("only users: organizations %+v, %v; want none, because the default ones have other members", file.Organizations, err)
	}
}

// TestAllErrorsWithLines parses a file with every kind of mistake.
func TestAllErrorsWithLines(t *testing.T) {
	const text = `settings:
  dcr: true
  pkce_required: "yes"
  default_scopes: profile
users:
  - first_name: Ada
  - {username: grace, banned: 1}
  - {username: Grace}
organizations:
  - members: [{user: nobody, role: admin, permissions: [read]}]
webhooks: {}
users: []
`
	_, err := clerkfile.Parse("clerk.yaml", []byte(text))
	var got []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var mistake *clerkfile.Error
		if !errors.As(e, &mistake) || mistake.Fix == "" {
			t.Errorf("%v is not a *clerkfile.Error with a fix", e)
		}
		got = append(got, strings.SplitN(e.Error(), ";", 2)[0])
	}
	want := []string{
		`clerk.yaml:2: settings has no member "dcr"`,
		`clerk.yaml:3: got "yes", want true or false`,
		`clerk.yaml:4: default_scopes is not a list`,
		`clerk.yaml:6: a user has neither a username nor an email`,
		`clerk.yaml:7: got "1", want true or false`,
		`clerk.yaml:8: "Grace" is already used by another user`,
		`clerk.yaml:11: the file has no member "webhooks"`,
		`clerk.yaml:12: "users" appears twice`,
		`clerk.yaml:10: member "nobody" is not a user of this file`,
		`clerk.yaml:10: role "admin" does not start with org:`,
		`clerk.yaml:10: permission "read" does not have the form org:feature:action`,
		`clerk.yaml:10: an organization has neither a name nor a slug`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestInvalidFiles(t *testing.T) {
	_, err := clerkfile.Load(filepath.Join(t.TempDir(), "none.yaml"))
	if err == nil || !strings.Contains(err.Error(), "no such file") || !strings.Contains(err.Error(), "; check the path") {
		t.Errorf("a missing file: %v", err)
	}
	for name, text := range map[string]string{
		"not YAML": "a: [",
		"a list":   "- a",
		"an alias": "users: &a [{username: x}]\norganizations: *a",
		"too long": strings.Repeat("#", 1<<20+1),
	} {
		if _, err := clerkfile.Parse("f", []byte(text)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clerk.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("users: [{username: ada}]")
	server, err := localclerk.New(localclerk.Config{})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			clerkfile.Watch(ctx, path, server, slog.New(slog.DiscardHandler))
			close(done)
		}()
		names := func() (out []string) {
			time.Sleep(1700 * time.Millisecond) // three ticks, and not at the same time as one
			for _, u := range server.Users() {
				out = append(out, u.Username)
			}
			return out
		}
		if got := names(); len(got) != 4 {
			t.Errorf("before a change: users %q, want the default ones", got)
		}
		write("users: [{username: grace}]")
		if got := names(); !cmp.Equal(got, []string{"grace"}) {
			t.Errorf("after a change: users %q, want grace", got)
		}
		write("users: [{}]")
		if got := names(); !cmp.Equal(got, []string{"grace"}) {
			t.Errorf("after an invalid change: users %q, want still grace", got)
		}
		os.Remove(path)
		if got := names(); !cmp.Equal(got, []string{"grace"}) {
			t.Errorf("without the file: users %q, want still grace", got)
		}
		cancel()
		<-done
	})
}

// TestApplyIsAtomic applies a file with valid settings and invalid users.
func TestApplyIsAtomic(t *testing.T) {
	server, err := localclerk.New(localclerk.Config{})
	if err != nil {
		t.Fatal(err)
	}
	settings, users := server.Settings(), server.Users()
	file := clerkfile.File{Settings: clerkfile.DefaultSettings(), Users: []localclerk.User{{FirstName: "Ada"}, {FirstName: "Ada"}}}
	file.Settings.PKCERequired = !settings.PKCERequired
	file.Organizations = []localclerk.Organization{{Name: "x", Members: []localclerk.Membership{{User: "mallory"}}}}
	if err := file.Apply(server); err == nil {
		t.Fatal("got no error, want one about the users")
	}
	if diff := cmp.Diff(settings, server.Settings()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(users, server.Users()); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(clerkfile.Template)
	f.Add("users: &a [*a]")
	f.Add("settings: {default_scopes: [1, ~, !!binary x]}")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := clerkfile.Parse("f", []byte(text))
		if err == nil && file.Users == nil {
			t.Error("no users and no error")
		}
	})
}

// TestContainerExample checks that the file of examples/container is valid.
func TestContainerExample(t *testing.T) {
	if _, err := clerkfile.Load("../../../../examples/container/clerk.yaml"); err != nil {
		t.Error(err)
	}
}
