//go:build stores

package main

import (
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
)

// TestBanReachesOtherProcessesThroughRedis delivers an event to one of two processes that share a real
// Redis, which ends and is started again.
func TestBanReachesOtherProcessesThroughRedis(t *testing.T) {
	addr, port := teststore.FreeAddr(t)
	folder := t.TempDir()
	redis := teststore.NewProcess(t, addr, folder, nil, teststore.RedisServer(t),
		"--bind", "127.0.0.1", "--port", port, "--dir", folder, "--appendonly", "yes", "--appendfsync", "always", "--save", "")
	redis.Start(t)
	store := func() gatehouse.RevocationStore {
		s, closeStore, err := openStore(t.Context(), "redis://"+addr+"/0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(closeStore)
		return s
	}
	clerk := gatehousetest.Clerk(t)
	_, hook := startServer(t, clerk, store())
	url, _ := startServer(t, clerk, store())
	setClock(t, clerk, -10*time.Second)
	ada := clerk.SignIn(t, url, gatehousetest.Person{User: "ada"})
	grace := clerk.SignIn(t, url, gatehousetest.Person{User: "grace"})
	if got := call(t, ada, url); got != 200 {
		t.Fatalf("before the ban: status %d, want 200", got)
	}
	body := eventAt(time.Now(), "user.updated", `{"id":"`+clerk.Users()[0].ID+`","banned":true,"locked":false}`)
	ban := delivery{secret: secret, sent: time.Now(), body: body}
	redis.Kill(t)
	if got := ban.to(t, hook); got != 503 {
		t.Errorf("webhook while Redis does not run: status %d, want 503, so that the event is delivered again", got)
	}
	if got := call(t, ada, url); got != 200 {
		t.Errorf("at the other process, which cannot know: status %d, want 200", got)
	}
	redis.Start(t)
	deadline := time.Now().Add(time.Minute)
	for ban.to(t, hook) != 204 || call(t, ada, url) != 401 {
		if time.Now().After(deadline) {
			t.Fatal("the other process does not reject the token")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := call(t, grace, url); got != 200 {
		t.Errorf("another user: status %d, want 200", got)
	}
}
