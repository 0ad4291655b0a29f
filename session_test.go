package gatehouse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	initializeBody = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`
	pingBody       = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
)

// sessionHandler is an MCP handler with sessions: a POST without an ID opens the next one.
type sessionHandler struct {
	opened int
	ended  map[string]bool
	seen   []string // the session ID of each request
}

func (h *sessionHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Mcp-Session-Id")
	h.seen = append(h.seen, id)
	switch {
	case id == "" && r.Method == http.MethodPost:
		text, _ := io.ReadAll(r.Body)
		if strings.Contains(string(text), `"method":"initialize"`) {
			h.opened++
			w.Header().Set("Mcp-Session-Id", fmt.Sprint("session-", h.opened))
		}
	case h.ended[id]:
		http.Error(w, "session not found", http.StatusNotFound)
	case r.Method == http.MethodDelete:
		if h.ended == nil {
			h.ended = make(map[string]bool)
		}
		h.ended[id] = true
		w.WriteHeader(http.StatusNoContent)
	}
}

// openSession opens a session with token and returns its ID.
func openSession(t *testing.T, handler http.Handler, token string) string {
	t.Helper()
	resp := send(handler, request{header: bearer(token), body: initializeBody})
	id := resp.Header.Get("Mcp-Session-Id")
	if resp.StatusCode != http.StatusOK || id == "" {
		t.Fatalf("initialize: status %d, session %q", resp.StatusCode, id)
	}
	return id
}

// wantUnknownSession checks the answer to a request whose session does not exist.
func wantUnknownSession(t *testing.T, what string, resp *http.Response) {
	t.Helper()
	var answer struct{ Error, Reason string }
	text := body(t, resp)
	json.Unmarshal([]byte(text), &answer)
	if c := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusNotFound || c != "" ||
		answer.Error != "not_found" || answer.Reason != "session_of_another_user" {
		t.Errorf("%s: status %d, challenge %q, body %s; want 404, no challenge and the reason", what, resp.StatusCode, c, text)
	}
}

func TestSessionsAreBoundToTheirUser(t *testing.T) {
	is := newIssuer(t)
	inner := &sessionHandler{}
	handler := newGuard(t, is).Wrap(inner)
	alice, bob := is.token(resource), is.token(resource, testissuer.Claim("sub", "user_2"))
	id := openSession(t, handler, alice)
	if !strings.HasPrefix(id, "session-1.") {
		t.Errorf("session ID %q, want that of the handler and a seal", id)
	}
	other := openSession(t, handler, alice)
	in := func(method, token string, ids ...string) *http.Response {
		header := bearer(token)
		header["Mcp-Session-Id"] = ids
		text := ""
		if method == http.MethodPost {
			text = initializeBody
		}
		return send(handler, request{method: method, header: header, body: text})
	}
	seal := id[strings.LastIndex(id, "."):]
	for _, method := range []string{"POST", "GET", "PUT", "DELETE"} {
		for name, ids := range map[string][]string{
			"without a seal":          {"session-1"},
			"empty seal":              {"session-1."},
			"cut seal":                {id[:len(id)-1]},
			"longer seal":             {id + "A"},
			"padded seal":             {id + "=="},
			"seal of another session": {"session-1" + other[strings.LastIndex(other, "."):]},
			"seal alone":              {seal},
			"another ID":              {"session-3" + seal},
			"sealed twice":            {id + seal},
			"two headers":             {id, id},
			"list":                    {id + ", " + id},
			"list of two sessions":    {id + "," + other},
			"unknown":                 {"unknown"},
			"not ASCII":               {"\xff." + seal},
		} {
			wantUnknownSession(t, method+" "+name, in(method, alice, ids...))
		}
		wantUnknownSession(t, method+" of another user", in(method, bob, id))
		if resp := send(handler, request{method: method, header: http.Header{"Mcp-Session-Id": {id}}}); resp.StatusCode != 401 {
			t.Errorf("%s with the session id alone: status %d, want 401", method, resp.StatusCode)
		}
		before := len(inner.seen)
		if resp := in(method, alice, id); resp.StatusCode/100 != 2 {
			t.Errorf("%s of the user who opened it: status %d, want 2xx", method, resp.StatusCode)
		}
		if got := inner.seen[before:]; len(got) != 1 || got[0] != "session-1" {
			t.Errorf("%s: the handler saw session %q, want its own ID", method, got)
		}
	}
	if resp := in("POST", alice, ""); resp.StatusCode != http.StatusOK {
		t.Errorf("an empty session ID: status %d, want 200, as without one", resp.StatusCode)
	}
}

// A client that signs in as another user starts a new session after one 404.
func TestUserOfAClientChanges(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is).Wrap(&sessionHandler{})
	bob := is.token(resource, testissuer.Claim("sub", "user_2"))
	stale := with(bearer(bob), "Mcp-Session-Id", openSession(t, handler, is.token(resource)))
	wantUnknownSession(t, "initialize", send(handler, request{header: stale, body: initializeBody}))
	openSession(t, handler, bob)
}

// Replicas with the same key accept each other's session IDs; with other keys they do not.
func TestSessionKeyIsShared(t *testing.T) {
	is := newIssuer(t)
	withKey := func(key string) http.Handler {
		return newGuard(t, is, func(cfg *gatehouse.Config) { cfg.SessionKey = gatehouse.SessionKey(key) }).Wrap(&sessionHandler{})
	}
	key := strings.Repeat("k", 32)
	token := is.token(resource)
	in := with(bearer(token), "Mcp-Session-Id", openSession(t, withKey(key), token))
	if resp := send(withKey(key), request{header: in, body: pingBody}); resp.StatusCode != http.StatusOK {
		t.Errorf("a replica with the same key: status %d, want 200", resp.StatusCode)
	}
	wantUnknownSession(t, "another key", send(withKey(key+"x"), request{header: in, body: pingBody}))
	wantUnknownSession(t, "random key", send(withKey(""), request{header: in, body: pingBody}))
}

// During a rotation, session IDs of each accepted key work for the user who opened the session, and
// keep their form. New ones are made with SessionKey.
func TestAcceptedSessionKeys(t *testing.T) {
	is := newIssuer(t)
	oldKey, newKey, otherKey := strings.Repeat("o", 32), strings.Repeat("n", 32), strings.Repeat("x", 32)
	replica := func(key string, accepted ...string) http.Handler {
		return newGuard(t, is, func(cfg *gatehouse.Config) {
			cfg.SessionKey = gatehouse.SessionKey(key)
			for _, k := range accepted {
				cfg.AcceptedSessionKeys = append(cfg.AcceptedSessionKeys, gatehouse.SessionKey(k))
			}
		}).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id := r.Header.Get("Mcp-Session-Id")
			if id == "" {
				id = "session-1"
			}
			w.Header().Set("Mcp-Session-Id", id) // in each answer, as go-sdk does
		}))
	}
	token, bob := is.token(resource), is.token(resource, testissuer.Claim("sub", "user_2"))
	before := replica(oldKey)
	id := openSession(t, before, token)
	if openSession(t, replica(newKey, oldKey), token) != openSession(t, replica(newKey), token) {
		t.Error("a new session ID is not made with SessionKey")
	}
	in := func(handler http.Handler, token, id string) *http.Response {
		return send(handler, request{header: with(bearer(token), "Mcp-Session-Id", id), body: pingBody})
	}
	for name, handler := range map[string]http.Handler{
		"control: the key itself":   replica(oldKey),
		"before the key changes":    replica(oldKey, newKey),
		"after the key has changed": replica(newKey, oldKey),
		"the last of four":          replica(newKey, otherKey, otherKey+"1", otherKey+"2", oldKey),
	} {
		resp := in(handler, token, id)
		if got := resp.Header.Get("Mcp-Session-Id"); resp.StatusCode != http.StatusOK || got != id {
			t.Errorf("%s: status %d and session ID %q, want 200 and %q", name, resp.StatusCode, got, id)
		}
		wantUnknownSession(t, name+", another user", in(handler, bob, id))
		wantUnknownSession(t, name+", another session", in(handler, token, "session-2"+strings.TrimPrefix(id, "session-1")))
		wantUnknownSession(t, name+", without a seal", in(handler, token, "session-1"))
	}
	wantUnknownSession(t, "a key that is not accepted", in(replica(newKey, otherKey), token, id))
	wantUnknownSession(t, "the new key, at a replica that does not accept it", in(before, token, openSession(t, replica(newKey, oldKey), token)))
	if resp := in(replica(oldKey, newKey), token, openSession(t, replica(newKey, oldKey), token)); resp.StatusCode != http.StatusOK {
		t.Errorf("the new key, at a replica that accepts it: status %d, want 200", resp.StatusCode)
	}
}

// A stateless server of go-sdk needs no shared key: each guard answers each request, in every revision.
func TestGuardsBeforeStatelessServer(t *testing.T) {
	is := newIssuer(t)
	replica := func() (*gatehouse.Guard, http.Handler) {
		guard := newGuard(t, is)
		server := mcp.NewServer(&mcp.Implementation{Name: "stateless", Version: "1"}, nil)
		mcp.AddTool(server, &mcp.Tool{Name: "hello"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello"}}}, nil, nil
		})
		server.AddReceivingMiddleware(guard.Middleware())
		return guard, guard.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
			&mcp.StreamableHTTPOptions{Stateless: true, DisableLocalhostProtection: true}))
	}
	first, one := replica()
	second, two := replica()
	for _, version := range []string{"2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} {
		messages := []string{
			`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + version + `","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`,
			`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"hello","arguments":{}}}`,
		}
		header := with(bearer(is.token(resource)), "Accept", "application/json, text/event-stream")
		header.Set("Content-Type", "application/json")
		if version == "2026-07-28" {
			messages = []string{`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"hello","arguments":{},` + meta + `}}`}
			header.Set("Mcp-Method", "tools/call")
			header.Set("Mcp-Name", "hello")
		}
		for i, message := range messages {
			if i > 0 || len(messages) == 1 {
				header.Set("Mcp-Protocol-Version", version)
			}
			for _, handler := range []http.Handler{one, two} {
				resp := send(handler, request{header: header, body: message})
				text, id := body(t, resp), resp.Header.Get("Mcp-Session-Id")
				if resp.StatusCode != http.StatusOK || id != "" || !strings.Contains(text, `"result":`) {
					t.Errorf("%s: %s: status %d, session %q: %s", version, message, resp.StatusCode, id, text)
				}
			}
		}
	}
	if a, b := first.Stats().Sessions, second.Stats().Sessions; a != 0 || b != 0 {
		t.Errorf("Stats: %d and %d sessions, want none", a, b)
	}
}

func TestSessionKeyIsNotPrinted(t *testing.T) {
	key := gatehouse.SessionKey(strings.Repeat("k", 32))
	accepted := []gatehouse.SessionKey{gatehouse.SessionKey(strings.Repeat("kk", 16) + "k")}
	cfg := gatehouse.Config{SessionKey: key, AcceptedSessionKeys: accepted}
	guard := newGuard(t, newIssuer(t), func(c *gatehouse.Config) { c.SessionKey, c.AcceptedSessionKeys = key, accepted })
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "key", key, "accepted", accepted)
	asJSON, _ := json.Marshal(key)
	texts := []string{log.String(), string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, key), fmt.Sprintf(verb, cfg), fmt.Sprintf(verb, guard))
	}
	for _, text := range texts {
		for _, secret := range []string{"kkkk", "6b6b", "107 107", "0x6b, 0x6b", "a2tr"} {
			if strings.Contains(text, secret) {
				t.Errorf("the session key appears in %s", text)
			}
		}
	}
}

func TestSessionSettings(t *testing.T) {
	keys := func(from, to int) (out []gatehouse.SessionKey) {
		for i := from; i < to; i++ {
			out = append(out, gatehouse.SessionKey(strings.Repeat(string(rune('a'+i)), 32)))
		}
		return out
	}
	for name, test := range map[string]struct {
		set  func(*gatehouse.Config)
		want string // field of the fault; empty for none
	}{
		"none":                   {func(*gatehouse.Config) {}, ""},
		"key":                    {func(c *gatehouse.Config) { c.SessionKey = make([]byte, 32) }, ""},
		"short key":              {func(c *gatehouse.Config) { c.SessionKey = make([]byte, 31) }, "SessionKey"},
		"accepted keys":          {func(c *gatehouse.Config) { c.SessionKey, c.AcceptedSessionKeys = make([]byte, 32), keys(0, 4) }, ""},
		"too many accepted keys": {func(c *gatehouse.Config) { c.SessionKey, c.AcceptedSessionKeys = make([]byte, 32), keys(0, 5) }, "AcceptedSessionKeys"},
		"accepted keys alone":    {func(c *gatehouse.Config) { c.AcceptedSessionKeys = keys(0, 1) }, "AcceptedSessionKeys"},
		"short accepted key": {
			func(c *gatehouse.Config) {
				c.SessionKey, c.AcceptedSessionKeys = make([]byte, 32), append(keys(0, 1), make([]byte, 31))
			}, "AcceptedSessionKeys[1]",
		},
		"empty accepted key": {
			func(c *gatehouse.Config) {
				c.SessionKey, c.AcceptedSessionKeys = make([]byte, 32), append(keys(0, 1), nil)
			}, "AcceptedSessionKeys[1]",
		},
		"accepted key that is the key": {
			func(c *gatehouse.Config) { c.SessionKey, c.AcceptedSessionKeys = keys(1, 2)[0], keys(0, 2) }, "AcceptedSessionKeys[1]",
		},
		"accepted key that appears twice": {
			func(c *gatehouse.Config) {
				c.SessionKey, c.AcceptedSessionKeys = make([]byte, 32), append(keys(0, 2), keys(0, 1)...)
			}, "AcceptedSessionKeys[2]",
		},
		"few in all":             {func(c *gatehouse.Config) { c.MaxSessions = 3 }, ""},
		"many":                   {func(c *gatehouse.Config) { c.MaxSessionsPerUser = 20_000 }, ""},
		"negative":               {func(c *gatehouse.Config) { c.MaxSessions = -1 }, "MaxSessions"},
		"negative for each user": {func(c *gatehouse.Config) { c.MaxSessionsPerUser = -1 }, "MaxSessionsPerUser"},
		"more for each than in all": {
			func(c *gatehouse.Config) { c.MaxSessions, c.MaxSessionsPerUser = 3, 4 }, "MaxSessionsPerUser",
		},
		"timeout":          {func(c *gatehouse.Config) { c.SessionTimeout = time.Minute }, ""},
		"negative timeout": {func(c *gatehouse.Config) { c.SessionTimeout = -1 }, "SessionTimeout"},
	} {
		cfg := gatehouse.Config{Resource: resource, Provider: gatehouse.OIDC("https://issuer.example.com")}
		test.set(&cfg)
		_, err := gatehouse.New(cfg)
		var fault *gatehouse.ConfigError
		if errors.As(err, &fault); (fault == nil) != (test.want == "") || fault != nil && fault.Field != test.want {
			t.Errorf("%s: New = %v, want a fault of %q", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "\x00") {
			t.Errorf("%s: the error prints the key", name)
		}
	}
}

// limitSessions allows two sessions for each user and three in all.
func limitSessions(cfg *gatehouse.Config) { cfg.MaxSessions, cfg.MaxSessionsPerUser = 3, 2 }

// wantTooMany checks that resp is the answer to one session or stream too many.
func wantTooMany(t *testing.T, what string, resp *http.Response) {
	t.Helper()
	text := body(t, resp)
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "60" ||
		resp.Header.Get("WWW-Authenticate") != "" || !strings.Contains(text, `"reason":"too_many_sessions"`) {
		t.Errorf("%s: status %d, header %v, body %s; want 429 with Retry-After", what, resp.StatusCode, resp.Header, text)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	is := newIssuer(t)
	inner := &sessionHandler{}
	guard := newGuard(t, is, limitSessions)
	handler := guard.Wrap(inner)
	user := func(n int) string { return is.token(resource, testissuer.Claim("sub", fmt.Sprint("user_", n))) }
	initialize := func(n int) *http.Response {
		return send(handler, request{header: bearer(user(n)), body: initializeBody})
	}
	first := openSession(t, handler, user(1))
	second := openSession(t, handler, user(1))
	for name, text := range map[string]string{
		"one more":  initializeBody,
		"escaped":   `{"jsonrpc":"2.0","id":1,"method":"\u0069nitialize","params":{}}`,
		"batch":     `[` + pingBody + `,` + initializeBody + `]`,
		"ambiguous": `{"method":"ping","method":"initialize"}`,
	} {
		wantTooMany(t, name, send(handler, request{header: bearer(user(1)), body: text}))
	}
	long := `[` + strings.Repeat(pingBody+",", 300) + initializeBody + `]`
	if resp := send(handler, request{header: bearer(user(1)), body: long}); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("long batch: status %d, want 413", resp.StatusCode)
	}
	if inner.opened != 2 {
		t.Errorf("the handler opened %d sessions, want 2", inner.opened)
	}
	for name, rq := range map[string]request{
		"a request outside of a session": {header: bearer(user(1)), body: pingBody},
		"a request that names the method": {
			header: bearer(user(1)),
			body:   `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":"initialize\n"}}}`,
		},
		"a request in a session": {header: with(bearer(user(1)), "Mcp-Session-Id", first), body: pingBody},
	} {
		if resp := send(handler, rq); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d, want 200", name, resp.StatusCode)
		}
	}
	openSession(t, handler, user(2))
	wantTooMany(t, "one more in all", initialize(3))
	if got := guard.Stats(); got.Sessions != 3 || got.Rejected["too_many_sessions"] != 5 {
		t.Errorf("Stats: %d sessions and %v, want 3 and 5 rejections", got.Sessions, got.Rejected)
	}

	// A DELETE that succeeds and a 404 of the handler end a session.
	send(handler, request{method: http.MethodDelete, header: with(bearer(user(1)), "Mcp-Session-Id", first)})
	openSession(t, handler, user(1))
	wantTooMany(t, "one more after a DELETE", initialize(1))
	inner.ended["session-2"] = true
	send(handler, request{header: with(bearer(user(1)), "Mcp-Session-Id", second), body: pingBody})
	openSession(t, handler, user(1))
	wantTooMany(t, "one more after a 404", initialize(1))
}

// A request that opens no session gives its place back, whatever the handler does.
func TestPlaceOfASessionIsGivenBack(t *testing.T) {
	is := newIssuer(t)
	for name, inner := range map[string]http.HandlerFunc{
		"no session": func(w http.ResponseWriter, _ *http.Request) {},
		"error":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) },
		"panic":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		guard := newGuard(t, is, limitSessions)
		handler := guard.Wrap(inner)
		for range 5 {
			func() {
				defer func() { recover() }()
				send(handler, request{header: bearer(is.token(resource)), body: initializeBody})
			}()
		}
		if got := guard.Stats(); got.Sessions != 0 || len(got.Rejected) != 0 {
			t.Errorf("%s: Stats %+v, want no sessions and no rejections", name, got)
		}
	}
}

func TestIdleSessionsAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := gatehouse.NewSessionTable(3, 2, time.Hour)
		for _, id := range []byte{1, 2} {
			if err := table.Open("alice", id); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(59 * time.Minute)
		if table.Open("alice", 3) == nil {
			t.Error("a third session was opened before the others were idle for an hour")
		}
		table.Use("alice", 1)
		running := table.Begin(2)
		time.Sleep(time.Minute)
		if table.Open("alice", 3) == nil {
			t.Error("a third session was opened while the others were in use")
		}
		running()
		time.Sleep(59 * time.Minute)
		if err := table.Open("alice", 3); err != nil {
			t.Errorf("a third session after the first was idle for an hour: %v, want none", err)
		}
		time.Sleep(time.Hour)
		if err := table.Open("bob", 4); err != nil || table.Len() != 1 {
			t.Errorf("after all were idle: %v with %d rows, want no error and 1", err, table.Len())
		}
	})
}

// A server that rejects a client opens no session for it. The client may try again and again.
func TestFailedInitializeIsNotCounted(t *testing.T) {
	s := startLive(t, func(cfg *gatehouse.Config) { cfg.MaxSessionsPerUser = 2 })
	c := s.client(t, eras[0], "user_1")
	c.session = ""
	initialize := func(version string) int {
		resp := c.send(t, http.MethodPost, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+
			`{"protocolVersion":`+version+`,"capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
		readAll(t, resp)
		return resp.StatusCode
	}
	for range 3 {
		if status := initialize("5"); status != http.StatusOK {
			t.Fatalf("initialize with a wrong version: status %d, want 200 with an error", status)
		}
	}
	if got := s.guard.Stats().Sessions; got != 1 {
		t.Errorf("%d sessions, want 1", got)
	}
	// In a batch, the error may be that of another message.
	resp := c.send(t, http.MethodPost, "", `[{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+
		`{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"c","version":"1"}}},`+
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"unknown"}}]`)
	if text := readAll(t, resp); !strings.Contains(text, `"result":`) || !strings.Contains(text, `"error":`) {
		t.Fatalf("batch: status %d: %s; want a result and an error", resp.StatusCode, text)
	}
	if got := s.guard.Stats().Sessions; got != 2 {
		t.Errorf("%d sessions after the batch, want 2", got)
	}
	if status := initialize(`"2025-11-25"`); status != http.StatusTooManyRequests {
		t.Errorf("third session: status %d, want 429", status)
	}
}
