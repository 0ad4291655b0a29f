package bypass

import "strings"

// read returns a sender that reads a resource.
func read(uri string, token func(*world) string) sender {
	return rpc("resources/read", object{"uri": uri}, token)
}

// otherURI returns an attempt to read the protected resource by another URI, which an open
// template matches too.
func otherURI(name, uri string) attempt {
	return attempt{
		group: "Resources", name: name, want: otherSpelling, by: map[style]string{byDefault: lacksScope},
		send:    read(uri, weak),
		control: read("docs://secret", strong), controlRuns: "resource docs://secret",
	}
}

var resourceAttempts = []attempt{
	{
		group: "Resources", name: "the plain URI", want: lacksScope,
		send:    read("docs://secret", weak),
		control: read("docs://secret", strong), controlRuns: "resource docs://secret",
	},
	otherURI("a letter percent-encoded (`docs://s%65cret`)", "docs://s%65cret"),
	otherURI("the same twice (`docs://s%2565cret`)", "docs://s%2565cret"),
	otherURI("dot segments (`docs://x/../secret`)", "docs://x/../secret"),
	otherURI("encoded dot segments (`docs://x/%2e%2e/secret`)", "docs://x/%2e%2e/secret"),
	otherURI("an encoded slash (`docs://x%2f..%2fsecret`)", "docs://x%2f..%2fsecret"),
	otherURI("backslashes (`docs://x\\..\\secret`)", `docs://x\..\secret`),
	otherURI("the scheme in another case (`DOCS://secret`)", "DOCS://secret"),
	otherURI("a slash at the end", "docs://secret/"),
	otherURI("empty segments (`docs:////secret`)", "docs:////secret"),
	otherURI("a query (`docs://secret?x=1`)", "docs://secret?x=1"),
	otherURI("a fragment (`docs://secret#x`)", "docs://secret#x"),
	otherURI("user info (`docs://u@secret`)", "docs://u@secret"),
	otherURI("a tab in the URI", "docs://sec\tret"),
	otherURI("spaces at the end", "docs://secret  "),
	{
		group: "Resources", name: "a URI of 3000 bytes", want: otherSpelling,
		send:    read("docs://secret?"+strings.Repeat("x", 3000), weak),
		control: read("docs://secret", strong), controlRuns: "resource docs://secret",
	},
	{
		group: "Resources", name: "a URI that a protected template matches", want: lacksScope,
		send:    read("docs://team/a", weak),
		control: read("docs://team/a", strong), controlRuns: "resource docs://team/{name}",
		in: []style{byDefault},
	},
	{
		group: "Resources", name: "a URI that a protected template and an open one match", want: lacksScope,
		send:    read("docs://team/a", weak),
		control: read("docs://secret", strong), controlRuns: "resource docs://secret",
		in: []style{protect, byName, denying},
	},
	otherURI("the literal part of the template percent-encoded (`docs://te%61m/a`)", "docs://te%61m/a"),
	otherURI("dot segments that lead to the template (`docs://x/../team/a`)", "docs://x/../team/a"),
	{
		group: "Resources", name: "`resources/subscribe`", want: lacksScope, eras: []string{stateful},
		send:    rpc("resources/subscribe", object{"uri": "docs://secret"}, weak),
		control: rpc("resources/subscribe", object{"uri": "docs://secret"}, strong), controlRuns: "subscription docs://secret",
	},
	{
		group: "Resources", name: "`resources/subscribe` with dot segments", want: otherSpelling, eras: []string{stateful},
		by:      map[style]string{byDefault: lacksScope},
		send:    rpc("resources/subscribe", object{"uri": "docs://x/../secret"}, weak),
		control: rpc("resources/subscribe", object{"uri": "docs://secret"}, strong), controlRuns: "subscription docs://secret",
	},
	{
		group: "Resources", name: "`subscriptions/listen` with an open resource and the protected one", want: lacksScope, eras: []string{stateless},
		send:    listen(weak),
		control: listen(strong), controlRuns: "subscription docs://open, subscription docs://secret",
	},
	{
		group: "Resources", name: "`subscriptions/listen` with two lists", want: malformed, eras: []string{stateless},
		send:    listen(weak, replacing(`"resourceSubscriptions":`, `"resourceSubscriptions":["docs://open"],"resourceSubscriptions":`)),
		control: listen(strong), controlRuns: "subscription docs://open, subscription docs://secret",
	},
}

func listen(token func(*world) string, changes ...func(request) request) sender {
	changes = append(changes, func(q request) request { q.stream = true; return q })
	return rpc("subscriptions/listen", object{"notifications": object{"resourceSubscriptions": []string{"docs://open", "docs://secret"}}}, token, changes...)
}

// complete returns a sender that completes an argument of what ref refers to.
func complete(ref object, token func(*world) string) sender {
	return rpc("completion/complete", object{"ref": ref, "argument": object{"name": "name", "value": "a"}}, token)
}

var otherAttempts = []attempt{
	{
		group: "Other operations", name: "`prompts/get`", want: lacksScope,
		send:    rpc("prompts/get", object{"name": "draft"}, weak),
		control: rpc("prompts/get", object{"name": "draft"}, strong), controlRuns: "prompt draft",
	},
	{
		group: "Other operations", name: "completion of an argument of the prompt", want: lacksScope,
		send:    complete(object{"type": "ref/prompt", "name": "draft"}, weak),
		control: complete(object{"type": "ref/prompt", "name": "draft"}, strong), controlRuns: "completion draft",
	},
	{
		group: "Other operations", name: "completion of an argument of the template", want: lacksScope,
		send:    complete(object{"type": "ref/resource", "uri": "docs://team/{name}"}, weak),
		control: complete(object{"type": "ref/resource", "uri": "docs://team/{name}"}, strong), controlRuns: "completion docs://team/{name}",
	},
	{
		group: "Other operations", name: "completion with another spelling of the template (`docs://team/{NAME}`)", want: otherSpelling,
		by:      map[style]string{byDefault: lacksScope},
		send:    complete(object{"type": "ref/resource", "uri": "docs://team/{NAME}"}, weak),
		control: complete(object{"type": "ref/resource", "uri": "docs://team/{name}"}, strong), controlRuns: "completion docs://team/{name}",
	},
	{
		group: "Other operations", name: "completion with an unknown kind of reference (`REF/PROMPT`)", want: lacksScope,
		send:    complete(object{"type": "REF/PROMPT", "name": "draft"}, weak),
		control: complete(object{"type": "ref/prompt", "name": "draft"}, strong), controlRuns: "completion draft",
	},
	{
		group: "Other operations", name: "a call as a task (`task`, 2025-11-25)", want: lacksScope,
		send:    rpc("tools/call", object{"name": "delete", "arguments": object{}, "task": object{"ttl": 1000}}, weak),
		control: call("delete", strong), controlRuns: "tool delete",
	},
	{
		group: "Other operations", name: "the result of a task (`tasks/result`)", want: unknownMethod,
		inEra:   map[string]string{stateful: "400"},
		by:      map[style]string{denying: lacksPermission, byDefault: lacksScope},
		send:    rpc("tasks/result", object{"taskId": "1"}, weak),
		control: call("delete", strong), controlRuns: "tool delete",
	},
	{
		group: "Other operations", name: "the state of a task (`tasks/get`)", want: unknownMethod,
		inEra:   map[string]string{stateful: "400"},
		by:      map[style]string{denying: lacksPermission, byDefault: lacksScope},
		send:    rpc("tasks/get", object{"taskId": "1"}, weak),
		control: call("delete", strong), controlRuns: "tool delete",
	},
	{
		group: "Other operations", name: "a call that continues another one (`requestState`, `inputResponses`)", want: lacksScope, eras: []string{stateless},
		send:    rpc("tools/call", object{"name": "delete", "arguments": object{}, "requestState": "x", "inputResponses": object{}}, weak),
		control: call("delete", strong), controlRuns: "tool delete",
	},
	customMethodAttempt,
	listAttempt,
}
