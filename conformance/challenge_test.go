package conformance

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

var challengeRows = []row{
	{id: "B1", level: "MUST", requirement: "Every 401 has one Bearer challenge with a parameter", revisions: all, test: testEvery401HasAChallenge},
	{id: "B2", level: "MUST", requirement: "The challenge has resource_metadata, an absolute URL that answers", revisions: since2506, test: testMetadataIsFound},
	{id: "B3", level: "SHOULD", requirement: "The challenge names the scopes to ask for", revisions: since2511, test: testChallengeHasScope},
	{id: "B4", level: "MAY", requirement: "Challenged scopes and scopes_supported may differ, but do so consistently", revisions: since2511, test: testChallengeIsConsistent},
	{id: "B5", level: "SHOULD NOT", requirement: "Without credentials, or with another scheme, the challenge says nothing of an error", revisions: "RFC 6750 §3.1", test: testNoErrorWithoutCredentials},
	{id: "B6", level: "MUST", requirement: "A token that is no good for whatever reason is invalid_token", revisions: "RFC 6750 §3.1, RFC 9068 §4", test: testInvalidToken},
	{id: "B7", level: "MUST", requirement: "Each parameter is there once, in the characters of RFC 6750, and repeats nothing of the request", revisions: "RFC 6750 §3", test: testChallengeCharacters},
	{id: "B8", level: "SHOULD", requirement: "A missing scope is 403 insufficient_scope with all scopes of the operation and resource_metadata", revisions: since2511, test: testInsufficientScope},
	{id: "B9", level: "", requirement: "Its scopes are those of the base and of the operation: older clients ask for exactly these", revisions: since2511, test: testScopesAreUnited},
	{id: "B10", level: "SHOULD", requirement: "One challenge is enough: never one scope after the other", revisions: since2511, test: testOneStepUp},
	{id: "B11", level: "MAY", requirement: "resource_metadata may stand under further schemes, like DPoP", revisions: "RFC 9728 §5.1", notApplicable: "Bearer is the only scheme that is offered; B1 holds that there is no other challenge."},
}

// parameters returns those of the one challenge of an answer, as the client of
// go-sdk reads it.
func parameters(t *testing.T, a answer) map[string]string {
	t.Helper()
	challenges, err := oauthex.ParseWWWAuthenticate(a.header.Values("WWW-Authenticate"))
	if err != nil {
		t.Fatalf("challenge %q: %v", a.header.Values("WWW-Authenticate"), err)
	}
	if len(challenges) != 1 || challenges[0].Scheme != "bearer" || len(challenges[0].Params) == 0 {
		t.Fatalf("challenges %+v, want one of Bearer with parameters", challenges)
	}
	return challenges[0].Params
}

// badTokens are tokens that differ in one thing from a good one, each with its
// reason.
func badTokens(s *server) map[gatehouse.Reason]string {
	return map[gatehouse.Reason]string{
		"opaque":             "oat_8XOIeoaNnGh5A4xx",
		"expired":            s.token(claim("exp", 1)),
		"not_yet_valid":      s.token(claim("nbf", time.Now().Add(time.Hour).Unix())),
		"wrong_audience":     s.issuer.token("https://other.example.com/mcp"),
		"unbound":            s.token(claim("aud", nil)),
		"wrong_issuer":       s.token(claim("iss", "https://evil.example.com")),
		"wrong_type":         s.token(parameter("typ", "JWT")),
		"wrong_subject":      s.token(claim("sub", "mch_1")),
		"missing_claim":      s.token(claim("client_id", nil)),
		"sender_constrained": s.token(claim("cnf", map[string]any{"jkt": "x"})),
		"critical_header":    s.token(parameter("crit", []string{"x"})),
	}
}

var verbs = []string{http.MethodPost, http.MethodGet, http.MethodDelete, http.MethodPut, http.MethodPatch, http.MethodOptions, http.MethodHead}

func testEvery401HasAChallenge(t *testing.T) {
	s := start(t)
	for _, verb := range verbs {
		parameters(t, s.refused(t, bare(verb), signIn))
		parameters(t, s.refused(t, bare(verb).bearer(s.token(claim("exp", 1))), badToken("expired")))
	}
	parameters(t, s.refused(t, initialize().to("/mcp/"), signIn))
	for reason, token := range badTokens(s) {
		parameters(t, s.refused(t, initialize().bearer(token), badToken(reason)))
	}
}

func testChallengeHasScope(t *testing.T) {
	s := start(t)
	for name, q := range map[string]request{
		"no token":  discover(),
		"bad token": discover().bearer(s.token(claim("exp", 1))),
	} {
		if got := parameters(t, s.send(t, q))["scope"]; got != "profile email" {
			t.Errorf("%s: scope %q, want profile email", name, got)
		}
	}
	narrow := start(t, func(cfg *serve.Config) {
		cfg.Provider.ScopesSupported, cfg.RequiredScopes = []string{"email"}, []string{"notes:read"}
	})
	if got := parameters(t, narrow.send(t, discover()))["scope"]; got != "notes:read email" {
		t.Errorf("with a required scope: scope %q, want notes:read email", got)
	}
}

func testChallengeIsConsistent(t *testing.T) {
	s := start(t)
	supported := s.accepted(t, get(insertedPath)).object(t)["scopes_supported"]
	if diff := cmp.Diff([]any{"profile", "email"}, supported); diff != "" {
		t.Errorf("scopes_supported (-want +got):\n%s", diff)
	}
	for reason, token := range badTokens(s) {
		if got := parameters(t, s.send(t, discover().bearer(token)))["scope"]; got != "profile email" {
			t.Errorf("%s: scope %q, want profile email", reason, got)
		}
	}
}

func testNoErrorWithoutCredentials(t *testing.T) {
	s := start(t)
	for _, test := range []struct {
		header string
		want   refusal
	}{
		{"", signIn},
		{"Basic dXNlcjpwYXNz", otherWay},
		{"DPoP " + s.token(), otherWay},
		{"Digest username=x", otherWay},
	} {
		a := s.refused(t, discover().with("Authorization", test.header), test.want)
		got := slices.Sorted(maps.Keys(parameters(t, a)))
		if diff := cmp.Diff([]string{"resource_metadata", "scope"}, got); diff != "" {
			t.Errorf("%q: parameters (-want +got):\n%s", test.header, diff)
		}
	}
}

func testInvalidToken(t *testing.T) {
	s := start(t)
	for reason, token := range badTokens(s) {
		s.refused(t, discover().bearer(token), badToken(reason))
	}
	s.accepted(t, discover().bearer(s.token()))
}

// characters are those of error_description (RFC 6750 §3), less the = by which a
// client that searches the header would be misled.
var characters = regexp.MustCompile(`^[\x20-\x21\x23-\x3c\x3e-\x5b\x5d-\x7e]+$`)

var lastParameter = regexp.MustCompile(`, (\w+)="[^"]*"$`)

func testChallengeCharacters(t *testing.T) {
	for _, row := range gatehouse.Reasons() {
		if !characters.MatchString(row.Phrase) {
			t.Errorf("%s: phrase %q has characters that RFC 6750 does not allow, or =", row.Reason, row.Phrase)
		}
	}
	s := start(t)
	const mark = `REPEATED", scope="admin`
	for _, q := range []request{
		discover().bearer(s.token(claim("iss", mark))),
		discover().bearer(s.token(claim("aud", mark))),
		discover().bearer(s.token(claim("sub", mark))),
		discover().bearer(s.token(parameter("kid", mark))),
		discover().bearer(s.token(parameter("typ", mark))),
		discover().bearer("REPEATED"),
		discover().to("/mcp?access_token=REPEATED"),
		discover().with("Authorization", "Bearer REPEATED REPEATED"),
		discover().at("REPEATED.localhost"),
		callTool(`REPEATED`),
	} {
		a := s.send(t, q)
		if n := len(a.header.Values("WWW-Authenticate")); n != 1 && a.status != http.StatusServiceUnavailable {
			t.Errorf("status %d with %d challenges, want one", a.status, n)
		}
		c := a.header.Get("WWW-Authenticate")
		if strings.Contains(c+a.body, "REPEATED") {
			t.Errorf("challenge %s\nbody %s\nrepeat the request", c, a.body)
		}
		for _, name := range []string{"resource_metadata", "scope", "error", "error_description"} {
			if n := len(regexp.MustCompile(`\b`+name+`=`).FindAllString(c, -1)); n > 1 {
				t.Errorf("%s is there %d times: %s", name, n, c)
			}
		}
		if last := lastParameter.FindStringSubmatch(c); strings.Contains(c, "error=") && (last == nil || last[1] != "error_description") {
			t.Errorf("error_description is not the last parameter: %s", c)
		}
	}
}

func testInsufficientScope(t *testing.T) {
	s := start(t)
	token := s.token()
	session := s.open(t, token)
	for _, q := range []request{callTool(notesTool), callToolIn(session, notesTool)} {
		s.refused(t, q.bearer(token), lacks("profile email notes:write"))
	}
	if n := s.calls(notesTool); n != 0 {
		t.Errorf("the tool ran %d times", n)
	}
	s.called(t, callTool(notesTool).bearer(s.token(withNotes)))
	// Clients of 2025-11-25 ask for exactly these: one that asked for less than the
	// operation needs would get a token that is refused again.
	s.refused(t, callTool(bothTool).bearer(s.token(withNotes)), lacks("profile email notes:write notes:share"))
}

func testScopesAreUnited(t *testing.T) {
	s := start(t, func(cfg *serve.Config) { cfg.RequiredScopes = []string{"notes:read"} })
	const base = "notes:read profile email"
	s.refused(t, callTool(openTool).bearer(s.token()), lacks(base))
	s.refused(t, callTool(notesTool).bearer(s.token()), lacks(base+" notes:write"))
	s.refused(t, callTool(notesTool).bearer(s.token(claim("scope", "notes:read"))), lacks(base+" notes:write"))
	s.called(t, callTool(notesTool).bearer(s.token(claim("scope", "notes:write notes:read"))))
}

func testOneStepUp(t *testing.T) {
	s := start(t)
	want := lacks("profile email notes:write notes:share")
	first := s.refused(t, callTool(bothTool).bearer(s.token()), want)
	// A client that sees the same challenge again knows that asking was in vain.
	second := s.refused(t, callTool(bothTool).bearer(s.token()), want)
	if a, b := first.header.Get("WWW-Authenticate"), second.header.Get("WWW-Authenticate"); a != b {
		t.Errorf("challenges differ:\n%s\n%s", a, b)
	}
	batch := "[" + toolCall(notesTool) + "," + toolCall(bothTool) + "]"
	s.refused(t, post(batch).bearer(s.token()), want)
	s.called(t, callTool(bothTool).bearer(s.token(claim("scope", "profile email notes:write notes:share"))))
}
