package bypass

import (
	"slices"
	"testing"
)

// Answers.
const (
	lacksScope      = "403 insufficient_scope"
	lacksPermission = "403 insufficient_permission"
	malformed       = "400 body_malformed"
	otherSpelling   = "400 resource_spelling"
	unknownTool     = "error -32602"
	unknownMethod   = "error -32601"
)

// sender sends one request.
type sender = func(t *testing.T, w *world, era string) answer

// call returns a sender that calls a tool with the token, after changes to the request.
func call(tool string, token func(*world) string, changes ...func(request) request) sender {
	return func(t *testing.T, w *world, era string) answer {
		q := w.call(t, era, token(w), tool)
		for _, change := range changes {
			q = change(q)
		}
		return w.send(t, q)
	}
}

// rpc returns a sender of a JSON-RPC request.
func rpc(method string, params object, token func(*world) string, changes ...func(request) request) sender {
	return func(t *testing.T, w *world, era string) answer {
		q := w.post(t, era, token(w), method, params)
		for _, change := range changes {
			q = change(q)
		}
		return w.send(t, q)
	}
}

func weak(w *world) string   { return w.weak() }
func strong(w *world) string { return w.strong() }

// replacing returns a change of the body.
func replacing(old, replacement string) func(request) request {
	return func(q request) request { return q.replacing(old, replacement) }
}

// with returns a change of a header.
func with(name string, values ...string) func(request) request {
	return func(q request) request { return q.with(name, values...) }
}

func body(text string) func(request) request {
	return func(q request) request { return q.withBody(text) }
}

func method(name string) func(request) request {
	return func(q request) request { return q.withMethod(name) }
}

func target(text string) func(request) request {
	return func(q request) request { return q.withTarget(text) }
}

// nameOnly is the member with the name of the tool in the body of a call.
const nameOnly = `"name":"delete"`

// likeDelete returns an attempt to call the tool delete, whose control is the plain call with the scope.
func likeDelete(group, name, want string, changes ...func(request) request) attempt {
	return attempt{
		group: group, name: name, want: want,
		send:    call("delete", weak, changes...),
		control: call("delete", strong), controlRuns: "tool delete",
	}
}

// sameWithScope is likeDelete with the same changes in the control.
func sameWithScope(group, name, want string, changes ...func(request) request) attempt {
	a := likeDelete(group, name, want, changes...)
	a.control = call("delete", strong, changes...)
	return a
}

// notExact returns an attempt with a name that is almost that of the tool.
func notExact(name, spelling string) attempt {
	a := likeDelete("Names", name, unknownTool, replacing(nameOnly, `"name":`+marshal(spelling)), with("Mcp-Name", "delete"))
	a.inEra = map[string]string{stateless: "error -32020"} // the header Mcp-Name cannot have it
	a.by = map[style]string{denying: lacksPermission, byDefault: lacksScope}
	return a
}

// only restricts a to one era.
func (a attempt) only(era string) attempt { a.eras = []string{era}; return a }

// reaching says what a reaches although it is answered.
func (a attempt) reaching(what string) attempt { a.reaches = what; return a }

var attempts = slices.Concat(nameAttempts, messageAttempts, bodyAttempts, requestAttempts, resourceAttempts, otherAttempts,
	sessionAttempts, callerAttempts, anonymousAttempts, anonymousResourceAttempts, anonymousSessionAttempts)
