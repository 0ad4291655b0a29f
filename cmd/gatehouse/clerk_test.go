package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

func TestPartsOfAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clerk.yaml")
	if err := os.WriteFile(path, []byte("settings: {dcr: 1}\nusers: [{}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := loadClerk(4000, path, devLogger(newConsole(), true))
	if got := parts(err); len(got) != 2 || !strings.Contains(got[0].Error(), ":1: ") || !strings.Contains(got[1].Error(), ":2: ") {
		t.Errorf("parts = %q, want both faults with their lines", got)
	}
	one := fail("hint", "what a server wrote:\n%s", "gatehouse: hint: run this")
	if got := parts(one); len(got) != 1 {
		t.Errorf("parts = %q; text of others must stay one line", got)
	}
}

func TestClerkEnvironment(t *testing.T) {
	server, err := loadClerk(4000, "", devLogger(newConsole(), true))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(clerkEnvironment(server), "\n")
	for _, want := range []string{"MCP_USE_OAUTH_CLERK_FRONTEND_API_URL=http://localhost:4000", "CLERK_SECRET_KEY=sk_test_", "CLERK_API_URL=http://localhost:4000"} {
		if !strings.Contains(got, want) {
			t.Errorf("environment lacks %s:\n%s", want, got)
		}
	}
	if s := server.Settings(); !s.DynamicOAuthClientRegistration || !strings.Contains(strings.Join(s.DefaultScopes, " "), localclerk.ScopeOrganization) {
		t.Errorf("settings %+v; want registration on, and the organization within reach", s)
	}
}
