package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var tokenRows = []row{
	{
		id:          "D1",
		level:       "MUST",
		requirement: "Every HTTP request must carry a token; a session ID does not replace it",
		revisions:   all,
		test:        testEveryRequestNeedsAToken,
	},
	{
		id:          "D2",
		level:       "MUST NOT",
		requirement: "A token in the query is never accepted",
		revisions:   all,
		test:        testTokenInQuery,
	},
	{
		id:          "D3",
		level:       "MUST",
		requirement: "The scheme is compared without regard to case; a token in a form body is ignored",
		revisions:   "RFC 6750 §2.1, RFC 9110 §11.1",
		test:        testScheme,
	},
	{
		id:          "D4",
		level:       "MUST",
		requirement: "The token is verified before the request is read, and a rejected caller learns nothing from the response",
		revisions:   all,
		test:        testTokenComesFirst,
	},
	{
		id:          "D5",
		level:       "MUST",
		requirement: "The token must have been issued for this server",
		revisions:   since2506,
		test:        testAudience,
		except:      "Clerk binds tokens to a server only with aud_claim_enabled; until RequireAudience is set, a token without an audience is accepted, counted and logged, and the server warns about it when it starts",
	},
	{
		id:          "D6",
		level:       "MUST NOT",
		requirement: "A token for another server is never accepted, whatever the audience policy",
		revisions:   since2506,
		test:        testForeignAudience,
	},
	{
		id:          "D7",
		level:       "MUST NOT",
		requirement: "The client's token is not passed on: tools cannot see it, and it is not sent to other servers",
		revisions:   since2506,
		test:        testNoPassthrough,
	},
	{
		id:          "D8",
		level:       "MUST",
		requirement: "A broader scope that implies a narrower one satisfies a requirement for the narrower one",
		revisions:   stateless,
		test:        testScopeHierarchy,
	},
	{
		id:          "D9",
		requirement: "A scope alone does not authorize; required roles, permissions and organizations are checked too",
		revisions:   since2511,
		test:        testScopeIsNotAuthorization,
	},
	{
		id:          "D10",
		level:       "MUST",
		requirement: "No token appears in logs, responses or printed values",
		revisions:   since2506,
		test:        testTokensAreNotWritten,
	},
	{
		id:          "D11",
		level:       "SHOULD",
		requirement: "A token with fewer scopes works for what they cover, and each request for more is logged with its user, client and operation",
		revisions:   since2511,
		test:        testFewerScopes,
		except:      "log records have no correlation ID; they have the principal, the client and the operation",
	},
	{
		id:            "D12",
		level:         "MUST",
		requirement:   "A server that is an OAuth client of a third party binds those tokens to its own users",
		revisions:     all,
		notApplicable: "The guard is not an OAuth client: users sign in at the provider itself, and there is no proxy mode.",
	},
}

func testEveryRequestNeedsAToken(t *testing.T) {
	s := start(t)
	session := s.open(t, s.token())
	for _, method := range methods {
		q := endpointRequest(method).with("MCP-Protocol-Version", stateful).with("Mcp-Session-Id", session)
		s.wantRejected(t, q, noCredentials)
	}
	s.wantRejected(t, callToolIn(session, openTool), noCredentials)
	s.wantRejected(t, callToolIn(session, openTool).bearer(s.token(claim("exp", 1))), invalidToken("expired"))
	s.wantCall(t, callToolIn(session, openTool).bearer(s.token()))
}

func testTokenInQuery(t *testing.T) {
	s := start(t)
	token := s.token()
	for _, target := range []string{
		"/mcp?access_token=" + token,
		"/mcp?a=1&access_token=" + token,
		"/mcp?%61ccess_token=" + token,
		"/mcp?access%5Ftoken=" + token,
		"/mcp?access_token=",
	} {
		s.wantRejected(t, callTool(openTool).withTarget(target), tokenInQuery)
		s.wantRejected(t, callTool(openTool).withTarget(target).bearer(token), tokenInQuery)
	}
	if n := s.calls(openTool); n != 0 {
		t.Errorf("the tool ran %d times", n)
	}
	s.wantCall(t, callTool(openTool).withTarget("/mcp?other=1").bearer(token))
}

func testScheme(t *testing.T) {
	s := start(t)
	token := s.token()
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "bEaReR  "} {
		s.wantCall(t, callTool(openTool).with("Authorization", scheme+token))
	}
	form := post("access_token="+token).with("Content-Type", "application/x-www-form-urlencoded")
	s.wantRejected(t, form, noCredentials)
	s.wantRejected(t, callTool(openTool).with("Authorization", "Bearer: "+token), wrongScheme)
	s.wantRejected(t, callTool(openTool).with("Cookie", "access_token="+token), noCredentials)
}

func testTokenComesFirst(t *testing.T) {
	s := start(t)
	expired := s.token(claim("exp", 1))
	for _, q := range []request{
		post("{"),
		post(""),
		post(strings.Repeat("x", 5<<20)),
		post("{}").with("Content-Type", "text/plain"),
		post("{}").with("MCP-Protocol-Version", "1999-01-01"),
		post("{}").with("Mcp-Session-Id", "unknown"),
		callTool("no such tool"),
		callTool(billingTool),
	} {
		s.wantRejected(t, q, noCredentials)
		s.wantRejected(t, q.bearer(expired), invalidToken("expired"))
	}
	for _, name := range tools {
		if n := s.calls(name); n != 0 {
			t.Errorf("tool %s ran %d times", name, n)
		}
	}
	if a := s.send(t, post("{").bearer(s.token())); a.status != http.StatusBadRequest {
		t.Errorf("with a token, a malformed body: status %d, want 400", a.status)
	}
}

func testAudience(t *testing.T) {
	s := start(t)
	u, _ := url.Parse(s.URL())
	for _, audience := range []any{
		s.URL(),
		"http://127.0.0.1:" + u.Port() + "/mcp",
		[]string{"https://other.example.com", s.URL()},
	} {
		s.wantCall(t, callTool(openTool).bearer(s.token(claim("aud", audience))))
	}
	for _, audience := range []any{
		s.URL() + "/",
		s.URL() + "2",
		s.base,
		s.base + "/",
		strings.ToUpper(s.URL()),
		s.URL() + "?a=1",
		"https://" + u.Host + "/mcp",
		"http://localhost/mcp",
		[]string{"https://other.example.com", s.URL() + "2"},
		[]string{},
	} {
		s.wantRejected(t, callTool(openTool).bearer(s.token(claim("aud", audience))), invalidToken("wrong_audience"))
	}
	s.wantRejected(t, callTool(openTool).bearer(s.token(claim("aud", nil))), invalidToken("unbound"))
}

func testForeignAudience(t *testing.T) {
	for _, policy := range []gatehouse.AudiencePolicy{gatehouse.AudienceRequired, gatehouse.AudienceIfPresent} {
		s := start(t, func(cfg *serve.Config) { cfg.Provider.Tokens.Audience = policy })
		for _, audience := range []any{"https://other.example.com/mcp", []string{"a", "b"}, s.URL() + "/"} {
			s.wantRejected(t, callTool(openTool).bearer(s.token(claim("aud", audience))), invalidToken("wrong_audience"))
		}
		s.wantCall(t, callTool(openTool).bearer(s.token()))
	}
	lenient := start(t, func(cfg *serve.Config) { cfg.Provider.Tokens.Audience = gatehouse.AudienceIfPresent })
	lenient.wantCall(t, callTool(openTool).bearer(lenient.token(claim("aud", nil))))
	if got := lenient.Guard().Stats().Unbound; got != 1 {
		t.Errorf("Stats().Unbound = %d, want 1", got)
	}
	const want = "tokens without an audience are accepted"
	if warnings := lenient.Guard().Warnings(); len(warnings) != 1 || !strings.Contains(warnings[0], want) {
		t.Errorf("warnings %q, want one about the audience", warnings)
	}
	if !strings.Contains(lenient.log.String(), "token without audience accepted") {
		t.Error("the log does not mention the token without audience")
	}
}

func testNoPassthrough(t *testing.T) {
	var upstreamCalls atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { upstreamCalls.Add(1) }))
	defer upstream.Close()
	s := start(t, func(cfg *serve.Config) { cfg.Requirements = nil })
	leak := func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		if h := req.GetExtra().Header["Authorization"]; h != nil {
			t.Errorf("the tool sees Authorization %q", h)
		}
		id, _ := gatehouse.IdentityOf(req)
		client, ok := gatehouse.IssuerClient(req)
		if !ok {
			t.Error("IssuerClient returned no client")
			return nil, nil, nil
		}
		if resp, err := client.Get(upstream.URL); err == nil {
			resp.Body.Close()
			t.Error("the client of the issuer sent the caller's token to another server")
		}
		return nil, toolCaller{Subject: id.Subject}, nil
	}
	mcp.AddTool(s.MCP, &mcp.Tool{Name: "leak"}, leak)
	token := s.token()
	session := s.open(t, token)
	for _, q := range []request{callTool("leak"), callToolIn(session, "leak")} {
		if got := s.wantCall(t, q.bearer(token)); got.Subject != "user_ada" {
			t.Errorf("the tool saw %+v", got)
		}
	}
	if n := upstreamCalls.Load(); n != 0 {
		t.Errorf("the other server was called %d times", n)
	}
}

// signature returns the part of a token that must stay secret.
func signature(token string) string { return token[strings.LastIndex(token, ".")+1:] }

func testScopeHierarchy(t *testing.T) {
	s := start(t, func(cfg *serve.Config) {
		cfg.ImpliedScopes = map[string][]string{"notes:admin": {"notes:edit"}, "notes:edit": {"notes:write"}}
	})
	for _, scope := range []string{"notes:admin", "profile notes:edit", "notes:write"} {
		s.wantCall(t, callTool(notesTool).bearer(s.token(claim("scope", scope))))
	}
	// A hierarchy changes which scopes suffice, not which ones the challenge names: those of the
	// first challenge, of the token, and of the operation.
	for scope, want := range map[string]string{
		"profile email": "profile email notes:write",
		"notes:adminx":  "profile email notes:adminx notes:write",
		"notes":         "profile email notes notes:write",
	} {
		s.wantRejected(t, callTool(notesTool).bearer(s.token(claim("scope", scope))), insufficientScope(want))
	}
}

func testScopeIsNotAuthorization(t *testing.T) {
	s := start(t)
	everything := claim("scope", "profile email notes:write org:billing:manage billing admin")
	s.wantRejected(t, callTool(billingTool).bearer(s.token(everything)), insufficientPermission)
	s.wantRejected(t, callTool(billingTool).bearer(s.token(claim("org_permissions", []string{"org:billing:read"}))), insufficientPermission)
	if n := s.calls(billingTool); n != 0 {
		t.Errorf("the tool ran %d times", n)
	}
	s.wantCall(t, callTool(billingTool).bearer(s.token(withBilling)))
}

func testTokensAreNotWritten(t *testing.T) {
	s := start(t)
	valid, expired := s.token(), s.token(claim("exp", 1))
	session := s.open(t, valid)
	var answers strings.Builder
	for _, q := range []request{
		callTool(openTool).bearer(valid),
		callToolIn(session, openTool).bearer(valid),
		callTool(notesTool).bearer(valid),
		callTool(openTool).bearer(expired),
		callTool(openTool).with("Authorization", "Bearer "+valid, "Bearer "+expired),
		callTool(openTool).withTarget("/mcp?access_token=" + valid),
		get("/elsewhere?access_token=" + valid),
	} {
		a := s.send(t, q)
		fmt.Fprintln(&answers, a.body, a.header)
	}
	identity, err := s.Guard().Verify(t.Context(), valid, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Guard().Verify(t.Context(), expired, nil)
	for place, text := range map[string]string{
		"log":      s.log.String(),
		"answers":  answers.String(),
		"identity": fmt.Sprintf("%v %+v %#v %s", identity, identity, identity.Extra, logged(identity)),
		"error":    fmt.Sprintf("%v %+v", err, err),
	} {
		for _, token := range []string{valid, expired} {
			if strings.Contains(text, signature(token)) {
				t.Errorf("%s contains a token: %s", place, text)
			}
		}
	}
	testPrintedValues(t, identity, valid)
	for _, want := range []string{`"reason":"expired"`, `"subject":"user_ada"`, `"reason":"token_in_query"`} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}

// testPrintedValues prints the extra values of an identity and looks for the token.
func testPrintedValues(t *testing.T, info *auth.TokenInfo, token string) {
	t.Helper()
	for name, v := range info.Extra {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			text := fmt.Sprintf(format, v)
			if strings.Contains(text, signature(token)) || strings.Contains(text, fmt.Sprintf("%x", signature(token))) {
				t.Errorf("%s of %s reveals the token", format, name)
			}
		}
	}
}

// logged returns info as a log and as JSON would show it.
func logged(info *auth.TokenInfo) string {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "info", info, "extra", info.Extra)
	if text, err := json.Marshal(info); err == nil {
		b.Write(text)
	}
	out, _ := io.ReadAll(&b)
	return string(out)
}

func testFewerScopes(t *testing.T) {
	s := start(t)
	for _, scope := range []any{"profile", "email", "", nil} {
		s.wantCall(t, callTool(openTool).bearer(s.token(claim("scope", scope))))
	}
	s.wantRejected(t, callTool(notesTool).bearer(s.token(claim("scope", "profile"))), insufficientScope("profile email notes:write"))
	line := ""
	for l := range strings.SplitSeq(s.log.String(), "\n") {
		if strings.Contains(l, `"reason":"insufficient_scope"`) {
			line = l
		}
	}
	for _, want := range []string{"user_ada", "client_1", "notes:write", "tools/call notes"} {
		if !strings.Contains(line, want) {
			t.Errorf("the log line about the missing scope lacks %q: %s", want, line)
		}
	}
}
