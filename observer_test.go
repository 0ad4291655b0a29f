package gatehouse_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// observed collects what an observer is given.
type observed struct {
	mu             sync.Mutex
	starts         int
	decisions      []gatehouse.Decision
	ends           []gatehouse.RequestEnd
	sessions       []gatehouse.SessionEnd
	verifications  []gatehouse.Verification
	introspections []gatehouse.Introspection
	fetches        []gatehouse.KeyFetch
}

// add returns a function that appends to a list of o.
func add[T any](o *observed, list *[]T) func(T) {
	return func(v T) {
		o.mu.Lock()
		defer o.mu.Unlock()
		*list = append(*list, v)
	}
}

// configure makes a guard report to o.
func (o *observed) configure(cfg *gatehouse.Config) {
	cfg.AuditKey = gatehouse.AuditKey(auditKey)
	cfg.Observers = append(cfg.Observers, gatehouse.Observer{
		RequestStart: func(*http.Request) context.Context {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.starts++
			return nil
		},
		Decision: func(_ context.Context, d gatehouse.Decision) context.Context {
			add(o, &o.decisions)(d)
			return nil
		},
		RequestEnd:    func(_ context.Context, e gatehouse.RequestEnd) { add(o, &o.ends)(e) },
		SessionEnd:    add(o, &o.sessions),
		Verification:  func(_ context.Context, v gatehouse.Verification) { add(o, &o.verifications)(v) },
		Introspection: func(_ context.Context, i gatehouse.Introspection) { add(o, &o.introspections)(i) },
		KeyFetch:      add(o, &o.fetches),
	})
}

// texts returns everything that o was given, as text.
func (o *observed) texts() string {
	text, err := json.Marshal([]any{o.decisions, o.ends, o.sessions, o.verifications, o.introspections, o.fetches})
	if err != nil {
		panic(err)
	}
	return string(text)
}

var ignoreTimes = cmp.Options{
	cmpopts.IgnoreFields(gatehouse.Decision{}, "Started", "Duration"),
	cmpopts.IgnoreFields(gatehouse.RequestEnd{}, "Duration"),
	cmpopts.IgnoreFields(gatehouse.Verification{}, "Duration"),
	cmpopts.IgnoreFields(gatehouse.Introspection{}, "Duration"),
	cmpopts.IgnoreFields(gatehouse.KeyFetch{}, "Duration"),
}

func allowedDecision(is *issuer) gatehouse.Decision {
	return gatehouse.Decision{
		Outcome:     "allow",
		Layer:       "http",
		Resource:    resource,
		Issuer:      is.URL(),
		Kind:        "user",
		Client:      "registered",
		SubjectHash: gatehouse.AuditKey(auditKey).SubjectHash(is.URL(), "user_1"),
		HTTPMethod:  "POST",
		Method:      "tools/call",
		Name:        "write",
	}
}

func TestObserverOfAnAllowedCall(t *testing.T) {
	is := newIssuer(t)
	var o observed
	guard := newGuard(t, is, requirements, o.configure)
	handler := guard.Wrap(behind)
	rq := request{header: bearer(is.token(resource, testissuer.Claim("scope", "notes:write"))), body: toolCall("write")}
	for range 2 {
		if resp := send(handler, rq); resp.StatusCode != http.StatusOK {
			t.Fatalf("got status %d, want 200", resp.StatusCode)
		}
	}
	want := allowedDecision(is)
	if diff := cmp.Diff([]gatehouse.Decision{want, want}, o.decisions, ignoreTimes); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
	end := gatehouse.RequestEnd{Decision: want, Status: 200}
	if diff := cmp.Diff([]gatehouse.RequestEnd{end, end}, o.ends, ignoreTimes); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
	first := gatehouse.Verification{Resource: resource, Issuer: is.URL(), Kind: "jwt", Cache: "miss"}
	second := first
	second.Cache = "hit"
	if diff := cmp.Diff([]gatehouse.Verification{first, second}, o.verifications, ignoreTimes); diff != "" {
		t.Errorf("verifications (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]gatehouse.KeyFetch{{Resource: resource, Issuer: is.URL()}}, o.fetches, ignoreTimes); diff != "" {
		t.Errorf("fetches (-want +got):\n%s", diff)
	}
	if o.starts != 2 || o.ends[0].Duration < o.decisions[0].Duration || o.decisions[0].Duration < o.verifications[0].Duration ||
		o.fetches[0].Duration <= 0 || o.decisions[0].Started.IsZero() {
		t.Errorf("got %d starts and durations that do not fit: %s", o.starts, o.texts())
	}
}

// Each rejection is one decision with its reason and status, and without text of the request.
func TestObserverOfRejections(t *testing.T) {
	is := newIssuer(t)
	valid := is.token(resource)
	kinds := make(map[gatehouse.Reason]bool)
	for _, test := range slices.Concat(requestTests(valid), tokenTests(is, valid), authorizationTests(is)) {
		var o observed
		var rejections []gatehouse.Rejection
		guard := newGuard(t, is, requirements, o.configure, func(cfg *gatehouse.Config) {
			cfg.Revoked = func(id gatehouse.Identity) bool { return id.Subject == "banned" }
			cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { rejections = append(rejections, r) }
		})
		resp := send(guard.Wrap(behind), test.request)
		if len(o.decisions) != 1 {
			t.Fatalf("%s: got %d decisions, want 1", test.name, len(o.decisions))
		}
		d := o.decisions[0]
		if len(rejections) == 0 {
			if d.Outcome != "allow" || d.Reason != "" || len(o.ends) != 1 || o.ends[0].Status != resp.StatusCode {
				t.Errorf("%s: got %s, want an allowed request", test.name, o.texts())
			}
			continue
		}
		kinds[d.Reason] = true
		if d.Outcome != "deny" || d.Reason != rejections[0].Reason || d.Status != resp.StatusCode || len(o.ends) != 0 {
			t.Errorf("%s: got %s, want the rejection %q with status %d", test.name, o.texts(), rejections[0].Reason, resp.StatusCode)
		}
		known := rejections[0].Identity.Subject != ""
		if known != (d.SubjectHash != "" && d.Kind != "" && d.Client != "") || d.Issuer != "" && d.Issuer != is.URL() || known && d.Issuer == "" {
			t.Errorf("%s: got decision %+v, want the caller: %v", test.name, d, known)
		}
		send(guard.Wrap(behind), hostile(test.request))
		header := test.request.header.Get("Authorization") + test.request.target
		for begin := 0; begin+40 <= len(header); begin += 10 {
			if part := header[begin : begin+31]; strings.Contains(o.texts(), part) {
				t.Errorf("%s: the observer was given %q of the token: %s", test.name, part, o.texts())
				break
			}
		}
	}
	if len(kinds) < 25 {
		t.Errorf("tested %d reasons, want at least 25", len(kinds))
	}
}

// Texts that a caller chooses are replaced, unless they are one of a bounded set.
func TestObserverBoundsTexts(t *testing.T) {
	is := newIssuer(t)
	const cimd = "https://Claude.AI:443/oauth/client.json"
	for _, test := range []struct {
		name    string
		client  any
		header  http.Header
		body    string
		client_ string // wanted
		method  string
		tool    string
		version string
	}{
		{"a call", "client_1", nil, toolCall("write"), "registered", "tools/call", "write", ""},
		{"a client with a document", cimd, nil, toolCall("write"), "claude.ai", "tools/call", "write", ""},
		{"a long host", "https://" + strings.Repeat("a", 200) + ".example.com", nil, toolCall("write"), "other", "tools/call", "write", ""},
		{"no client", nil, nil, toolCall("write"), "none", "tools/call", "write", ""},
		{"an unknown tool", "client_1", nil, toolCall("invented"), "registered", "tools/call", "other", ""},
		{"an unknown method", "client_1", nil, `{"jsonrpc":"2.0","id":1,"method":"invented"}`, "registered", "other", "", ""},
		{"a batch", "client_1", nil, `[` + pingBody + `]`, "registered", "batch", "", ""},
		{"a response", "client_1", nil, `{"jsonrpc":"2.0","id":1,"result":{}}`, "registered", "response", "", ""},
		{"a version", "client_1", http.Header{"Mcp-Protocol-Version": {"2025-06-18"}}, pingBody, "registered", "ping", "", "2025-06-18"},
		{"an unknown version", "client_1", http.Header{"Mcp-Protocol-Version": {"2999-01-01"}}, pingBody, "registered", "ping", "", "other"},
		{
			"the version of initialize", "client_1", nil,
			`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`,
			"registered", "initialize", "", "2025-11-25",
		},
	} {
		var o observed
		guard := newGuard(t, is, requirements, o.configure)
		header := bearer(is.token(resource, testissuer.Claim("client_id", test.client), testissuer.Claim("scope", "notes:write")))
		for name, values := range test.header {
			header[name] = values
		}
		send(guard.Wrap(behind), request{header: header, body: test.body})
		if len(o.decisions) != 1 {
			t.Fatalf("%s: got %d decisions, want 1", test.name, len(o.decisions))
		}
		d := o.decisions[0]
		if d.Client != test.client_ || d.Method != test.method || d.Name != test.tool || d.ProtocolVersion != test.version {
			t.Errorf("%s: got client %q, method %q, name %q, version %q, want %q, %q, %q, %q", test.name,
				d.Client, d.Method, d.Name, d.ProtocolVersion, test.client_, test.method, test.tool, test.version)
		}
	}
}

// The sets of hosts and names do not grow without end.
func TestObserverSetsAreBounded(t *testing.T) {
	is := newIssuer(t)
	var o observed
	guard := newGuard(t, is, o.configure)
	handler := guard.Wrap(behind)
	hosts, names := make(map[string]int), make(map[string]int)
	for i := range 70 {
		client := testissuer.Claim("client_id", fmt.Sprintf("https://host-%d.example.com/c", i))
		send(handler, request{header: bearer(is.token(resource, client)), body: pingBody})
	}
	var listed []string
	for i := range 600 {
		listed = append(listed, fmt.Sprint("tool-", i))
	}
	guard.NoteListed("tools/list", listed, true)
	valid := bearer(is.token(resource))
	for _, name := range listed {
		send(handler, request{header: valid, body: toolCall(name)})
	}
	for _, d := range o.decisions {
		hosts[d.Client]++
		names[d.Name]++
	}
	if len(hosts) != 52 || hosts["other"] != 20 { // 50 hosts, other, and registered
		t.Errorf("got %d clients, %d times other", len(hosts), hosts["other"])
	}
	if len(names) != 502 || names["other"] != 100 { // 500 names, other, and none
		t.Errorf("got %d names, %d times other", len(names), names["other"])
	}
}

// A trace context is passed on if it is valid and has no part of the token.
func TestObserverTraceContext(t *testing.T) {
	is := newIssuer(t)
	token := is.token(resource)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	const other = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	meta := func(members string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","_meta":{` + members + `}}}`
	}
	for _, test := range []struct {
		name        string
		parent      string
		state, body string
		want        [2]gatehouse.TraceContext // of the header and of _meta
	}{
		{"none", "", "", toolCall("read"), [2]gatehouse.TraceContext{}},
		{"header", parent, "a=b", toolCall("read"), [2]gatehouse.TraceContext{{Parent: parent, State: "a=b"}}},
		{"meta", "", "", meta(`"traceparent":"` + other + `","tracestate":"c=d"`), [2]gatehouse.TraceContext{{}, {Parent: other, State: "c=d"}}},
		{"both", parent, "", meta(`"traceparent":"` + other + `"`), [2]gatehouse.TraceContext{{Parent: parent}, {Parent: other}}},
		{"not valid", "00-0-0-01", "a=b", meta(`"traceparent":"00-zz"`), [2]gatehouse.TraceContext{}},
		{"a number", "", "", meta(`"traceparent":1`), [2]gatehouse.TraceContext{}},
		{"a long state", parent, strings.Repeat("a", 513), toolCall("read"), [2]gatehouse.TraceContext{{Parent: parent}}},
		{"a state with the token", parent, "a=" + token[:300], meta(`"traceparent":"` + other + `","tracestate":"` + token[100:200] + `"`),
			[2]gatehouse.TraceContext{{Parent: parent}, {Parent: other}}},
	} {
		var o observed
		header := bearer(token)
		if test.parent != "" {
			header["Traceparent"], header["Tracestate"] = []string{test.parent}, []string{test.state}
		}
		send(newGuard(t, is, o.configure).Wrap(behind), request{header: header, body: test.body})
		if got := [2]gatehouse.TraceContext{o.decisions[0].Header, o.decisions[0].Meta}; got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

type observedKey struct{}

// The context that Decision returns is that of the handler, of the end, and of the tool.
func TestObserverContext(t *testing.T) {
	is := newIssuer(t)
	n := 0
	var ended, inTool, inHandler any
	guard := newGuard(t, is, func(cfg *gatehouse.Config) {
		cfg.Observers = []gatehouse.Observer{{
			RequestStart: func(r *http.Request) context.Context { n++; return context.WithValue(r.Context(), observedKey{}, -n) },
			Decision: func(ctx context.Context, _ gatehouse.Decision) context.Context {
				return context.WithValue(ctx, observedKey{}, -ctx.Value(observedKey{}).(int))
			},
			Operation: func(ctx, request context.Context) context.Context {
				return context.WithValue(ctx, observedKey{}, request.Value(observedKey{}))
			},
			RequestEnd: func(ctx context.Context, _ gatehouse.RequestEnd) { ended = ctx.Value(observedKey{}) },
		}}
	})
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "read"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		inTool = ctx.Value(observedKey{})
		return &mcp.CallToolResult{}, nil, nil
	})
	server.AddReceivingMiddleware(guard.Middleware())
	inner := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	handler := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inHandler = r.Context().Value(observedKey{})
		if id, ok := gatehouse.IdentityOfHTTP(r); !ok || id.Subject != "user_1" {
			t.Errorf("got identity %v %v in the handler", id, ok)
		}
		inner.ServeHTTP(w, r)
	}))
	header := with(bearer(is.token(resource)), "Accept", "application/json, text/event-stream")
	header = with(header, "Content-Type", "application/json")
	id := send(handler, request{header: header, body: `{"jsonrpc":"2.0","id":1,"method":"initialize",` +
		`"params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`}).Header.Get("Mcp-Session-Id")
	resp := send(handler, request{header: with(header, "Mcp-Session-Id", id), body: toolCall2("read")})
	if text := body(t, resp); resp.StatusCode != http.StatusOK || !strings.Contains(text, `"result"`) {
		t.Fatalf("got status %d: %s", resp.StatusCode, text)
	}
	if inHandler != 2 || inTool != 2 || ended != 2 {
		t.Errorf("got values %v in the handler, %v in the tool and %v at the end, want 2, of the second request", inHandler, inTool, ended)
	}
}

// toolCall2 is a call without arguments.
func toolCall2(name string) string {
	return `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"` + name + `","arguments":{}}}`
}

// An observer that panics or returns another context changes nothing, and is counted.
func TestObserverFailures(t *testing.T) {
	is := newIssuer(t)
	withEnd := func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancel(ctx)
		t.Cleanup(cancel)
		return ctx
	}
	for _, test := range []struct {
		name     string
		observer gatehouse.Observer
		failures uint64
		problem  string
	}{
		{"none", gatehouse.Observer{KeyFetch: func(gatehouse.KeyFetch) {}}, 0, ""},
		{"panics everywhere", gatehouse.Observer{
			RequestStart: func(*http.Request) context.Context { panic("x") },
			Decision:     func(context.Context, gatehouse.Decision) context.Context { panic("x") },
			RequestEnd:   func(context.Context, gatehouse.RequestEnd) { panic("x") },
			Verification: func(context.Context, gatehouse.Verification) { panic("x") },
			KeyFetch:     func(gatehouse.KeyFetch) { panic("x") },
		}, 5, "it panicked with a string"},
		{"another context", gatehouse.Observer{
			Decision: func(context.Context, gatehouse.Decision) context.Context { return context.Background() },
		}, 1, "not derived"},
		{"a context with an end", gatehouse.Observer{
			Decision: func(ctx context.Context, _ gatehouse.Decision) context.Context { return withEnd(ctx) },
		}, 1, "an end of its own"},
		{"a start with an end", gatehouse.Observer{
			RequestStart: func(r *http.Request) context.Context { return withEnd(r.Context()) },
		}, 1, "an end of its own"},
		{"the context as it is", gatehouse.Observer{
			Decision: func(ctx context.Context, _ gatehouse.Decision) context.Context { return ctx },
		}, 0, ""},
	} {
		var lines bytes.Buffer
		guard := newGuard(t, is, func(cfg *gatehouse.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelError}))
			cfg.Observers = []gatehouse.Observer{test.observer}
		})
		caller := ""
		handler := guard.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			id, _ := gatehouse.IdentityOfHTTP(r)
			caller = id.Subject
		}))
		if resp := send(handler, request{header: bearer(is.token(resource)), body: pingBody}); resp.StatusCode != http.StatusOK || caller != "user_1" {
			t.Errorf("%s: got status %d for %q, want 200 for user_1", test.name, resp.StatusCode, caller)
		}
		if got := guard.Stats().ObserverFailed; got != test.failures {
			t.Errorf("%s: got %d failures, want %d", test.name, got, test.failures)
		}
		if !strings.Contains(lines.String(), test.problem) || (test.problem == "") != (lines.Len() == 0) || strings.Count(lines.String(), "\n") > 1 {
			t.Errorf("%s: got lines %q, want one with %q", test.name, lines.String(), test.problem)
		}
	}
}

// answerUnknownTools answers calls of the tool "answered", which does not exist, with a result that is an
// error, as some servers do.
func answerUnknownTools(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if params, ok := req.GetParams().(*mcp.CallToolParamsRaw); ok && params.Name == "answered" {
			return &mcp.CallToolResult{IsError: true}, nil
		}
		return next(ctx, method, req)
	}
}

// What the middleware sees says how an operation ended, and which names exist.
func TestObserverOfOperations(t *testing.T) {
	is := newIssuer(t)
	var o observed
	guard := newGuard(t, is, o.configure)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	for name, err := range map[string]error{"fine": nil, "failing": errors.New("x")} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{}, nil, err
		})
	}
	server.AddReceivingMiddleware(answerUnknownTools)
	mcp.AddTool(server, guard.ProtectTool(&mcp.Tool{Name: "closed"}, gatehouse.Require{Scopes: []string{"closed"}}),
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return nil, nil, nil
		})
	server.AddReceivingMiddleware(guard.Middleware())
	handler := guard.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	header := with(with(bearer(is.token(resource)), "Accept", "application/json, text/event-stream"), "Content-Type", "application/json")
	call := func(body string) {
		t.Helper()
		before := len(o.decisions)
		send(handler, request{header: header, body: body})
		if len(o.decisions) != before+1 {
			t.Fatalf("%s: got %d decisions, want one more than %d", body, len(o.decisions), before)
		}
	}
	names := func() (names []string) {
		for _, d := range o.decisions {
			names = append(names, d.Name)
		}
		return names
	}
	call(toolCall2("fine"))
	call(toolCall2("fine"))
	call(toolCall2("failing"))
	call(toolCall2("invented"))
	call(toolCall2("closed"))
	call(toolCall2("failing"))
	call(toolCall2("answered"))
	call(toolCall2("answered"))
	call(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	call(toolCall2("failing"))
	call(toolCall2("invented"))
	want := []string{"other", "fine", "other", "other", "closed", "other", "other", "other", "", "failing", "other"}
	if diff := cmp.Diff(want, names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	var types []string
	for _, e := range o.ends {
		types = append(types, e.ErrorType)
	}
	wantTypes := []string{"", "", "tool_error", "-32602", "tool_error", "tool_error", "tool_error", "", "tool_error", "-32602"}
	if diff := cmp.Diff(wantTypes, types); diff != "" {
		t.Errorf("error types (-want +got):\n%s", diff)
	}
}

// A rejection inside the MCP server is a decision of its own.
func TestObserverOfTheMCPLayer(t *testing.T) {
	is := newIssuer(t)
	var o observed
	guard := newGuard(t, is, o.configure, requirements)
	var rejected error
	handler := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rejected = guard.Authorize(r, gatehouse.ToolOperation("write"))
	}))
	send(handler, request{header: bearer(is.token(resource)), body: pingBody})
	if rejected == nil || len(o.decisions) != 2 {
		t.Fatalf("got %v and %d decisions, want a rejection and 2", rejected, len(o.decisions))
	}
	want := allowedDecision(is)
	want.Outcome, want.Layer, want.Reason = "deny", "mcp", "insufficient_scope"
	if diff := cmp.Diff(want, o.decisions[1], ignoreTimes); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
	if len(o.ends) != 1 || o.ends[0].ErrorType != "insufficient_scope" {
		t.Errorf("got ends %+v, want the error type insufficient_scope", o.ends)
	}
}

func TestObserverOfIntrospection(t *testing.T) {
	var answer func() (json.RawMessage, error)
	is := newIssuer(t)
	for _, test := range []struct {
		name   string
		answer func() (json.RawMessage, error)
		result string
		reason gatehouse.Reason
		cached bool // the second verification
	}{
		{"active", func() (json.RawMessage, error) { return is.claims(t), nil }, gatehouse.IntrospectionActive, "", true},
		{"active is false", func() (json.RawMessage, error) { return json.RawMessage(`{"active":false}`), nil }, gatehouse.IntrospectionInactive,
			"inactive", true},
		{"inactive", func() (json.RawMessage, error) { return nil, gatehouse.ErrInactive }, gatehouse.IntrospectionInactive, "inactive", true},
		{"unavailable", func() (json.RawMessage, error) { return nil, errors.New("x") }, gatehouse.IntrospectionUnavailable, "provider_unavailable", false},
		{"panics", func() (json.RawMessage, error) { panic("x") }, gatehouse.IntrospectionUnavailable, "provider_unavailable", false},
	} {
		var o observed
		guard := newGuard(t, is, o.configure, func(cfg *gatehouse.Config) {
			cfg.Provider.Introspect = func(context.Context, string) (json.RawMessage, error) { return answer() }
		})
		answer = test.answer
		for range 2 {
			send(guard.Wrap(behind), request{header: bearer("opaque-token"), body: pingBody})
		}
		want := []gatehouse.Introspection{{Resource: resource, Issuer: is.URL(), Result: test.result}}
		first := gatehouse.Verification{Resource: resource, Issuer: is.URL(), Reason: test.reason, Kind: "opaque", Cache: "miss"}
		second := first
		if test.cached {
			second.Cache = "hit"
		} else {
			want = append(want, want[0])
		}
		if diff := cmp.Diff(want, o.introspections, ignoreTimes); diff != "" {
			t.Errorf("%s: introspections (-want +got):\n%s", test.name, diff)
		}
		if diff := cmp.Diff([]gatehouse.Verification{first, second}, o.verifications, ignoreTimes); diff != "" {
			t.Errorf("%s: verifications (-want +got):\n%s", test.name, diff)
		}
	}
}

// claims returns an introspection response that accepts a token of user_1.
func (is *issuer) claims(t *testing.T) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"active": true, "iss": is.URL(), "sub": "user_1", "aud": resource, "client_id": "client_1", "exp": time.Now().Add(time.Hour).Unix(), "scope": "profile email",
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestObserverOfKeyFetches(t *testing.T) {
	is := newIssuer(t)
	is.SetDown(true)
	var o observed
	guard := newGuard(t, is, o.configure)
	resp := send(guard.Wrap(behind), request{header: bearer(is.token(resource)), body: pingBody})
	want := []gatehouse.KeyFetch{{Resource: resource, Issuer: is.URL(), Error: "status"}}
	if diff := cmp.Diff(want, o.fetches, ignoreTimes); diff != "" || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503; fetches (-want +got):\n%s", resp.StatusCode, diff)
	}
}

func TestObserverOfSessions(t *testing.T) {
	is := testissuer.New("https://issuer.example.com")
	synctest.Test(t, func(t *testing.T) {
		var o observed
		guard := newGuard(t, &issuer{is}, o.configure, func(cfg *gatehouse.Config) {
			transport := testissuer.NewTransport()
			transport.Serve(is)
			cfg.HTTPClient = &http.Client{Transport: transport}
			cfg.SessionTimeout = time.Hour
		})
		inner := &sessionHandler{ended: map[string]bool{"session-2": true}}
		handler := guard.Wrap(inner)
		header := func() http.Header { return bearer((&issuer{is}).token(resource)) }
		token := strings.TrimPrefix(header().Get("Authorization"), "Bearer ")
		deleted, unknown := openSession(t, handler, token), openSession(t, handler, token)
		openSession(t, handler, token) // and leaves it
		time.Sleep(time.Minute)
		send(handler, request{method: http.MethodDelete, header: with(header(), "Mcp-Session-Id", deleted)})
		send(handler, request{header: with(header(), "Mcp-Session-Id", unknown), body: pingBody})
		time.Sleep(2 * time.Hour)
		openSession(t, handler, strings.TrimPrefix(header().Get("Authorization"), "Bearer "))
		want := []gatehouse.SessionEnd{
			{Resource: resource, Why: "deleted", Duration: time.Minute},
			{Resource: resource, Why: "unknown", Duration: time.Minute},
			{Resource: resource, Why: "idle"},
		}
		if diff := cmp.Diff(want, o.sessions); diff != "" {
			t.Errorf("sessions (-want +got):\n%s", diff)
		}
		guard.Close()
	})
}

// A request that the guard or the client ended has that as its end.
func TestObserverOfEndedRequests(t *testing.T) {
	is := newIssuer(t)
	for _, test := range []struct {
		name             string
		end              func(*gatehouse.Guard, context.CancelFunc)
		ended, errorType string
		status           int
		panics           bool
	}{
		{"complete", func(*gatehouse.Guard, context.CancelFunc) {}, "", "", 200, false},
		{"denied", func(g *gatehouse.Guard, _ context.CancelFunc) {
			if err := g.Deny(gatehouse.Denial{Subject: "user_1", Until: time.Now().Add(time.Hour)}); err != nil {
				t.Error(err)
			}
		}, "revoked", "revoked", 401, false},
		{"left by the client", func(_ *gatehouse.Guard, leave context.CancelFunc) { leave() }, "client", "", 200, false},
		{"panicked", func(*gatehouse.Guard, context.CancelFunc) { panic(http.ErrAbortHandler) }, "panic", "panic", 0, true},
	} {
		var o observed
		guard := newGuard(t, is, o.configure)
		ctx, leave := context.WithCancel(t.Context())
		handler := guard.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { test.end(guard, leave) }))
		func() {
			defer func() {
				if p := recover(); (p != nil) != test.panics {
					t.Errorf("%s: got panic %v, want one: %v", test.name, p, test.panics)
				}
			}()
			rq := request{header: bearer(is.token(resource)), body: pingBody}
			handler.ServeHTTP(httptest.NewRecorder(), rq.make().WithContext(ctx))
		}()
		leave()
		if len(o.ends) != 1 || o.ends[0].Ended != test.ended || o.ends[0].ErrorType != test.errorType || o.ends[0].Status != test.status {
			t.Errorf("%s: got %+v, want the end %q, the error type %q and status %d", test.name, o.ends, test.ended, test.errorType, test.status)
		}
	}
}

func TestObserverSettings(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*gatehouse.Config)
		want string // fault
	}{
		"an observer": {func(c *gatehouse.Config) { c.Observers = []gatehouse.Observer{{KeyFetch: func(gatehouse.KeyFetch) {}}} }, ""},
		"an observer with a key": {func(c *gatehouse.Config) {
			c.Observers = []gatehouse.Observer{{KeyFetch: func(gatehouse.KeyFetch) {}}}
			c.AuditKey = gatehouse.AuditKey(auditKey)
		}, ""},
		"without functions": {
			func(c *gatehouse.Config) {
				c.Observers = []gatehouse.Observer{{KeyFetch: func(gatehouse.KeyFetch) {}}, {}}
			},
			"Observers[1] has no functions; set one of its functions, or remove it",
		},
	} {
		cfg := gatehouse.Config{Resource: resource, Provider: gatehouse.OIDC("https://issuer.example.com")}
		test.set(&cfg)
		_, err := gatehouse.New(cfg)
		if (err == nil) != (test.want == "") || err != nil && err.Error() != "gatehouse: "+test.want {
			t.Errorf("%s: New = %v, want %q", name, err, test.want)
		}
	}
}

// A hash is the same for observers and for the audit, unless the audit has subjects in clear.
func TestObserverNextToAnAudit(t *testing.T) {
	is := newIssuer(t)
	for _, clear := range []bool{false, true} {
		var o observed
		var log auditLog
		guard := newGuard(t, is, log.configure, o.configure, func(cfg *gatehouse.Config) {
			if clear {
				cfg.AuditSubjects = gatehouse.AuditSubjectsClear
			}
		})
		send(guard.Wrap(behind), request{header: bearer(is.token(resource)), body: pingBody})
		hash := gatehouse.AuditKey(auditKey).SubjectHash(is.URL(), "user_1")
		e := log.only(t)
		if o.decisions[0].SubjectHash != hash || clear != (e.SubjectHash == "") || clear != (e.Subject == "user_1") {
			t.Errorf("subjects in clear: %v: got hash %q for the observer, %q and subject %q in the event", clear,
				o.decisions[0].SubjectHash, e.SubjectHash, e.Subject)
		}
	}
}

// BenchmarkObserver measures what an observer that does nothing costs.
func BenchmarkObserver(b *testing.B) {
	is := newIssuer(b)
	rq := request{header: bearer(is.token(resource)), body: toolCall("read")}
	for name, observers := range map[string][]gatehouse.Observer{
		"none": nil,
		"one": {{
			Decision:     func(context.Context, gatehouse.Decision) context.Context { return nil },
			RequestEnd:   func(context.Context, gatehouse.RequestEnd) {},
			Verification: func(context.Context, gatehouse.Verification) {},
		}},
	} {
		b.Run(name, func(b *testing.B) {
			handler := newGuard(b, is, func(cfg *gatehouse.Config) { cfg.Observers = observers }).Wrap(behind)
			if resp := send(handler, rq); resp.StatusCode != http.StatusOK {
				b.Fatalf("got status %d", resp.StatusCode)
			}
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(discardWriter{make(http.Header)}, rq.make())
			}
		})
	}
}
