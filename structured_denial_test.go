package gatehouse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type denial struct {
	ID    json.RawMessage
	Error struct {
		Code    int
		Message string
		Data    struct {
			Authorization struct {
				Reason, CredentialDisposition string
				RemediationHints              []struct {
					Type                 string
					AuthorizationDetails json.RawMessage `json:"authorization_details"`
				}
			}
			Elicitations []struct{ Mode, ElicitationID, URL, Message string }
		}
	}
}

// checked is a requirement whose Check returns err.
func checked(err error) gatehouse.Require {
	return gatehouse.Require{Check: func(context.Context, gatehouse.Identity) error { return err }}
}

func TestStructuredDenials(t *testing.T) {
	is := newIssuer(t)
	details := json.RawMessage(`[{"type":"payment_initiation"}]`)
	for _, test := range []struct {
		name      string
		require   gatehouse.Require
		status    int
		challenge string
		code      int
		message   string
		hints     string // their types
		url       string
	}{
		{
			name: "a scope", require: gatehouse.Require{Scopes: []string{"notes:write"}},
			status: 403, challenge: "insufficient_scope", code: -32040, message: infoOf("insufficient_scope").Phrase,
		},
		{
			name: "a role", require: gatehouse.Require{Roles: []string{"admin"}},
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			name: "another error", require: checked(errors.New("database password")),
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			name: "a page", require: checked(fmt.Errorf("wrapped: %w", &gatehouse.DraftRemediation{Message: "Approve it.", URL: "https://a.example/approve"})),
			status: 200, code: -32042, message: "Approve it.", hints: "url", url: "https://a.example/approve",
		},
		{
			name: "a page on loopback", require: checked(&gatehouse.DraftRemediation{URL: "http://localhost:3000/approve"}),
			status: 200, code: -32042, message: infoOf("insufficient_permission").Phrase, hints: "url", url: "http://localhost:3000/approve",
		},
		{
			name: "a page without https", require: checked(&gatehouse.DraftRemediation{URL: "http://a.example/approve"}),
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			name: "a program", require: checked(&gatehouse.DraftRemediation{URL: "file://localhost/x.exe"}),
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			name: "a page without a host", require: checked(&gatehouse.DraftRemediation{URL: "https://:443/approve"}),
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			name: "a page with a password", require: checked(&gatehouse.DraftRemediation{URL: "https://a:b@a.example/approve"}),
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			name: "a page with a line break", require: checked(&gatehouse.DraftRemediation{URL: "https://a.example/\r\nSet-Cookie: a=b"}),
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			// A variable that was never set is an error that is not nil.
			name: "a remediation that is nil", require: checked((*gatehouse.DraftRemediation)(nil)),
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			name: "a nil remediation in another error", require: checked(fmt.Errorf("wrapped: %w", (*gatehouse.DraftRemediation)(nil))),
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			name: "an error that is for the log", require: checked(&gatehouse.DraftRemediation{Err: errors.New("database password")}),
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			name: "authorization details with a name twice", require: checked(&gatehouse.DraftRemediation{
				AuthorizationDetails: json.RawMessage(`[{"type":"a","type":"b"}]`),
			}),
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			name: "authorization details without a type", require: checked(&gatehouse.DraftRemediation{
				AuthorizationDetails: json.RawMessage(`[{"type":"a"},{"actions":["read"]}]`),
			}),
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			name: "authorization details, nested", status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
			require: checked(&gatehouse.DraftRemediation{
				AuthorizationDetails: json.RawMessage(`[{"type":"a","b":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + "}]"),
			}),
		},
		{
			name: "authorization details", require: checked(&gatehouse.DraftRemediation{Message: "Pay.", AuthorizationDetails: details}),
			status: 403, challenge: "insufficient_authorization_details", code: -32040, message: "Pay.", hints: "oauth_authorization_details",
		},
		{
			name: "authorization details that are not an array", require: checked(&gatehouse.DraftRemediation{AuthorizationDetails: json.RawMessage(`{}`)}),
			status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
		},
		{
			name: "authorization details that are too large", status: 403, code: -32040, message: infoOf("insufficient_permission").Phrase,
			require: checked(&gatehouse.DraftRemediation{AuthorizationDetails: json.RawMessage(`["` + strings.Repeat("x", 16<<10) + `"]`)}),
		},
	} {
		guard := newGuard(t, is, withRoles, func(cfg *gatehouse.Config) { cfg.DraftStructuredDenials = true })
		guard.ProtectTool(&mcp.Tool{Name: "a"}, test.require)
		resp := send(guard.Wrap(behind), request{body: call("a"), header: bearer(is.token(resource))})
		var got denial
		text := body(t, resp)
		if err := json.Unmarshal([]byte(text), &got); err != nil || strings.Contains(text, "password") {
			t.Errorf("%s: got %s, %v", test.name, text, err)
		}
		var hints, url string
		for _, hint := range got.Error.Data.Authorization.RemediationHints {
			hints += hint.Type
			if hint.Type == "oauth_authorization_details" && string(hint.AuthorizationDetails) != string(details) {
				t.Errorf("%s: got details %s", test.name, hint.AuthorizationDetails)
			}
		}
		for _, e := range got.Error.Data.Elicitations {
			if url = e.URL; e.Mode != "url" || e.ElicitationID == "" || e.Message != test.message {
				t.Errorf("%s: got elicitation %+v", test.name, e)
			}
		}
		if resp.StatusCode != test.status || string(got.ID) != "1" || got.Error.Code != test.code || got.Error.Message != test.message ||
			hints != test.hints || url != test.url || got.Error.Data.Authorization.Reason != "insufficient_authorization" {
			t.Errorf("%s: got status %d %s", test.name, resp.StatusCode, text)
		}
		c := resp.Header.Get("WWW-Authenticate")
		if (c == "") != (test.challenge == "") || !strings.Contains(c, `error="`+test.challenge) && test.challenge != "" {
			t.Errorf("%s: got challenge %q", test.name, c)
		}
		checkDenialInMiddleware(t, is, guard, test.name, test.code, test.message)
	}
}

// checkDenialInMiddleware checks the error for the same requirement inside the MCP server.
func checkDenialInMiddleware(t *testing.T, is *issuer, guard *gatehouse.Guard, name string, code int, message string) {
	t.Helper()
	info, err := guard.Verify(t.Context(), is.token(resource), nil)
	if err != nil {
		t.Fatal(err)
	}
	session := connect(t, guard, func() *auth.TokenInfo { return info })
	_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "a"})
	var got *jsonrpc.Error
	if !errors.As(err, &got) || got.Code != int64(code) || got.Message != message ||
		!strings.Contains(string(got.Data), `"authorization":{"reason":"insufficient_authorization"`) {
		t.Errorf("%s: the middleware returns %v %+v", name, err, got)
	}
}

// Other answers keep their form: without the setting, to batches and notifications, and to
// requests that another check rejects.
func TestAnswersThatAreNotStructuredDenials(t *testing.T) {
	is := newIssuer(t)
	on := func(cfg *gatehouse.Config) { cfg.DraftStructuredDenials = true }
	remediation := checked(&gatehouse.DraftRemediation{Message: "Approve it.", URL: "https://a.example/approve"})
	for _, test := range []struct {
		name, body string
		configure  func(*gatehouse.Config)
		token      string
		want       gatehouse.Reason
	}{
		{"without the setting", call("a"), func(*gatehouse.Config) {}, is.token(resource), "insufficient_permission"},
		{"batch", "[" + call("a") + "]", on, is.token(resource), "insufficient_permission"},
		{"notification", `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}`, on, is.token(resource), "insufficient_permission"},
		{"invalid token", call("a"), on, is.token("https://other.example/mcp"), "wrong_audience"},
		{"malformed", `{`, on, is.token(resource), "body_malformed"},
	} {
		guard := newGuard(t, is, test.configure)
		guard.ProtectTool(&mcp.Tool{Name: "a"}, remediation)
		resp := send(guard.Wrap(behind), request{body: test.body, header: bearer(test.token)})
		if text := body(t, resp); resp.StatusCode != infoOf(test.want).Status || !strings.Contains(text, `"reason":"`+string(test.want)) ||
			strings.Contains(text, "Approve") {
			t.Errorf("%s: got status %d %s", test.name, resp.StatusCode, text)
		}
	}
}

// ChatGPT gets the challenge in a result also if the caller has no token, where something is
// public.
func TestChallengeInResultWithoutAToken(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, publicRequirements, func(cfg *gatehouse.Config) { cfg.ChallengeInResult = true })
	resp := send(guard.Wrap(behind), request{body: call("write")})
	text := body(t, resp)
	for _, want := range []string{`"mcp/www_authenticate":["Bearer resource_metadata=`, `error=\"insufficient_scope\"`, `"isError":true`} {
		if resp.StatusCode != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("got status %d %s, want %s in it", resp.StatusCode, text, want)
		}
	}
	// Another message, and a server without anything public, have the answer of the header.
	for name, test := range map[string]struct {
		guard *gatehouse.Guard
		body  string
	}{
		"prompt":         {guard, rpc("prompts/get", `"name":"other"`)},
		"nothing public": {newGuard(t, is, requirements, func(cfg *gatehouse.Config) { cfg.ChallengeInResult = true }), call("write")},
	} {
		if resp := send(test.guard.Wrap(behind), request{body: test.body}); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: got status %d, want 401", name, resp.StatusCode)
		}
	}
}

// Check is asked twice, and may change its mind in between: the second answer decides, and says what
// would help.
func TestCheckThatChangesItsMind(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.DraftStructuredDenials, cfg.ChallengeInResult = true, true })
	var answers []error // of the next calls; nil when there are none
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	ran := 0
	mcp.AddTool(server, guard.ProtectTool(&mcp.Tool{Name: "a"}, gatehouse.Require{Check: func(context.Context, gatehouse.Identity) error {
		if len(answers) == 0 {
			return nil
		}
		err := answers[0]
		answers = answers[1:]
		return err
	}}), func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		ran++
		return &mcp.CallToolResult{}, nil, nil
	})
	server.AddReceivingMiddleware(guard.Middleware())
	handler := guard.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true, DisableLocalhostProtection: true}))
	page := &gatehouse.DraftRemediation{Message: "Approve it.", URL: "https://a.example/approve"}
	details := &gatehouse.DraftRemediation{AuthorizationDetails: json.RawMessage(`[{"type":"a"}]`)}
	for _, test := range []struct {
		name      string
		answers   []error
		status    int
		code      int // of the JSON-RPC error; 0 means that the tool runs
		challenge bool
	}{
		{"allowed", nil, 200, 0, false},
		{"rejected at once", []error{page}, 200, -32042, false},
		{"rejected later", []error{nil, page}, 200, -32042, false},
		{"rejected at once, with details", []error{details}, 403, -32040, true},
		{"rejected later, with details", []error{nil, details}, 200, -32040, false},
		{"rejected later, with a nil remediation", []error{nil, (*gatehouse.DraftRemediation)(nil)}, 200, -32040, false},
	} {
		answers, ran = test.answers, 0
		resp := send(handler, request{body: call("a"), header: http.Header{
			"Authorization": bearer(is.token(resource))["Authorization"], "Content-Type": {"application/json"},
			"Accept": {"application/json, text/event-stream"}, "Mcp-Protocol-Version": {"2025-11-25"},
		}})
		var got denial
		text := body(t, resp)
		if err := json.Unmarshal([]byte(text), &got); err != nil || resp.StatusCode != test.status || got.Error.Code != test.code ||
			(ran == 1) != (test.code == 0) || (resp.Header.Get("WWW-Authenticate") != "") != test.challenge {
			t.Errorf("%s: got status %d %s, %v; the tool ran %d times", test.name, resp.StatusCode, text, err, ran)
		}
	}
}
