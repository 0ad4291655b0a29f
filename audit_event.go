package gatehouse

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// AuditSchema is the version of [AuditEvent]. It changes when a field is removed or gets
// another meaning, and not when one is added.
const AuditSchema = 1

// The decisions of an [AuditEvent].
const (
	AuditAllow = "allow"
	AuditDeny  = "deny"
)

// kindAnonymous is [AuditEvent.Kind] of a caller without a token.
const kindAnonymous = "anonymous"

// The layers of an [AuditEvent].
const (
	AuditHTTP = "http" // the guard's checks of the HTTP request
	AuditMCP  = "mcp"  // [Guard.Middleware], on an operation as the MCP server parsed it
)

// Bounds of the texts in an event, in bytes, unless noted otherwise. A text that was cut
// ends with an ellipsis.
const (
	// maxAuditName bounds a method, a name, a URI and a client ID.
	maxAuditName = 256
	// maxAuditOperations is how many operations of one body an event lists.
	maxAuditOperations = 16
	// maxCorrelationID bounds X-Request-Id. A longer one is not used.
	maxCorrelationID = 128
	// minTokenPart is the length of the shortest part of a token that is looked for in the
	// texts that a client chooses. What is shorter does not help to guess the rest.
	minTokenPart = 16
	// redactedPart replaces a text with a part of the token.
	redactedPart = "[redacted]"
)

// AuditEvent describes one decision about one request. It never has a token, an argument
// of an operation, or another text of a header than the correlation ID. The names in JSON
// are also those of the attributes in [Config.AuditLogger]; empty fields are left out.
// docs/audit.md has the table of all fields.
type AuditEvent struct {
	// Version of the schema: 1.
	Schema int `json:"schema"`

	// When the decision was made, in UTC.
	Time time.Time `json:"time"`

	// Random and unique.
	ID string `json:"event_id"`

	// "allow" or "deny".
	Decision string `json:"decision"`

	// Where the decision was made: "http", or "mcp" for what the middleware rejects inside the MCP server.
	Layer string `json:"layer"`

	// Why the request was rejected: a reason of docs/reasons.md. Empty if it was allowed.
	Reason Reason `json:"reason,omitempty"`

	// HTTP status of the answer. Empty in the layer mcp, where the answer is a JSON-RPC error, and if the handler panicked.
	Status int `json:"status,omitempty"`

	// Resource of the guard, so that several guards can share a log.
	Resource string `json:"resource"`

	// Issuer of the token. If the token was rejected, the provider that it claims to be from, if it is one of the configured ones.
	Issuer string `json:"issuer,omitempty"`

	// Keyed hash of issuer and subject. Empty if there is no verified caller, or if subjects are written in clear.
	SubjectHash string `json:"subject_hash,omitempty"`

	// Subject of the token. Empty unless subjects are written in clear.
	Subject string `json:"subject,omitempty"`

	// "user" or "machine", or "anonymous" for a caller without a token who was let in because something is public.
	// Empty if there is no verified caller.
	Kind string `json:"kind,omitempty"`

	// ID of the organization that the token is for. It is unique within the issuer only.
	Organization string `json:"organization,omitempty"`

	// OAuth client of the token.
	ClientID string `json:"client_id,omitempty"`

	// Host of the client ID, if that is a URL, as with client ID metadata documents.
	ClientHost string `json:"client_host,omitempty"`

	// Method of the HTTP request, or "other" for an unusual one.
	HTTPMethod string `json:"http_method,omitempty"`

	// What the body asks for: the first 16 operations. Empty if the request was rejected before its body was read.
	Operations []AuditOperation `json:"operations,omitempty"`

	// Number of operations in the body, also those that are not listed.
	OperationCount int `json:"operation_count,omitempty"`

	// Time in nanoseconds from the decision to the end of the answer. Empty if the request was rejected.
	Duration time.Duration `json:"duration_ns,omitempty"`

	// Why the request ended before its answer was complete: "expired", "revoked" or another reason that the token is no
	// longer valid, "session_of_another_user" (a user signed in in the session of a stream that had no token), "shutdown",
	// "client" (the client left), "deadline" or "panic". Empty if it was complete.
	Ended string `json:"ended,omitempty"`

	// Keyed hash of the session ID, in the revisions that have sessions. In a rejected request, the session may not exist.
	SessionHash string `json:"session_hash,omitempty"`

	// Value of X-Request-Id, if it is one word of at most 128 letters, digits and "-._~+/=:". Otherwise the ID of the
	// event of the HTTP request.
	CorrelationID string `json:"correlation_id"`

	// Trace ID of the header traceparent (W3C Trace Context). Empty if that is not valid.
	TraceID string `json:"trace_id,omitempty"`

	// Number of events that were dropped since the one before, because there were too many of callers without a valid token.
	Dropped uint64 `json:"dropped,omitempty"`
}

// AuditOperation is one operation of an [AuditEvent].
type AuditOperation struct {
	// JSON-RPC method.
	Method string `json:"method"`
	// Name of the tool or prompt, or URI of the resource without user info, query and fragment. Empty for other methods.
	Name string `json:"name,omitempty"`
}

// LogValue returns the fields that are not empty, with their names in JSON.
func (e AuditEvent) LogValue() slog.Value {
	return slog.GroupValue(append([]slog.Attr{slog.Time("time", e.Time)}, e.attrs()...)...)
}

// attrs returns the fields that are not empty, except for the time.
func (e *AuditEvent) attrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 24)
	text := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	number := func(name string, value int64) {
		if value != 0 {
			attrs = append(attrs, slog.Int64(name, value))
		}
	}
	number("schema", int64(e.Schema))
	text("event_id", e.ID)
	text("decision", e.Decision)
	text("layer", e.Layer)
	text("reason", string(e.Reason))
	number("status", int64(e.Status))
	text("resource", e.Resource)
	text("issuer", e.Issuer)
	text("subject_hash", e.SubjectHash)
	text("subject", e.Subject)
	text("kind", e.Kind)
	text("organization", e.Organization)
	text("client_id", e.ClientID)
	text("client_host", e.ClientHost)
	text("http_method", e.HTTPMethod)
	if len(e.Operations) > 0 {
		attrs = append(attrs, slog.Any("operations", e.Operations))
	}
	number("operation_count", int64(e.OperationCount))
	number("duration_ns", int64(e.Duration))
	text("ended", e.Ended)
	text("session_hash", e.SessionHash)
	text("correlation_id", e.CorrelationID)
	text("trace_id", e.TraceID)
	number("dropped", int64(e.Dropped))
	return attrs
}

// setCaller sets what the event says of the caller.
func (e *AuditEvent) setCaller(c *caller, a *auditor) {
	if c.anonymous {
		e.Kind = kindAnonymous
		return
	}
	if !a.clear { // observers may need the hash in either case
		e.SubjectHash = c.auditHash
	}
	e.setIdentity(&c.identity, a)
}

// setIdentity sets what the event says of a verified caller.
func (e *AuditEvent) setIdentity(id *Identity, a *auditor) {
	e.Issuer = quote.Clip(id.Issuer, maxAuditName)
	e.Kind = id.Kind.String()
	e.Organization = quote.Clip(id.Organization.ID, maxAuditName)
	e.ClientID = quote.Clip(id.ClientID, maxAuditName)
	e.ClientHost = clientHost(id.ClientID)
	if a.clear {
		e.Subject = quote.Clip(id.Subject, maxAuditName)
	} else if e.SubjectHash == "" {
		e.SubjectHash = a.subjectHash(id)
	}
}

// setOperations sets what the event says of the operations. method, if not empty, is the
// JSON-RPC method of all of them: a requirement for reading a resource also applies to other
// methods.
func (e *AuditEvent) setOperations(method string, ops []operation, secrets []string) {
	e.OperationCount += len(ops)
	for _, op := range ops[:min(len(ops), maxAuditOperations-len(e.Operations))] {
		name := op.name
		if op.method == methodReadResource {
			name = publicURI(name)
		}
		e.Operations = append(e.Operations, AuditOperation{
			Method: auditText(cmp.Or(method, op.method), secrets),
			Name:   auditText(name, secrets),
		})
	}
}

// setBody sets the operations in a body. Of a message that requirements would reject as
// malformed, only the method is used, and nothing of a body that is not JSON-RPC.
func (e *AuditEvent) setBody(body []byte, secrets []string) {
	messages, err := messagesOf(body)
	if err != nil {
		return
	}
	for _, message := range messages {
		m, err := membersOf(message)
		if err != nil || m["method"] == nil {
			continue // a response to the server has no method
		}
		var method string
		if m.text("method", &method) != nil {
			continue
		}
		ops, err := operationsOfMembers(method, m)
		if err != nil || len(ops) == 0 {
			ops = []operation{{method: method}}
		}
		e.setOperations(method, ops, secrets)
	}
}

// auditText returns a text that a client chose as it is written into an event.
func auditText(s string, secrets []string) string {
	s = quote.Clip(s, maxAuditName)
	if hasTokenPart(s, secrets) {
		return redactedPart
	}
	return s
}

// publicURI returns the URI of a resource without user info, query and fragment, which may
// have passwords and arguments.
func publicURI(uri string) string {
	if end := strings.IndexAny(uri, "?#"); end >= 0 {
		uri = uri[:end]
	}
	scheme, rest, ok := strings.Cut(uri, "//")
	if !ok {
		return uri
	}
	authority, path := rest, ""
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		authority, path = rest[:slash], rest[slash:]
	}
	return scheme + "//" + authority[strings.LastIndexByte(authority, '@')+1:] + path
}

// secretsOf returns the texts of the request that may have a token.
func secretsOf(r *http.Request) []string {
	secrets := make([]string, 0, 4)
	for _, value := range r.Header["Authorization"] {
		for word := range strings.FieldsSeq(value) {
			secrets = append(secrets, word)
		}
	}
	if r.URL.RawQuery != "" {
		secrets = append(secrets, r.URL.RawQuery)
	}
	return secrets
}

// hasTokenPart reports whether s has one of the secrets or a part of one. It finds every part
// of at least 2*minTokenPart-1 bytes, because such a part contains a whole block of s.
func hasTokenPart(s string, secrets []string) bool {
	for _, secret := range secrets {
		if len(secret) < minTokenPart {
			continue
		}
		if strings.Contains(s, secret) {
			return true
		}
		for begin := 0; begin+minTokenPart <= len(s); begin += minTokenPart {
			if strings.Contains(secret, s[begin:begin+minTokenPart]) {
				return true
			}
		}
	}
	return false
}

// clientHost returns the host of a client ID that is a URL, and "" for others.
func clientHost(clientID string) string {
	if !strings.HasPrefix(clientID, "https://") && !strings.HasPrefix(clientID, "http://") {
		return ""
	}
	u, err := url.Parse(clientID)
	if err != nil {
		return ""
	}
	return quote.Clip(strings.ToLower(u.Hostname()), maxAuditName)
}

// correlationOf returns the only value of X-Request-Id, if it can be used.
func correlationOf(values, secrets []string) string {
	if len(values) != 1 || values[0] == "" || len(values[0]) > maxCorrelationID || hasTokenPart(values[0], secrets) {
		return ""
	}
	for _, c := range []byte(values[0]) {
		if !token68[c] && c != '=' && c != ':' {
			return ""
		}
	}
	return values[0]
}

// The form of traceparent: version, trace ID, parent ID and flags (W3C Trace Context §3.2).
const (
	traceparentSize = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	traceIDBegin    = len("00-")
	traceIDEnd      = traceIDBegin + 32
	parentIDEnd     = traceIDEnd + 1 + 16
)

// traceOf returns the trace ID of the only value of traceparent, or "" if that is not valid.
// A later version may be followed by more fields (W3C Trace Context §4.3).
func traceOf(values []string) string {
	if len(values) != 1 || len(values[0]) < traceparentSize {
		return ""
	}
	v := values[0]
	version, trace, parent := v[:2], v[traceIDBegin:traceIDEnd], v[traceIDEnd+1:parentIDEnd]
	separated := v[2] == '-' && v[traceIDEnd] == '-' && v[parentIDEnd] == '-'
	switch {
	case !separated, !isLowerHex(version), !isLowerHex(trace), !isLowerHex(parent), !isLowerHex(v[parentIDEnd+1 : traceparentSize]):
		return ""
	case version == "ff", strings.Trim(trace, "0") == "", strings.Trim(parent, "0") == "":
		return ""
	case len(v) > traceparentSize && (version == "00" || v[traceparentSize] != '-'):
		return ""
	}
	return trace
}

func isLowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
