package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

// TestProfileProblem checks that a tool says to sign in again only if that helps.
func TestProfileProblem(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{clerk.ErrTokenRevoked, "Your sign-in has expired or was revoked. Sign in again."},
		{clerk.ErrUnavailable, "Clerk did not answer. Try again later."},
		{clerk.ErrNotSignedIn, "No one is signed in."},
	} {
		var log bytes.Buffer
		tools := &demoTools{logger: slog.New(slog.NewTextHandler(&log, nil))}
		if got := tools.profileProblem(fmt.Errorf("%w: detail", test.err)); got != test.want {
			t.Errorf("profileProblem(%v) = %q, want %q", test.err, got, test.want)
		}
		if !strings.Contains(log.String(), "detail") {
			t.Errorf("log has no detail: %s", log.String())
		}
	}
}

// TestDemoAfterTheEndOfASignIn calls whoami with a token that the guard accepts, but Clerk
// does not: it has just expired. The next call refreshes it.
func TestDemoAfterTheEndOfASignIn(t *testing.T) {
	t.Parallel()
	stderr := &testlog.Buffer{}
	con := &console{stderr: stderr, stdout: stderr}
	env, err := openDevEnvironment(con, devOptions{port: freePortNumber(t), clerkPort: freePortNumber(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, task := range []func(context.Context) error{
		env.serveClerk,
		env.serveProxy,
		func(ctx context.Context) error { return env.runDemo(ctx, con) },
	} {
		running.Go(func() { task(ctx) })
	}
	defer running.Wait()
	defer stop()

	f := newFixture(t)
	f.browse = f.browser(map[string]string{localclerk.SignInHeader: "ada"})
	f.mcpURL = env.origin() + "/mcp"
	f.call(t, f.mcpURL, "token").want(t, exitOK)
	setFaults := func(faults localclerk.Faults) {
		t.Helper()
		if err := env.clerk.SetFaults(faults); err != nil {
			t.Fatal(err)
		}
	}
	setFaults(localclerk.Faults{ClockOffset: 25 * time.Hour}) // a token is valid for 24 hours
	got := f.call(t, f.mcpURL, "whoami")
	got.want(t, exitFailure)
	if want := "Your sign-in has expired or was revoked. Sign in again.\n"; got.stdout != want {
		t.Errorf("stdout = %q, want %q", got.stdout, want)
	}
	if !strings.Contains(stderr.String(), "no profile") {
		t.Errorf("nothing was logged:\n%s", stderr)
	}
	setFaults(localclerk.Faults{})
	f.call(t, "-v", f.mcpURL, "whoami").want(t, exitOK, "the server rejects the token", "refreshed the access token")
}

func freePortNumber(t *testing.T) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
