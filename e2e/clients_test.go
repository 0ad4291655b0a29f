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

// client is a client library, and what is to be seen of it on the wire.
type client struct {
	name     string
	revision string // of MCP
	start    func(t testing.TB, endpoint string) session
	// way is every exchange from the first request to the token.
	way []string
}

// What a client does that follows the 2025-06-18 revision and later: the 401
// names the metadata of the resource, that names the issuer, and nothing is
// guessed or asked twice.
var straightWay = []string{
	"POST /mcp 401",
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	clientIsNew,
	signInAsked,
	tokenIssued,
}

var clients = []client{
	{name: "go-sdk 2026-07-28", revision: "2026-07-28", way: straightWay,
		start: func(t testing.TB, endpoint string) session { return newGoSession(t, endpoint, "2026-07-28") }},
	{name: "go-sdk 2025-11-25", revision: "2025-11-25", way: straightWay,
		start: func(t testing.TB, endpoint string) session { return newGoSession(t, endpoint, "2025-11-25") }},
	{name: "@modelcontextprotocol/sdk 1.32.2", revision: "2025-11-25", way: straightWay,
		start: func(t testing.TB, endpoint string) session { return newScript(t, endpoint, "sdk-v1.mjs") }},
	{name: "@modelcontextprotocol/client 2.4.0", revision: "2025-11-25", way: straightWay,
		start: func(t testing.TB, endpoint string) session { return newScript(t, endpoint, "sdk-v2.mjs") }},
	{name: "@modelcontextprotocol/client 2.4.0 auto", revision: "2026-07-28", way: straightWay,
		start: func(t testing.TB, endpoint string) session { return newScript(t, endpoint, "sdk-v2.mjs", "auto") }},
	// Clients of 2025-03-26 know no protected resource metadata: they take the
	// server for its own issuer, and live on the documents passed through.
	{name: "@modelcontextprotocol/sdk 1.11.5", revision: "2025-03-26", way: []string{
		"POST /mcp 401",
		"clerk: GET /.well-known/oauth-authorization-server 200", // by the gate
		"GET /.well-known/oauth-authorization-server 200",
		clientIsNew,
		signInAsked,
		"GET /.well-known/oauth-authorization-server 200",
		tokenIssued,
	},
		start: func(t testing.TB, endpoint string) session { return newScript(t, endpoint, "sdk-2025-03-26.mjs") }},
	{name: "mcp-remote 0.15.1", revision: "2025-11-25", way: remoteWay, start: newRemoteSession},
	// In a page every request has a preflight, but for those a form could make.
	{name: "page in Chromium", revision: "2025-11-25", way: pageWay,
		start: func(t testing.TB, endpoint string) session { return newScript(t, endpoint, "page.mjs", chromium(t)) }},
	{name: "page in Chromium auto", revision: "2026-07-28", way: pageWay,
		start: func(t testing.TB, endpoint string) session {
			return newScript(t, endpoint, "page.mjs", chromium(t), "auto")
		}},
}

// mcp-remote looks for a server first, then for its sign-in, and both again when
// the client behind it begins.
var remoteWay = []string{
	"GET /mcp 401",
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	"GET /mcp 401",
	"POST /mcp 401",
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	clientIsNew,
	signInAsked,
	tokenIssued,
}

// pageWay is pagesWay from another origin.
var pageWay = []string{
	"OPTIONS /mcp 204",
	"POST /mcp 401",
	"OPTIONS /.well-known/oauth-protected-resource/mcp 204",
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: OPTIONS /.well-known/oauth-authorization-server 204",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	"clerk: OPTIONS /oauth/register 204",
	clientIsNew,
	signInAsked,
	"clerk: GET /oauth/authorize/continue 200",
	"clerk: POST /oauth/authorize/continue 303",
	"clerk: GET /oauth/authorize/continue 200",
	"clerk: POST /oauth/authorize/continue 303",
	tokenIssued,
}

// afterwards is all that a signed-in client may be seen to do. A GET opens the
// stream of a session and a DELETE ends it.
var afterwards = []string{
	"POST /mcp 200", "POST /mcp 202", "GET /mcp 200", "DELETE /mcp 204", "OPTIONS /mcp 204", userAsked,
}

var whoamiTools = []string{"note", "organization", "token", "whoami"}

func TestClients(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			travel(t, c)
		})
	}
}

// travel takes one client through every step.
func travel(t *testing.T, c client) {
	h := openHouse(t)
	s := c.start(t, h.url())
	j := journey{t, c.name}
	j.step("sign-in", func(t *testing.T) {
		revision, err := s.connect(within(t, stepTime), ada)
		if err != nil {
			t.Fatal(err)
		}
		if revision != c.revision {
			t.Errorf("got revision %s, want %s", revision, c.revision)
		}
	})
	j.step("list", func(t *testing.T) {
		names, err := s.tools(within(t, stepTime))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whoamiTools, slices.Sorted(slices.Values(names))); diff != "" {
			t.Errorf("tools (-want +got):\n%s", diff)
		}
	})
	j.step("whoami", func(t *testing.T) { checkWhoami(t, s, ada) })
	j.step("wire", func(t *testing.T) { checkWire(t, h, c.way) })
	j.step("apart", func(t *testing.T) {
		other := c.start(t, h.url())
		if _, err := other.connect(within(t, stepTime), grace); err != nil {
			t.Fatal(err)
		}
		checkApart(t, s, other)
		if err := other.close(within(t, stepTime)); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	j.step("deny", func(t *testing.T) {
		before := count(h.requests(), tokenIssued)
		_, err := c.start(t, h.url()).connect(within(t, stepTime), ada.denying())
		if err == nil || !strings.Contains(err.Error(), "denied") {
			t.Errorf("got error %v, want the client's word for access_denied", err)
		}
		if n := count(h.requests(), tokenIssued) - before; n != 0 {
			t.Errorf("%d tokens were issued after a denial, want none", n)
		}
	})
	j.step("restart", func(t *testing.T) {
		h.restart()
		revision, err := reconnect(within(t, stepTime), s, ada)
		if err != nil {
			t.Fatal(err)
		}
		if revision != c.revision {
			t.Errorf("got revision %s, want %s", revision, c.revision)
		}
		checkWhoami(t, s, ada)
	})
	j.step("close", func(t *testing.T) {
		if err := s.close(within(t, stepTime)); err != nil {
			t.Error(err)
		}
	})
}

// reconnect connects again after a restart of everything. The client brings a
// token of keys that are gone. A gate that has fetched the keys a moment ago
// cannot know whether that key is too new or too old, and answers 503 until it
// may fetch them again; the clients report that, and their users try again.
// Clients without a refresh token then ask the new Clerk for a sign-in of a
// client that it never saw; their users have them forget the server.
func reconnect(ctx context.Context, s session, p person) (revision string, err error) {
	for {
		revision, err = s.connect(ctx, p)
		switch forgetful, ok := s.(interface{ forget(context.Context) error }); {
		case err == nil:
			return revision, nil
		case ok && unknownClient.MatchString(err.Error()):
			if err := forgetful.forget(ctx); err != nil {
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

// unavailable is how the clients report a 503.
var unavailable = regexp.MustCompile(`503|Service Unavailable|temporarily_unavailable`)

// unknownClient is how the local Clerk refuses a client of its former life.
var unknownClient = regexp.MustCompile(`OAuth 2\.0 Client '\w+' does not exist`)

// retryPause is how long a person waits before trying again.
const retryPause = 500 * time.Millisecond

func checkWhoami(t *testing.T, s session, p person) {
	t.Helper()
	got, err := ask[whoami](within(t, stepTime), s, "whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	checkNamed(t, got, p)
}

func checkNamed(t *testing.T, got whoami, p person) {
	t.Helper()
	if want := (whoami{p.name, p.email}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// checkWire looks at everything that was asked until now.
func checkWire(t *testing.T, h *house, way []string) {
	t.Helper()
	before, after := split(h.requests())
	if diff := cmp.Diff(way, before); diff != "" {
		t.Errorf("the way to the token (-want +got):\n%s", diff)
	}
	for _, got := range after {
		if !slices.Contains(afterwards, got) {
			t.Errorf("got %q after the token, want only %q", got, afterwards)
		}
	}
	if !slices.Contains(after, userAsked) {
		t.Errorf("nobody asked Clerk for the user; got %q", after)
	}
	if n := count(h.requests(), keysFetched); n != 1 {
		t.Errorf("keys were fetched %d times, want once", n)
	}
}

const notesEach = 10

// checkApart has two people write notes at the same time, and looks whether one
// gets to see another's.
func checkApart(t *testing.T, adas, graces session) {
	t.Helper()
	ctx := within(t, stepTime)
	var both sync.WaitGroup
	write := func(s session, p person) {
		for i := range notesEach {
			text := fmt.Sprintf("%s %d", p.username, i)
			if _, err := ask[notes](ctx, s, "note", map[string]any{"text": text}); err != nil {
				t.Errorf("note of %s: %v", p.username, err)
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
		person
	}{{adas, ada}, {graces, grace}} {
		got, err := ask[notes](ctx, who.session, "note", nil)
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
		checkWhoami(t, who.session, who.person)
	}
	if len(authors) != 2 {
		t.Errorf("got authors %v, want two", authors)
	}
}
