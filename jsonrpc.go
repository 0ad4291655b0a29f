package gatehouse

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/go-json-experiment/json/jsontext"
)

// The methods of operations that requirements can name.
const (
	methodCallTool     = "tools/call"
	methodGetPrompt    = "prompts/get"
	methodReadResource = "resources/read"
)

// The methods of lists.
const (
	methodListTools     = "tools/list"
	methodListPrompts   = "prompts/list"
	methodListResources = "resources/list"
	methodListTemplates = "resources/templates/list"
)

// operation is what a JSON-RPC request does, as far as requirements depend on it.
type operation struct {
	method string
	name   string // of the tool or prompt, or URI of the resource; empty for other methods
}

// isNamed reports whether op is one that a requirement can name.
func (op operation) isNamed() bool {
	return op.method == methodCallTool || op.method == methodGetPrompt || op.method == methodReadResource
}

// openMethods are the methods of MCP, besides notifications, that no requirement covers: they
// open a session, list names, or end something.
var openMethods = []string{
	methodInitialize, "ping", "server/discover",
	methodListTools, methodListPrompts, methodListResources, methodListTemplates,
	"resources/unsubscribe", "completion/complete", methodListen, "logging/setLevel",
}

// isCovered reports whether op needs a requirement on a server that is closed by default: if
// it is a tool, prompt or resource, or has a method that this package does not know. Such a
// method may be an extension, or fetch the result of a tool (tasks/result).
func (op operation) isCovered() bool {
	return op.isNamed() || !slices.Contains(openMethods, op.method) && !strings.HasPrefix(op.method, "notifications/")
}

// maxOperations bounds the messages of a batch (MCP 2025-03-26), and the operations in all of
// them if requirements depend on those. A batch of 4 MiB has 130,000 notifications, for
// which go-sdk 1.8 takes more than ten seconds.
const maxOperations = 256

var errTooManyOperations = fmt.Errorf("more than %d messages or operations in one body", maxOperations)

// operations returns the operations of a JSON-RPC message or batch. It must not read
// another method or name than the server behind the guard does. So text on which readers
// disagree is an error: a member that appears twice, or "Method", which go-sdk ignores and
// encoding/json reads as "method".
func operations(body []byte) ([]operation, error) {
	messages, err := messagesOf(body)
	if err != nil {
		return nil, err
	}
	var ops []operation
	for _, message := range messages {
		found, err := operationsIn(message)
		if err != nil {
			return nil, err
		}
		if ops = append(ops, found...); len(ops) > maxOperations {
			return nil, errTooManyOperations
		}
	}
	return ops, nil
}

// messagesOf returns the messages of a body: those of a batch, or the only one.
func messagesOf(body []byte) ([]jsontext.Value, error) {
	if !isBatch(body) {
		return []jsontext.Value{body}, nil
	}
	if err := checkBatchLength(body); err != nil {
		return nil, err
	}
	return strictjson.ItemsShallow(body)
}

// isBatch reports whether the body is an array, if it is JSON.
func isBatch(body []byte) bool { return jsontext.Value(body).Kind() == '[' }

// checkBatchLength returns an error if the array has more than maxOperations elements. It
// reads no further than that.
func checkBatchLength(batch []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(batch))
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for n := 0; d.PeekKind() != ']'; n++ {
		if n == maxOperations {
			return errTooManyOperations
		}
		if err := d.SkipValue(); err != nil {
			return fmt.Errorf("byte %d: the batch is not JSON", d.InputOffset())
		}
	}
	return nil
}

// operationsIn returns the operations of one message. Usually there is one; a response to
// the server has none. Subscribing to a resource and completing its arguments count as
// reading it, so that its requirements apply.
func operationsIn(message jsontext.Value) ([]operation, error) {
	m, err := membersOf(message)
	if err != nil || m["method"] == nil {
		return nil, err
	}
	var method string
	if err := m.text("method", &method); err != nil {
		return nil, err
	}
	return operationsOfMembers(method, m)
}

// operationsOfMembers returns the operations of a message with the method.
func operationsOfMembers(method string, m members) ([]operation, error) {
	switch method {
	case methodCallTool, methodGetPrompt:
		return namedOperation(method, m, "name")
	case methodReadResource, "resources/subscribe":
		return namedOperation(methodReadResource, m, "uri")
	case "subscriptions/listen":
		return listenOperations(m)
	case "completion/complete":
		return completeOperations(m)
	}
	return []operation{{method: method}}, nil
}

// namedOperation returns the operation whose name is a member of the params.
func namedOperation(method string, message members, nameMember string) ([]operation, error) {
	params, err := message.object("params")
	if err != nil {
		return nil, err
	}
	op := operation{method: method}
	if err := params.text(nameMember, &op.name); err != nil {
		return nil, err
	}
	return []operation{op}, nil
}

// listenOperations returns the resources to which a subscriptions/listen request
// subscribes (MCP 2026-07-28).
func listenOperations(message members) ([]operation, error) {
	params, err := message.object("params")
	if err != nil || params.absent("notifications") {
		return nil, err
	}
	notifications, err := params.object("notifications")
	if err != nil || notifications.absent("resourceSubscriptions") {
		return nil, err
	}
	var uris []string
	if err := notifications.decode("resourceSubscriptions", &uris); err != nil {
		return nil, err
	}
	return readsOf(uris...), nil
}

// readsOf returns the operations of reading the resources.
func readsOf(uris ...string) []operation {
	var ops []operation
	for _, uri := range uris {
		ops = append(ops, operation{methodReadResource, uri})
	}
	return ops
}

// completeOperations returns the prompt or resource whose arguments a completion/complete
// request completes.
func completeOperations(message members) ([]operation, error) {
	params, err := message.object("params")
	if err != nil || params.absent("ref") {
		return nil, err
	}
	ref, err := params.object("ref")
	if err != nil {
		return nil, err
	}
	var kind, name, uri string
	for member, text := range map[string]*string{"type": &kind, "name": &name, "uri": &uri} {
		if ref.absent(member) {
			continue
		}
		if err := ref.text(member, text); err != nil {
			return nil, err
		}
	}
	return completionOf(kind, name, uri), nil
}

// completionOf returns the operation of a reference in completion/complete. A reference of
// another kind counts as everything that it may refer to: go-sdk rejects it, but other
// servers may not.
func completionOf(kind, name, uri string) []operation {
	switch kind {
	case "ref/prompt":
		return []operation{{methodGetPrompt, name}}
	case "ref/resource":
		return []operation{{methodReadResource, uri}}
	}
	var ops []operation
	if name != "" {
		ops = append(ops, operation{methodGetPrompt, name})
	}
	if uri != "" {
		ops = append(ops, operation{methodReadResource, uri})
	}
	return ops
}

// members are the members of a JSON object.
type members map[string]jsontext.Value

// membersOf reads the names of object strictly and leaves its values alone: what a caller
// passes to a tool does not decide about access, and models write duplicate names and half
// surrogate pairs into it.
//
// A name that differs from one of those in readMembers only in case, or in Unicode folding, is an
// error: mcp-go, and what else uses encoding/json, takes it for that member.
func membersOf(object jsontext.Value) (members, error) {
	m, err := strictjson.MembersShallow(object)
	if err != nil {
		return nil, err
	}
	for name := range m {
		for _, read := range readMembers {
			if name != read && strings.EqualFold(name, read) {
				return nil, fmt.Errorf("member %q is written %q", read, name)
			}
		}
	}
	return m, nil
}

// readMembers are the members that decide which operation a message is.
var readMembers = []string{
	"jsonrpc", "id", "method", "params", "result", "error", "name", "uri", "ref", "type", "notifications", "resourceSubscriptions",
}

// absent reports whether there is no member of that name, or it is null.
func (m members) absent(name string) bool { return m[name] == nil || m[name].Kind() == 'n' }

// object returns the members of the object that is a member of m. A null has none.
func (m members) object(name string) (members, error) {
	switch {
	case m[name] == nil:
		return nil, fmt.Errorf("member %q is missing", name)
	case m.absent(name):
		return nil, nil
	}
	object, err := membersOf(m[name])
	if err != nil {
		return nil, fmt.Errorf("member %q: %w", name, err)
	}
	return object, nil
}

// text sets out to a member of m, which must be a string. A null sets it to "". membersOf has
// checked that the member is UTF-8.
func (m members) text(name string, out *string) error {
	switch value := m[name]; {
	case value == nil:
		return fmt.Errorf("member %q is missing", name)
	case value.Kind() == 'n':
		*out = ""
		return nil
	default:
		text, err := strictjson.Text(string(value))
		if err != nil {
			return fmt.Errorf("member %q has the wrong type", name)
		}
		*out = text
		return nil
	}
}

// decode sets v to a member of m. A null sets it to its zero value. The error names the
// member and not its value, which is text of the request.
func (m members) decode(name string, v any) error {
	if m[name] == nil {
		return fmt.Errorf("member %q is missing", name)
	}
	if err := strictjson.Unmarshal(m[name], v); err != nil {
		return fmt.Errorf("member %q has the wrong type", name)
	}
	return nil
}
