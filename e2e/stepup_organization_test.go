//go:build e2e && unix

package e2e

import (
	"fmt"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// TestOrganizationStepUp signs in at a server without organizations, which is then replaced by
// examples/organization. Its tool makes the client request the scope with which the user chooses
// an organization on the consent page, once. These clients register again for a further scope, so
// that works at Clerk too.
func TestOrganizationStepUp(t *testing.T) {
	for name, start := range map[string]newStepping{
		callName:            startLinks,
		"go-sdk 2026-07-28": goSDK("2026-07-28").start(t),
		"go-sdk 2025-11-25": goSDK("2025-11-25").start(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario{t, name}.step("organization", func(t *testing.T) { chooseOrganization(t, start) })
		})
	}
}

func chooseOrganization(t *testing.T, start newStepping) {
	settings := localclerk.DefaultSettings()
	settings.DefaultScopes = []string{"profile", "email", "offline_access", "user:org:read"}
	issuer, log := startClerk(t, settings)
	port := freePort(t)
	before := startExample(t, exampleClerk, issuer, port)
	s := start(t, fmt.Sprintf("http://localhost:%d/mcp", port))
	if _, err := s.connect(within(t, stepTime), ada); err != nil {
		t.Fatal(err)
	}
	checkWhoami(t, s, ada)
	before.stop(t)
	after := startExample(t, exampleOrganization, issuer, port)

	u := ada
	u.organization = "Bombe Works" // not the first of hers
	if _, err := s.connect(within(t, stepTime), u); err != nil {
		t.Fatal(err)
	}
	if n := count(readLog(log.String()), signInRequested); n != 1 {
		t.Errorf("got %d authorization requests before the tool was called, want that of the first sign-in", n)
	}
	got, err := callTool[struct {
		Organization string `json:"org_slug"`
	}](within(t, stepTime), s, "get-organization-info", nil)
	if err != nil || got.Organization != "bombe-works" {
		t.Errorf("got organization %q and error %v, want the one chosen on the consent page, bombe-works", got.Organization, err)
	}
	if n := count(readLog(log.String()), signInRequested); n != 2 {
		t.Errorf("got %d authorization requests, want one more than the first", n)
	}
	if n := count(readLog(after.stderr.String()), "POST /mcp 403"); n != 1 {
		t.Errorf("got %d answers with 403, want one", n)
	}
	closeSession(t, s)
}
