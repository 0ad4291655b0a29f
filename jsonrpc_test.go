package gatehouse_test

import (
	"fmt"
	"strings"
	"testing"
)

// members returns the text of n further members of an object.
func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":null`, i)
	}
	return b.String()
}

// The guard must find the operation that the server finds, or reject the message.
func TestOperationsOfAMessage(t *testing.T) {
	nested := func(depth int) string {
		list := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		return `{"method":"tools/call","params":{"name":"read","arguments":` + list + `}}`
	}
	listen := func(notifications string) string {
		return `{"method":"subscriptions/listen","params":{"notifications":{` + notifications + `}}}`
	}
	runRequirementTests(t, []requirementTest{
		rejected("member of another case", "body_malformed",
			`{"method":"tools/call","Method":"ping","params":{"name":"write"}}`),
		rejected("params of another case", "body_malformed",
			`{"method":"tools/call","params":{"name":"write"},"Params":{"name":"read"}}`),
		rejected("name of another case", "body_malformed",
			`{"method":"tools/call","params":{"name":"write","NAME":"read"}}`),
		rejected("only a method of another case", "body_malformed", `{"Method":"tools/call","params":{"name":"write"}}`),
		rejected("an open name and a protected one of another case", "body_malformed",
			`{"method":"tools/call","params":{"name":"read","NAME":"write"}}`),
		rejected("params that fold to params", "body_malformed",
			`{"method":"tools/call","params":{"name":"read"},"paramſ":{"name":"write"}}`),
		rejected("a reference of another case", "body_malformed",
			`{"method":"completion/complete","params":{"Ref":{"type":"ref/prompt","name":"draft"}}}`),
		allowed("an argument of another case", `{"method":"tools/call","params":{"name":"read","arguments":{"Name":"write"}}}`),
		needsScopes("a URI next to the name", "notes:write",
			`{"method":"tools/call","params":{"name":"write","uri":"x"}}`),
		rejected("two names", "body_malformed", `{"method":"tools/call","params":{"name":"write","name":"read"}}`),
		rejected("two names, the last of them null", "body_malformed",
			`{"method":"tools/call","params":{"name":"write","name":null}}`),
		rejected("two names, one of them escaped", "body_malformed",
			`{"method":"tools/call","params":{"name":"write","n\u0061me":null}}`),
		rejected("two URIs", "body_malformed", `{"method":"resources/read","params":{"uri":"notes://all","uri":null}}`),
		rejected("two methods", "body_malformed", `{"method":"tools/call","method":null,"params":{"name":"write"}}`),
		rejected("params twice", "body_malformed", `{"method":"tools/call","params":{"name":"write"},"params":null}`),
		rejected("more members than allowed", "body_malformed", `{"method":"tools/list"`+members(128)+`}`),
		allowed("many members", `{"method":"tools/list"`+members(127)+`}`),
		rejected("params with more members than allowed", "body_malformed",
			`{"method":"tools/call","params":{"name":"read"`+members(128)+`}}`),
		allowed("no name", `{"method":"tools/call","params":{"name":null}}`),
		allowed("two arguments of one name", `{"method":"tools/call","params":{"name":"read","arguments":{"a":1,"a":2}}}`),
		allowed("half a surrogate pair in an argument",
			`{"method":"tools/call","params":{"name":"read","arguments":{"a":"\ud83d"}}}`),
		allowed("a large number in an argument", `{"method":"tools/call","params":{"name":"read","arguments":{"a":1e999}}}`),
		needsScopes("a protected tool with two arguments of one name", "notes:write",
			`{"method":"tools/call","params":{"name":"write","arguments":{"a":1,"a":2}}}`),
		rejected("not UTF-8", "body_malformed", "{\"method\":\"tools/call\",\"params\":{\"name\":\"read\xff\"}}"),
		rejected("nested deeply", "body_malformed", nested(1000)),
		allowed("nested a little", nested(100)),
		rejected("null", "body_malformed", "null"),
		rejected("string", "body_malformed", `"tools/call"`),
		rejected("nothing", "body_malformed", " "),
		needsScopes("escaped name", "notes:write",
			`{"method":"tools/c\u0061ll","params":{"name":"wr\u0069te"}}`),
		needsScopes("subscription to a resource", "notes:read",
			`{"method":"resources/subscribe","params":{"uri":"notes://all"}}`),
		needsScopes("listening to a resource", "notes:read",
			listen(`"resourceSubscriptions":["notes://one",null,"notes://all"]`)),
		allowed("listening to other resources", listen(`"toolsListChanged":true,"resourceSubscriptions":["notes://one"]`)),
		allowed("listening to nothing", listen(`"resourceSubscriptions":null`)),
		rejected("listening twice", "body_malformed",
			listen(`"resourceSubscriptions":["notes://all"],"resourceSubscriptions":null`)),
		rejected("listening, no list", "body_malformed", listen(`"resourceSubscriptions":"notes://all"`)),
		needsScopes("completion for a prompt", "notes:draft",
			`{"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"draft"}}}`),
		needsScopes("completion for a resource", "notes:read",
			`{"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"notes://all"}}}`),
		allowed("completion for others",
			`{"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"other","uri":"notes://all"}}}`),
		rejected("completion for a name that is not a string", "body_malformed",
			`{"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":["draft"]}}}`),
		rejected("trailing bytes", "body_malformed", call("write")+"x"),
		rejected("two messages", "body_malformed", call("read")+call("write")),
		rejected("name that is not a string", "body_malformed", `{"method":"tools/call","params":{"name":["write"]}}`),
		rejected("no params", "body_malformed", `{"method":"tools/call"}`),
		rejected("batch in a batch", "body_malformed", "[["+call("write")+"]]"),
		allowed("answer to the server", `{"jsonrpc":"2.0","id":1,"result":{}}`),
		allowed("batch that is allowed", "\n ["+call("read")+","+call("read")+"]"),
	})
}
