package bypass

import (
	"net/http"
	"testing"
)

var requestAttempts = []attempt{
	{
		group: "HTTP", name: "`Mcp-Name` of an open tool, the protected one in the body", want: lacksScope,
		send:    call("delete", weak, with("Mcp-Name", "open")),
		control: call("delete", strong), controlRuns: "tool delete",
	},
	{
		group: "HTTP", name: "`Mcp-Method: tools/list`, the call in the body", want: lacksScope,
		send:    call("delete", weak, with("Mcp-Method", "tools/list")),
		control: call("delete", strong), controlRuns: "tool delete",
	},
	likeDelete("HTTP", "`Mcp-Name` of the protected tool, an open one in the body", "error -32020", replacing(nameOnly, `"name":"open"`)).only(stateless),
	likeDelete("HTTP", "the same in a session", "200", replacing(nameOnly, `"name":"open"`), with("Mcp-Name", "delete")).
		only(stateful).reaching("tool open"),
	likeDelete("HTTP", "`X-HTTP-Method-Override: GET`", lacksScope, with("X-HTTP-Method-Override", "GET")),
	likeDelete("HTTP", "a GET with the call as its body, and `X-HTTP-Method-Override: POST`", lacksScope,
		method(http.MethodGet), with("X-HTTP-Method-Override", "POST")),
	likeDelete("HTTP", "a PUT with the call", lacksScope, method(http.MethodPut)),
	likeDelete("HTTP", "a PATCH with the call", lacksScope, method(http.MethodPatch)),
	likeDelete("HTTP", "a DELETE with the call as its body", lacksScope, method(http.MethodDelete)),
	likeDelete("HTTP", "a HEAD with the call as its body", "403", method(http.MethodHead)),
	likeDelete("HTTP", "an unknown method (`QUERY`) with the call", lacksScope, method("QUERY")),
	sameWithScope("HTTP", "`/mcp/`", lacksScope, target("/mcp/")),
	likeDelete("HTTP", "`//mcp`", "307", target("//mcp")),
	likeDelete("HTTP", "`/MCP`", "404", target("/MCP")),
	sameWithScope("HTTP", "`/%6dcp`", lacksScope, target("/%6dcp")),
	likeDelete("HTTP", "`/x/../mcp`", "307", target("/x/../mcp")),
	likeDelete("HTTP", "`/mcp;v=1`", "404", target("/mcp;v=1")),
	likeDelete("HTTP", "`/mcp%2f`", "404", target("/mcp%2f")),
	sameWithScope("HTTP", "`/mcp?name=open`", lacksScope, target("/mcp?name=open&method=tools/list")),
	{
		group: "HTTP", name: "a token with the scope in the query, next to one without it in the header", want: "400 token_in_query",
		send: func(t *testing.T, w *world, era string) answer {
			return call("delete", weak, target("/mcp?access_token="+w.strong()))(t, w, era)
		},
		control: call("delete", strong), controlRuns: "tool delete",
	},
	{
		group: "HTTP", name: "the token in the query alone", want: "400 token_in_query",
		send: func(t *testing.T, w *world, era string) answer {
			return call("delete", weak, target("/mcp?access_token="+w.strong()), with("Authorization"))(t, w, era)
		},
		control: call("delete", strong), controlRuns: "tool delete",
	},
	{
		group: "HTTP", name: "two `Authorization` headers, one of them with the scope", want: "400 malformed_credentials",
		send: func(t *testing.T, w *world, era string) answer {
			return call("delete", weak, with("Authorization", "Bearer "+w.weak(), "Bearer "+w.strong()))(t, w, era)
		},
		control: call("delete", strong), controlRuns: "tool delete",
	},
	{
		group: "HTTP", name: "two tokens in one `Authorization` header", want: "400 malformed_credentials",
		send: func(t *testing.T, w *world, era string) answer {
			return call("delete", weak, with("Authorization", "Bearer "+w.weak()+", Bearer "+w.strong()))(t, w, era)
		},
		control: call("delete", strong), controlRuns: "tool delete",
	},
}
