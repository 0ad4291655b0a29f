package bypass

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
	"unicode/utf16"
)

var nameAttempts = []attempt{
	sameWithScope("Names", "the plain call", lacksScope),
	notExact("the name in another case (`Delete`)", "Delete"),
	notExact("a name that Unicode folds to the same (`ｄelete`)", "ｄelete"),
	notExact("a space after the name", "delete "),
	notExact("a zero-width character in the name", "del\u200bete"),
	notExact("a NUL after the name", "delete\x00"),
	sameWithScope("Names", "a character of the name as an escape (`d\\u0065lete`)", lacksScope, replacing(nameOnly, `"name":"d\u0065lete"`)),
	sameWithScope("Names", "the name of the member as an escape (`n\\u0061me`)", lacksScope, replacing(nameOnly, `"n\u0061me":"delete"`)),
	likeDelete("Names", "half a surrogate pair in the name", malformed, replacing(nameOnly, `"name":"delete\ud800"`)),
	likeDelete("Names", "the name in an array", malformed, replacing(nameOnly, `"name":["delete"]`)),
}

var messageAttempts = []attempt{
	likeDelete("Messages", "the member `name` twice: an open tool, then the protected one", malformed,
		replacing(nameOnly, `"name":"open","name":"delete"`)),
	likeDelete("Messages", "the same in the other order", malformed, replacing(nameOnly, `"name":"delete","name":"open"`)),
	likeDelete("Messages", "the member `method` twice", malformed, replacing(`"method":"tools/call"`, `"method":"tools/list","method":"tools/call"`)),
	likeDelete("Messages", "the member `params` twice", malformed, replacing(`"params":{`, `"params":{"name":"open"},"params":{`)),
	{
		group: "Messages", name: "`name` of an open tool, and `Name` of the protected one", want: malformed,
		send:    call("open", weak, replacing(`"name":"open"`, `"name":"open","Name":"delete"`)),
		control: call("delete", strong), controlRuns: "tool delete",
	},
	likeDelete("Messages", "`name` of the protected tool, and `Name` of an open one", malformed, replacing(nameOnly, nameOnly+`,"Name":"open"`)),
	{
		group: "Messages", name: "`method` that lists, and `Method` that calls", want: malformed,
		send:    rpc("tools/list", object{"name": "delete"}, weak, replacing(`"method":`, `"Method":"tools/call","method":`)),
		control: call("delete", strong), controlRuns: "tool delete",
	},
	likeDelete("Messages", "a call without an ID, as a notification", lacksScope, replacing(`"id":1,`, "")),
	{
		group: "Messages", name: "a notification with an ID and the parameters of a call", want: unknownMethod,
		inEra:   map[string]string{stateful: "400"},
		send:    rpc("notifications/tools/call", object{"name": "delete"}, weak),
		control: call("delete", strong), controlRuns: "tool delete",
	},
	sameWithScope("Messages", "a call that is also a response (`result`)", lacksScope, replacing(`"jsonrpc":"2.0"`, `"jsonrpc":"2.0","result":{}`)).
		withControl(call("delete", strong)),
	{
		group: "Messages", name: "a response to a request that the server never sent", want: "202", eras: []string{stateful},
		send:    call("delete", weak, body(`{"jsonrpc":"2.0","id":1,"result":{"name":"delete","content":[]}}`)),
		control: call("delete", strong), controlRuns: "tool delete",
	},
	likeDelete("Messages", "a call without `jsonrpc`", lacksScope, replacing(`"jsonrpc":"2.0",`, "")),
	batchAttempt("a batch with the call", lacksScope, func(q string) string { return "[" + q + "]" }),
	batchAttempt("a batch with an open call and the protected one", lacksScope, func(q string) string {
		return "[" + strings.Replace(strings.Replace(q, "delete", "open", 1), `"id":1`, `"id":2`, 1) + "," + q + "]"
	}),
	batchAttempt("a batch in a batch", malformed, func(q string) string { return "[[" + q + "]]" }),
	batchAttempt("a batch with more than 256 messages, the call last", "413 body_too_large", func(q string) string {
		return "[" + strings.Repeat(`{"jsonrpc":"2.0","method":"notifications/x"},`, 256) + q + "]"
	}),
	likeDelete("Messages", "two messages in one body", malformed, func(q request) request {
		return q.withBody(strings.Replace(q.body, "delete", "open", 1) + q.body)
	}),
	likeDelete("Messages", "arguments that are nested 2000 levels deep", malformed,
		replacing(`"arguments":{}`, `"arguments":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000))),
}

// withControl replaces the control.
func (a attempt) withControl(control sender) attempt { a.control = control; return a }

// batchAttempt sends a batch in a session of revision 2025-03-26, the only one that has them.
func batchAttempt(name, want string, batch func(message string) string) attempt {
	return attempt{
		group: "Messages", name: name, want: want, eras: []string{stateful},
		send:    inBatchSession(weak, batch),
		control: inBatchSession(strong, func(q string) string { return "[" + q + "]" }), controlRuns: "tool delete",
	}
}

// inBatchSession returns a sender that opens a session of that revision, and sends the call of the
// protected tool in it, in a batch.
func inBatchSession(token func(*world) string, batch func(message string) string) sender {
	const revision = "2025-03-26"
	return func(t *testing.T, w *world, _ string) answer {
		id := w.open(t, token(w), revision)
		q := w.call(t, stateful, token(w), "delete").with("Mcp-Session-Id", id).with("Mcp-Protocol-Version", revision)
		return w.send(t, q.withBody(batch(q.body)))
	}
}

var bodyAttempts = []attempt{
	likeDelete("Bodies", "a byte order mark before the message", malformed, func(q request) request { return q.withBody("\ufeff" + q.body) }),
	likeDelete("Bodies", "UTF-16", malformed, func(q request) request {
		var b bytes.Buffer
		for _, unit := range utf16.Encode([]rune(q.body)) {
			b.WriteByte(byte(unit >> 8))
			b.WriteByte(byte(unit))
		}
		return q.withBody(b.String()).with("Content-Type", "application/json; charset=utf-16be")
	}),
	likeDelete("Bodies", "an open call in UTF-8 that is the protected one in UTF-7 (`charset=utf-7`)", malformed,
		replacing(nameOnly, `"name":"+AGQ-elete"`), with("Content-Type", "application/json; charset=utf-7")),
	likeDelete("Bodies", "bytes that are not UTF-8", malformed, replacing(`"arguments":{}`, "\"arguments\":{\"a\":\"\xff\"}")),
	likeDelete("Bodies", "gzip (`Content-Encoding`)", malformed, func(q request) request {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write([]byte(q.body))
		z.Close()
		return q.withBody(b.String()).with("Content-Encoding", "gzip")
	}),
	likeDelete("Bodies", "readable JSON that says to be compressed (`Content-Encoding: br`)", malformed,
		replacing(nameOnly, `"name":"open"`), with("Content-Encoding", "br")),
	likeDelete("Bodies", "another `Content-Type`", lacksScope, with("Content-Type", "text/plain")),
	likeDelete("Bodies", "no `Content-Type`", lacksScope, with("Content-Type")),
	likeDelete("Bodies", "5 MiB of white space before the message", "413 body_too_large", padded(5<<20)),
	likeDelete("Bodies", "the same without a length (chunked)", "413 body_too_large", padded(5<<20), chunked),
	sameWithScope("Bodies", "3 MiB of white space before the message", lacksScope, padded(3<<20)),
	sameWithScope("Bodies", "a chunked body", lacksScope, chunked),
	sameWithScope("Bodies", "HTTP/2", lacksScope, func(q request) request { q.http2 = true; return q }),
}

func chunked(q request) request { q.chunked = true; return q }

func padded(size int) func(request) request {
	return func(q request) request { return q.withBody(strings.Repeat(" ", size) + q.body) }
}
