package gatehouse

import (
	"container/list"
	"errors"
	"strings"
	"sync"
	"time"
)

var (
	errUserSessions = errors.New("the principal has as many open sessions or streams as MaxSessionsPerUser allows")
	errAllSessions  = errors.New("the server has as many open sessions or streams as MaxSessions allows")
)

// sessionTable counts the open sessions of the handler, so that a user cannot open any
// number of them. A row may be missing: then one session too many is open. A session that was
// opened without a token is unknown without its row, which says to whom it belongs; see claim.
type sessionTable struct {
	max, maxPerUser int
	timeout         time.Duration

	mu       sync.Mutex
	rows     map[seal]*list.Element // of *sessionRow
	order    *list.List             // of *sessionRow, the least recently used first
	reserved int                    // sessions that running requests may open
	perUser  map[string]int         // rows and reservations by principal

	onEnd func(SessionEnd) // called without the lock; may be nil
	ended []SessionEnd     // for which it is to be called
}

type sessionRow struct {
	seal      seal
	principal string
	openedAt  time.Time // zero if another process opened it
	lastUse   time.Time
	running   int // requests in the session; it is not idle while there is one
}

func newSessionTable(max, maxPerUser int, timeout time.Duration, onEnd func(SessionEnd)) *sessionTable {
	return &sessionTable{
		max:        max,
		maxPerUser: maxPerUser,
		timeout:    timeout,
		rows:       make(map[seal]*list.Element),
		order:      list.New(),
		perUser:    make(map[string]int),
		onEnd:      onEnd,
	}
}

// unlock reports the sessions that have ended, and unlocks the table before.
func (t *sessionTable) unlock() {
	ended := t.ended
	t.ended = nil
	t.mu.Unlock()
	for _, e := range ended {
		t.onEnd(e)
	}
}

// reserve holds a place for a session that a request of the principal may open.
func (t *sessionTable) reserve(principal string, now time.Time) error {
	t.mu.Lock()
	defer t.unlock()
	t.expire(now)
	if t.perUser[principal] >= userLimit(principal, t.max, t.maxPerUser) {
		return userLimitError(principal)
	}
	if len(t.rows)+t.reserved >= t.max {
		return errAllSessions
	}
	t.reserved++
	t.perUser[strings.Clone(principal)]++ // the principal may be a part of a larger text
	return nil
}

// release gives a place back that reserve held.
func (t *sessionTable) release(principal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reserved--
	t.forget(principal)
}

func (t *sessionTable) forget(principal string) {
	if t.perUser[principal]--; t.perUser[principal] <= 0 {
		delete(t.perUser, principal)
	}
}

// opened adds the row of a new session, in the place that its request holds, if reserved.
func (t *sessionTable) opened(id seal, principal string, reserved bool, now time.Time) {
	t.mu.Lock()
	defer t.unlock()
	if reserved {
		t.reserved--
		t.forget(principal)
	}
	t.touch(id, principal, now)
	if e, ok := t.rows[id]; ok {
		e.Value.(*sessionRow).openedAt = now
	}
}

// discard removes the row of a session that was not opened after all.
func (t *sessionTable) discard(id seal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.rows[id]; ok {
		t.remove(e)
	}
}

// touch marks the session as used. If it has no row, because its request needed no reservation or
// another process opened it, it gets one, unless the principal or the server has as many as it may.
// No row makes place for it: that could be the one that says to whom a session belongs.
func (t *sessionTable) touch(id seal, principal string, now time.Time) {
	if e, ok := t.rows[id]; ok {
		e.Value.(*sessionRow).lastUse = now
		t.order.MoveToBack(e)
		return
	}
	t.expire(now)
	if len(t.rows)+t.reserved >= t.max || t.perUser[principal] >= userLimit(principal, t.max, t.maxPerUser) {
		return
	}
	row := &sessionRow{seal: id, principal: strings.Clone(principal), lastUse: now}
	t.rows[id] = t.order.PushBack(row)
	t.perUser[row.principal]++
}

// claim returns an error if the principal may not use a session that was opened without a token.
// The session belongs to the first user who uses it, and to callers without a token until then. It
// reports whether it was taken over now. Only its row says to whom it belongs, so a session without
// one is unknown: one that was idle for too long, or that another process opened.
func (t *sessionTable) claim(id seal, principal string, now time.Time) (takenOver bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.rows[id]
	if !ok {
		return false, errAnonymousSession
	}
	row := e.Value.(*sessionRow)
	switch {
	case row.principal == principal:
		return false, nil
	case row.principal != anonymousPrincipal:
		return false, errAnonymousSession
	case t.perUser[principal] >= t.maxPerUser:
		return false, errUserSessions
	}
	t.forget(row.principal)
	row.principal = strings.Clone(principal)
	t.perUser[row.principal]++
	t.touch(id, principal, now)
	return true, nil
}

// isAnonymous reports whether the session has a row, and belongs to callers without a token.
func (t *sessionTable) isAnonymous(id seal) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.rows[id]
	return ok && e.Value.(*sessionRow).principal == anonymousPrincipal
}

// begin marks the beginning of a request in the session, if it has a row.
func (t *sessionTable) begin(id seal, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.rows[id]; ok {
		t.touch(id, "", now)
		e.Value.(*sessionRow).running++
	}
}

// end marks the end of a request in the session. ended says that the session has ended, and
// used that the handler accepted the request.
func (t *sessionTable) end(id seal, principal string, ended, used bool, now time.Time) {
	t.mu.Lock()
	defer t.unlock()
	e, ok := t.rows[id]
	switch {
	case ended && ok && used:
		t.finish(e, sessionDeleted, now)
	case ended && ok:
		t.finish(e, sessionUnknown, now)
	case ended:
	case ok:
		t.touch(id, principal, now)
		row := e.Value.(*sessionRow)
		row.running = max(0, row.running-1)
	case used && principal != anonymousPrincipal: // without a token, its session has ended meanwhile
		t.touch(id, principal, now)
	}
}

// expire removes the rows of sessions that are idle.
func (t *sessionTable) expire(now time.Time) {
	for e := t.order.Front(); e != nil; e = t.order.Front() {
		row := e.Value.(*sessionRow)
		if now.Sub(row.lastUse) < t.timeout {
			return
		}
		if row.running > 0 {
			t.touch(row.seal, row.principal, now)
			continue
		}
		t.finish(e, sessionIdle, row.lastUse)
	}
}

// The values of [SessionEnd.Why].
const (
	sessionDeleted = "deleted"
	sessionUnknown = "unknown"
	sessionIdle    = "idle"
)

// finish removes the row of a session that ended at the time.
func (t *sessionTable) finish(e *list.Element, why string, at time.Time) {
	if opened := e.Value.(*sessionRow).openedAt; t.onEnd != nil && !opened.IsZero() {
		t.ended = append(t.ended, SessionEnd{Why: why, Duration: at.Sub(opened)})
	}
	t.remove(e)
}

func (t *sessionTable) remove(e *list.Element) {
	row := t.order.Remove(e).(*sessionRow)
	delete(t.rows, row.seal)
	t.forget(row.principal)
}

// len returns how many sessions are open.
func (t *sessionTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.rows)
}
