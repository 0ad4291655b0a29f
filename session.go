package gatehouse

import (
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const sessionHeader = "Mcp-Session-Id"

const (
	// maxSessions bounds the table of sessions. When it is full, each new session
	// replaces the oldest. That opens nothing: go-sdk compares the user as well.
	maxSessions = 100_000
	// maxSessionIDs bounds the session IDs of one request. Clients send one.
	maxSessionIDs = 8
)

var (
	errSessionOwner = errors.New("the session was opened by another principal")
	errSessionIDs   = errors.New("the request has too many session IDs")
)

// sessions binds each session of the older transports to the principal that opened it
// (MCP 2025-11-25, security best practices, session hijacking).
type sessions struct {
	owners sync.Map // session ID to principal; read by every request, without a lock

	mu    sync.Mutex // guards order and next
	order []string   // ring of session IDs, the oldest at next
	next  int
}

// check is check 9. It applies to every method: POST, GET and DELETE.
//
// If the header appears several times or has a comma, every value is checked: handlers
// differ in which of them they use.
func (s *sessions) check(r *http.Request, c *caller) *Rejection {
	count := 0
	for _, ids := range r.Header[sessionHeader] {
		for id := range strings.SplitSeq(ids, ",") {
			if count++; count > maxSessionIDs {
				return &Rejection{Reason: reason.SessionOfAnotherUser, Err: errSessionIDs, Identity: c.identity}
			}
			if owner, known := s.owners.Load(strings.TrimSpace(id)); known && owner != c.principal {
				return &Rejection{Reason: reason.SessionOfAnotherUser, Err: errSessionOwner, Identity: c.identity}
			}
		}
	}
	return nil
}

// bind records that principal opened the session, unless its owner is known already.
func (s *sessions) bind(id, principal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.owners.LoadOrStore(id, principal); known {
		return
	}
	if len(s.order) < maxSessions {
		s.order = append(s.order, id)
	} else {
		s.owners.Delete(s.order[s.next])
		s.order[s.next] = id
		s.next = (s.next + 1) % maxSessions
	}
}
