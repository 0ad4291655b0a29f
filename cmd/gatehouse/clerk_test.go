package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

func TestJoinedErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clerk.yaml")
	if err := os.WriteFile(path, []byte("settings: {dcr: 1}\nusers: [{}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := loadClerk(4000, path, newLogger(newConsole(), true))
	got := joinedErrors(err)
	if len(got) != 2 || !strings.Contains(got[0].Error(), ":1: ") || !strings.Contains(got[1].Error(), ":2: ") {
		t.Errorf("joinedErrors = %q, want both faults with their lines", got)
	}
	one := failure.New("hint", "what a server wrote:\n%s", "gatehouse: hint: run this")
	if got := joinedErrors(one); len(got) != 1 {
		t.Errorf("joinedErrors = %q; text from a server must stay one error", got)
	}
}

func TestClerkEnvironment(t *testing.T) {
	server, err := loadClerk(4000, "", newLogger(newConsole(), true))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(clerkEnvironment(server), "\n")
	for _, want := range []string{
		"MCP_USE_OAUTH_CLERK_FRONTEND_API_URL=http://localhost:4000",
		"CLERK_SECRET_KEY=sk_test_",
		"CLERK_API_URL=http://localhost:4000",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("environment lacks %s:\n%s", want, got)
		}
	}
	s := server.Settings()
	if !s.DynamicOAuthClientRegistration || !slices.Contains(s.DefaultScopes, localclerk.ScopeOrganization) {
		t.Errorf("settings %+v; want registration enabled, and the organization scope among the defaults", s)
	}
}

func TestLogHasNoEmptyAttributes(t *testing.T) {
	var stderr strings.Builder
	logger := newLogger(&console{stderr: &stderr}, false)
	logger.Info("token", "client", "", "status", 200, "user", "ada", slog.Group("caller", "issuer", ""))
	if got := stderr.String(); !strings.HasSuffix(got, " level=INFO msg=token status=200 user=ada\n") {
		t.Errorf("log = %q, want only the attributes that are set", got)
	}
}
