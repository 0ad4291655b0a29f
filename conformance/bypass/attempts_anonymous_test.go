package bypass

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	signIn    = "401 no_credentials"
	anonymous = "Without a token, next to public operations"
)

// none is the token of a caller who has none.
func none(*world) string { return "" }

// noToken returns an attempt in a world in which something is Public. Its control is the plain
// call with the scope.
func noToken(name, want string, send sender) attempt {
	return attempt{
		group: anonymous, name: name, want: want, public: true,
		send: send, control: call("delete", strong), controlRuns: "tool delete",
	}
}

// noTokenCall returns an attempt to call the protected tool without a token.
func noTokenCall(name, want string, changes ...func(request) request) attempt {
	return noToken(name, want, call("delete", none, changes...))
}

// notPublic returns an attempt with a change that makes a public call one that needs a token. Its
// control is the public call without the change.
func notPublic(name, want string, changes ...func(request) request) attempt {
	a := noToken(name, want, call("public", none, changes...))
	a.control, a.controlRuns = call("public", none), "tool public"
	return a
}

// publicName is the member with the name of the tool in the body of a public call.
const publicName = `"name":"public"`

func inStyles(a attempt, in ...style) attempt { a.in = in; return a }

var anonymousAttempts = []attempt{
	noTokenCall("a protected tool", signIn),
	noTokenCall("HTTP/2", signIn, func(q request) request { q.http2 = true; return q }),
	noToken("a tool that needs no more than a sign-in (`SignedIn`)", signIn, call("open", none)),
	noToken("a tool that needs a role", signIn, call("admin", none)).withControl(call("admin", admin)).running("tool admin"),
	noToken("a tool whose `Check` would reject", signIn, call("rejects", none)).withControl(call("rejects", strong)).running("tool rejects"),
	inStyles(noToken("a tool without a declaration", signIn, call("undeclared", none)).
		withControl(call("undeclared", strong)).running("tool undeclared"), protect, byName, byDefault),
	notPublic("the name of a public tool in another case", signIn, replacing(publicName, `"name":"Public"`)),
	notPublic("a space after the name", signIn, replacing(publicName, `"name":"public "`)),
	noToken("the prompt with the name of the protected tool", signIn, rpc("prompts/get", object{"name": "delete"}, none)),
	notPublic("the member `name` twice: a public tool, then the protected one", signIn, replacing(publicName, publicName+`,"name":"delete"`)),
	notPublic("`name` of a public tool, and `Name` of the protected one", signIn, replacing(publicName, publicName+`,"Name":"delete"`)),
	notPublic("the member `params` twice", signIn, replacing(`"params":{`, `"params":{"name":"delete"},"params":{`)),
	notPublic("the member `method` twice", signIn, replacing(`"method":"tools/call"`, `"method":"tools/list","method":"tools/call"`)),
	noTokenCall("a call without an ID, as a notification", signIn, replacing(`"id":1,`, "")),
	noTokenCall("a call that is also a response", signIn, replacing(`"jsonrpc":"2.0"`, `"jsonrpc":"2.0","result":{}`)),
	noToken("a notification that MCP does not have", signIn, call("delete", none, body(`{"jsonrpc":"2.0","method":"notifications/delete"}`))),
	notPublic("`{}`", signIn, body(`{}`)),
	notPublic("no body", signIn, body("")),
	notPublic("an empty batch", signIn, body(`[]`)),
	noToken("a response to a request that the server never sent", "202", call("delete", none, body(`{"jsonrpc":"2.0","id":1,"result":{}}`))).
		only(stateful),
	anonymousBatch("a batch with a public call and the protected one", signIn, func(q string) string {
		return "[" + strings.Replace(strings.Replace(q, "delete", "public", 1), `"id":1`, `"id":2`, 1) + "," + q + "]"
	}),
	anonymousBatch("a batch in a batch", signIn, func(q string) string { return "[[" + q + "]]" }),
	anonymousBatch("a batch with more than 32 messages", signIn, func(q string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(strings.Replace(q, "delete", "public", 1)+",", 33), ",") + "]"
	}),
	notPublic("a call as a task", signIn, replacing(publicName, publicName+`,"task":{"ttl":1000}`)),
	noToken("the result of a task (`tasks/result`)", signIn, rpc("tasks/result", object{"taskId": "1"}, none)),
	noToken("the list of tasks (`tasks/list`)", signIn, rpc("tasks/list", object{}, none)),
	noToken("a method of the client (`sampling/createMessage`)", signIn, rpc("sampling/createMessage", object{}, none)),
	anonymousCustomMethod,
	noToken("a call that continues another one (`requestState`, `inputResponses`)", signIn,
		rpc("tools/call", object{"name": "delete", "arguments": object{}, "requestState": "x", "inputResponses": object{}}, none)).only(stateless),
	noTokenCall("`Mcp-Name` of a public tool, the protected one in the body", signIn, with("Mcp-Name", "public")),
	noTokenCall("`Mcp-Method: tools/list`, the call in the body", signIn, with("Mcp-Method", "tools/list")),
	noTokenCall("a GET with the call as its body", signIn, method(http.MethodGet)),
	noTokenCall("a DELETE with the call as its body", signIn, method(http.MethodDelete)),
	noTokenCall("a PUT with the call", signIn, method(http.MethodPut)),
	notPublic("a PUT with a public call", signIn, method(http.MethodPut)),
	notPublic("an unknown method (`QUERY`) with a public call", signIn, method("QUERY")),
	noTokenCall("a HEAD with the call as its body", "401", method(http.MethodHead)),
	noTokenCall("`X-HTTP-Method-Override: GET`", signIn, with("X-HTTP-Method-Override", "GET")),
	notPublic("300 KiB of white space before a public call", signIn, padded(300<<10)),
	notPublic("the same without a length (chunked)", signIn, padded(300<<10), chunked),
	notPublic("a public call in UTF-8 that is another in UTF-7 (`charset=utf-7`)", signIn, with("Content-Type", "application/json; charset=utf-7")),
	notPublic("a public call that is compressed", signIn, func(q request) request {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write([]byte(q.body))
		z.Close()
		return q.withBody(b.String()).with("Content-Encoding", "gzip")
	}),
	noTokenCall("an empty `Authorization` header, as a proxy may send it", signIn, with("Authorization", "")),
	notPublic("`Authorization: Bearer` without a token, for a public tool", "400 malformed_credentials", with("Authorization", "Bearer")),
	notPublic("two empty `Authorization` headers", "400 malformed_credentials", with("Authorization", "", "")),
	notPublic("another scheme (`Basic`)", "401 wrong_scheme", with("Authorization", "Basic YTpi")),
	notPublic("an invalid token, for a public tool", "401 malformed", with("Authorization", "Bearer a.b.c")),
	notPublic("a token in the query, for a public tool", "400 token_in_query", target("/mcp?access_token=a")),
	noToken("the token in another header (`Proxy-Authorization`, `Cookie`)", signIn, func(t *testing.T, w *world, era string) answer {
		return call("delete", none, with("Proxy-Authorization", "Bearer "+w.strong()), with("Cookie", "access_token="+w.strong()))(t, w, era)
	}),
	notPublic("a page of another origin calls a public tool", "403 forbidden_origin", with("Origin", "https://evil.example")),
	notPublic("a public call to another host name (DNS rebinding)", "403 forbidden_host", with("Host", "evil.example")),
	noToken("the last page of `tools/list`, for a tool that needs a role", "200", pages(none, false)).withControl(pages(admin, true)).running(""),
	withOptions(noTokenCall("`ChallengeInResult`: the call is answered with 200", "200, challenge in _meta"), options{configure: challengeInResult}),
	withOptions(noTokenCall("`DraftStructuredDenials`", signIn), options{
		configure: func(cfg *gatehouse.Config) { cfg.DraftStructuredDenials = true },
	}),
	withOptions(noTokenCall("`Guard.Middleware` was forgotten", signIn), options{withoutMiddleware: true}),
	withOptions(noTokenCall("`Guard.Wrap` was forgotten, so that no request has a caller", "error -32040"), options{withoutWrap: true}).
		withControl(call("public", none)).running("tool public"),
	withOptions(noToken("a public tool for which a second requirement was declared later", signIn, call("public", none)), options{}).
		preparedBy(func(t *testing.T, w *world, era string) {
			if a := call("public", none)(t, w, era); a.status != 200 {
				t.Errorf("before the declaration: %s", a)
			}
			w.guard.ProtectTool(&mcp.Tool{Name: "public"}, write)
		}).withControl(call("public", strong)).running("tool public"),
}

// running says what the control reaches.
func (a attempt) running(what string) attempt { a.controlRuns = what; return a }

func (a attempt) preparedBy(before func(*testing.T, *world, string)) attempt {
	a.before = before
	return a
}

// withOptions gives a a world of its own.
func withOptions(a attempt, o options) attempt { a.options = &o; return a }

// anonymousBatch sends a batch without a token, in a session of the only revision that has them.
func anonymousBatch(name, want string, batch func(message string) string) attempt {
	a := batchAttempt(name, want, batch)
	a.group, a.public, a.send = anonymous, true, inBatchSession(none, batch)
	return a
}

// anonymousCustomMethod calls a method that the program added to the server.
var anonymousCustomMethod = func() attempt {
	a := customMethodAttempt
	a.group, a.public, a.want, a.send = anonymous, true, signIn, rpc("acme/delete", object{}, none)
	a.in = []style{protect, byName, byDefault}
	return a
}()
