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
	{
		id:          "B1",
		level:       "MUST",
		requirement: "Every 401 carries exactly one Bearer challenge, with at least one parameter",
		revisions:   all,
		test:        testEvery401HasAChallenge,
	},
	{
		id:          "B2",
		level:       "MUST",
		requirement: "The challenge has resource_metadata, an absolute URL at which the metadata is served",
		revisions:   since2506,
		test:        testMetadataIsFound,
	},
	{
		id:          "B3",
		level:       "SHOULD",
		requirement: "The challenge names the scopes to request",
		revisions:   since2511,
		test:        testChallengeHasScope,
	},
	{
		id:          "B4",
		level:       "MAY",
		requirement: "The challenge's scope and scopes_supported may differ, but not from one challenge to the next",
		revisions:   since2511,
		test:        testChallengeIsConsistent,
	},
	{
		id:          "B5",
		level:       "SHOULD NOT",
		requirement: "Without credentials, or with another scheme, the challenge has no error parameter",
		revisions:   "RFC 6750 §3.1",
		test:        testNoErrorWithoutCredentials,
	},
	{
		id:          "B6",
		level:       "MUST",
		requirement: "A token that is rejected for any reason yields the error invalid_token",
		revisions:   "RFC 6750 §3.1, RFC 9068 §4",
		test:        testInvalidToken,
	},
	{
		id:          "B7",
		level:       "MUST",
		requirement: "No parameter appears twice, all use the characters that RFC 6750 allows, and none repeats text of the request",
		revisions:   "RFC 6750 §3",
		test:        testChallengeCharacters,
	},
	{
		id:          "B8",
		level:       "SHOULD",
		requirement: "A missing scope yields 403 insufficient_scope, with all scopes of the operation and resource_metadata",
		revisions:   since2511,
		test:        testInsufficientScope,
	},
	{
		id:          "B9",
		requirement: "That challenge has the scopes of the server and of the operation, because older clients request exactly those",
		revisions:   since2511,
		test:        testScopesAreUnited,
	},
	{
		id:          "B10",
		level:       "SHOULD",
		requirement: "One challenge names everything that is missing; a client never has to step up twice for one operation",
		revisions:   since2511,
		test:        testOneStepUp,
	},
	{
		id:            "B11",
		level:         "MAY",
		requirement:   "resource_metadata may appear under further schemes, such as DPoP",
		revisions:     "RFC 9728 §5.1",
		notApplicable: "Bearer is the only scheme that the server offers; B1 checks that there is no other challenge.",
	},
}

// parameters returns the parameters of the only challenge of an answer, parsed by
// go-sdk as its client does.
func parameters(t *testing.T, a answer) map[string]string {
	t.Helper()
	challenges, err := oauthex.ParseWWWAuthenticate(a.header.Values("WWW-Authenticate"))
	if err != nil {
		t.Fatalf("challenge %q: %v", a.header.Values("WWW-Authenticate"), err)
	}
	if len(challenges) != 1 || challenges[0].Scheme != "bearer" || len(challenges[0].Params) == 0 {
		t.Fatalf("challenges %+v, want one Bearer challenge with parameters", challenges)
	}
	return challenges[0].Params
}

// invalidTokens returns tokens that differ from a valid one in one thing, by the reason
// for which each is rejected.
func invalidTokens(s *server) map[gatehouse.Reason]string {
	return map[gatehouse.Reason]string{
		"opaque":             "oat_8XOIeoaNnGh5A4xx",
		"expired":            s.token(claim("exp", 1)),
		"not_yet_valid":      s.token(claim("nbf", time.Now().Add(time.Hour).Unix())),
		"wrong_audience":     s.issuer.Token("https://other.example.com/mcp"),
		"unbound":            s.token(claim("aud", nil)),
		"wrong_issuer":       s.token(claim("iss", "https://evil.example.com")),
		"wrong_type":         s.token(headerParameter("typ", "JWT")),
		"wrong_subject":      s.token(claim("sub", "mch_1")),
		"missing_claim":      s.token(claim("client_id", nil)),
		"sender_constrained": s.token(claim("cnf", map[string]any{"jkt": "x"})),
		"critical_header":    s.token(headerParameter("crit", []string{"x"})),
	}
}

func testEvery401HasAChallenge(t *testing.T) {
	s := start(t)
	for _, method := range methods {
		parameters(t, s.wantRejected(t, endpointRequest(method), noCredentials))
		parameters(t, s.wantRejected(t, endpointRequest(method).bearer(s.token(claim("exp", 1))), invalidToken("expired")))
	}
	parameters(t, s.wantRejected(t, initialize().withTarget("/mcp/"), noCredentials))
	for reason, token := range invalidTokens(s) {
		parameters(t, s.wantRejected(t, initialize().bearer(token), invalidToken(reason)))
	}
}

func testChallengeHasScope(t *testing.T) {
	s := start(t)
	for name, q := range map[string]request{
		"no token":      discover(),
		"expired token": discover().bearer(s.token(claim("exp", 1))),
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
	supported := s.wantAccepted(t, get(insertedPath)).object(t)["scopes_supported"]
	if diff := cmp.Diff([]any{"profile", "email"}, supported); diff != "" {
		t.Errorf("scopes_supported (-want +got):\n%s", diff)
	}
	for reason, token := range invalidTokens(s) {
		if got := parameters(t, s.send(t, discover().bearer(token)))["scope"]; got != "profile email" {
			t.Errorf("%s: scope %q, want profile email", reason, got)
		}
	}
}

func testNoErrorWithoutCredentials(t *testing.T) {
	s := start(t)
	for _, test := range []struct {
		header string
		want   rejection
	}{
		{"", noCredentials},
		{"Basic dXNlcjpwYXNz", wrongScheme},
		{"DPoP " + s.token(), wrongScheme},
		{"Digest username=x", wrongScheme},
	} {
		a := s.wantRejected(t, discover().with("Authorization", test.header), test.want)
		got := slices.Sorted(maps.Keys(parameters(t, a)))
		if diff := cmp.Diff([]string{"resource_metadata", "scope"}, got); diff != "" {
			t.Errorf("%q: parameters (-want +got):\n%s", test.header, diff)
		}
	}
}

func testInvalidToken(t *testing.T) {
	s := start(t)
	for reason, token := range invalidTokens(s) {
		s.wantRejected(t, discover().bearer(token), invalidToken(reason))
	}
	s.wantAccepted(t, discover().bearer(s.token()))
}

// characters matches what RFC 6750 section 3 allows in error_description, without the =,
// which would mislead clients that search the header for a parameter.
var characters = regexp.MustCompile(`^[\x20-\x21\x23-\x3c\x3e-\x5b\x5d-\x7e]+$`)

var lastParameter = regexp.MustCompile(`, (\w+)="[^"]*"$`)

func testChallengeCharacters(t *testing.T) {
	for _, row := range gatehouse.Reasons() {
		if !characters.MatchString(row.Phrase) {
			t.Errorf("%s: phrase %q has =, or a character that RFC 6750 does not allow", row.Reason, row.Phrase)
		}
	}
	s := start(t)
	const mark = `REPEATED", scope="admin`
	for _, q := range []request{
		discover().bearer(s.token(claim("iss", mark))),
		discover().bearer(s.token(claim("aud", mark))),
		discover().bearer(s.token(claim("sub", mark))),
		discover().bearer(s.token(headerParameter("kid", mark))),
		discover().bearer(s.token(headerParameter("typ", mark))),
		discover().bearer("REPEATED"),
		discover().withTarget("/mcp?access_token=REPEATED"),
		discover().with("Authorization", "Bearer REPEATED REPEATED"),
		discover().withHost("REPEATED.localhost"),
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
				t.Errorf("%s appears %d times: %s", name, n, c)
			}
		}
		last := lastParameter.FindStringSubmatch(c)
		if strings.Contains(c, "error=") && (last == nil || last[1] != "error_description") {
			t.Errorf("error_description is not the last parameter: %s", c)
		}
	}
}

func testInsufficientScope(t *testing.T) {
	s := start(t)
	token := s.token()
	session := s.open(t, token)
	for _, q := range []request{callTool(notesTool), callToolIn(session, notesTool)} {
		s.wantRejected(t, q.bearer(token), insufficientScope("profile email notes:write"))
	}
	if n := s.calls(notesTool); n != 0 {
		t.Errorf("the tool ran %d times", n)
	}
	s.wantCall(t, callTool(notesTool).bearer(s.token(withNotes)))
	// Clients of 2025-11-25 request exactly these scopes. If the challenge named fewer
	// than the operation needs, the next token would be rejected again.
	s.wantRejected(t, callTool(bothTool).bearer(s.token(withNotes)), insufficientScope("profile email notes:write notes:share"))
}

func testScopesAreUnited(t *testing.T) {
	s := start(t, func(cfg *serve.Config) { cfg.RequiredScopes = []string{"notes:read"} })
	const base = "notes:read profile email"
	s.wantRejected(t, callTool(openTool).bearer(s.token()), insufficientScope(base))
	s.wantRejected(t, callTool(notesTool).bearer(s.token()), insufficientScope(base+" notes:write"))
	s.wantRejected(t, callTool(notesTool).bearer(s.token(claim("scope", "notes:read"))), insufficientScope(base+" notes:write"))
	s.wantCall(t, callTool(notesTool).bearer(s.token(claim("scope", "notes:write notes:read"))))
}

func testOneStepUp(t *testing.T) {
	s := start(t)
	want := insufficientScope("profile email notes:write notes:share")
	first := s.wantRejected(t, callTool(bothTool).bearer(s.token()), want)
	// A client that sees the same challenge again knows that stepping up did not help.
	second := s.wantRejected(t, callTool(bothTool).bearer(s.token()), want)
	if a, b := first.header.Get("WWW-Authenticate"), second.header.Get("WWW-Authenticate"); a != b {
		t.Errorf("challenges differ:\n%s\n%s", a, b)
	}
	batch := "[" + toolCall(notesTool) + "," + toolCall(bothTool) + "]"
	s.wantRejected(t, post(batch).bearer(s.token()), want)
	s.wantCall(t, callTool(bothTool).bearer(s.token(claim("scope", "profile email notes:write notes:share"))))
}
