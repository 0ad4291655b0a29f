package conformance

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var statusRows = []row{
	{id: "C1", level: "MUST", requirement: "401 when sign-in is needed, or the token is invalid, expired, of another audience, issuer or kind", revisions: all, test: testUnauthorized},
	{id: "C2", level: "MUST", requirement: "403 when a good token lacks a scope or a permission; bare when no new scope would help", revisions: all, test: testForbidden},
	{id: "C3", level: "MUST", requirement: "400 for malformed credentials: not one token, or in two places", revisions: all, test: testMalformed},
	{id: "C4", level: "", requirement: "400 for nothing but these: a client of both eras takes it for a server of the older one", revisions: stateless, test: testUnknownSchemeIsNotMalformed},
	{id: "C5", level: "", requirement: "503 with Retry-After and without detail while tokens cannot be checked; never 401 or 500", revisions: all, test: testUnavailable},
	{id: "C6", level: "MUST", requirement: "403 for an Origin that is not allowed", revisions: since2511, test: testForbiddenOrigin},
	{id: "C7", level: "MUST", requirement: "Sessions: 400 without an id, 404 for an unknown or ended one, 405 for what is not offered", revisions: "until 2025-11-25", test: testSessionStatus},
}

func testUnauthorized(t *testing.T) {
	s := start(t)
	s.refused(t, discover(), signIn)
	s.refused(t, initialize(), signIn)
	for reason, token := range badTokens(s) {
		s.refused(t, callTool(openTool).bearer(token), badToken(reason))
	}
	// Expiry counts before scope: a new token is needed, not a wider one.
	s.refused(t, callTool(notesTool).bearer(s.token(claim("exp", 1))), badToken("expired"))
	if n := s.calls(openTool); n != 0 {
		t.Errorf("the tool ran %d times", n)
	}
	s.called(t, callTool(openTool).bearer(s.token()))
}

func testForbidden(t *testing.T) {
	s := start(t)
	token := s.token()
	session := s.open(t, token)
	for _, q := range []request{callTool(bossTool), callToolIn(session, bossTool)} {
		s.refused(t, q.bearer(token), notAllowed)
	}
	for _, q := range []request{callTool(notesTool), callToolIn(session, notesTool)} {
		s.refused(t, q.bearer(token), lacks("profile email notes:write"))
	}
	s.called(t, callTool(bossTool).bearer(s.token(asBoss)))
	s.called(t, callTool(notesTool).bearer(s.token(withNotes)))
}

func testMalformed(t *testing.T) {
	s := start(t)
	token := s.token()
	for _, header := range [][]string{
		{"Bearer"},
		{"Bearer a b"},
		{"Bearer " + token + " " + token},
		{"Bearer " + token + ", Bearer " + token},
		{"Bearer " + token, "Bearer " + token},
		{"Bearer " + token, "Basic dXNlcjpwYXNz"},
		{"Bearer token=" + token},
		{`Bearer "` + token + `"`},
	} {
		s.refused(t, callTool(openTool).with("Authorization", header...), malformed)
	}
	s.refused(t, callTool(openTool).bearer(token).to("/mcp?access_token="+token), inQuery)
	s.called(t, callTool(openTool).bearer(token))
}

func testUnknownSchemeIsNotMalformed(t *testing.T) {
	s := start(t)
	for _, header := range []string{"Basic dXNlcjpwYXNz", "DPoP " + s.token(), "Negotiate", "x y z", s.token()} {
		s.refused(t, discover().with("Authorization", header), otherWay)
	}
	for reason, token := range badTokens(s) {
		s.refused(t, discover().bearer(token), badToken(reason))
	}
}

// wantUnavailable holds a 503 to say when to come back, and nothing else.
func wantUnavailable(t *testing.T, a answer) {
	t.Helper()
	body := a.object(t)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || body["error"] != "temporarily_unavailable" ||
		body["reason"] != "provider_unavailable" || len(body) != 3 {
		t.Errorf("status %d, Retry-After %q, body %s; want 503", a.status, a.header.Get("Retry-After"), a.body)
	}
	if got := a.header.Get("WWW-Authenticate"); got != "" {
		t.Errorf("challenge %q: the client would throw its tokens away", got)
	}
	for _, detail := range []string{"10.0.0.7", "127.0.0.1", "jwks", "dial", "http"} {
		if strings.Contains(a.body, detail) {
			t.Errorf("body %s has %q", a.body, detail)
		}
	}
}

func testUnavailable(t *testing.T) {
	s := start(t)
	s.called(t, callTool(openTool).bearer(s.token()))
	s.issuer.down.Store(true)
	s.called(t, callTool(openTool).bearer(s.token(claim("jti", "oat_2")))) // by the keys at hand

	lost := startInOutage(t)
	for _, q := range []request{discover(), initialize()} {
		wantUnavailable(t, lost.send(t, q.bearer(lost.token())))
	}
	lost.refused(t, discover(), signIn)
	lost.refused(t, discover().bearer("oat_8XOIeoaNnGh5A4xx"), badToken("opaque"))
	if n := lost.Guard().Stats().Rejected["provider_unavailable"]; n != 2 {
		t.Errorf("%d requests counted as provider_unavailable, want 2", n)
	}
	testRecovery(t)
}

// testRecovery is on a clock of its own: how long a client waits is not the test's
// time to spend.
func testRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t)
		b.issuer.down.Store(true)
		a := b.send(t, bare(http.MethodPost).bearer(b.token()))
		wantUnavailable(t, a)
		b.issuer.down.Store(false)
		time.Sleep(b.retryAfter(t, a))
		b.wantStatus(t, b.token(), http.StatusOK)
	})
}

func testForbiddenOrigin(t *testing.T) {
	s := start(t)
	for _, origin := range []string{"https://evil.example.com", "null", "http://localhost.evil.example.com", "file://", "http://"} {
		for _, verb := range verbs {
			s.refused(t, bare(verb).with("Origin", origin), badOrigin)
			s.refused(t, bare(verb).with("Origin", origin).bearer(s.token()), badOrigin)
		}
	}
	s.called(t, callTool(openTool).with("Origin", s.base).bearer(s.token()))
}

func testSessionStatus(t *testing.T) {
	s := start(t)
	token := s.token()
	session := s.open(t, token)
	inSession := func(verb, id string) request {
		q := bare(verb).with("MCP-Protocol-Version", stateful).bearer(token)
		if id != "" {
			q = q.with("Mcp-Session-Id", id)
		}
		return q
	}
	for _, test := range []struct {
		name string
		q    request
		want int
	}{
		{"GET without an id", inSession(http.MethodGet, ""), http.StatusBadRequest},
		{"DELETE without an id", inSession(http.MethodDelete, ""), http.StatusBadRequest},
		{"POST of an unknown session", inSession(http.MethodPost, "unknown"), http.StatusNotFound},
		{"GET of an unknown session", inSession(http.MethodGet, "unknown"), http.StatusNotFound},
		{"DELETE of an unknown session", inSession(http.MethodDelete, "unknown"), http.StatusNotFound},
		{"PUT", inSession(http.MethodPut, session), http.StatusMethodNotAllowed},
		{"GET in the revision without sessions", bare(http.MethodGet).with("MCP-Protocol-Version", stateless).bearer(token), http.StatusMethodNotAllowed},
		{"POST", inSession(http.MethodPost, session), http.StatusOK},
		{"DELETE", inSession(http.MethodDelete, session), http.StatusNoContent},
		{"POST of an ended session", inSession(http.MethodPost, session), http.StatusNotFound},
	} {
		if a := s.send(t, test.q); a.status != test.want {
			t.Errorf("%s: status %d, want %d; body %s", test.name, a.status, test.want, a.body)
		}
	}
}
