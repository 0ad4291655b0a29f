package conformance

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var statusRows = []row{
	{
		id:          "C1",
		level:       "MUST",
		requirement: "401 if sign-in is needed, or if the token is invalid, expired, of another audience, another issuer or another kind",
		revisions:   all,
		test:        testUnauthorized,
	},
	{
		id:          "C2",
		level:       "MUST",
		requirement: "403 if a valid token lacks a scope or a permission; without a challenge if no scope would help",
		revisions:   all,
		test:        testForbidden,
	},
	{
		id:          "C3",
		level:       "MUST",
		requirement: "400 for malformed credentials: not exactly one token, or a token in two places",
		revisions:   all,
		test:        testMalformed,
	},
	{
		id:          "C4",
		requirement: "400 for nothing else, because a client that supports both kinds of revision takes it for an older server",
		revisions:   stateless,
		test:        testUnknownSchemeIsNotMalformed,
	},
	{
		id:          "C5",
		requirement: "503 with Retry-After and without details while tokens cannot be verified; never 401 or 500",
		revisions:   all,
		test:        testUnavailable,
	},
	{
		id:          "C6",
		level:       "MUST",
		requirement: "403 for an Origin that is not allowed",
		revisions:   since2511,
		test:        testForbiddenOrigin,
	},
	{
		id:          "C7",
		level:       "MUST",
		requirement: "Sessions: 400 without an ID, 404 for an unknown or ended session, 405 for a method that is not offered",
		revisions:   "until 2025-11-25",
		test:        testSessionStatus,
	},
}

func testUnauthorized(t *testing.T) {
	s := start(t)
	s.wantRejected(t, discover(), noCredentials)
	s.wantRejected(t, initialize(), noCredentials)
	for reason, token := range invalidTokens(s) {
		s.wantRejected(t, callTool(openTool).bearer(token), invalidToken(reason))
	}
	// Expiry is checked before scopes: the client needs a new token, not more scopes.
	s.wantRejected(t, callTool(notesTool).bearer(s.token(claim("exp", 1))), invalidToken("expired"))
	if n := s.calls(openTool); n != 0 {
		t.Errorf("the tool ran %d times", n)
	}
	s.wantCall(t, callTool(openTool).bearer(s.token()))
}

func testForbidden(t *testing.T) {
	s := start(t)
	token := s.token()
	session := s.open(t, token)
	for _, q := range []request{callTool(billingTool), callToolIn(session, billingTool)} {
		s.wantRejected(t, q.bearer(token), insufficientPermission)
	}
	for _, q := range []request{callTool(notesTool), callToolIn(session, notesTool)} {
		s.wantRejected(t, q.bearer(token), insufficientScope("profile email notes:write"))
	}
	s.wantCall(t, callTool(billingTool).bearer(s.token(withBilling)))
	s.wantCall(t, callTool(notesTool).bearer(s.token(withNotes)))
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
		s.wantRejected(t, callTool(openTool).with("Authorization", header...), malformedCredentials)
	}
	s.wantRejected(t, callTool(openTool).bearer(token).withTarget("/mcp?access_token="+token), tokenInQuery)
	s.wantCall(t, callTool(openTool).bearer(token))
}

func testUnknownSchemeIsNotMalformed(t *testing.T) {
	s := start(t)
	for _, header := range []string{"Basic dXNlcjpwYXNz", "DPoP " + s.token(), "Negotiate", "x y z", s.token()} {
		s.wantRejected(t, discover().with("Authorization", header), wrongScheme)
	}
	for reason, token := range invalidTokens(s) {
		s.wantRejected(t, discover().bearer(token), invalidToken(reason))
	}
}

// wantUnavailable checks that a is a 503 with Retry-After and without details.
func wantUnavailable(t *testing.T, a answer) {
	t.Helper()
	body := a.object(t)
	after := a.header.Get("Retry-After")
	if a.status != http.StatusServiceUnavailable || after == "" || body["error"] != "temporarily_unavailable" ||
		body["reason"] != "provider_unavailable" || len(body) != 3 {
		t.Errorf("status %d, Retry-After %q, body %s; want 503", a.status, after, a.body)
	}
	if got := a.header.Get("WWW-Authenticate"); got != "" {
		t.Errorf("challenge %q: a client would discard its tokens", got)
	}
	for _, detail := range []string{"10.0.0.7", "127.0.0.1", "jwks", "dial", "http"} {
		if strings.Contains(a.body, detail) {
			t.Errorf("body %s has %q", a.body, detail)
		}
	}
}

func testUnavailable(t *testing.T) {
	s := start(t)
	s.wantCall(t, callTool(openTool).bearer(s.token()))
	s.issuer.SetDown(true)
	s.wantCall(t, callTool(openTool).bearer(s.token(claim("jti", "oat_2")))) // verified with the cached keys

	outage := startInOutage(t)
	for _, q := range []request{discover(), initialize()} {
		wantUnavailable(t, outage.send(t, q.bearer(outage.token())))
	}
	outage.wantRejected(t, discover(), noCredentials)
	outage.wantRejected(t, discover().bearer("oat_8XOIeoaNnGh5A4xx"), invalidToken("opaque"))
	if n := outage.Guard().Stats().Rejected["provider_unavailable"]; n != 2 {
		t.Errorf("%d requests counted as provider_unavailable, want 2", n)
	}
	testRecovery(t)
}

// testRecovery uses the clock of synctest, so that the test does not have to wait for
// Retry-After.
func testRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startInProcess(t)
		p.issuer.SetDown(true)
		a := p.send(t, endpointRequest(http.MethodPost).bearer(p.token()))
		wantUnavailable(t, a)
		p.issuer.SetDown(false)
		time.Sleep(retryAfter(t, a))
		p.wantStatus(t, p.token(), http.StatusOK)
	})
}

func testForbiddenOrigin(t *testing.T) {
	s := start(t)
	for _, origin := range []string{"https://evil.example.com", "null", "http://localhost.evil.example.com", "file://", "http://"} {
		for _, method := range methods {
			s.wantRejected(t, endpointRequest(method).with("Origin", origin), forbiddenOrigin)
			s.wantRejected(t, endpointRequest(method).with("Origin", origin).bearer(s.token()), forbiddenOrigin)
		}
	}
	s.wantCall(t, callTool(openTool).with("Origin", s.base).bearer(s.token()))
}

func testSessionStatus(t *testing.T) {
	s := start(t)
	token := s.token()
	session := s.open(t, token)
	inSession := func(method, id string) request {
		q := endpointRequest(method).with("MCP-Protocol-Version", stateful).bearer(token)
		if id != "" {
			q = q.with("Mcp-Session-Id", id)
		}
		return q
	}
	statelessGet := endpointRequest(http.MethodGet).with("MCP-Protocol-Version", stateless).bearer(token)
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
		{"GET in the stateless revision", statelessGet, http.StatusMethodNotAllowed},
		{"POST", inSession(http.MethodPost, session), http.StatusOK},
		{"DELETE", inSession(http.MethodDelete, session), http.StatusNoContent},
		{"POST of an ended session", inSession(http.MethodPost, session), http.StatusNotFound},
	} {
		if a := s.send(t, test.q); a.status != test.want {
			t.Errorf("%s: status %d, want %d; body %s", test.name, a.status, test.want, a.body)
		}
	}
}
