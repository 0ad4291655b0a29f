package gatehouse

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/ratelimit"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// Denials is a deny list without a guard.
type Denials struct{ list denials }

// MaxDenials is the limit of the deny list.
const MaxDenials = maxDenials

// NewDenials returns an empty deny list.
func NewDenials() *Denials { return &Denials{} }

// Add adds a denial as [Guard.Deny] does.
func (d *Denials) Add(denial Denial) error {
	if d.list.add(MaxDenials, denial) > 0 {
		return ErrTooManyDenials
	}
	return nil
}

// Put adds a denial without checking the limit, which takes time for a long list.
func (d *Denials) Put(denial Denial) {
	if d.list.current.Load() == nil {
		d.list.current.Store(&map[denialKey][]Denial{})
	}
	current := *d.list.current.Load()
	current[denial.key()] = append(current[denial.key()], denial)
}

// Match reports whether a token of the subject is denied now.
func (d *Denials) Match(issuer, subject string) bool {
	return d.list.match(&verified{identity: Identity{Issuer: issuer, Subject: subject}}, time.Now())
}

// The bounds of a token cache.
const (
	CacheEntries = cacheEntries
	CacheBytes   = cacheBytes
)

// TokenCache is a cache of verified tokens without a guard.
type TokenCache struct{ cache tokenCache }

// NewTokenCache returns an empty cache.
func NewTokenCache() TokenCache { return TokenCache{newTokenCache()} }

// Put adds a token with an identity of its own.
func (c TokenCache) Put(key [32]byte, claims string, generation uint64, expires time.Time) {
	id := Identity{
		Issuer:      strings.Clone("https://verb-noun-42.clerk.accounts.dev"),
		Subject:     strings.Clone("user_3BJN08XElmDVNILqWw1IT4fXzUd"),
		ClientID:    strings.Clone("dGd3hVEbAbMZNBbK"),
		TokenID:     strings.Clone("oat_T6R0A1C379HWAWRF"),
		Scopes:      []string{strings.Clone("profile"), strings.Clone("email")},
		Audience:    []string{strings.Clone("https://mcp.example.com/mcp")},
		Fingerprint: base64.RawURLEncoding.EncodeToString(key[:]),
		payload:     claims,
	}
	v := verified{identity: id, principal: id.Principal(), from: testIssuer}
	c.cache.put(key, &v, generation, expires)
}

// Get returns the claims of a token.
func (c TokenCache) Get(key [32]byte, generation uint64, now time.Time) (claims string, ok bool) {
	e := c.cache.get(key, now)
	if e == nil || e.generation != generation {
		return "", false
	}
	var v verified
	v.read(e.record, e.from)
	return v.identity.payload, true
}

// testIssuer is the provider of all tokens in a TokenCache.
var testIssuer = &issuer{Provider: Provider{Name: "Test"}}

// Size evicts what exceeds the bounds, and returns the number of entries and their weight.
func (c TokenCache) Size() (entries int, weight uint64) {
	c.cache.entries.CleanUp()
	return c.cache.len(), c.cache.entries.WeightedSize()
}

// SessionTable is a table of sessions without a guard. Its sessions are numbered.
type SessionTable struct{ table *sessionTable }

// NewSessionTable returns an empty table.
func NewSessionTable(max, maxPerUser int, timeout time.Duration) SessionTable {
	return SessionTable{newSessionTable(max, maxPerUser, timeout, nil)}
}

// Open opens a session as a request of the principal does.
func (t SessionTable) Open(principal string, id byte) error {
	if err := t.table.reserve(principal, time.Now()); err != nil {
		return err
	}
	t.table.opened(seal{id}, principal, true, time.Now())
	return nil
}

// Begin begins a request in a session and returns what ends it.
func (t SessionTable) Begin(id byte) (end func()) {
	t.table.begin(seal{id}, time.Now())
	return func() { t.table.end(seal{id}, "", false, true, time.Now()) }
}

// Use is a request in a session.
func (t SessionTable) Use(principal string, id byte) {
	t.table.begin(seal{id}, time.Now())
	t.table.end(seal{id}, principal, false, true, time.Now())
}

// Len returns the number of rows.
func (t SessionTable) Len() int { return t.table.len() }

// SetKeepAlive sets the interval of the comments of idle streams.
func (g *Guard) SetKeepAlive(interval time.Duration) { g.limits.keepAlive = interval }

// SetBodyTimeouts sets the time limits of bodies.
func (g *Guard) SetBodyTimeouts(t listen.BodyTimeouts) { g.limits.bodies = t }

// Cached returns id and what belongs to it as a cache returns them.
func Cached(id Identity, claims, sessionID string, bound bool, notBefore time.Time) (Identity, string, string, bool, time.Time) {
	id.payload = claims
	from := &issuer{Provider: Provider{Name: id.Provider}}
	in := verified{identity: id, from: from, principal: id.Principal(), sessionID: sessionID, auditHash: "hash", bound: bound, notBefore: notBefore}
	var out verified
	out.read(recordOf(&in), from)
	payload := out.identity.payload
	out.identity.payload = ""
	if out.principal != in.principal || out.auditHash != in.auditHash {
		panic("the principal or its hash changed")
	}
	return out.identity, payload, out.sessionID, out.bound, out.notBefore
}

// DisabledAuditAllocations returns the allocations of the calls that a request makes if there
// is no audit.
func DisabledAuditAllocations() float64 {
	var a *auditor
	r, o, answer := &http.Request{}, &openRequest{}, &answerWriter{}
	rejection := Rejection{Reason: reason.Expired}
	return testing.AllocsPerRun(100, func() {
		a.reject(r, rejection, http.StatusUnauthorized)
		a.rejectMCP(r.Context(), methodCallTool, nil, nil, reason.NoCredentials)
		o.audit = a.begin(r, o.caller)
		a.finish(r, o, answer, true)
	})
}

// OpenLate opens a request without a token in a session in which a principal signed in after the
// session was looked up, and returns why it is rejected. If principal is empty, no one signed in.
func (g *Guard) OpenLate(r *http.Request, session, principal string) Reason {
	late, user := &sessionUse{sessions: g.sessions}, &sessionUse{sessions: g.sessions, principal: principal}
	if err := errors.Join(late.join(session), user.join(session)); err != nil {
		return Reason(err.Error())
	}
	o, _, rejection := g.open(r, g.newAnonymous(time.Now()), messageKind{stream: true}, late)
	if rejection != nil {
		return rejection.Reason
	}
	g.requests.close(o)
	return ""
}

// MaxBudgets is the limit of a table of budgets.
const MaxBudgets = maxBudgets

// CleanUpBudgets removes what exceeds the limit from the tables of budgets.
func (g *Guard) CleanUpBudgets() {
	g.limiter.byClient.rows.CleanUp()
	g.limiter.byCaller.rows.CleanUp()
}

// Bucket is a budget without a guard.
type Bucket struct{ bucket ratelimit.Bucket }

// Take takes from the budget as a [RateLimiter] does.
func (b *Bucket) Take(now time.Time, n int, rate Rate) time.Duration {
	return b.bucket.Take(now, n, ratelimit.Rate(rate))
}
