package gatehouse

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

const (
	// maxFailedSignInEvents is how many events of callers without a valid token are written in
	// one second, of rejected requests and of public ones. Anyone can cause them.
	maxFailedSignInEvents = 100
	// minAuditKey is the length of an [AuditKey] in bytes: that of the hash (RFC 2104 §3).
	minAuditKey = sha256.Size
	// auditHashSize is the length of a hash in an event in bytes.
	auditHashSize = 16
	// auditMessage is the message of the lines in [Config.AuditLogger].
	auditMessage = "audit"
)

// The purposes of the hashes, which keep them apart from each other.
const (
	auditSubjectPurpose = "gatehouse audit subject 1\x00"
	auditSessionPurpose = "gatehouse audit session 1\x00"
)

// AuditSubjects says how an [AuditEvent] names the caller.
type AuditSubjects int

const (
	// AuditSubjectsHashed writes [AuditEvent.SubjectHash]: see [AuditKey.SubjectHash].
	AuditSubjectsHashed AuditSubjects = iota

	// AuditSubjectsClear writes [AuditEvent.Subject], which is personal data.
	AuditSubjectsClear
)

// AuditKey is the secret key of the hashes in audit events; see [Config.AuditKey]. It prints
// as a placeholder.
type AuditKey []byte

const auditKeyPlaceholder = "[audit key]"

// Format prints a placeholder for every verb.
func (AuditKey) Format(f fmt.State, _ rune) { io.WriteString(f, auditKeyPlaceholder) }

// MarshalText returns the same placeholder as Format.
func (AuditKey) MarshalText() ([]byte, error) { return []byte(auditKeyPlaceholder), nil }

// LogValue returns the same placeholder as Format.
func (AuditKey) LogValue() slog.Value { return slog.StringValue(auditKeyPlaceholder) }

// SubjectHash returns the hash that events with this key have for a caller, to find them.
func (k AuditKey) SubjectHash(issuer, subject string) string {
	return k.hash(auditSubjectPurpose, issuer, subject)
}

// hash returns the first bytes of HMAC-SHA256 over the two texts, in base64url.
func (k AuditKey) hash(purpose, first, second string) string {
	h := hmac.New(sha256.New, k)
	io.WriteString(h, purpose)
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(first)))
	h.Write(length[:])
	io.WriteString(h, first)
	io.WriteString(h, second)
	var sum [sha256.Size]byte
	return base64.RawURLEncoding.EncodeToString(h.Sum(sum[:0])[:auditHashSize])
}

// validateAudit checks the settings of the audit.
func (s *settings) validateAudit(f *faults) {
	if s.AuditSubjects != AuditSubjectsHashed && s.AuditSubjects != AuditSubjectsClear {
		f.add("AuditSubjects", strconv.Itoa(int(s.AuditSubjects)), "is not a way to name the caller",
			"use AuditSubjectsHashed or AuditSubjectsClear")
	}
	if n := len(s.AuditKey); n > 0 && n < minAuditKey {
		f.add("AuditKey", "", fmt.Sprintf("has %d bytes, want at least %d", n, minAuditKey),
			`set it to random bytes, like those of "openssl rand -base64 32", or leave it empty`)
	}
	if s.Audit != nil || s.AuditLogger != nil {
		return
	}
	const fix = "set one of them in addition, or remove it"
	if len(s.AuditKey) > 0 && len(s.Observers) == 0 {
		f.add("AuditKey", "", "has no effect without Audit, AuditLogger or Observers", fix)
	}
	if s.AuditSubjects != AuditSubjectsHashed {
		f.add("AuditSubjects", "", "has no effect without Audit or AuditLogger", fix)
	}
}

// auditor makes the audit events of a guard. A nil auditor does nothing.
type auditor struct {
	hook      func(context.Context, AuditEvent)
	logger    *slog.Logger // receives events; may be nil
	errors    *slog.Logger // receives a line about the first event that failed
	resource  string
	clear     bool
	randomKey bool
	hashOf    func(purpose, first, second string) string // a function, so that printing a guard prints no key

	failedSignIns eventLimit
	publicUses    eventLimit    // a limit of its own, so that public calls cannot hide failed sign-ins
	dropped       atomic.Uint64 // since the guard was made
	unreported    atomic.Uint64 // those of them that no event has reported
	failed        atomic.Uint64
	firstError    sync.Once
}

// takeAuditKey returns the key of hashes, and removes it from the settings, so that printing a guard
// prints no key. It is random if none is set, and nil if nothing needs it.
func (s *settings) takeAuditKey() (key AuditKey, random bool) {
	key = slices.Clone(s.AuditKey)
	s.AuditKey = nil
	if len(key) > 0 || s.Audit == nil && s.AuditLogger == nil && len(s.Observers) == 0 {
		return key, false
	}
	key = make(AuditKey, minAuditKey)
	rand.Read(key) // never returns an error
	return key, true
}

func newAuditor(s *settings, key AuditKey, randomKey bool) *auditor {
	if s.Audit == nil && s.AuditLogger == nil {
		return nil
	}
	a := &auditor{
		hook:      s.Audit,
		logger:    s.AuditLogger,
		errors:    s.Logger,
		resource:  quote.Clip(s.resourceURL.String(), maxAuditName),
		clear:     s.AuditSubjects == AuditSubjectsClear,
		randomKey: randomKey,
	}
	a.hashOf = key.hash
	return a
}

// warnings returns one sentence for each risky setting.
func (a *auditor) warnings() []string {
	if a == nil {
		return nil
	}
	var out []string
	if a.randomKey {
		out = append(out, "the hashes in audit events change with each restart and differ between replicas (AuditKey is empty)")
	}
	if a.logger != nil && !a.logger.Enabled(context.Background(), slog.LevelInfo) {
		out = append(out, "audit events are not logged, because the handler of AuditLogger discards the level info")
	}
	return out
}

// stats returns how many events were dropped and how many failed.
func (a *auditor) stats() (dropped, failed uint64) {
	if a == nil {
		return 0, 0
	}
	return a.dropped.Load(), a.failed.Load()
}

// eventLimit limits events in each second of the clock.
type eventLimit struct {
	mu     sync.Mutex
	second int64
	count  int
}

// allow reports whether one more event is within the limit.
func (l *eventLimit) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second := now.Unix(); second != l.second {
		l.second, l.count = second, 0
	}
	l.count++
	return l.count <= maxFailedSignInEvents
}

// newEvent returns an event with what every event has.
func (a *auditor) newEvent(now time.Time, decision, layer string) AuditEvent {
	return AuditEvent{
		Schema:   AuditSchema,
		Time:     now,
		ID:       rand.Text(),
		Decision: decision,
		Layer:    layer,
		Resource: a.resource,
	}
}

// describe sets what the event says of the request.
func (a *auditor) describe(e *AuditEvent, r *http.Request) {
	secrets := secretsOf(r)
	e.HTTPMethod = httpMethod(r.Method)
	e.CorrelationID = cmp.Or(correlationOf(r.Header["X-Request-Id"], secrets), e.ID)
	if e.TraceID = traceOf(r.Header["Traceparent"]); hasTokenPart(e.TraceID, secrets) {
		e.TraceID = ""
	}
	if ids := r.Header[sessionHeader]; len(ids) == 1 {
		e.SessionHash = a.sessionHash(ids[0])
	}
	if body, ok := r.Body.(*bufferedBody); ok && r.Method == http.MethodPost {
		e.setBody(body.text, secrets)
	}
}

// subjectHash returns the hash of the caller, or "" if events have none. The verifier keeps it
// with the verified token, because it takes ten allocations, as many as the rest of an event.
func (a *auditor) subjectHash(id *Identity) string {
	if a == nil || a.clear {
		return ""
	}
	return a.hashOf(auditSubjectPurpose, id.Issuer, id.Subject)
}

// sessionHash returns the hash of the session ID that the client has, without its seal.
func (a *auditor) sessionHash(id string) string {
	if end := strings.LastIndex(id, sealSeparator); end >= 0 {
		id = id[:end]
	}
	if id == "" {
		return ""
	}
	return a.hashOf(auditSessionPurpose, "", id)
}

// httpMethod returns a method that MCP or CORS use, or "other".
func httpMethod(method string) string {
	switch method {
	case http.MethodPost, http.MethodGet, http.MethodDelete, http.MethodOptions, http.MethodHead, http.MethodPut, http.MethodPatch:
		return method
	}
	return "other"
}

// reject writes the event of a request that one of the checks rejected with the status.
func (a *auditor) reject(r *http.Request, rejection Rejection, status int) {
	if a == nil || rejection.letThrough {
		return
	}
	now := time.Now()
	limited := rejection.Identity.Subject == "" || infoOf(rejection.Reason).Status == http.StatusUnauthorized
	if limited && !a.allow(&a.failedSignIns, now) {
		return
	}
	e := a.newEvent(now, AuditDeny, AuditHTTP)
	e.Reason, e.Status = rejection.Reason, status
	a.describe(&e, r)
	switch {
	case rejection.Identity.Subject != "":
		e.setIdentity(&rejection.Identity, a)
	case rejection.from != nil:
		e.Issuer = quote.Clip(rejection.from.Issuer, maxAuditName)
	}
	a.write(r.Context(), &e)
}

// rejectMCP writes the event of operations that the middleware rejected. c may be nil.
func (a *auditor) rejectMCP(ctx context.Context, method string, ops []operation, c *caller, why Reason) {
	if a == nil {
		return
	}
	now := time.Now()
	if (c == nil || c.anonymous) && !a.allow(&a.failedSignIns, now) {
		return
	}
	e := a.newEvent(now, AuditDeny, AuditMCP)
	e.Reason, e.CorrelationID = why, e.ID
	var secrets []string
	if c != nil {
		secrets = []string{c.token()}
		e.setCaller(c, a)
		if c.request != nil && c.request.audit != nil {
			of := c.request.audit
			e.CorrelationID, e.TraceID, e.SessionHash = of.CorrelationID, of.TraceID, of.SessionHash
		}
	}
	e.setOperations(method, ops, secrets)
	a.write(ctx, &e)
}

// begin returns the event of a request that is let through, without its outcome. It returns nil
// if there is no audit, or if the event is dropped.
func (a *auditor) begin(r *http.Request, c *caller) *AuditEvent {
	if a == nil {
		return nil
	}
	now := time.Now()
	if c.anonymous && !a.allow(&a.publicUses, now) {
		return nil
	}
	e := a.newEvent(now, AuditAllow, AuditHTTP)
	a.describe(&e, r)
	e.setCaller(c, a)
	return &e
}

// finish writes the event of a request that was let through, with its outcome. returned is
// false if the handler panicked.
func (a *auditor) finish(r *http.Request, o *openRequest, answer *answerWriter, returned bool) {
	if a == nil || o.audit == nil {
		return
	}
	e := *o.audit // the middleware may read it at the same time
	e.Duration = time.Since(e.Time)
	e.Ended, e.Status = endOf(r, o, returned), statusOf(o, answer, returned)
	if e.SessionHash == "" {
		e.SessionHash = a.sessionHash(answer.Header().Get(sessionHeader))
	}
	a.write(r.Context(), &e)
}

// statusOf returns the status of the answer to a request, or 0 if the handler panicked.
func statusOf(o *openRequest, answer *answerWriter, returned bool) int {
	why := o.endedBy()
	switch {
	case !returned: // net/http closes the connection, or a handler outside the guard answers
		return 0
	case answer.replaced && why.reason != "":
		return infoOf(why.reason).Status
	}
	return answer.status
}

// The ends of a request in an event, other than a [Reason].
const (
	endedByShutdown = "shutdown"
	endedByClient   = "client"
	endedByDeadline = "deadline"
	endedByPanic    = "panic"
)

// endOf returns why the request ended before its answer was complete, or "".
func endOf(r *http.Request, o *openRequest, returned bool) string {
	if why := o.endedBy(); why != nil {
		return cmp.Or(string(why.reason), endedByShutdown)
	}
	switch err := r.Context().Err(); {
	case !returned:
		return endedByPanic
	case errors.Is(err, context.DeadlineExceeded):
		return endedByDeadline
	case err != nil:
		return endedByClient
	}
	return ""
}

// allow reports whether one more event of a caller without a valid token is within the limit.
// Otherwise it counts the event as dropped.
func (a *auditor) allow(limit *eventLimit, now time.Time) bool {
	if limit.allow(now) {
		return true
	}
	a.dropped.Add(1)
	a.unreported.Add(1)
	return false
}

// write passes the event to the hook and to the logger. A failure of one does not affect the
// other.
func (a *auditor) write(ctx context.Context, e *AuditEvent) {
	e.Time = e.Time.UTC() // not before, because it removes the monotonic clock
	e.Dropped = a.unreported.Swap(0)
	ctx = context.WithoutCancel(ctx)
	failed := false
	if a.hook != nil {
		failed = a.try("Config.Audit", func() error {
			a.hook(ctx, *e)
			return nil
		})
	}
	if a.logger != nil {
		failed = a.try("Config.AuditLogger", func() error { return logEvent(ctx, a.logger, e) }) || failed
	}
	if failed {
		a.failed.Add(1)
	}
}

// try calls f and reports whether it failed. A panic is a failure: it must neither end the
// process, which has goroutines without a handler above them, nor change the answer.
func (a *auditor) try(setting string, f func() error) (failed bool) {
	report := func(problem string) {
		failed = true
		defer func() { recover() }() // the handler of Config.Logger may be the one that panics
		a.firstError.Do(func() {
			a.errors.Error("an audit event was lost; later ones are counted in Stats.AuditFailed", "setting", setting, "problem", problem)
		})
	}
	defer func() {
		if p := recover(); p != nil {
			report(fmt.Sprintf("it panicked with a %T", p))
		}
	}()
	if err := f(); err != nil {
		report(quote.Clip(err.Error(), maxLoggedDetail))
	}
	return failed
}

// logEvent writes the event to the handler of logger, because a logger ignores the error.
func logEvent(ctx context.Context, logger *slog.Logger, e *AuditEvent) error {
	handler := logger.Handler()
	if !handler.Enabled(ctx, slog.LevelInfo) {
		return nil
	}
	record := slog.NewRecord(e.Time, slog.LevelInfo, auditMessage, 0)
	record.AddAttrs(e.attrs()...)
	return handler.Handle(ctx, record)
}
