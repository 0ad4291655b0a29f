package gatehouse

import (
	"errors"
	"net/http"
	"sync"
)

const sessionHeader = "Mcp-Session-Id"

// maxSessions bounds the table of sessions; the oldest make room. The session
// handler of go-sdk compares the user as well, so a forgotten row opens nothing.
const maxSessions = 100_000

// sessions binds each session of the older transports to the principal who
// opened it, for POST, GET and DELETE alike (MCP 2025-11-25, security best
// practices, session hijacking).
type sessions struct {
	mu    sync.RWMutex
	owner map[string]string
	order []string // ring of session ids, oldest at next
	next  int
}

var errSessionOwner = errors.New("the session was opened by another principal")

func (s *sessions) check(r *http.Request, c *caller) *Rejection {
	ids := r.Header[sessionHeader]
	if len(ids) == 0 {
		return nil
	}
	s.mu.RLock()
	owner, known := s.owner[ids[0]]
	s.mu.RUnlock()
	if known && owner != c.principal {
		return &Rejection{Reason: reasonSession, Err: errSessionOwner, Identity: c.identity}
	}
	return nil
}

// watch notes the session that the handler opens, if it opens one. release must
// be called when the handler has returned.
func (s *sessions) watch(w http.ResponseWriter, r *http.Request, c *caller) (_ http.ResponseWriter, release func()) {
	if r.Method != http.MethodPost || r.Header.Get(sessionHeader) != "" {
		return w, func() {}
	}
	sw := &sessionWriter{ResponseWriter: w, sessions: s, principal: c.principal}
	return sw, sw.note
}

func (s *sessions) bind(id, principal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.owner[id]; known {
		return
	}
	if s.owner == nil {
		s.owner = make(map[string]string)
	}
	if len(s.order) < maxSessions {
		s.order = append(s.order, id)
	} else {
		delete(s.owner, s.order[s.next])
		s.order[s.next] = id
		s.next = (s.next + 1) % maxSessions
	}
	s.owner[id] = principal
}

// sessionWriter reads the session id off the answer before it leaves.
type sessionWriter struct {
	http.ResponseWriter
	sessions  *sessions
	principal string
	noted     bool
}

func (w *sessionWriter) note() {
	if w.noted {
		return
	}
	w.noted = true
	if id := w.Header().Get(sessionHeader); id != "" {
		w.sessions.bind(id, w.principal)
	}
}

func (w *sessionWriter) WriteHeader(status int) {
	w.note()
	w.ResponseWriter.WriteHeader(status)
}

func (w *sessionWriter) Write(b []byte) (int, error) {
	w.note()
	return w.ResponseWriter.Write(b)
}

// Flush is for handlers that ask for an http.Flusher; Unwrap is for
// http.ResponseController.
func (w *sessionWriter) Flush() {
	w.note()
	http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *sessionWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
