package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/go-json-experiment/json/jsontext"
)

// listKind is one of the lists of MCP.
type listKind struct {
	method    string
	member    string // of the result
	name      string // member of an item that names it
	operation func(string) gatehouse.Operation
}

var listKinds = []listKind{
	{"tools/list", "tools", "name", gatehouse.ToolOperation},
	{"prompts/list", "prompts", "name", gatehouse.PromptOperation},
	{"resources/list", "resources", "uri", gatehouse.ResourceOperation},
	{"resources/templates/list", "resourceTemplates", "uriTemplate", gatehouse.ResourceOperation},
}

const (
	methodReadResource = "resources/read"
	cacheScope         = "cacheScope"
	// maxListedName bounds the names that are compared with those of requirements.
	maxListedName = 2048
)

// listPolicy says what must be done with lists.
type listPolicy struct {
	hides    bool // whether a list depends on the caller
	compares bool // whether names of requirements are compared with lists
	reads    bool // whether resources have requirements, so that what is read depends on the caller

	compared [4]atomic.Bool // by kind: whether a complete list was compared
}

func (p *listPolicy) init(cfg *gatehouse.Config) {
	restricted := len(cfg.Requirements) > 0 || cfg.DenyUndeclared || restricts(&cfg.Default)
	p.hides = restricted && !cfg.ShowLocked
	p.compares = len(cfg.Requirements) > 0
	p.reads = cfg.DenyUndeclared || restricts(&cfg.Default) ||
		slices.ContainsFunc(cfg.Requirements, func(r gatehouse.Requirement) bool { return r.Resource+r.ResourceTemplate != "" })
}

// restricts reports whether some callers do not meet r.
func restricts(r *gatehouse.Require) bool {
	return len(r.Scopes)+len(r.Roles)+len(r.Permissions)+len(r.AnyOf) > 0 || r.Organization || r.Person || r.Check != nil
}

// mayList reports whether the answer may have a list that must be read. It is true too if the
// body cannot be parsed.
func (e *endpoint) mayList(x *exchange, r *http.Request) bool {
	p := &e.lists
	if !p.hides && !(p.compares && p.wantsNames()) {
		return false
	}
	if r.Method == http.MethodGet {
		return p.hides // the stream may deliver an earlier answer again (Last-Event-ID)
	}
	if len(x.body) == 0 {
		return false
	}
	if !bytes.Contains(x.body, []byte("list")) && !bytes.Contains(x.body, []byte(methodReadResource[len("resources/"):])) &&
		!bytes.Contains(x.body, []byte(`\u`)) {
		return false
	}
	messages := x.parse()
	return messages == nil || slices.ContainsFunc(messages, func(m message) bool {
		return kindOf(m.method) >= 0 || p.reads && m.method == methodReadResource
	})
}

// wantsNames reports whether a kind of list has not been seen completely yet.
func (p *listPolicy) wantsNames() bool {
	for i := range p.compared {
		if !p.compared[i].Load() {
			return true
		}
	}
	return false
}

// kindOf returns the index of the kind of list with the method, or -1.
func kindOf(method string) int {
	return slices.IndexFunc(listKinds, func(k listKind) bool { return k.method == method })
}

// filterAnswer removes from the answer what the caller can never use. If it cannot be read, the
// client gets an error in place of it.
func (e *endpoint) filterAnswer(x *exchange, resp *http.Response) error {
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return unreadableList(fmt.Errorf("the answer is compressed with %s, although that was not offered", quote.String(coding)))
	}
	if x.streaming {
		resp.Header.Del("Content-Length")
		resp.ContentLength = -1
		resp.Body = &listStream{source: resp.Body, exchange: x, endpoint: e}
		return nil
	}
	if x.request.Method == http.MethodGet && len(x.body) == 0 {
		return nil // not a list: without a message, those are event streams
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, e.config.MaxListBytes+1))
	resp.Body.Close()
	switch {
	case err != nil:
		return problemOf(err)
	case int64(len(text)) > e.config.MaxListBytes:
		return unreadableList(fmt.Errorf("the answer is longer than %d bytes; raise max_list_bytes", e.config.MaxListBytes))
	case len(bytes.TrimSpace(text)) > 0:
		if text, err = e.filterMessages(x, text); err != nil {
			return unreadableList(err)
		}
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	resp.ContentLength = int64(len(text))
	resp.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return nil
}

// unreadableList is the answer in place of a list that could not be filtered.
func unreadableList(err error) *problem {
	return &problem{status: http.StatusBadGateway, code: codeBadGateway, reason: "upstream_list_unreadable", err: err,
		text: "the list of the MCP server behind the gateway cannot be read, so it is not known what the caller may see"}
}

// filterMessages returns the text of an answer, one message or a batch, without what the caller
// can never use.
func (e *endpoint) filterMessages(x *exchange, text []byte) ([]byte, error) {
	if jsontext.Value(text).Kind() != '[' {
		return e.filterMessage(x, text)
	}
	messages, err := strictjson.ItemsShallow(text)
	if err != nil {
		return nil, err
	}
	if len(messages) > maxMessages {
		return nil, fmt.Errorf("the batch has %d messages, want at most %d", len(messages), maxMessages)
	}
	out := make([]jsontext.Value, len(messages))
	for i, message := range messages {
		if out[i], err = e.filterMessage(x, message); err != nil {
			return nil, err
		}
	}
	return encodeJSON(out)
}

func (e *endpoint) filterMessage(x *exchange, text []byte) ([]byte, error) {
	message, err := strictjson.MembersShallow(text)
	if err != nil {
		return nil, err
	}
	if result := message["result"]; result == nil || result.Kind() != '{' {
		return text, nil // a request, a notification or an error
	}
	result, err := strictjson.MembersShallow(message["result"])
	if err != nil {
		return nil, err
	}
	changed := false
	for i := range listKinds {
		if result[listKinds[i].member] == nil || !x.asksFor(i) {
			continue
		}
		if err := e.filterList(x, i, result); err != nil {
			return nil, err
		}
		changed = true
	}
	isRead := result["contents"] != nil && e.lists.reads
	if !e.lists.hides || !changed && !isRead {
		return text, nil
	}
	if result[cacheScope] != nil || modern(x.request) {
		result[cacheScope] = jsontext.Value(`"private"`)
	}
	if message["result"], err = encodeJSON(result); err != nil {
		return nil, err
	}
	return encodeJSON(message)
}

// asksFor reports whether the request asks for a list of the kind. A GET stream may deliver any
// earlier answer again.
func (x *exchange) asksFor(kind int) bool {
	if x.request.Method == http.MethodGet {
		return true
	}
	messages := x.parse()
	return messages == nil || slices.ContainsFunc(messages, func(m message) bool { return kindOf(m.method) == kind })
}

// filterList removes what the caller can never use from the list in the result.
func (e *endpoint) filterList(x *exchange, index int, result map[string]jsontext.Value) error {
	kind := listKinds[index]
	items, err := strictjson.ItemsShallow(result[kind.member])
	if err != nil {
		return fmt.Errorf("member %q: %w", kind.member, err)
	}
	var names []string
	listed := make([]jsontext.Value, 0, len(items))
	for _, item := range items {
		members, err := strictjson.MembersShallow(item)
		if err != nil {
			return fmt.Errorf("an item of %q: %w", kind.member, err)
		}
		var name string
		if members[kind.name] == nil || strictjson.Unmarshal(members[kind.name], &name) != nil || name == "" {
			return fmt.Errorf("an item of %q has no %s", kind.member, kind.name)
		}
		names = append(names, name)
		if e.guard.Lists(x.request, kind.operation(name)) {
			listed = append(listed, item)
		}
	}
	e.compareNames(index, names, result["nextCursor"])
	result[kind.member], err = encodeJSON(listed)
	return err
}

// compareNames has the guard compare the names with those of the requirements, until a complete
// list was compared.
func (e *endpoint) compareNames(index int, names []string, cursor jsontext.Value) {
	if !e.lists.compares || e.lists.compared[index].Load() {
		return
	}
	last := cursor == nil || cursor.Kind() == 'n' || string(cursor) == `""`
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return len(name) > maxListedName })
	e.guard.NoteListed(listKinds[index].method, names, last)
	if last {
		e.lists.compared[index].Store(true)
	}
}

// encodeJSON returns v as JSON in one line. Values that are JSON already stay as they are.
func encodeJSON[T any](v T) (jsontext.Value, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	var raw any = v
	switch v := raw.(type) {
	case []jsontext.Value:
		items := make([]json.RawMessage, len(v))
		for i := range v {
			items[i] = json.RawMessage(v[i])
		}
		raw = items
	case map[string]jsontext.Value:
		members := make(map[string]json.RawMessage, len(v))
		for name := range v {
			members[name] = json.RawMessage(v[name])
		}
		raw = members
	default:
		return nil, errors.New("not JSON values")
	}
	if err := encoder.Encode(raw); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
