package gatehouse_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
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
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const auditKey = "an audit key of at least 32 bytes"

// auditLog collects the events of a guard: those of the hook, and the lines of the logger.
type auditLog struct {
	mu     sync.Mutex
	events []gatehouse.AuditEvent
	lines  bytes.Buffer
}

// configure makes the guard write its events to l.
func (l *auditLog) configure(cfg *gatehouse.Config) {
	cfg.Audit = func(_ context.Context, e gatehouse.AuditEvent) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.events = append(l.events, e)
	}
	cfg.AuditLogger = slog.New(slog.NewJSONHandler(&l.lines, nil))
	cfg.AuditKey = gatehouse.AuditKey(auditKey)
}

// only returns the only event, and checks that the line of the logger says the same.
func (l *auditLog) only(t *testing.T) gatehouse.AuditEvent {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) != 1 {
		t.Fatalf("got %d events, want 1: %+v", len(l.events), l.events)
	}
	text, err := json.Marshal(l.events[0])
	if err != nil {
		t.Fatal(err)
	}
	var event, line map[string]any
	if err := errors.Join(json.Unmarshal(text, &event), json.Unmarshal(l.lines.Bytes(), &line)); err != nil {
		t.Fatal(err)
	}
	if line["msg"] != "audit" || line["level"] != "INFO" {
		t.Errorf("got line %s, want the message audit at the level info", l.lines.String())
	}
	delete(line, "msg")
	delete(line, "level")
	if diff := cmp.Diff(event, line); diff != "" {
		t.Errorf("the line differs from the event (-event +line):\n%s", diff)
	}
	return l.events[0]
}

// auditOf returns the event of one request to a guard.
func auditOf(t *testing.T, is *issuer, rq request, configure ...func(*gatehouse.Config)) gatehouse.AuditEvent {
	t.Helper()
	var log auditLog
	guard := newGuard(t, is, append([]func(*gatehouse.Config){log.configure}, configure...)...)
	send(guard.Wrap(behind), rq)
	return log.only(t)
}

func toolCall(name string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `","arguments":{"secret":"hunter2"}}}`
}

// ignoreRandom are the fields that differ between two runs.
var ignoreRandom = cmpopts.IgnoreFields(gatehouse.AuditEvent{}, "ID", "Time", "Duration", "CorrelationID")

// allowedEvent is the event of an allowed call of the tool read.
func allowedEvent(is *issuer) gatehouse.AuditEvent {
	return gatehouse.AuditEvent{
		Schema:         1,
		Decision:       "allow",
		Layer:          "http",
		Status:         200,
		Resource:       resource,
		Issuer:         is.URL(),
		SubjectHash:    gatehouse.AuditKey(auditKey).SubjectHash(is.URL(), "user_1"),
		Kind:           "user",
		ClientID:       "client_1",
		HTTPMethod:     "POST",
		Operations:     []gatehouse.AuditOperation{{Method: "tools/call", Name: "read"}},
		OperationCount: 1,
	}
}

func TestAuditOfAnAllowedCall(t *testing.T) {
	is := newIssuer(t)
	begin := time.Now()
	e := auditOf(t, is, request{header: bearer(is.token(resource)), body: toolCall("read")})
	if diff := cmp.Diff(allowedEvent(is), e, ignoreRandom); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if e.Time.Before(begin.Add(-time.Second)) || e.Time.After(time.Now()) || e.Time.Location() != time.UTC {
		t.Errorf("got time %v, want that of the decision in UTC", e.Time)
	}
	if len(e.ID) < 22 || e.CorrelationID != e.ID || e.Duration <= 0 || e.Duration > time.Minute {
		t.Errorf("got ID %q, correlation ID %q and duration %v", e.ID, e.CorrelationID, e.Duration)
	}
	if other := auditOf(t, is, request{header: bearer(is.token(resource))}); other.ID == e.ID {
		t.Errorf("two events have the ID %q", e.ID)
	}
}

// Each row changes one thing of an allowed call, and one or two fields change with it.
func TestAuditFields(t *testing.T) {
	is := newIssuer(t)
	claims := func(changes ...testissuer.Change) request {
		return request{header: bearer(is.token(resource, changes...)), body: toolCall("read")}
	}
	sends := func(text string) request { return request{header: bearer(is.token(resource)), body: text} }
	message := func(method, params string) request {
		return sends(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`)
	}
	operations := func(ops ...gatehouse.AuditOperation) func(*gatehouse.AuditEvent) {
		return func(e *gatehouse.AuditEvent) { e.Operations, e.OperationCount = ops, len(ops) }
	}
	machines := func(cfg *gatehouse.Config) { cfg.Provider.AllowMachines = true }
	cimd := "https://Client.Example.com/oauth/metadata.json"
	for name, test := range map[string]struct {
		request   request
		configure func(*gatehouse.Config)
		want      func(*gatehouse.AuditEvent)
	}{
		"control": {request: claims(), want: func(*gatehouse.AuditEvent) {}},
		"another subject": {request: claims(testissuer.Claim("sub", "user_2")), want: func(e *gatehouse.AuditEvent) {
			e.SubjectHash = gatehouse.AuditKey(auditKey).SubjectHash(is.URL(), "user_2")
		}},
		"in clear": {
			request:   claims(),
			configure: func(cfg *gatehouse.Config) { cfg.AuditSubjects = gatehouse.AuditSubjectsClear },
			want:      func(e *gatehouse.AuditEvent) { e.SubjectHash, e.Subject = "", "user_1" },
		},
		"another key": {
			request:   claims(),
			configure: func(cfg *gatehouse.Config) { cfg.AuditKey = gatehouse.AuditKey(auditKey + "x") },
			want: func(e *gatehouse.AuditEvent) {
				e.SubjectHash = gatehouse.AuditKey(auditKey+"x").SubjectHash(is.URL(), "user_1")
			},
		},
		"a machine": {
			request:   claims(testissuer.Claim("sub", "client_1")),
			configure: machines,
			want: func(e *gatehouse.AuditEvent) {
				e.Kind, e.SubjectHash = "machine", gatehouse.AuditKey(auditKey).SubjectHash(is.URL(), "client_1")
			},
		},
		"an organization": {
			request:   claims(testissuer.Claim("org_id", "org_1")),
			configure: func(cfg *gatehouse.Config) { cfg.Provider.Claims.Organization = gatehouse.ClaimPath{"org_id"} },
			want:      func(e *gatehouse.AuditEvent) { e.Organization = "org_1" },
		},
		"a client with a URL": {request: claims(testissuer.Claim("client_id", cimd)), want: func(e *gatehouse.AuditEvent) {
			e.ClientID, e.ClientHost = cimd, "client.example.com"
		}},
		"another HTTP method": {
			request: request{method: "PUT", header: bearer(is.token(resource))},
			want:    func(e *gatehouse.AuditEvent) { e.HTTPMethod, e.Operations, e.OperationCount = "PUT", nil, 0 },
		},
		"an unusual HTTP method": {
			request: request{method: "BREW", header: bearer(is.token(resource))},
			want:    func(e *gatehouse.AuditEvent) { e.HTTPMethod, e.Operations, e.OperationCount = "other", nil, 0 },
		},
		"a prompt": {
			request: message("prompts/get", `{"name":"p"}`),
			want:    operations(gatehouse.AuditOperation{Method: "prompts/get", Name: "p"}),
		},
		"a method without a name": {request: message("tools/list", `{}`), want: operations(gatehouse.AuditOperation{Method: "tools/list"})},
		"a call without a name":   {request: message("tools/call", `{}`), want: operations(gatehouse.AuditOperation{Method: "tools/call"})},
		"a resource": {
			request: message("resources/read", `{"uri":"notes://u:pw@h/a%20b?token=1#f"}`),
			want:    operations(gatehouse.AuditOperation{Method: "resources/read", Name: "notes://h/a%20b"}),
		},
		"a subscription": {
			request: message("resources/subscribe", `{"uri":"notes://h"}`),
			want:    operations(gatehouse.AuditOperation{Method: "resources/subscribe", Name: "notes://h"}),
		},
		"a completion": {
			request: message("completion/complete", `{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"x","value":"hunter2"}}`),
			want:    operations(gatehouse.AuditOperation{Method: "completion/complete", Name: "p"}),
		},
		"several subscriptions": {
			request: message("subscriptions/listen", `{"notifications":{"resourceSubscriptions":["n://a","n://b"]}}`),
			want: operations(gatehouse.AuditOperation{Method: "subscriptions/listen", Name: "n://a"},
				gatehouse.AuditOperation{Method: "subscriptions/listen", Name: "n://b"}),
		},
		"a batch": {
			request: sends("[" + toolCall("a") + `,{"jsonrpc":"2.0","id":2,"result":{}},` + toolCall("b") + "]"),
			want: operations(gatehouse.AuditOperation{Method: "tools/call", Name: "a"},
				gatehouse.AuditOperation{Method: "tools/call", Name: "b"}),
		},
		"not JSON": {request: sends("{hunter2"), want: operations()},
	} {
		if test.configure == nil {
			test.configure = func(*gatehouse.Config) {}
		}
		want := allowedEvent(is)
		test.want(&want)
		e := auditOf(t, is, test.request, test.configure)
		if diff := cmp.Diff(want, e, ignoreRandom); diff != "" {
			t.Errorf("%s: event (-want +got):\n%s", name, diff)
		}
		if text := fmt.Sprintf("%+v", e); strings.Contains(text, "hunter2") || strings.Contains(text, "pw@") {
			t.Errorf("%s: the event has an argument or a password: %s", name, text)
		}
	}
}

func TestAuditCorrelation(t *testing.T) {
	is := newIssuer(t)
	token := is.token(resource)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	const parent = "00-" + trace + "-b7ad6b7169203331-01"
	for name, test := range map[string]struct {
		header, value string
		want          string // empty means that the value is not used
	}{
		"request ID":                {"X-Request-Id", "4f1c-9A_b.c:1", "4f1c-9A_b.c:1"},
		"request ID, longest":       {"X-Request-Id", strings.Repeat("a", 128), strings.Repeat("a", 128)},
		"request ID, too long":      {"X-Request-Id", strings.Repeat("a", 129), ""},
		"request ID, two words":     {"X-Request-Id", "a b", ""},
		"request ID, line break":    {"X-Request-Id", "a\nb", ""},
		"request ID, not ASCII":     {"X-Request-Id", "ä", ""},
		"request ID, markup":        {"X-Request-Id", "<b>", ""},
		"request ID, empty":         {"X-Request-Id", "", ""},
		"request ID, of the token":  {"X-Request-Id", token[40:80], ""},
		"trace":                     {"Traceparent", parent, trace},
		"trace, later version":      {"Traceparent", "01" + parent[2:] + "-more", trace},
		"trace, more fields":        {"Traceparent", parent + "-more", ""},
		"trace, version ff":         {"Traceparent", "ff" + parent[2:], ""},
		"trace, upper case":         {"Traceparent", strings.ToUpper(parent), ""},
		"trace, zero":               {"Traceparent", "00-" + strings.Repeat("0", 32) + parent[35:], ""},
		"trace, zero parent":        {"Traceparent", parent[:36] + strings.Repeat("0", 16) + "-01", ""},
		"trace, short":              {"Traceparent", parent[:54], ""},
		"trace, not hexadecimal":    {"Traceparent", parent[:20] + "g" + parent[21:], ""},
		"trace, another separator":  {"Traceparent", parent[:35] + "_" + parent[36:], ""},
		"trace, flags not hex":      {"Traceparent", parent[:53] + "zz", ""},
		"trace, later, no boundary": {"Traceparent", "01" + parent[2:] + "more", ""},
	} {
		e := auditOf(t, is, request{header: with(bearer(token), test.header, test.value)})
		got := e.TraceID
		if test.header == "X-Request-Id" {
			if got = e.CorrelationID; got == e.ID {
				got = ""
			}
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	header := bearer(token)
	header["X-Request-Id"], header["Traceparent"] = []string{"a", "b"}, []string{parent, parent}
	if e := auditOf(t, is, request{header: header}); e.CorrelationID != e.ID || e.TraceID != "" {
		t.Errorf("each header twice: got correlation ID %q and trace ID %q, want neither used", e.CorrelationID, e.TraceID)
	}
}

// The session hash is the same for all requests of a session, and has nothing of its ID.
func TestAuditSessions(t *testing.T) {
	is := newIssuer(t)
	var log auditLog
	handler := newGuard(t, is, log.configure).Wrap(&sessionHandler{})
	token := is.token(resource)
	in := with(bearer(token), "Mcp-Session-Id", openSession(t, handler, token))
	send(handler, request{header: in, body: pingBody})
	openSession(t, handler, token)
	send(handler, request{header: with(bearer(is.token(resource, testissuer.Claim("sub", "user_2"))), "Mcp-Session-Id", in.Get("Mcp-Session-Id"))})
	hash := func(i int) string { return log.events[i].SessionHash }
	if hash(0) == "" || hash(0) != hash(1) || hash(0) == hash(2) || hash(0) != hash(3) || log.events[3].Reason != "session_of_another_user" {
		t.Errorf("got hashes %q, %q, %q, %q and reason %q", hash(0), hash(1), hash(2), hash(3), log.events[3].Reason)
	}
	for _, part := range strings.Split(in.Get("Mcp-Session-Id"), ".") {
		if strings.Contains(log.lines.String(), part) {
			t.Errorf("the events have the session ID or its seal: %s", log.lines.String())
		}
	}
}

// authorizationTests are checks 6 to 9 with the requirements of the tests of requirements.
func authorizationTests(is *issuer) []checkTest {
	valid := bearer(is.token(resource, testissuer.Claim("scope", "notes:write")))
	call := func(header http.Header, body string) request { return request{header: header, body: body} }
	read := func(uri string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"` + uri + `"}}`
	}
	rejected := func(name string, rq request, reason gatehouse.Reason, status int) checkTest {
		return checkTest{name: name, request: rq, reason: reason, status: status}
	}
	return []checkTest{
		passes("the scope", call(valid, toolCall("write"))),
		rejected("without the scope", call(bearer(is.token(resource)), toolCall("write")), "insufficient_scope", 403),
		rejected("without the role", call(valid, toolCall("purge")), "insufficient_permission", 403),
		rejected("not JSON", call(valid, "{"), "body_malformed", 400),
		rejected("a name twice", call(valid, `{"method":"ping","method":"ping"}`), "body_malformed", 400),
		rejected("a large body", call(valid, `"`+strings.Repeat("x", 5<<20)+`"`), "body_too_large", 413),
		rejected("a long batch", call(valid, "["+strings.Repeat("1,", 300)+"1]"), "body_too_large", 413),
		rejected("another spelling", call(valid, read("notes://%61ll")), "resource_spelling", 400),
		rejected("another session", call(with(valid, "Mcp-Session-Id", "a.b"), pingBody), "session_of_another_user", 404),
		rejected("a revoked token", call(bearer(is.token(resource, testissuer.Claim("sub", "banned"))), pingBody), "revoked", 401),
		rejected("an encrypted token", request{header: bearer("eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d")}, "", 401),
		rejected("header with crit", request{header: bearer(is.token(resource, testissuer.Header("crit", []string{"x"})))}, "critical_header", 401),
		rejected("without sub", request{header: bearer(is.token(resource, testissuer.Claim("sub", nil)))}, "missing_claim", 401),
		rejected("not yet valid", request{header: bearer(is.token(resource, testissuer.Claim("nbf", time.Now().Add(time.Hour).Unix())))},
			"not_yet_valid", 401),
		rejected("a machine", request{header: bearer(is.token(resource, testissuer.Claim("sub", "client_1")))}, "machine_token", 401),
	}
}

// hostile returns the request with parts of its token wherever a client can choose a text.
func hostile(rq request) request {
	word := strings.TrimPrefix(rq.header.Get("Authorization"), "Bearer ")
	if word == "" {
		word = rq.target[strings.IndexByte(rq.target, '=')+1:]
	}
	if rq.header == nil {
		rq.header = http.Header{}
	}
	rq.header = rq.header.Clone()
	rq.header.Set("X-Request-Id", word[:min(len(word), 100)])
	rq.header.Set("User-Agent", word)
	if rq.body == "" && rq.method == "" {
		rq.body = "[" + toolCall("x"+word) + "," + toolCall(word[len(word)/2:]) + `,{"method":"` + word + `"}]`
	}
	return rq
}

// Each decision is one event, with its reason and status, and without any part of the token.
func TestAuditDecisions(t *testing.T) {
	is := newIssuer(t)
	valid := is.token(resource)
	kinds := 0
	configure := func(cfg *gatehouse.Config) {
		requirements(cfg)
		cfg.Revoked = func(id gatehouse.Identity) bool { return id.Subject == "banned" }
	}
	for _, test := range slices.Concat(requestTests(valid), tokenTests(is, valid), authorizationTests(is)) {
		var log auditLog
		var rejections []gatehouse.Rejection
		guard := newGuard(t, is, log.configure, configure, func(cfg *gatehouse.Config) {
			cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { rejections = append(rejections, r) }
		})
		resp := send(guard.Wrap(behind), test.request)
		e := log.only(t)
		want := gatehouse.AuditEvent{Decision: "allow", Status: resp.StatusCode}
		if len(rejections) > 0 {
			want.Decision, want.Reason = "deny", rejections[0].Reason
			kinds++
		}
		if e.Decision != want.Decision || e.Reason != want.Reason || e.Status != want.Status || e.Layer != "http" {
			t.Errorf("%s: got %s %q %d in the layer %s, want %s %q %d", test.name, e.Decision, e.Reason, e.Status, e.Layer,
				want.Decision, want.Reason, want.Status)
		}
		if test.reason != "" && e.Reason != test.reason {
			t.Errorf("%s: got reason %q, want %q", test.name, e.Reason, test.reason)
		}
		known := len(rejections) == 0 || rejections[0].Identity.Subject != ""
		if known != (e.SubjectHash != "" && e.Kind != "" && e.ClientID != "") || known && e.Issuer != is.URL() {
			t.Errorf("%s: got event %+v, want the caller: %v", test.name, e, known)
		}

		send(guard.Wrap(behind), hostile(test.request))
		header := test.request.header.Get("Authorization") + test.request.target
		for begin := 0; begin+40 <= len(header); begin += 10 {
			if part := header[begin : begin+31]; strings.Contains(log.lines.String(), part) {
				t.Errorf("%s: the events have %q of the token: %s", test.name, part, log.lines.String())
				break
			}
		}
	}
	if kinds < 40 {
		t.Errorf("tested %d rejections, want at least 40", kinds)
	}
}

// An outage is a rejection too, and not the caller's fault.
func TestAuditOfAnOutage(t *testing.T) {
	is := newIssuer(t)
	is.SetDown(true)
	e := auditOf(t, is, request{header: bearer(is.token(resource))})
	if e.Decision != "deny" || e.Reason != "provider_unavailable" || e.Status != 503 || e.Issuer != is.URL() || e.SubjectHash != "" {
		t.Errorf("got %+v, want a rejection with status 503 that names the provider and no subject", e)
	}
}

// A challenge in a result is a rejection with status 200.
func TestAuditOfAChallengeInAResult(t *testing.T) {
	is := newIssuer(t)
	e := auditOf(t, is, request{header: bearer(is.token(resource)), body: toolCall("write")}, requirements,
		func(cfg *gatehouse.Config) { cfg.ChallengeInResult = true })
	if e.Decision != "deny" || e.Reason != "insufficient_scope" || e.Status != 200 || e.Operations[0].Name != "write" {
		t.Errorf("got %+v, want a rejection with status 200", e)
	}
}

// What has no decision has no event.
func TestAuditOfPublicPages(t *testing.T) {
	is := newIssuer(t)
	var log auditLog
	guard := newGuard(t, is, log.configure, func(cfg *gatehouse.Config) { cfg.LandingPage = http.NotFoundHandler() })
	preflight := http.Header{"Origin": {"http://localhost:6274"}, "Access-Control-Request-Method": {"POST"}}
	send(guard.Wrap(behind), request{method: "OPTIONS", header: preflight})
	send(guard.Wrap(behind), request{method: "GET", header: http.Header{"Accept": {"text/html"}}})
	send(guard.MetadataHandler(), request{method: "GET", target: bareMetadata})
	guard.Verify(t.Context(), "invalid", nil)
	if len(log.events) != 0 {
		t.Errorf("got events %+v, want none", log.events)
	}
}

// Every text that a client or a provider chooses is bounded.
func TestAuditBounds(t *testing.T) {
	is := newIssuer(t)
	long := strings.Repeat("x", 100_000)
	token := is.token(resource, testissuer.Claim("sub", "user_"+long[:4000]), testissuer.Claim("client_id", "https://"+long[:4000]+"/"))
	var batch []string
	for range 200 {
		batch = append(batch, `{"method":"tools/call`+long[:9000]+`"}`, toolCall(long[:9000]))
	}
	header := with(with(bearer(token), "X-Request-Id", long), "Mcp-Session-Id", "")
	for name, body := range map[string]string{
		"batch":       "[" + strings.Join(batch[:256], ",") + "]",
		"long names":  toolCall(long),
		"long URI":    `{"method":"resources/read","params":{"uri":"` + long + `"}}`,
		"long method": `{"method":"` + long + `"}`,
	} {
		e := auditOf(t, is, request{header: header, body: body}, func(cfg *gatehouse.Config) {
			cfg.AuditSubjects = gatehouse.AuditSubjectsClear
		})
		if text, _ := json.Marshal(e); len(text) > 16<<10 {
			t.Errorf("%s: the event has %d bytes, want at most 16 KiB", name, len(text))
		}
		if name == "batch" && (len(e.Operations) != 16 || e.OperationCount != 256) {
			t.Errorf("got %d operations and a count of %d, want 16 and 256", len(e.Operations), e.OperationCount)
		}
		if name != "batch" && len(e.Operations[0].Method+e.Operations[0].Name) > 300 {
			t.Errorf("%s: got an operation of %d bytes", name, len(e.Operations[0].Method+e.Operations[0].Name))
		}
		if len(e.Subject) > 300 || len(e.ClientID) > 300 || len(e.ClientHost) > 300 || !strings.HasSuffix(e.Subject, "…") {
			t.Errorf("%s: got subject %q, client %q and host %q", name, e.Subject, e.ClientID, e.ClientHost)
		}
	}
}

// Failed sign-ins are limited in each second. Events of callers with a valid token are not.
func TestAuditRate(t *testing.T) {
	is := newIssuer(t)
	var log auditLog
	guard := newGuard(t, is, log.configure, func(cfg *gatehouse.Config) {
		cfg.Revoked = func(id gatehouse.Identity) bool { return id.Subject == "banned" }
	})
	handler := guard.Wrap(behind)
	if err := guard.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	// count returns how many of 150 requests in the next second have events.
	count := func(rq request) int {
		time.Sleep(time.Second)
		log.events = nil
		for range 150 {
			send(handler, rq)
		}
		return len(log.events)
	}
	synctest.Test(t, func(t *testing.T) {
		if n := count(request{}); n != 100 || guard.Stats().AuditDropped != 50 {
			t.Errorf("no token: got %d events and %d dropped, want 100 and 50", n, guard.Stats().AuditDropped)
		}
		valid := request{header: bearer(is.token(resource))}
		if n := count(valid); n != 150 || log.events[0].Dropped != 50 || log.events[1].Dropped != 0 {
			t.Errorf("allowed: got %d events, want 150; the first must report 50 dropped, and the second none", n)
		}
		banned := request{header: bearer(is.token(resource, testissuer.Claim("sub", "banned")))}
		if n := count(banned); n != 100 || log.events[0].Reason != "revoked" || guard.Stats().AuditDropped != 100 {
			t.Errorf("revoked: got %d events and %d dropped, want 100 and 100", n, guard.Stats().AuditDropped)
		}
	})
}

// failingHandler is a slog.Handler that fails.
type failingHandler struct{ slog.Handler }

func (failingHandler) Handle(context.Context, slog.Record) error {
	return errors.New("the disk is full")
}

// A hook or handler that fails changes no decision and no answer.
func TestAuditFailures(t *testing.T) {
	is := newIssuer(t)
	failing := failingHandler{slog.DiscardHandler} // which discards every level
	panics := func(context.Context, gatehouse.AuditEvent) { panic("of the hook: " + auditKey) }
	for name, test := range map[string]struct {
		configure func(*gatehouse.Config)
		want      string // in the line about the first failure
	}{
		"hook":         {func(cfg *gatehouse.Config) { cfg.Audit = panics }, "it panicked with a string"},
		"handler, off": {func(cfg *gatehouse.Config) { cfg.AuditLogger = slog.New(failing) }, ""},
		"handler":      {func(cfg *gatehouse.Config) { cfg.AuditLogger = slog.New(enabled{failing}) }, "the disk is full"},
	} {
		var lines bytes.Buffer
		guard := newGuard(t, is, test.configure, func(cfg *gatehouse.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&lines, nil))
			cfg.OnReject = func(*http.Request, gatehouse.Rejection) {}
		})
		handler := guard.Wrap(behind)
		if err := guard.Ready(t.Context()); err != nil { // which logs the keys
			t.Fatal(err)
		}
		lines.Reset()
		for range 2 {
			if resp := send(handler, request{header: bearer(is.token(resource))}); resp.StatusCode != 200 || body(t, resp) != "user_1" {
				t.Errorf("%s: a valid token: status %d, want 200 and the answer", name, resp.StatusCode)
			}
			if resp := send(handler, request{}); resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != challenge {
				t.Errorf("%s: no token: status %d, want 401 and the challenge", name, resp.StatusCode)
			}
		}
		failed, logged := uint64(4), 1
		if test.want == "" {
			failed, logged = 0, 0
		}
		got := lines.String()
		if n := guard.Stats().AuditFailed; n != failed || strings.Count(got, "\n") != logged || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %d failed, want %d, and log %q, want one line with %q", name, n, failed, got, test.want)
		}
		if strings.Contains(lines.String(), auditKey) {
			t.Errorf("%s: the log has the value of the panic: %s", name, lines.String())
		}
	}
}

// enabled is a handler for every level.
type enabled struct{ slog.Handler }

func (enabled) Enabled(context.Context, slog.Level) bool { return true }

// The outcome of an allowed request says how it ended.
func TestAuditOutcome(t *testing.T) {
	is := newIssuer(t)
	later := func() time.Time { return time.Now().Add(time.Hour) }
	wait := func(r *http.Request) { <-r.Context().Done() }
	type run struct {
		guard  *gatehouse.Guard
		cancel context.CancelFunc
	}
	deny := func(r run) { r.guard.Deny(gatehouse.Denial{Subject: "user_1", Until: later()}) }
	for name, test := range map[string]struct {
		method  string
		handler func(http.ResponseWriter, *http.Request, run)
		ended   string
		status  int
	}{
		"control":      {"POST", func(w http.ResponseWriter, _ *http.Request, _ run) { w.WriteHeader(202) }, "", 202},
		"nothing sent": {"POST", func(http.ResponseWriter, *http.Request, run) {}, "", 200},
		"an error":     {"POST", func(w http.ResponseWriter, _ *http.Request, _ run) { http.Error(w, "no", 500) }, "", 500},
		"denied":       {"POST", func(_ http.ResponseWriter, r *http.Request, run run) { deny(run); wait(r) }, "revoked", 401},
		"denied, begun": {
			"POST",
			func(w http.ResponseWriter, r *http.Request, run run) {
				w.WriteHeader(200)
				deny(run)
				wait(r)
			},
			"revoked",
			200,
		},
		"the client": {"POST", func(_ http.ResponseWriter, r *http.Request, run run) { run.cancel(); wait(r) }, "client", 200},
		"a panic":    {"POST", func(http.ResponseWriter, *http.Request, run) { panic("of the handler") }, "panic", 0},
		"shutdown": {
			"GET",
			func(_ http.ResponseWriter, r *http.Request, run run) {
				run.guard.Shutdown(r.Context())
				wait(r)
			},
			"shutdown",
			503,
		},
		"shutdown, open": {"GET", func(w http.ResponseWriter, r *http.Request, run run) {
			w.WriteHeader(200)
			run.guard.Shutdown(r.Context())
			wait(r)
		}, "shutdown", 200},
	} {
		var log auditLog
		guard := newGuard(t, is, log.configure)
		ctx, cancel := context.WithCancel(t.Context())
		handler := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { test.handler(w, r, run{guard, cancel}) }))
		rq := request{method: test.method, header: bearer(is.token(resource))}.make()
		func() {
			defer func() {
				if p := recover(); (p != nil) != (test.ended == "panic") {
					t.Errorf("%s: the guard passed on the panic %v", name, p)
				}
			}()
			sendRaw(handler, rq.WithContext(mergeCancel(rq.Context(), ctx)))
		}()
		cancel()
		if e := log.only(t); e.Decision != "allow" || e.Ended != test.ended || e.Status != test.status || e.Duration <= 0 {
			t.Errorf("%s: got %s, ended %q, status %d, duration %v; want allow, %q, %d", name, e.Decision, e.Ended, e.Status, e.Duration,
				test.ended, test.status)
		}
	}
}

// mergeCancel returns values with the end of cancelled.
func mergeCancel(values, cancelled context.Context) context.Context {
	ctx, cancel := context.WithCancel(values)
	context.AfterFunc(cancelled, cancel)
	return ctx
}

// The context of the hook has the values of the request and outlives it.
func TestAuditContext(t *testing.T) {
	type key struct{}
	is := newIssuer(t)
	var got context.Context
	guard := newGuard(t, is, func(cfg *gatehouse.Config) {
		cfg.Audit = func(ctx context.Context, _ gatehouse.AuditEvent) { got = ctx }
	})
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	cancel()
	sendRaw(guard.Wrap(behind), request{}.make().WithContext(ctx))
	if got == nil || got.Err() != nil || got.Value(key{}) != "value" {
		t.Errorf("got context %v, want one with the value that has not ended", got)
	}
}

// What the middleware rejects inside the MCP server has an event of its own.
func TestAuditInsideTheMCPServer(t *testing.T) {
	is := newIssuer(t)
	var log auditLog
	guard := newGuard(t, is, requirements, log.configure)
	var info *auth.TokenInfo
	session := connect(t, guard, func() *auth.TokenInfo { return info })
	call := func() {
		session.CallTool(t.Context(), &mcp.CallToolParams{Name: "write", Arguments: map[string]any{"secret": "hunter2"}})
	}
	call()
	e := log.only(t)
	if e.Decision != "deny" || e.Layer != "mcp" || e.Reason != "no_credentials" || e.SubjectHash != "" || e.CorrelationID != e.ID {
		t.Errorf("without a caller: got %+v", e)
	}
	token := is.token(resource)
	var err error
	if info, err = guard.Verify(t.Context(), token, nil); err != nil {
		t.Fatal(err)
	}
	log.events = nil
	log.lines.Reset()
	call()
	want := allowedEvent(is)
	want.Decision, want.Layer, want.Reason, want.Status, want.HTTPMethod = "deny", "mcp", "insufficient_scope", 0, ""
	want.Operations[0].Name = "write"
	if diff := cmp.Diff(want, log.only(t), ignoreRandom); diff != "" {
		t.Errorf("without the scope: event (-want +got):\n%s", diff)
	}
	log.events = nil
	session.CallTool(t.Context(), &mcp.CallToolParams{Name: "read"})
	if len(log.events) != 0 {
		t.Errorf("an allowed call: got %+v, want no event of the layer mcp", log.events)
	}
}

// Both events of one request have its correlation ID. The server sees another operation than
// the check of the HTTP request did, because a handler in between replaces the body.
func TestAuditEventsOfOneRequest(t *testing.T) {
	is := newIssuer(t)
	var log auditLog
	guard := newGuard(t, is, requirements, log.configure)
	server := newServer()
	server.AddReceivingMiddleware(guard.Middleware())
	handler := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader(toolCall("write")))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		newHandler(server).ServeHTTP(w, r)
	}))
	send(handler, request{header: with(bearer(is.token(resource)), "X-Request-Id", "r-1"), body: toolCall("read")})
	var got []string
	for _, e := range log.events {
		got = append(got, strings.Join([]string{e.Layer, e.Decision, e.Operations[0].Name, e.CorrelationID}, " "))
	}
	if want := []string{"mcp deny write r-1", "http allow read r-1"}; !slices.Equal(got, want) {
		t.Errorf("got events %q, want %q", got, want)
	}
}

func TestAuditConcurrently(t *testing.T) {
	is := newIssuer(t)
	var log auditLog
	handler := newGuard(t, is, log.configure).Wrap(behind)
	token := is.token(resource)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 10 {
				send(handler, request{header: bearer(token), body: toolCall("read")})
			}
		})
	}
	wg.Wait()
	ids := make(map[string]bool)
	for _, e := range log.events {
		ids[e.ID] = true
	}
	if len(ids) != 200 || strings.Count(log.lines.String(), "\n") != 200 {
		t.Errorf("got %d event IDs and %d lines, want 200", len(ids), strings.Count(log.lines.String(), "\n"))
	}
}

func TestAuditSettings(t *testing.T) {
	logger := quiet()
	for name, test := range map[string]struct {
		set  func(*gatehouse.Config)
		want string // beginning of the fault; empty for none
	}{
		"none":   {func(*gatehouse.Config) {}, ""},
		"logger": {func(c *gatehouse.Config) { c.AuditLogger = logger }, ""},
		"key": {
			func(c *gatehouse.Config) { c.AuditLogger, c.AuditKey = logger, gatehouse.AuditKey(auditKey[:32]) },
			"",
		},
		"short key": {
			func(c *gatehouse.Config) { c.AuditLogger, c.AuditKey = logger, gatehouse.AuditKey(auditKey[:31]) },
			"AuditKey has 31 bytes, want at least 32; set it",
		},
		"key without an audit": {
			func(c *gatehouse.Config) { c.AuditKey = gatehouse.AuditKey(auditKey) },
			"AuditKey has no effect without Audit, AuditLogger or Observers; set one",
		},
		"clear": {
			func(c *gatehouse.Config) { c.AuditLogger, c.AuditSubjects = logger, gatehouse.AuditSubjectsClear },
			"",
		},
		"clear without an audit": {
			func(c *gatehouse.Config) { c.AuditSubjects = gatehouse.AuditSubjectsClear },
			"AuditSubjects has no effect without Audit or AuditLogger; set one",
		},
		"another way of a subject": {
			func(c *gatehouse.Config) { c.AuditLogger, c.AuditSubjects = logger, 2 },
			`AuditSubjects "2" is not a way to name the caller; use`,
		},
	} {
		cfg := gatehouse.Config{Resource: resource, Provider: gatehouse.OIDC("https://issuer.example.com")}
		test.set(&cfg)
		_, err := gatehouse.New(cfg)
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), "gatehouse: "+test.want) {
			t.Errorf("%s: New = %v, want %q", name, err, test.want)
		}
	}
}

func TestAuditWarnings(t *testing.T) {
	const random, level = "hashes in audit events change", "discards the level info"
	warn := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn}))
	info := slog.New(slog.NewTextHandler(io.Discard, nil))
	for name, test := range map[string]struct {
		logger *slog.Logger
		key    string
		want   []string
	}{
		"no audit":      {nil, "", nil},
		"with a key":    {info, auditKey, nil},
		"without a key": {info, "", []string{random}},
		"level":         {warn, auditKey, []string{level}},
	} {
		guard := newGuard(t, newIssuer(t), func(cfg *gatehouse.Config) {
			cfg.AuditLogger, cfg.AuditKey = test.logger, gatehouse.AuditKey(test.key)
		})
		got := guard.Warnings()
		if len(got) != len(test.want) || len(got) > 0 && !strings.Contains(got[0], test.want[0]) {
			t.Errorf("%s: got warnings %q, want %q", name, got, test.want)
		}
	}
}

func TestAuditKeyIsNotPrinted(t *testing.T) {
	key := gatehouse.AuditKey(strings.Repeat("k", 32))
	cfg := gatehouse.Config{AuditKey: key, AuditLogger: quiet()}
	guard := newGuard(t, newIssuer(t), func(c *gatehouse.Config) { c.AuditKey, c.AuditLogger = key, quiet() })
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "key", key)
	asJSON, _ := json.Marshal(key)
	texts := []string{log.String(), string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, key), fmt.Sprintf(verb, cfg), fmt.Sprintf(verb, guard))
	}
	for _, text := range texts {
		for _, secret := range []string{"kkkk", "6b6b", "107 107", "0x6b, 0x6b", "a2tr"} {
			if strings.Contains(text, secret) {
				t.Errorf("the audit key appears in %s", text)
			}
		}
	}
}

// Two callers never have the same hash, wherever issuer ends and subject begins.
func TestSubjectHash(t *testing.T) {
	key := gatehouse.AuditKey(auditKey)
	hashes := map[string]string{}
	for _, pair := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"", "abc"}, {"abc", ""}} {
		hash := key.SubjectHash(pair[0], pair[1])
		if other, ok := hashes[hash]; ok || len(hash) != 22 {
			t.Errorf("%q has the hash %q of %q", pair, hash, other)
		}
		hashes[hash] = strings.Join(pair[:], "|")
	}
	if again := key.SubjectHash("a", "bc"); hashes[again] != "a|bc" {
		t.Error("the hash of one caller differs between two calls")
	}
}

// discardWriter is a response writer that allocates nothing.
type discardWriter struct{ header http.Header }

func (w discardWriter) Header() http.Header         { return w.header }
func (w discardWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w discardWriter) WriteHeader(int)             {}

// BenchmarkAudit compares a whole request without an audit with one whose events are written
// as JSON.
func BenchmarkAudit(b *testing.B) {
	is := newIssuer(b)
	token := is.token(resource)
	server := newServer()
	for _, bench := range []struct {
		name      string
		configure func(*gatehouse.Config)
	}{
		{"off", func(*gatehouse.Config) {}},
		{"json", func(cfg *gatehouse.Config) { cfg.AuditLogger = slog.New(slog.NewJSONHandler(io.Discard, nil)) }},
	} {
		handler := newGuard(b, is, bench.configure).Wrap(newHandler(server))
		header := maps.Clone(bearer(token))
		header["Content-Type"], header["Accept"] = []string{"application/json"}, []string{"application/json, text/event-stream"}
		rq := request{header: header, body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hello","arguments":{}}}`}
		if text := body(b, send(handler, rq)); !strings.Contains(text, "hello, user_1") {
			b.Fatalf("got answer %s", text)
		}
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				handler.ServeHTTP(discardWriter{make(http.Header)}, rq.make())
			}
		})
	}
}
