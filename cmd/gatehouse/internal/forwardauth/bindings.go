package forwardauth

import (
	"container/list"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

const sessionHeader = "Mcp-Session-Id"

const (
	// maxBindings bounds the sessions of all users, and maxBindingsPerUser those of one.
	maxBindings        = 10_000
	maxBindingsPerUser = 200
	// bindingTime is how long a session that is not used stays bound to its user.
	bindingTime = 24 * time.Hour
	// maxSessionID bounds a session ID, in bytes.
	maxSessionID = 1024
)

// sessionError is why a request with a session ID is rejected.
type sessionError struct {
	reason gatehouse.Reason
	text   string
}

// bindings binds each session ID to the first user who sends it. The MCP server's answer, which
// names the ID, does not come by here, so an ID cannot be sealed as in the gateway: someone who
// learns one before its user has sent it is taken for its user.
//
// A user who has more sessions than maxBindingsPerUser loses the binding of the one that was not
// used for the longest time, and no one else does.
type bindings struct {
	now func() time.Time

	mu     sync.Mutex
	byID   map[[sha256.Size]byte]*list.Element // of its user's list
	byUser map[string]*list.List               // of *binding, the most recently used first
}

// binding is one session of a user.
type binding struct {
	id       [sha256.Size]byte
	user     string
	lastUsed time.Time
}

func newBindings() *bindings {
	return &bindings{now: time.Now, byID: make(map[[sha256.Size]byte]*list.Element), byUser: make(map[string]*list.List)}
}

// use returns nil if the request is in no session, or in one of the user. ids are the values of
// Mcp-Session-Id.
func (b *bindings) use(ids []string, user string) *sessionError {
	switch {
	case len(ids) == 0 || len(ids) == 1 && ids[0] == "":
		return nil
	case len(ids) > 1:
		return &sessionError{reasonOtherUser, "the request has several session IDs"}
	case len(ids[0]) > maxSessionID:
		return &sessionError{reasonOtherUser, fmt.Sprintf("the session ID has %d bytes, want at most %d", len(ids[0]), maxSessionID)}
	}
	id := sha256.Sum256([]byte(ids[0]))
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if e := b.byID[id]; e != nil {
		bound := e.Value.(*binding)
		if now.Sub(bound.lastUsed) <= bindingTime {
			if bound.user != user {
				return &sessionError{reasonOtherUser, "the session belongs to another principal"}
			}
			bound.lastUsed = now
			b.byUser[user].MoveToFront(e)
			return nil
		}
		b.remove(e)
	}
	if err := b.evictOldest(user, now); err != nil {
		return &sessionError{reasonTooMany, err.Error()}
	}
	if b.byUser[user] == nil {
		b.byUser[user] = list.New()
	}
	b.byID[id] = b.byUser[user].PushFront(&binding{id, user, now})
	return nil
}

var errBindings = errors.New("too many sessions are bound to users")

// evictOldest removes a binding if the user or the table has as many as it may have.
func (b *bindings) evictOldest(user string, now time.Time) error {
	if own := b.byUser[user]; own != nil && own.Len() >= maxBindingsPerUser {
		b.remove(own.Back())
	}
	if len(b.byID) < maxBindings {
		return nil
	}
	for _, own := range b.byUser {
		for e := own.Back(); e != nil && now.Sub(e.Value.(*binding).lastUsed) > bindingTime; e = own.Back() {
			b.remove(e)
		}
	}
	if len(b.byID) < maxBindings {
		return nil
	}
	return errBindings
}

func (b *bindings) remove(e *list.Element) {
	bound := e.Value.(*binding)
	delete(b.byID, bound.id)
	own := b.byUser[bound.user]
	if own.Remove(e); own.Len() == 0 {
		delete(b.byUser, bound.user)
	}
}
