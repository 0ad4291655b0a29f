package main

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// TestDevUpstream signs in at a server that knows nothing of OAuth, behind the gateway of
// "gatehouse dev --upstream" and the proxy that the development window records.
func TestDevUpstream(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var ports [2]string
	for i := range ports {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = port
	}
	var stderr testlog.Buffer
	stderr.ShowOnFailure(t, "gatehouse dev")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	con := &console{stdout: &stderr, stderr: &stderr, getenv: func(string) string { return "" }}
	go func() {
		ended <- run(ctx, con, []string{"dev", "--port", ports[0], "--clerk-port", ports[1], "--upstream", newOpenServer(t) + "/mcp"})
	}()
	if _, err := stderr.Wait(t.Context(), regexp.MustCompile("Ctrl-C stops the gateway")); err != nil {
		t.Fatal(err)
	}
	got := f.call(t, "http://localhost:"+ports[0]+"/mcp", "whoami")
	got.want(t, exitOK)
	if !strings.Contains(got.stdout, `"user": "user_`) || !strings.Contains(got.stdout, `"token": ""`) {
		t.Errorf("whoami is %s, want a user and no token", got.stdout)
	}
	stop()
	if code := <-ended; code != exitOK && code != exitInterrupted {
		t.Errorf("gatehouse dev ended with status %d", code)
	}
}
