package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
)

// startServer serves the program's MCP server on a free port. It returns the URL of its endpoint,
// and its webhook.
func startServer(t *testing.T, clerk *gatehousetest.ClerkServer, store gatehouse.RevocationStore) (string, *webhook) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := newServer(serve.Config{Provider: clerk.Provider(), URL: "http://" + listener.Addr().String(), Revocations: store})
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(t.Context(), listener)
	hook, err := newWebhook(secret, server.Guard().Deny)
	if err != nil {
		t.Fatal(err)
	}
	return server.URL(), hook
}

// call calls whoami with a signed-in client and returns the status.
func call(t *testing.T, client *http.Client, url string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url,
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// TestBanAndReturn signs a user in, bans the user, and lifts the ban.
func TestBanAndReturn(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	url, hook := startServer(t, clerk, nil)
	setClock(t, clerk, -10*time.Second) // iat has whole seconds
	ada := clerk.SignIn(t, url, gatehousetest.Person{User: "ada"})
	grace := clerk.SignIn(t, url, gatehousetest.Person{User: "grace"})
	for name, client := range map[string]*http.Client{"ada": ada, "grace": grace} {
		if got := call(t, client, url); got != 200 {
			t.Fatalf("%s, before the ban: status %d, want 200", name, got)
		}
	}

	users := clerk.Users()
	ban := delivery{secret: secret, sent: time.Now(), body: eventAt(time.Now(), "user.updated", `{"id":"`+users[0].ID+`","banned":true,"locked":false}`)}
	setBanned(t, clerk, true)
	if got := ban.to(t, hook); got != 204 {
		t.Fatalf("webhook: status %d, want 204", got)
	}
	if got := call(t, ada, url); got != 401 {
		t.Errorf("ada, banned: status %d, want 401", got)
	}
	if got := call(t, grace, url); got != 200 {
		t.Errorf("grace, during the ban: status %d, want 200", got)
	}

	setBanned(t, clerk, false)
	setClock(t, clerk, 10*time.Second)
	if got := ban.to(t, hook); got != 204 {
		t.Errorf("webhook, delivered again: status %d, want 204", got)
	}
	again := clerk.SignIn(t, url, gatehousetest.Person{User: "ada"})
	if got := call(t, again, url); got != 200 {
		t.Errorf("ada, signed in again: status %d, want 200", got)
	}
	if got := call(t, ada, url); got != 401 {
		t.Errorf("ada, with the old token: status %d, want 401", got)
	}
}

// TestLeavingAnOrganization revokes only the tokens for that organization.
func TestLeavingAnOrganization(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	url, hook := startServer(t, clerk, nil)
	setClock(t, clerk, -10*time.Second)
	engines, bombe := clerk.Organizations()[0], clerk.Organizations()[1]
	clients := map[string]*http.Client{}
	for _, slug := range []string{engines.Slug, bombe.Slug} {
		clients[slug] = clerk.SignIn(t, url, gatehousetest.Person{User: "ada", Organization: slug})
	}
	d := delivery{secret: secret, sent: time.Now(), body: eventAt(time.Now(), "organizationMembership.deleted",
		`{"organization":{"id":"`+engines.ID+`"},"public_user_data":{"user_id":"`+clerk.Users()[0].ID+`"}}`)}
	if got := d.to(t, hook); got != 204 {
		t.Fatalf("webhook: status %d, want 204", got)
	}
	for slug, want := range map[string]int{engines.Slug: 401, bombe.Slug: 200} {
		if got := call(t, clients[slug], url); got != want {
			t.Errorf("in %s: status %d, want %d", slug, got, want)
		}
	}
}

// TestBanReachesOtherProcesses delivers an event to one of two processes with a shared store.
func TestBanReachesOtherProcesses(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	store := gatehousetest.NewRevocations()
	_, hook := startServer(t, clerk, store)
	url, _ := startServer(t, clerk, store)
	setClock(t, clerk, -10*time.Second)
	ada := clerk.SignIn(t, url, gatehousetest.Person{User: "ada"})
	if got := call(t, ada, url); got != 200 {
		t.Fatalf("before the ban: status %d, want 200", got)
	}
	ban := delivery{secret: secret, sent: time.Now(), body: eventAt(time.Now(), "user.updated", `{"id":"`+clerk.Users()[0].ID+`","banned":true}`)}
	store.SetDown(true)
	if got := ban.to(t, hook); got != 503 {
		t.Errorf("webhook while the store is down: status %d, want 503, so that Svix delivers again", got)
	}
	store.SetDown(false)
	if got := ban.to(t, hook); got != 204 {
		t.Errorf("webhook, delivered again: status %d, want 204", got)
	}
	deadline := time.Now().Add(time.Minute)
	for call(t, ada, url) != 401 {
		if time.Now().After(deadline) {
			t.Fatal("the other process does not reject the token")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func setClock(t *testing.T, clerk *gatehousetest.ClerkServer, offset time.Duration) {
	t.Helper()
	if err := clerk.SetFaults(localclerk.Faults{ClockOffset: offset}); err != nil {
		t.Fatal(err)
	}
}

// setBanned bans the first user, or lifts the ban.
func setBanned(t *testing.T, clerk *gatehousetest.ClerkServer, banned bool) {
	t.Helper()
	users := clerk.Users()
	users[0].Banned = banned
	if err := clerk.SetUsers(users, clerk.Organizations()); err != nil {
		t.Fatal(err)
	}
}

func TestRunReportsEveryFault(t *testing.T) {
	for _, variable := range []string{secretVariable, "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL", "CLERK_PUBLISHABLE_KEY"} {
		t.Setenv(variable, "")
	}
	t.Setenv(storeVariable, "mysql://localhost")
	err := run(t.Context())
	for _, want := range []string{secretVariable + " is not a signing secret", storeVariable + " has the scheme", "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}
