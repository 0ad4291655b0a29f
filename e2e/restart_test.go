//go:build e2e && unix

package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// TestServerRestart restarts the server while a client is signed in and Clerk keeps running.
// No user has to sign in again. Sessions of the stateful revisions end; their clients open
// new ones with the same token.
func TestServerRestart(t *testing.T) {
	for _, c := range clients {
		if strings.HasPrefix(c.name, "page in Chromium") || strings.HasPrefix(c.name, "mcp-remote") {
			continue // these use SDKs that are tested already
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			scenario{t, c.name}.step("redeploy", func(t *testing.T) { redeploy(t, c) })
		})
	}
}

func redeploy(t *testing.T, c client) {
	issuer, log := startClerk(t, localclerk.DefaultSettings())
	port := freePort(t)
	server := startExample(t, exampleClerk, issuer, port)
	s := c.start(t, fmt.Sprintf("http://localhost:%d/mcp", port))
	if _, err := s.connect(within(t, stepTime), ada); err != nil {
		t.Fatal(err)
	}
	checkWhoami(t, s, ada)

	server.stop(t)
	startExample(t, exampleClerk, issuer, port)

	got, err := callTool[whoami](within(t, stepTime), s, "whoami", nil)
	if c.revision >= "2026-07-28" {
		if err != nil || got.Name != ada.name {
			t.Errorf("got %q and error %v from the new server, want %q, as before the restart", got.Name, err, ada.name)
		}
	}
	if _, err := s.connect(within(t, stepTime), ada); err != nil {
		t.Fatalf("connecting to the new server: %v", err)
	}
	checkWhoami(t, s, ada)
	if n := count(readLog(log.String()), tokenIssued); n != 1 {
		t.Errorf("got %d sign-ins, want only the first", n)
	}
}

// startClerk runs a local Clerk in this process, and returns its log. Unlike that of
// gatehousetest, the Clerk has a logger, in the format of "gatehouse dev".
func startClerk(t *testing.T, settings localclerk.Settings) (issuer string, log *testlog.Buffer) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log = &testlog.Buffer{}
	log.ShowOnFailure(t, "the local Clerk")
	clerk, err := localclerk.New(localclerk.Config{
		Issuer:   fmt.Sprintf("http://127.0.0.1:%d", l.Addr().(*net.TCPAddr).Port),
		Settings: &settings,
		Logger:   slog.New(slog.NewTextHandler(log, nil)).With("from", "clerk"),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- clerk.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("local Clerk: %v", err)
		}
	})
	return clerk.Issuer(), log
}

// startExample runs the program of an example.
func startExample(t *testing.T, example, issuer string, port int) *program {
	t.Helper()
	p := launch(t, filepath.Base(example), nil, nil, []string{
		"MCP_USE_OAUTH_CLERK_FRONTEND_API_URL=" + issuer, fmt.Sprintf("PORT=%d", port),
	}, example)
	if _, err := p.await(within(t, stepTime), devReady); err != nil {
		t.Fatal(err)
	}
	return p
}
