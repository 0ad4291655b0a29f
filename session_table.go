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
// number of them. A row may be missing: then one session too many is open, or callers without
// a token can use a session again that was opened without one. See claim.
type sessionTable struct {
	max, maxPerUser int
	timeout         time.Duration

	mu       sync.Mutex
	rows     map[seal]*list.Element // of *sessionRow
	order    *list.List             // of *sessionRow, the least recently used first
	reserved int                    // sessions that running requests may open
	perUser  map[string]int         // rows and reservations by principal
}

type sessionRow struct {
	seal      seal
	principal string
	lastUse   time.Time
	running   int // requests in the session; it is not idle while there is one
}

func newSessionTable(max, maxPerUser int, timeout time.Duration) *sessionTable {
	return &sessionTable{
		max:        max,
		maxPerUser: maxPerUser,
		timeout:    timeout,
		rows:       make(map[seal]*list.Element),
		order:      list.New(),
		perUser:    make(map[string]int),
	}
}

// reserve holds a place for a session that a request of the principal may open.
func (t *sessionTable) reserve(principal string, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	if t.perUser[principal] >= userLimit(principal, t.max, t.maxPerUser) {
		return errUserSessions
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
	defer t.mu.Unlock()
	if reserved {
		t.reserved--
		t.forget(principal)
	}
	t.touch(id, principal, now)
}

// touch marks the session as used. It adds its row if there is none: its request needed no
// reservation, or another process opened it. In a full table the oldest row makes place.
func (t *sessionTable) touch(id seal, principal string, now time.Time) *sessionRow {
	if e, ok := t.rows[id]; ok {
		row := e.Value.(*sessionRow)
		row.lastUse = now
		t.order.MoveToBack(e)
		return row
	}
	t.expire(now)
	if len(t.rows) >= t.max {
		t.remove(t.order.Front())
	}
	row := &sessionRow{seal: id, principal: strings.Clone(principal), lastUse: now}
	t.rows[id] = t.order.PushBack(row)
	t.perUser[row.principal]++
	return row
}

// claim reports whether the principal may use a session that was opened without a token, which
// then belongs to it. Callers without a token may use it until then.
func (t *sessionTable) claim(id seal, principal string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.rows[id]
	if !ok {
		if principal != anonymousPrincipal {
			t.touch(id, principal, now)
		}
		return true
	}
	row := e.Value.(*sessionRow)
	if row.principal == anonymousPrincipal && principal != anonymousPrincipal {
		t.forget(row.principal)
		row.principal = strings.Clone(principal)
		t.perUser[row.principal]++
	}
	return row.principal == principal
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
	defer t.mu.Unlock()
	e, ok := t.rows[id]
	switch {
	case ended && ok:
		t.remove(e)
	case ended:
	case ok:
		row := t.touch(id, principal, now)
		row.running = max(0, row.running-1)
	case used:
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
		t.remove(e)
	}
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
