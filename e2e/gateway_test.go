//go:build e2e && gateway && unix

package e2e

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// gatewayClient is a client that signs in through the gateway, and what it can do. A feature that
// it lacks has the reason in place of a test.
type gatewayClient struct {
	name  string
	start func(t *testing.T, endpoint string) session

	// revision is the one of a backend that has all revisions; empty if the client does not print
	// it. A backend of the earlier revisions gets 2025-11-25.
	revision string

	// Reasons why a row is not run.
	noWatch  string // progress events and elicitation
	noCancel string // cancellation

	spoofs bool // whether it can send headers of its own
}

var gatewayClients = []gatewayClient{
	{name: "go-sdk 2026-07-28", revision: "2026-07-28", spoofs: true, start: asSession(startGoSession("2026-07-28"))},
	{name: "go-sdk 2025-11-25", revision: "2025-11-25", spoofs: true, start: asSession(startGoSession("2025-11-25"))},
	{name: "@modelcontextprotocol/sdk 1.32.2", revision: "2025-11-25", start: asSession(startScript("sdk-v1.mjs"))},
	{name: "@modelcontextprotocol/client 2.4.0 auto", revision: "2026-07-28", start: asSession(startScript("sdk-v2.mjs", "auto"))},
	{name: "mcp 1.30.0", revision: "2025-11-25", start: asSession(startPython(installPythonV1, "python_sdk.py")),
		noCancel: "version 1 of the Python SDK sends no notifications/cancelled when its caller cancels the call"},
	{name: "mcp 2.3.0", revision: "2026-07-28", start: asSession(startPython(installPythonV2, "python_sdk.py"))},
	{name: "fastmcp 3.4.11", revision: "2025-11-25", start: asSession(startPython(installPythonV1, "python_fastmcp.py")),
		noCancel: "it is built on version 1 of the Python SDK"},
	{name: "gatehouse call", start: func(t *testing.T, endpoint string) session { return newCallSession(t, endpoint) },
		noWatch: "it answers no questions, and prints no progress", noCancel: "it has no session that outlives the call"},
}

func asSession(start func(testing.TB, string) session) func(*testing.T, string) session {
	return func(t *testing.T, endpoint string) session { return start(t, endpoint) }
}

// TestGateway signs in through the gateway with each client at each backend.
func TestGateway(t *testing.T) {
	for _, b := range gatewayBackends {
		t.Run(b.name, func(t *testing.T) {
			for _, c := range gatewayClients {
				t.Run(c.name, func(t *testing.T) { runGatewayPair(t, b, c) })
			}
		})
	}
}

// gatewayWhoami is the result of the tool whoami of a backend.
type gatewayWhoami struct {
	User    string `json:"user"`    // from X-Forwarded-User
	Subject string `json:"subject"` // from the assertion, which the backend verified
	Token   string `json:"token"`   // from Authorization, which the gateway removes
}

// runGatewayPair runs all rows with one client and one backend.
func runGatewayPair(t *testing.T, b gatewayBackend, c gatewayClient) {
	g := startGateway(t, b)
	s := c.start(t, g.url)
	sc := scenario{t, c.name + " > " + b.name}
	sc.step("sign-in", func(t *testing.T) {
		if own, ok := s.(*goSession); ok && c.spoofs {
			own.http = &http.Client{Transport: spoofing{}}
		}
		revision, err := s.connect(within(t, stepTime), ada)
		if err != nil {
			t.Fatal(err)
		}
		if want := min(c.revision, b.newest); revision != want {
			t.Errorf("got revision %s, want %s", revision, want)
		}
	})
	sc.step("list", func(t *testing.T) { checkGatewayTools(t, s) })
	sc.step("whoami", func(t *testing.T) { checkGatewayWhoami(t, g, s, ada) })
	sc.step("separate", func(t *testing.T) {
		other := c.start(t, g.url)
		if _, err := other.connect(within(t, stepTime), grace); err != nil {
			t.Fatal(err)
		}
		checkGatewayWhoami(t, g, other, grace)
		checkGatewayWhoami(t, g, s, ada)
		closeSession(t, other)
	})
	if c.noWatch == "" {
		sc.step("progress", func(t *testing.T) { checkProgress(t, s) })
	}
	if c.noWatch == "" && (!b.noSessions || c.revision == b.newest) {
		sc.step("elicitation", func(t *testing.T) { checkElicitation(t, s) })
	}
	if c.noCancel == "" && b.noCancel == "" {
		sc.step("cancel", func(t *testing.T) { checkCancel(t, g, s) })
	}
	sc.step("undeclared", func(t *testing.T) { checkUndeclared(t, g, c) })
	sc.step("step-up", func(t *testing.T) { checkStepUp(t, g, s) })
	sc.step("killed", func(t *testing.T) { checkKilled(t, g, c, s) })
}

// checkGatewayTools checks that the list has every tool that the file of the gateway names, and no
// other.
func checkGatewayTools(t *testing.T, s session) {
	t.Helper()
	names, err := s.tools(within(t, stepTime))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ask", "progress", "purge", "slow", "whoami"}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(names))); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
}

// checkGatewayWhoami checks that the backend knows the user, from the header and from the
// assertion, and gets no access token.
func checkGatewayWhoami(t *testing.T, g *gatewayServer, s session, u user) {
	t.Helper()
	got, err := callTool[gatewayWhoami](within(t, stepTime), s, "whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	id := g.userID(t, u)
	if want := (gatewayWhoami{User: id, Subject: id}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := g.backend.await(within(t, stepTime), regexp.MustCompile("called by "+id+", asserted "+id+`\n`)); err != nil {
		t.Errorf("the backend has not printed who called: %v", err)
	}
}

// spoofing adds headers with which a client names another user.
type spoofing struct{}

func (spoofing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for _, name := range []string{"X-Forwarded-User", "X-Forwarded-Email", "X-Gatehouse-Assertion", "X_Forwarded_User"} {
		r.Header.Set(name, "mallory")
	}
	r.Header.Set("Connection", "X-Forwarded-User, X-Gatehouse-Assertion")
	return http.DefaultTransport.RoundTrip(r)
}

// checkProgress calls a tool that sends no event before the client has received the one before it.
func checkProgress(t *testing.T, s session) {
	t.Helper()
	gate := newGate(t)
	result, err := watch(within(t, stepTime), s, "progress", map[string]any{"gate": gate.url}, gate.url, false)
	if err != nil {
		t.Fatal(err)
	}
	if result.IsError {
		t.Fatalf("the tool reports an error: %s", textOf(result))
	}
	if got := gate.take(); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("the client received the events %q, want 1, 2 and 3", got)
	}
}

func checkElicitation(t *testing.T, s session) {
	t.Helper()
	type answer struct{ Action, Colour string }
	got, err := callTool[answer](within(t, stepTime), s, "ask", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (answer{"accept", "blue"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// checkCancel cancels a call when its first event arrives. The backend prints that it noticed.
func checkCancel(t *testing.T, g *gatewayServer, s session) {
	t.Helper()
	result, err := watch(within(t, stepTime), s, "slow", map[string]any{}, "", true)
	if err == nil && !result.IsError {
		t.Error("the call ended without an error after it was cancelled")
	}
	if _, err := g.backend.await(within(t, stepTime), regexp.MustCompile("the call was cancelled")); err != nil {
		t.Fatalf("the backend has not noticed: %v", err)
	}
	checkGatewayWhoami(t, g, s, ada)
}

// checkUndeclared calls a tool that the file does not name, in a session of its own: clients of
// version 1 of the Python SDK end theirs at a 403.
func checkUndeclared(t *testing.T, g *gatewayServer, c gatewayClient) {
	t.Helper()
	s := c.start(t, g.url)
	if _, err := s.connect(within(t, stepTime), ada); err != nil {
		t.Fatal(err)
	}
	result, err := s.call(within(t, stepTime), "hidden", map[string]any{})
	if err == nil && !result.IsError {
		t.Errorf("got %s, want a rejection", textOf(result))
	}
	if strings.Contains(g.backend.stderr.String(), "hidden was called") {
		t.Error("the call reached the backend")
	}
}

// checkStepUp calls a tool that needs a scope. Every client here asks the user for it, and calls
// the tool again.
func checkStepUp(t *testing.T, g *gatewayServer, s session) {
	t.Helper()
	before := g.tokens()
	got, err := callTool[gatewayWhoami](within(t, stepTime), s, "purge", nil)
	if err != nil {
		t.Fatal(err)
	}
	if id := g.userID(t, ada); got.Subject != id {
		t.Errorf("got %+v, want the subject %s", got, id)
	}
	if n := g.tokens() - before; n == 0 {
		t.Error("no token was issued, want one with the scope")
	}
}

// unreachable matches the errors with which clients report that the backend does not run. Version 2
// of the Python SDK names neither the status nor the message.
var unreachable = regexp.MustCompile(`502|Bad Gateway|MCP server behind the gateway|Server returned an error response`)

// checkKilled kills the backend, whose next call must fail with an error that says so, and starts
// it again.
func checkKilled(t *testing.T, g *gatewayServer, c gatewayClient, s session) {
	t.Helper()
	g.killBackend()
	tokens := g.tokens()
	result, err := s.call(within(t, stepTime), "whoami", map[string]any{})
	if err == nil && result.IsError {
		err = errors.New(textOf(result))
	}
	if err == nil || !unreachable.MatchString(err.Error()) {
		t.Errorf("got error %v, want one that matches %s", err, unreachable)
	}
	if g.tokens() != tokens {
		t.Error("the client signed in again, want that it keeps its token")
	}
	g.startBackend(t)
	if _, err := connectAgain(within(t, stepTime), s, ada); err != nil {
		t.Fatal(err)
	}
	checkGatewayWhoami(t, g, s, ada)
	if g.tokens() != tokens {
		t.Error("the client signed in again after the restart, want that it keeps its token")
	}
}

// connectAgain connects until the gateway reaches the backend.
func connectAgain(ctx context.Context, s session, u user) (revision string, err error) {
	for {
		revision, err = s.connect(ctx, u)
		if err == nil || ctx.Err() != nil || !unreachable.MatchString(err.Error()) {
			return revision, err
		}
		pause(ctx)
	}
}

// watch calls a tool. The client sends a POST request to seen when a progress event arrives, or
// else cancels the call at the first event.
func watch(
	ctx context.Context, s session, tool string, input map[string]any, seen string, cancels bool,
) (*mcp.CallToolResult, error) {
	switch s := s.(type) {
	case *script:
		var result mcp.CallToolResult
		err := s.command(ctx, "call", map[string]any{"tool": tool, "input": input, "seen": seen, "cancels": cancels}, &result)
		return &result, err
	case *goSession:
		return s.watch(ctx, tool, input, seen, cancels)
	}
	return nil, errors.New("the client cannot watch a call")
}

func (s *goSession) watch(
	ctx context.Context, tool string, input map[string]any, seen string, cancels bool,
) (*mcp.CallToolResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	report := func(event int) {
		if cancels {
			cancel()
		} else {
			postEvent(ctx, seen, event)
		}
	}
	s.progress.Store(&report)
	defer s.progress.Store(nil)
	params := &mcp.CallToolParams{Name: tool, Arguments: input}
	params.SetProgressToken(strings.ToLower(tool))
	return s.session.CallTool(ctx, params)
}
