package gatehouse

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const sessionHeader = "Mcp-Session-Id"

// maxSessions bounds the table of sessions; the oldest make room. The session
// handler of go-sdk compares the user as well, so a forgotten row opens nothing.
const maxSessions = 100_000

// sessions binds each session of the older transports to the principal who
// opened it, for POST, GET and DELETE alike (MCP 2025-11-25, security best
// practices, session hijacking).
type sessions struct {
	owner sync.Map // session id to principal; read with every request, without a lock

	mu    sync.Mutex // of who adds
	order []string   // ring of session ids, oldest at next
	next  int
}

// maxSessionIDs is how many ids of one request are looked up. Clients send one.
const maxSessionIDs = 8

var (
	errSessionOwner = errors.New("the session was opened by another principal")
	errSessionIDs   = errors.New("the request names more sessions than are looked up")
)

func (s *sessions) check(r *http.Request, c *caller) *Rejection {
	// Handlers differ in which of several values they take, and in whether a comma
	// makes two of one.
	count := 0
	for _, ids := range r.Header[sessionHeader] {
		for id := range strings.SplitSeq(ids, ",") {
			if count++; count > maxSessionIDs {
				return &Rejection{Reason: reason.SessionOfAnotherUser, Err: errSessionIDs, Identity: c.identity}
			}
			if owner, known := s.owner.Load(strings.TrimSpace(id)); known && owner != c.principal {
				return &Rejection{Reason: reason.SessionOfAnotherUser, Err: errSessionOwner, Identity: c.identity}
			}
		}
	}
	return nil
}

// watch returns the writer for the handler's answer, which notes the session that
// the handler opens, if it opens one.
func (s *sessions) watch(w http.ResponseWriter, r *http.Request, c *caller) *answerWriter {
	aw := &answerWriter{ResponseWriter: w}
	if asked := r.Header[sessionHeader]; r.Method == http.MethodPost {
		aw.opened = func(id string) {
			if !slices.Contains(asked, id) { // one that is in use already
				s.bind(id, c.principal)
			}
		}
	}
	return aw
}

func (s *sessions) bind(id, principal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.owner.LoadOrStore(id, principal); known {
		return
	}
	if len(s.order) < maxSessions {
		s.order = append(s.order, id)
	} else {
		s.owner.Delete(s.order[s.next])
		s.order[s.next] = id
		s.next = (s.next + 1) % maxSessions
	}
}
