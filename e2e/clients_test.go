//go:build e2e && unix

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// client is a client library and the requests that it is expected to send.
type client struct {
	name     string
	revision string // of MCP
	start    func(t testing.TB, endpoint string) session
	// refreshes reports whether the client requests a refresh token. The others sign in
	// again when their access token has expired.
	refreshes bool
	// wantRequests has every exchange from the first request up to the token.
	wantRequests []string
}

// directRequests are those of a client of the revision 2025-06-18 or later: the 401 names
// the resource metadata, the resource metadata names the issuer, and the client neither
// guesses nor repeats anything.
var directRequests = []string{
	"POST /mcp 401",
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	clientRegistered,
	signInRequested,
	tokenIssued,
}

var clients = []client{
	{
		name:         "go-sdk 2026-07-28",
		revision:     "2026-07-28",
		start:        startGoSession("2026-07-28"),
		refreshes:    true,
		wantRequests: directRequests,
	},
	{
		name:         "go-sdk 2025-11-25",
		revision:     "2025-11-25",
		start:        startGoSession("2025-11-25"),
		refreshes:    true,
		wantRequests: directRequests,
	},
	{
		name:         "@modelcontextprotocol/sdk 1.32.2",
		revision:     "2025-11-25",
		start:        startScript("sdk-v1.mjs"),
		wantRequests: directRequests,
	},
	{
		name:         "@modelcontextprotocol/client 2.4.0",
		revision:     "2025-11-25",
		start:        startScript("sdk-v2.mjs"),
		refreshes:    true,
		wantRequests: directRequests,
	},
	{
		name:         "@modelcontextprotocol/client 2.4.0 auto",
		revision:     "2026-07-28",
		start:        startScript("sdk-v2.mjs", "auto"),
		refreshes:    true,
		wantRequests: directRequests,
	},
	{
		name:         "@modelcontextprotocol/sdk 1.11.5",
		revision:     "2025-03-26",
		start:        startScript("sdk-2025-03-26.mjs"),
		wantRequests: firstRevisionRequests,
	},
	{
		name:         "mcp-remote 0.15.1",
		revision:     "2025-11-25",
		start:        newRemoteSession,
		refreshes:    true,
		wantRequests: mcpRemoteRequests,
	},
	{
		name:         "@ai-sdk/mcp 2.0.99",
		revision:     "2026-07-28",
		start:        startScript("sdk-ai.mjs"),
		wantRequests: twiceDiscoveredRequests,
	},
	{
		name:         "mcp 1.30.0",
		revision:     "2025-11-25",
		start:        startPython(installPythonV1, "python_sdk.py"),
		wantRequests: directRequests,
	},
	{
		name:         "mcp 2.3.0",
		revision:     "2026-07-28",
		start:        startPython(installPythonV2, "python_sdk.py"),
		refreshes:    true,
		wantRequests: directRequests,
	},
	{
		name:         "mcp 2.3.0 legacy",
		revision:     "2025-11-25",
		start:        startPython(installPythonV2, "python_sdk.py", "legacy"),
		refreshes:    true,
		wantRequests: directRequests,
	},
	{
		name:         "fastmcp 3.4.11",
		revision:     "2025-11-25",
		start:        startPython(installPythonV1, "python_fastmcp.py"),
		wantRequests: fastMCPRequests,
	},
	{
		name:         "page in Chromium",
		revision:     "2025-11-25",
		start:        startPage(),
		refreshes:    true,
		wantRequests: crossOriginRequests,
	},
	{
		name:         "page in Chromium auto",
		revision:     "2026-07-28",
		start:        startPage("auto"),
		refreshes:    true,
		wantRequests: crossOriginRequests,
	},
}

func startGoSession(revision string) func(t testing.TB, endpoint string) session {
	return func(t testing.TB, endpoint string) session { return newGoSession(t, endpoint, revision) }
}

func startScript(file string, args ...string) func(t testing.TB, endpoint string) session {
	return func(t testing.TB, endpoint string) session { return newScript(t, endpoint, file, args...) }
}

func startPython(install func() (string, error), file string, args ...string) func(t testing.TB, endpoint string) session {
	return func(t testing.TB, endpoint string) session {
		return newPythonScript(t, endpoint, install, file, args...)
	}
}

// startPage starts an SDK in a web page, with a mode of its version negotiation.
func startPage(mode ...string) func(t testing.TB, endpoint string) session {
	return func(t testing.TB, endpoint string) session {
		return newScript(t, endpoint, "page.mjs", append([]string{chromium(t)}, mode...)...)
	}
}

// firstRevisionRequests are those of a client of 2025-03-26. It does not know protected
// resource metadata: it takes the MCP server for the issuer, and needs the documents that
// the guard passes on.
var firstRevisionRequests = []string{
	"POST /mcp 401",
	"clerk: GET /.well-known/oauth-authorization-server 200", // from the guard
	"GET /.well-known/oauth-authorization-server 200",
	clientRegistered,
	signInRequested,
	"GET /.well-known/oauth-authorization-server 200",
	tokenIssued,
}

// twiceDiscoveredRequests are those of the AI SDK: it discovers the server and its issuer again
// after the redirect.
var twiceDiscoveredRequests = []string{
	"POST /mcp 401",
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	clientRegistered,
	signInRequested,
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	tokenIssued,
}

// fastMCPRequests are those of FastMCP: it requests the authorization URL itself before it
// opens the browser, to find out whether the issuer still knows the client.
var fastMCPRequests = []string{
	"POST /mcp 401",
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	clientRegistered,
	signInRequested,
	signInRequested,
	tokenIssued,
}

// mcpRemoteRequests are those of mcp-remote: it discovers the server and its issuer when it
// starts, and again when the client behind it connects.
var mcpRemoteRequests = []string{
	"GET /mcp 401",
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	"GET /mcp 401",
	"POST /mcp 401",
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	clientRegistered,
	signInRequested,
	tokenIssued,
}

// crossOriginRequests are signInPageRequests from a web page of another origin: every request
// has a preflight, except those that a form could send.
var crossOriginRequests = []string{
	"OPTIONS /mcp 204",
	"POST /mcp 401",
	"OPTIONS /.well-known/oauth-protected-resource/mcp 204",
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: OPTIONS /.well-known/oauth-authorization-server 204",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	"clerk: OPTIONS /oauth/register 204",
	clientRegistered,
	signInRequested,
	"clerk: GET /oauth/authorize/continue 200",
	"clerk: POST /oauth/authorize/continue 303",
	"clerk: GET /oauth/authorize/continue 200",
	"clerk: POST /oauth/authorize/continue 303",
	tokenIssued,
}

// allowedWithToken are the only exchanges that may follow the sign-in. A GET opens the stream
// of a session and a DELETE ends the session.
var allowedWithToken = []string{
	"POST /mcp 200",
	"POST /mcp 202",
	"GET /mcp 200",
	"DELETE /mcp 204",
	"OPTIONS /mcp 204",
	userInfoFetched,
}

var whoamiTools = []string{"note", "organization", "token", "whoami"}

func TestClients(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			runClient(t, c)
		})
	}
}

// runClient runs all steps with one client.
func runClient(t *testing.T, c client) {
	dev := startDev(t)
	s := c.start(t, dev.url())
	sc := scenario{t, c.name}
	sc.step("sign-in", func(t *testing.T) {
		revision, err := s.connect(within(t, stepTime), ada)
		if err != nil {
			t.Fatal(err)
		}
		if revision != c.revision {
			t.Errorf("got revision %s, want %s", revision, c.revision)
		}
	})
	sc.step("list", func(t *testing.T) { checkTools(t, s) })
	sc.step("whoami", func(t *testing.T) { checkWhoami(t, s, ada) })
	sc.step("refresh token", func(t *testing.T) { checkRefreshes(t, s, c.refreshes) })
	sc.step("requests", func(t *testing.T) { checkRequests(t, dev, c.wantRequests) })
	sc.step("separate", func(t *testing.T) {
		other := c.start(t, dev.url())
		if _, err := other.connect(within(t, stepTime), grace); err != nil {
			t.Fatal(err)
		}
		checkSeparate(t, s, other)
		closeSession(t, other)
	})
	sc.step("deny", func(t *testing.T) {
		if got := connectDenying(t, dev, c.start(t, dev.url())); !strings.Contains(got, "denied") {
			t.Errorf("got error %q, want the client's message for access_denied", got)
		}
	})
	sc.step("restart", func(t *testing.T) {
		dev.restart()
		revision, err := reconnect(within(t, stepTime), s, ada)
		if err != nil {
			t.Fatal(err)
		}
		if revision != c.revision {
			t.Errorf("got revision %s, want %s", revision, c.revision)
		}
		checkWhoami(t, s, ada)
	})
	sc.step("close", func(t *testing.T) { closeSession(t, s) })
}

// reconnect connects again after a restart of the server and its Clerk. The token of the
// client was signed with a key that no longer exists. A guard that has just fetched the keys
// cannot know whether such a key is new or old, so it answers 503 until it may fetch them
// again. The clients report the 503, and their users try again. A client without a refresh
// token then starts a sign-in at the new Clerk, which does not know the client. Its user
// must make it discard what it knows about the server.
func reconnect(ctx context.Context, s session, u user) (revision string, err error) {
	for {
		revision, err = s.connect(ctx, u)
		switch forgetter, ok := s.(interface{ forget(context.Context) error }); {
		case err == nil:
			return revision, nil
		case ok && unknownClient.MatchString(err.Error()):
			if err := forgetter.forget(ctx); err != nil {
				return "", err
			}
		case !unavailable.MatchString(err.Error()):
			return "", err
		}
		if pause(ctx); ctx.Err() != nil {
			return "", err
		}
	}
}

// unavailable matches the errors with which the clients report a 503. Version 2 of the Python
// SDK does not name the status.
var unavailable = regexp.MustCompile(`503|Service Unavailable|temporarily_unavailable|Server returned an error response`)

// unknownClient matches the error of the local Clerk for a client that it does not know.
var unknownClient = regexp.MustCompile(`OAuth 2\.0 Client '\w+' does not exist`)

// retryPause is the time that a user waits before trying again.
const retryPause = 500 * time.Millisecond

// checkTools checks that tools/list returns the tools of the demo server.
func checkTools(t *testing.T, s session) {
	t.Helper()
	names, err := s.tools(within(t, stepTime))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whoamiTools, slices.Sorted(slices.Values(names))); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
}

// connectDenying connects as ada, who denies consent. It returns the text of the error that
// the client reports, and checks that no token was issued.
func connectDenying(t *testing.T, dev *devServer, s session) string {
	t.Helper()
	before := count(dev.requests(), tokenIssued)
	_, err := s.connect(within(t, stepTime), ada.denying())
	if n := count(dev.requests(), tokenIssued) - before; n != 0 {
		t.Errorf("%d tokens were issued after a denial, want none", n)
	}
	if err == nil {
		t.Fatal("the client connected after a denial")
	}
	return err.Error()
}

func closeSession(t *testing.T, s session) {
	t.Helper()
	if err := s.close(within(t, stepTime)); err != nil {
		t.Errorf("closing: %v", err)
	}
}

func checkWhoami(t *testing.T, s session, u user) {
	t.Helper()
	got, err := callTool[whoami](within(t, stepTime), s, "whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	checkNamed(t, got, u)
}

// checkRefreshes checks whether the client requested a refresh token, which Clerk gives for
// the scope offline_access.
func checkRefreshes(t *testing.T, s session, want bool) {
	t.Helper()
	token, err := callTool[struct {
		Scopes []string `json:"scopes"`
	}](within(t, stepTime), s, "token", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Contains(token.Scopes, "offline_access"); got != want {
		t.Errorf("got a token with the scopes %q, want offline_access in them: %t", token.Scopes, want)
	}
}

func checkNamed(t *testing.T, got whoami, u user) {
	t.Helper()
	if want := (whoami{u.name, u.email}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// checkRequests compares the requests up to the token with want, and checks that only
// allowed ones follow.
func checkRequests(t *testing.T, dev *devServer, want []string) {
	t.Helper()
	before, after := split(dev.requests())
	if diff := cmp.Diff(want, before); diff != "" {
		t.Errorf("requests up to the token (-want +got):\n%s", diff)
	}
	for _, got := range after {
		if !slices.Contains(allowedWithToken, got) {
			t.Errorf("got %q after the token, want only %q", got, allowedWithToken)
		}
	}
	if !slices.Contains(after, userInfoFetched) {
		t.Errorf("no request to Clerk for the user; got %q", after)
	}
	if n := count(dev.requests(), keysFetched); n != 1 {
		t.Errorf("%d fetches of the keys, want one", n)
	}
}

const notesEach = 10

// checkSeparate writes notes as two users at the same time, and checks that neither of them
// gets notes of the other.
func checkSeparate(t *testing.T, adas, graces session) {
	t.Helper()
	ctx := within(t, stepTime)
	var both sync.WaitGroup
	write := func(s session, u user) {
		for i := range notesEach {
			text := fmt.Sprintf("%s %d", u.username, i)
			if _, err := callTool[notes](ctx, s, "note", map[string]any{"text": text}); err != nil {
				t.Errorf("note of %s: %v", u.username, err)
				return
			}
		}
	}
	both.Go(func() { write(adas, ada) })
	both.Go(func() { write(graces, grace) })
	both.Wait()
	authors := map[string]bool{}
	for _, who := range []struct {
		session
		user
	}{{adas, ada}, {graces, grace}} {
		got, err := callTool[notes](ctx, who.session, "note", nil)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range notesEach {
			want = append(want, fmt.Sprintf("%s %d", who.username, i))
		}
		if diff := cmp.Diff(want, got.Notes); diff != "" {
			t.Errorf("notes of %s (-want +got):\n%s", who.username, diff)
		}
		authors[got.Author] = true
		checkWhoami(t, who.session, who.user)
	}
	if len(authors) != 2 {
		t.Errorf("got authors %v, want two", authors)
	}
}
