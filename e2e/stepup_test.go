//go:build e2e && unix

package e2e

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	gocmp "github.com/google/go-cmp/cmp"
)

// These tests call tools that need more than the first sign-in gave. What each client does is
// written down as it was observed, with its mistakes; docs/clients.md has the same in a table.

// steppingSession is a session whose user may be asked for consent again.
type steppingSession interface {
	session
	// become sets the user who signs in next, if the server asks for that.
	become(ctx context.Context, u user) error
}

// newStepping returns a session at an endpoint, as a client that knows nothing of it.
type newStepping func(t *testing.T, endpoint string) steppingSession

// stepUpClient is a client and what it does when a tool needs more.
type stepUpClient struct {
	name  string
	start func(t *testing.T) newStepping

	granted      stepUpResult // the user allows
	denied       stepUpResult // the user denies
	again        stepUpResult // the user denies once more; zero if that is like denied
	fixed        stepUpResult // the authorization server answers invalid_scope
	dropped      stepUpResult // the authorization server grants everything but the scope
	role         stepUpResult // the tool needs a role: a plain 403
	withRefresh  stepUpResult // like granted, with a refresh token
	inResult     string       // error for a challenge in a result; empty means needsScope
	losesScopes  bool         // whether it loses scopes that the challenge does not name
	ignoresScope bool         // whether it requests no scopes at all
}

// stepUpResult is the result of calling a tool.
type stepUpResult struct {
	events string // see stepUpServer.take
	err    string // is in the text of the error; empty if the call succeeds
	ends   bool   // whether the session cannot be used afterwards, and the application must open another
}

const (
	steppedUp    = "write 403, authorize, token, write 200"
	notPermitted = "you are not allowed to do this"
	needsScope   = "more scopes are needed for this"
	userDenied   = "The user denied the request."
	invalidScope = "The OAuth 2.0 Client is not allowed to request scope 'documents:write'."
)

// goSDK is the go-sdk with a revision of MCP. It registers a new client at every step-up, and
// tries once more after a plain 403.
func goSDK(revision string) stepUpClient {
	const registered = "write 403, register, authorize"
	return stepUpClient{
		name: "go-sdk " + revision,
		start: func(*testing.T) newStepping {
			return func(t *testing.T, endpoint string) steppingSession {
				return newGoSession(t, endpoint, revision).(*goSession)
			}
		},
		granted:     stepUpResult{events: registered + ", token, write 200"},
		denied:      stepUpResult{events: registered, err: "access_denied"},
		fixed:       stepUpResult{events: registered, err: "invalid_scope"},
		dropped:     stepUpResult{events: registered + ", token, write 403", err: needsScope},
		role:        stepUpResult{events: "admin 403, admin 403", err: notPermitted},
		withRefresh: stepUpResult{events: registered + ", token, write 200"},
	}
}

// typeScriptV2 is version 2 of the TypeScript SDK. It steps up again at each call, so that the
// application must stop after the first time.
func typeScriptV2(name string, mode ...string) stepUpClient {
	return stepUpClient{
		name:        name,
		start:       inScript(startScript("sdk-v2.mjs", mode...)),
		granted:     stepUpResult{events: steppedUp},
		denied:      stepUpResult{events: "write 403, authorize", err: userDenied},
		fixed:       stepUpResult{events: "write 403, authorize", err: invalidScope},
		dropped:     stepUpResult{events: "write 403, authorize, token, write 403, authorize", err: "UnauthorizedError"},
		role:        stepUpResult{events: "admin 403", err: notPermitted},
		withRefresh: stepUpResult{events: steppedUp},
	}
}

// pythonV1 is version 1 of the Python SDK, on which FastMCP is built. Every 403 that remains
// ends the session.
func pythonV1(name, file, denied, forbidden string) stepUpClient {
	return stepUpClient{
		name:        name,
		start:       inScript(startPython(installPythonV1, file)),
		granted:     stepUpResult{events: steppedUp},
		denied:      stepUpResult{events: "write 403, authorize", err: denied, ends: true},
		fixed:       stepUpResult{events: "write 403, authorize", err: invalidScope, ends: true},
		dropped:     stepUpResult{events: "write 403, authorize, token, write 403", err: forbidden, ends: true},
		role:        stepUpResult{events: "admin 403", err: forbidden, ends: true},
		withRefresh: stepUpResult{events: steppedUp},
		losesScopes: true,
	}
}

// pythonV2 is version 2 of the Python SDK. A failed sign-in ends the session, whose error has the
// cause; the error of the call has not.
func pythonV2(name string, mode ...string) stepUpClient {
	return stepUpClient{
		name:        name,
		start:       inScript(startPython(installPythonV2, "python_sdk.py", mode...)),
		granted:     stepUpResult{events: steppedUp},
		denied:      stepUpResult{events: "write 403, authorize", err: "Connection closed", ends: true},
		fixed:       stepUpResult{events: "write 403, authorize", err: "Connection closed", ends: true},
		dropped:     stepUpResult{events: "write 403, authorize, token, write 403", err: needsScope},
		role:        stepUpResult{events: "admin 403", err: notPermitted},
		withRefresh: stepUpResult{events: steppedUp},
	}
}

// reporting is a client that never steps up.
func reporting(name, file string) stepUpClient {
	rejected := stepUpResult{events: "write 403", err: needsScope}
	return stepUpClient{
		name:    name,
		start:   inScript(startScript(file)),
		granted: rejected, denied: rejected, fixed: rejected, dropped: rejected, withRefresh: rejected,
		role: stepUpResult{events: "admin 403", err: notPermitted},
	}
}

func stepUpClients() []stepUpClient {
	firstRevision := reporting("@modelcontextprotocol/sdk 1.11.5", "sdk-2025-03-26.mjs")
	firstRevision.ignoresScope = true
	const upscoping = "Server returned 403 after trying upscoping"
	return []stepUpClient{
		goSDK("2026-07-28"),
		goSDK("2025-11-25"),
		{
			// With a refresh token, it refreshes in place of stepping up.
			name:        "@modelcontextprotocol/sdk 1.32.2",
			start:       inScript(startScript("sdk-v1.mjs")),
			granted:     stepUpResult{events: steppedUp},
			denied:      stepUpResult{events: "write 403, authorize", err: "access_denied"},
			again:       stepUpResult{events: "write 403", err: upscoping},
			fixed:       stepUpResult{events: "write 403, authorize", err: "invalid_scope"},
			dropped:     stepUpResult{events: "write 403, authorize, token, write 403", err: upscoping},
			role:        stepUpResult{events: "admin 403", err: notPermitted},
			withRefresh: stepUpResult{events: "write 403, refresh, write 403", err: upscoping},
			losesScopes: true,
		},
		typeScriptV2("@modelcontextprotocol/client 2.4.0"),
		typeScriptV2("@modelcontextprotocol/client 2.4.0 auto", "auto"),
		pythonV1("mcp 1.30.0", "python_sdk.py", "access_denied", "403 Forbidden"),
		pythonV2("mcp 2.3.0"),
		pythonV2("mcp 2.3.0 legacy", "legacy"),
		pythonV1("fastmcp 3.4.11", "python_fastmcp.py", "Access was denied by the authorization server", "403 Forbidden"),
		reporting("@ai-sdk/mcp 2.0.99", "sdk-ai.mjs"),
		firstRevision,
		{
			// It registers again where its client may not request the scope.
			name:        callName,
			start:       func(*testing.T) newStepping { return startLinks },
			granted:     stepUpResult{events: steppedUp},
			denied:      stepUpResult{events: "write 403, authorize", err: "the sign-in without it stays saved"},
			fixed:       stepUpResult{events: "write 403, register, authorize, token, write 200"},
			dropped:     stepUpResult{events: "write 403, authorize, token, write 403", err: `did not grant "documents:write"`},
			role:        stepUpResult{events: "admin 403", err: "gatehouse: error: \"http"},
			withRefresh: stepUpResult{events: steppedUp},
			inResult:    `gatehouse: error: tool "write" needs scope "documents:write"`,
		},
	}
}

func startLinks(t *testing.T, endpoint string) steppingSession { return newLinkSession(t, endpoint) }

// inScript starts a script, which all tests of a client use.
func inScript(start func(t testing.TB, endpoint string) session) func(t *testing.T) newStepping {
	return func(t *testing.T) newStepping {
		s := start(t, "").(*script)
		used := false
		return func(t *testing.T, endpoint string) steppingSession {
			t.Helper()
			if used {
				if err := s.forget(within(t, stepTime)); err != nil {
					t.Fatal(err)
				}
			}
			used, s.endpoint = true, endpoint
			return s
		}
	}
}

func TestStepUp(t *testing.T) {
	for _, c := range stepUpClients() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			at := c.start(t)
			sc := scenario{t, c.name}
			sc.step("step-up", func(t *testing.T) { checkGranted(t, c, at) })
			sc.step("operation's scopes", func(t *testing.T) { checkKeepsScopes(t, c, at) })
			sc.step("refresh token", func(t *testing.T) {
				r := startSteppingSession(t, at, stepUpConfig{rule: grantsScopes, refresh: true})
				r.call(t, writeTool, c.withRefresh)
				if c.withRefresh.err != "" && !c.ignoresScope { // the remedy for such clients
					r := startSteppingSession(t, at, stepUpConfig{rule: grantsScopes, refresh: true, clerkLike: true})
					r.call(t, writeTool, stepUpResult{events: "write 200"})
				}
			})
			sc.step("denied", func(t *testing.T) {
				r := startSteppingSession(t, at, stepUpConfig{rule: grantsScopes})
				r.become(t, ada.denying())
				r.call(t, writeTool, c.denied)
				if !c.denied.ends {
					r.call(t, writeTool, cmp.Or(c.again, c.denied))
				}
				r.callOpen(t, c.denied)
			})
			sc.step("dropped", func(t *testing.T) {
				r := startSteppingSession(t, at, stepUpConfig{rule: dropsScopes})
				r.call(t, writeTool, c.dropped)
				r.callOpen(t, c.dropped)
			})
			sc.step("invalid_scope", func(t *testing.T) {
				r := startSteppingSession(t, at, stepUpConfig{rule: fixedScopes, clerkLike: true, late: true})
				r.server.declare()
				r.call(t, writeTool, c.fixed)
				r.callOpen(t, c.fixed)
			})
			sc.step("Clerk", func(t *testing.T) { checkAtClerk(t, c, at) })
			sc.step("plain 403", func(t *testing.T) {
				r := startSteppingSession(t, at, stepUpConfig{rule: grantsScopes})
				r.call(t, adminTool, c.role)
				r.callOpen(t, c.role)
			})
			sc.step("in result", func(t *testing.T) {
				r := startSteppingSession(t, at, stepUpConfig{rule: grantsScopes, guard: gatehouse.Config{ChallengeInResult: true}})
				r.call(t, writeTool, stepUpResult{events: "write 200", err: cmp.Or(c.inResult, needsScope)})
				r.callOpen(t, stepUpResult{})
				if s, ok := r.session.(*linkSession); ok { // as the error says
					s.flags = []string{"--scope", scopeWrite}
					r.call(t, writeTool, stepUpResult{events: "authorize, token, write 200"})
				}
			})
		})
	}
}

// steppingRun is one client at one server, signed in as ada.
type steppingRun struct {
	session steppingSession
	server  *stepUpServer
}

// startSteppingSession starts a server, signs ada in and calls openTool.
func startSteppingSession(t *testing.T, at newStepping, cfg stepUpConfig) steppingRun {
	t.Helper()
	server := startStepUp(t, cfg)
	r := steppingRun{at(t, server.url), server}
	if _, err := r.session.connect(within(t, stepTime), ada); err != nil {
		t.Fatal(err)
	}
	if got := server.take(); got != "register, authorize, token" {
		t.Fatalf("got %q at the first sign-in, want one", got)
	}
	r.call(t, openTool, stepUpResult{events: "open 200"})
	t.Cleanup(func() {
		r.session.close(within(t, stepTime)) // fails if the session has ended
		if got := server.take(); got != "" {
			t.Errorf("got %q after the last call, want nothing", got)
		}
	})
	return r
}

func (r steppingRun) become(t *testing.T, u user) {
	t.Helper()
	if err := r.session.become(within(t, stepTime), u); err != nil {
		t.Fatal(err)
	}
}

// call calls a tool, and compares all that happens with want. It returns what the token of the
// call had.
func (r steppingRun) call(t *testing.T, tool string, want stepUpResult) granted {
	t.Helper()
	got, err := callTool[granted](within(t, stepTime), r.session, tool, nil)
	if events := r.server.take(); events != want.events {
		t.Errorf("calling %s: got %q, want %q", tool, events, want.events)
	}
	if want.err == "" && err != nil || want.err != "" && (err == nil || !strings.Contains(err.Error(), want.err)) {
		t.Errorf("calling %s: got error %v, want %q", tool, err, want.err)
	}
	return got
}

// callOpen calls openTool after a call with the result before: the first sign-in is still valid,
// in a new session if that call has ended the old one.
func (r steppingRun) callOpen(t *testing.T, before stepUpResult) {
	t.Helper()
	if before.ends {
		if _, err := callTool[granted](within(t, stepTime), r.session, openTool, nil); err == nil {
			t.Error("the session can still be used, want that it has ended")
		}
		if _, err := r.session.connect(within(t, stepTime), ada); err != nil {
			t.Fatalf("connecting again: %v", err)
		}
	}
	r.call(t, openTool, stepUpResult{events: "open 200"})
}

// checkGranted steps up twice. Every scope is kept, so nothing is requested again.
func checkGranted(t *testing.T, c stepUpClient, at newStepping) {
	r := startSteppingSession(t, at, stepUpConfig{rule: grantsScopes})
	got := r.call(t, writeTool, c.granted)
	if c.granted.err != "" {
		r.callOpen(t, c.granted)
		return
	}
	wantScopes(t, got, "email", "profile", scopeWrite)
	r.call(t, writeTool, stepUpResult{events: "write 200"})
	again := stepUpResult{events: strings.ReplaceAll(c.granted.events, "write", "share")}
	wantScopes(t, r.call(t, shareTool, again), "email", "profile", scopeWrite, scopeShare)
	wantScopes(t, r.call(t, writeTool, stepUpResult{events: "write 200"}), "email", "profile", scopeWrite, scopeShare)
	r.call(t, openTool, stepUpResult{events: "open 200"})
}

// wantScopes checks the scopes of a token, apart from offline_access.
func wantScopes(t *testing.T, got granted, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := gocmp.Diff(want, without(got.Scopes, "offline_access")); diff != "" {
		t.Errorf("scopes of the token (-want +got):\n%s", diff)
	}
}

// checkKeepsScopes steps up where the challenge names the scope of the operation only.
func checkKeepsScopes(t *testing.T, c stepUpClient, at newStepping) {
	r := startSteppingSession(t, at, stepUpConfig{rule: grantsScopes, guard: gatehouse.Config{OperationScopesOnly: true}})
	got := r.call(t, writeTool, c.granted)
	switch {
	case c.granted.err != "":
	case c.losesScopes:
		wantScopes(t, got, scopeWrite)
	default:
		wantScopes(t, got, "email", "profile", scopeWrite)
	}
}

// checkAtClerk uses a server whose provider says that scopes are fixed at registration, with the
// default scopes that it then needs: the first sign-in has all scopes, so there is no step-up.
func checkAtClerk(t *testing.T, c stepUpClient, at newStepping) {
	r := startSteppingSession(t, at, stepUpConfig{rule: fixedScopes, clerkLike: true, defaults: true})
	if c.ignoresScope {
		r.call(t, writeTool, c.fixed)
		return
	}
	wantScopes(t, r.call(t, writeTool, stepUpResult{events: "write 200"}),
		"email", "profile", "user:org:read", scopeWrite, scopeShare)
	r.call(t, organizationTool, stepUpResult{events: "organization 200"})
}

// TestStepUpControl calls the tool that needs a role as a user who has it.
func TestStepUpControl(t *testing.T) {
	t.Parallel()
	server := startStepUp(t, stepUpConfig{rule: grantsScopes})
	s := newGoSession(t, server.url, "2026-07-28")
	if _, err := s.connect(within(t, stepTime), grace); err != nil {
		t.Fatal(err)
	}
	if _, err := callTool[granted](within(t, stepTime), s, adminTool, nil); err != nil {
		t.Errorf("calling %s as an admin: %v", adminTool, err)
	}
	closeSession(t, s)
}
