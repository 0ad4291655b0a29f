package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/window"
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

// TestDevUpstreamPath checks that the development window names the URL that clients connect to: with
// the path of the upstream.
func TestDevUpstreamPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, upstream, want string }{
		{"control: no upstream", "", "/mcp"},
		{"the usual path", "http://localhost:1/mcp", "/mcp"},
		{"no path", "http://localhost:1", "/mcp"},
		{"another path", "http://localhost:1/api/v2", "/api/v2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			con := &console{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }}
			port, err := freePort()
			if err != nil {
				t.Fatal(err)
			}
			clerkPort, err := strconv.Atoi(port)
			if err != nil {
				t.Fatal(err)
			}
			env, err := openDevEnvironment(con, devOptions{upstream: test.upstream, clerkPort: clerkPort, quiet: true})
			if err != nil {
				t.Fatal(err)
			}
			defer env.close()
			defer env.serverListener.Close()
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", window.Path+"api/state", nil)
			r.Host = "localhost"
			env.window.ServeHTTP(w, r)
			var state window.State
			if err := json.Unmarshal(w.Body.Bytes(), &state); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			if want := env.origin() + test.want; state.Endpoint != want {
				t.Errorf("got endpoint %q, want %q", state.Endpoint, want)
			}
		})
	}
}
