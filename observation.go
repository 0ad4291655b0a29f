package gatehouse

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/keys"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	// maxClientHosts bounds the hosts of clients that observers are given.
	maxClientHosts = 50
	// maxObservedNames bounds the names of tools and prompts that observers are given.
	maxObservedNames = 500
	// maxObservedName is the limit of such a name, and of a host, in bytes.
	maxObservedName = 128
	// maxTraceState is the limit of tracestate in bytes (W3C Trace Context §3.3.1.5).
	maxTraceState = 512
)

// The texts that stand for everything outside of a bounded set.
const (
	observedOther      = "other"
	observedBatch      = "batch"
	observedResponse   = "response"
	observedRegistered = "registered"
	observedNone       = "none"
)

// The error types of operations that are not a [Reason] or an HTTP status (OpenTelemetry
// semantic conventions for MCP).
const (
	errorTypeTool  = "tool_error"
	errorTypeOther = "_OTHER"
)

// observedMethods are the methods of MCP in all revisions that a client may send.
var observedMethods = setOf(slices.Concat(openMethods, clientNotifications, []string{
	methodCallTool, methodGetPrompt, methodReadResource, "resources/subscribe",
	"tasks/get", "tasks/result", "tasks/list", "tasks/cancel", "notifications/tasks/status", "notifications/elicitation/complete",
})...)

// observedVersions are the revisions of MCP.
var observedVersions = setOf("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")

// observedCodes are the error codes of JSON-RPC, of MCP, and of this package.
var observedCodes = []int64{-32700, -32600, -32601, -32602, -32603, -32000, -32001, -32002, -32003, -32004, codeForbidden, codeURLElicitation}

// observers calls [Config.Observers]. A nil one does nothing.
type observers struct {
	list     []Observer
	resource string
	logger   *slog.Logger
	hashOf   func(issuer, subject string) string // a function, so that printing a guard prints no key

	failed     atomic.Uint64
	firstError sync.Once

	mu    sync.RWMutex
	hosts map[string]string    // each maps to itself, so that no part of a token is kept
	names map[operation]string // the name, and not a part of a body
}

func newObservers(s *settings, key AuditKey) *observers {
	if len(s.Observers) == 0 {
		return nil
	}
	return &observers{
		list:     slices.Clone(s.Observers),
		resource: s.resourceURL.String(),
		logger:   s.Logger,
		hashOf:   key.SubjectHash,
		hosts:    make(map[string]string),
		names:    make(map[operation]string),
	}
}

// observation is what observers are given about one request.
type observation struct {
	started time.Time
	// end is set when the request was admitted.
	end     RequestEnd
	context context.Context // that Decision returned

	mu        sync.Mutex
	errorType string
}

type observationKey struct{}

// observationOf returns the observation of a request, or nil.
func observationOf(ctx context.Context) *observation {
	seen, _ := ctx.Value(observationKey{}).(*observation)
	return seen
}

// start begins the observation of a request.
func (o *observers) start(r *http.Request) *http.Request {
	if o == nil {
		return r
	}
	r = r.WithContext(context.WithValue(r.Context(), observationKey{}, &observation{started: time.Now()}))
	for i := range o.list {
		if f := o.list[i].RequestStart; f != nil {
			r = r.WithContext(o.observeContext("RequestStart", r.Context(), func() context.Context { return f(r) }))
		}
	}
	return r
}

// reject reports a request that one of the checks rejected with the status. from is the provider
// of its token, or nil.
func (o *observers) reject(r *http.Request, rejection *Rejection, from *issuer, status int) {
	if o == nil || rejection.letThrough {
		return
	}
	d := o.newDecision(r, observationOf(r.Context()))
	d.Outcome, d.Reason, d.Status = AuditDeny, rejection.Reason, status
	if from != nil {
		d.Issuer = from.Issuer
	}
	switch {
	case rejection.Identity.Subject != "":
		o.setIdentity(&d, &rejection.Identity, "")
	case rejection.anonymous:
		d.Kind = kindAnonymous
	}
	o.decide(r.Context(), &d)
}

// admit reports a request that was admitted, and returns it with the context for its handler.
func (o *observers) admit(r *http.Request, open *openRequest) *http.Request {
	if o == nil {
		return r
	}
	seen := observationOf(r.Context())
	if seen == nil {
		return r
	}
	seen.end = RequestEnd{Decision: o.newDecision(r, seen), Stream: open.stream}
	d := &seen.end.Decision
	d.Outcome = AuditAllow
	o.setCaller(d, open.caller)
	seen.context = o.decide(r.Context(), d)
	open.observed = seen
	if seen.context == r.Context() {
		return r
	}
	return r.WithContext(seen.context)
}

// rejectMCP reports that operations were rejected inside the MCP server. c may be nil.
func (o *observers) rejectMCP(ctx context.Context, method string, ops []operation, c *caller, why Reason) {
	if o == nil {
		return
	}
	d := Decision{Outcome: AuditDeny, Layer: AuditMCP, Reason: why, Resource: o.resource, Method: oneOf(observedMethods, method)}
	if len(ops) == 1 {
		d.Method, d.Name = oneOf(observedMethods, cmp.Or(method, ops[0].method)), o.name(ops[0])
	}
	if c != nil {
		o.setCaller(&d, c)
		c.request.noteErrorType(string(why))
		if c.request != nil && c.request.observed != nil {
			of := &c.request.observed.end.Decision
			d.HTTPMethod, d.ProtocolVersion = of.HTTPMethod, of.ProtocolVersion
		}
	}
	o.decide(ctx, &d)
}

func (o *observers) decide(ctx context.Context, d *Decision) context.Context {
	for i := range o.list {
		if f := o.list[i].Decision; f != nil {
			ctx = o.observeContext("Decision", ctx, func() context.Context { return f(ctx, *d) })
		}
	}
	return ctx
}

// finish reports the end of an admitted request. returned is false if the handler panicked.
func (o *observers) finish(r *http.Request, open *openRequest, answer *answerWriter, returned bool) {
	if o == nil || open.observed == nil {
		return
	}
	seen := open.observed
	e := seen.end
	e.Status, e.Ended = statusOf(open, answer, returned), endOf(r, open, returned)
	e.Duration = time.Since(seen.started)
	seen.mu.Lock()
	e.ErrorType = seen.errorType
	seen.mu.Unlock()
	switch {
	case e.Ended != "" && e.Ended != endedByClient && !(e.Stream && e.Ended == endedByShutdown):
		e.ErrorType = e.Ended
	case e.ErrorType == "" && e.Status >= http.StatusBadRequest:
		e.ErrorType = strconv.Itoa(e.Status)
	}
	for i := range o.list {
		if f := o.list[i].RequestEnd; f != nil {
			o.observe("RequestEnd", func() { f(seen.context, e) })
		}
	}
}

// noteErrorType records how the operation of the request failed. open may be nil.
func (o *openRequest) noteErrorType(errorType string) {
	if o == nil || o.observed == nil || errorType == "" {
		return
	}
	o.observed.mu.Lock()
	defer o.observed.mu.Unlock()
	o.observed.errorType = errorType
}

// newDecision returns a decision with what it says of the request.
func (o *observers) newDecision(r *http.Request, seen *observation) Decision {
	d := Decision{Layer: AuditHTTP, Resource: o.resource, HTTPMethod: httpMethod(r.Method)}
	if seen != nil {
		d.Started, d.Duration = seen.started, time.Since(seen.started)
	}
	d.ProtocolVersion = oneOf(observedVersions, r.Header.Get("Mcp-Protocol-Version"))
	d.Header = traceContext(r, r.Header["Traceparent"], strings.Join(r.Header["Tracestate"], ","))
	if body, ok := r.Body.(*bufferedBody); ok && r.Method == http.MethodPost {
		o.setBody(&d, r, body.text)
	}
	return d
}

// traceContext returns a trace context without a part of the token.
func traceContext(r *http.Request, parents []string, state string) (out TraceContext) {
	if traceOf(parents) == "" || len(parents[0]) > maxTraceState {
		return out
	}
	secrets := secretsOf(r)
	if hasTokenPart(parents[0], secrets) {
		return out
	}
	out.Parent = parents[0]
	if state != "" && len(state) <= maxTraceState && !hasTokenPart(state, secrets) {
		out.State = state
	}
	return out
}

// setBody sets what the decision says of the message in a body. A message that cannot be read has
// no method.
func (o *observers) setBody(d *Decision, r *http.Request, body []byte) {
	if isBatch(body) {
		d.Method = observedBatch
		return
	}
	m, err := readObserved(body)
	if err != nil {
		return
	}
	if m.method == "" {
		d.Method = observedResponse
		return
	}
	d.Method, d.Name = oneOf(observedMethods, m.method), o.name(operation{m.method, m.name})
	if m.method == methodInitialize {
		d.ProtocolVersion = oneOf(observedVersions, m.protocolVersion)
	}
	if m.traceparent != "" {
		d.Meta = traceContext(r, []string{m.traceparent}, m.tracestate)
	}
}

// setCaller sets what the decision says of the caller.
func (o *observers) setCaller(d *Decision, c *caller) {
	d.Issuer = c.from.Issuer
	if c.anonymous {
		d.Issuer, d.Kind = "", kindAnonymous
		return
	}
	o.setIdentity(d, &c.identity, c.auditHash)
}

// setIdentity sets what the decision says of a verified caller. hash is that of the subject, if it
// is known.
func (o *observers) setIdentity(d *Decision, id *Identity, hash string) {
	d.Kind, d.Client = id.Kind.String(), o.client(id.ClientID)
	if d.SubjectHash = hash; hash == "" {
		d.SubjectHash = o.subjectHash(id)
	}
}

// subjectHash returns the hash of a caller for audit events and observers, or "" if neither needs it.
// The verifier keeps it with the verified token, because it takes ten allocations.
func (g *Guard) subjectHash(id *Identity) string {
	return cmp.Or(g.auditor.subjectHash(id), g.observers.subjectHash(id))
}

func (o *observers) subjectHash(id *Identity) string {
	if o == nil {
		return ""
	}
	return o.hashOf(id.Issuer, id.Subject)
}

// oneOf returns text if it is one of the set, or empty, and otherwise "other".
func oneOf(set map[string]string, text string) string {
	if text == "" {
		return ""
	}
	return cmp.Or(set[text], observedOther)
}

// setOf returns a set in which each text maps to itself, so that no part of a request is kept.
func setOf(texts ...string) map[string]string {
	set := make(map[string]string, len(texts))
	for _, text := range texts {
		set[text] = text
	}
	return set
}

// client returns what observers are given about the client of a verified token.
func (o *observers) client(id string) string {
	host := clientHost(id)
	switch {
	case id == "":
		return observedNone
	case host == "":
		return observedRegistered
	case len(host) > maxObservedName:
		return observedOther
	}
	o.mu.RLock()
	known := o.hosts[host]
	o.mu.RUnlock()
	if known != "" {
		return known
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.hosts) >= maxClientHosts && o.hosts[host] == "" {
		return observedOther
	}
	host = strings.Clone(host)
	o.hosts[host] = host
	return host
}

// name returns the name of a tool or prompt, if it is known. Resources have names that clients
// choose.
func (o *observers) name(op operation) string {
	if op.method != methodCallTool && op.method != methodGetPrompt || op.name == "" {
		return ""
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	return cmp.Or(o.names[op], observedOther)
}

// noteNames adds names that the server has.
func (o *observers) noteNames(method string, names ...string) {
	if o == nil {
		return
	}
	for _, name := range names {
		o.noteName(operation{method, name})
	}
}

func (o *observers) noteName(op operation) {
	if op.name == "" || len(op.name) > maxObservedName {
		return
	}
	o.mu.RLock()
	skip := o.names[op] != "" || len(o.names) >= maxObservedNames
	o.mu.RUnlock()
	if skip {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.names) < maxObservedNames {
		op.name = strings.Clone(op.name)
		o.names[op] = op.name
	}
}

// noteListed adds the names of a list.
func (o *observers) noteListed(method string, names []string) {
	switch method {
	case methodListTools:
		o.noteNames(methodCallTool, names...)
	case methodListPrompts:
		o.noteNames(methodGetPrompt, names...)
	}
}

// noteDeclared adds the names that requirements have.
func (o *observers) noteDeclared(declared []Requirement) {
	for _, r := range declared {
		o.noteNames(methodCallTool, r.Tool)
		o.noteNames(methodGetPrompt, r.Prompt)
	}
}

// middleware returns next with the functions of observers around it.
func (o *observers) middleware(g *Guard, next mcp.MethodHandler) mcp.MethodHandler {
	if o == nil {
		return next
	}
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		c := callerOf(req)
		if c == nil || c.guard != g || c.request == nil || c.request.observed == nil {
			return next(ctx, method, req)
		}
		request := c.request.observed.context
		for i := range o.list {
			if f := o.list[i].Operation; f != nil {
				ctx = o.observeContext("Operation", ctx, func() context.Context { return f(ctx, request) })
			}
		}
		result, err := next(ctx, method, req)
		o.noteResult(req, result, err)
		c.request.noteErrorType(errorTypeOf(result, err))
		return result, err
	}
}

// noteResult adds the names that a result shows to exist.
func (o *observers) noteResult(req mcp.Request, result mcp.Result, err error) {
	if err != nil {
		return
	}
	switch list := result.(type) {
	case *mcp.ListToolsResult:
		o.noteNames(methodCallTool, namesOf(list.Tools, func(t *mcp.Tool) string { return t.Name })...)
		return
	case *mcp.ListPromptsResult:
		o.noteNames(methodGetPrompt, namesOf(list.Prompts, func(p *mcp.Prompt) string { return p.Name })...)
		return
	}
	if call, ok := result.(*mcp.CallToolResult); ok && call != nil && call.IsError {
		return // with such a result, some servers answer a call of a tool that does not exist
	}
	switch params := req.GetParams().(type) {
	case *mcp.CallToolParamsRaw:
		o.noteName(operation{methodCallTool, params.Name})
	case *mcp.GetPromptParams:
		o.noteName(operation{methodGetPrompt, params.Name})
	}
}

// errorTypeOf returns how an operation failed, or "".
func errorTypeOf(result mcp.Result, err error) string {
	if err == nil {
		if call, ok := result.(*mcp.CallToolResult); ok && call != nil && call.IsError {
			return errorTypeTool
		}
		return ""
	}
	var wire *jsonrpc.Error
	if errors.As(err, &wire) && slices.Contains(observedCodes, wire.Code) {
		return strconv.FormatInt(wire.Code, 10)
	}
	return errorTypeOther
}

// now returns the time, if it is needed.
func (o *observers) now() (t time.Time) {
	if o == nil {
		return t
	}
	return time.Now()
}

// verified reports the verification of a token that began at the time. out is the verified token,
// or nil if it was rejected.
func (o *observers) verified(ctx context.Context, began time.Time, v Verification, out *verified, rejection *Rejection) {
	if o == nil {
		return
	}
	v.Resource, v.Duration = o.resource, time.Since(began)
	switch {
	case rejection == nil:
		v.Issuer = out.from.Issuer
	case rejection.from != nil:
		v.Issuer = rejection.from.Issuer
	}
	if rejection != nil {
		v.Reason = rejection.Reason
	}
	for i := range o.list {
		if f := o.list[i].Verification; f != nil {
			o.observe("Verification", func() { f(ctx, v) })
		}
	}
}

// introspected reports a request to the provider that began at the time.
func (o *observers) introspected(ctx context.Context, began time.Time, from *issuer, claims json.RawMessage, err error) {
	if o == nil {
		return
	}
	var answer struct {
		Active bool `json:"active"`
	}
	in := Introspection{Resource: o.resource, Issuer: from.Issuer, Result: IntrospectionActive, Duration: time.Since(began)}
	switch {
	case errors.Is(err, ErrInactive):
		in.Result = IntrospectionInactive
	case err != nil:
		in.Result = IntrospectionUnavailable
	case strictjson.Unmarshal(claims, &answer) != nil || !answer.Active:
		in.Result = IntrospectionInactive
	}
	for i := range o.list {
		if f := o.list[i].Introspection; f != nil {
			o.observe("Introspection", func() { f(ctx, in) })
		}
	}
}

// keysFetched returns the function that reports the fetches of the keys of an issuer, or nil.
func (o *observers) keysFetched(issuer string) func(keys.Fetch) {
	if o == nil {
		return nil
	}
	return func(fetch keys.Fetch) {
		out := KeyFetch{Resource: o.resource, Issuer: issuer, Error: string(fetch.Error), Duration: fetch.Duration}
		for i := range o.list {
			if f := o.list[i].KeyFetch; f != nil {
				o.observe("KeyFetch", func() { f(out) })
			}
		}
	}
}

// sessionEnded returns the function that reports the ends of sessions, or nil.
func (o *observers) sessionEnded() func(SessionEnd) {
	if o == nil {
		return nil
	}
	return func(e SessionEnd) {
		e.Resource = o.resource
		for i := range o.list {
			if f := o.list[i].SessionEnd; f != nil {
				o.observe("SessionEnd", func() { f(e) })
			}
		}
	}
}

// failures returns how often an observer failed.
func (o *observers) failures() uint64 {
	if o == nil {
		return 0
	}
	return o.failed.Load()
}
