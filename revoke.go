package gatehouse

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// maxDenials bounds the deny list. A denial lives no longer than the tokens that
// it is about, so a full list means that Until is set too far.
const maxDenials = 10_000

// Denial shuts tokens out before they expire: all whose claims match every field
// that is set. At least one of the first four must be.
type Denial struct {
	TokenID   string // jti
	SessionID string // sid
	Subject   string // sub
	ClientID  string // client_id

	// IssuedBefore spares tokens issued at or after it, so that a user who may
	// come back can sign in again. Zero spares none. It is compared with iat, by
	// the provider's clock: take the time from the provider's event, or add what
	// its clock may be ahead, [Config.Leeway] at most.
	IssuedBefore time.Time

	// Until is when the denial is forgotten: when the last token that it is about
	// has expired. It is required.
	Until time.Time
}

// ErrTooManyDenials means that the deny list is full. The denial is not in force.
var ErrTooManyDenials = errors.New("gatehouse: deny list is full")

// Deny shuts out tokens that are still valid, from the next request on: for a
// webhook that says a user was banned, or an operator in a hurry. The list is in
// memory and of this process alone. Deny is safe for concurrent use.
func (g *Guard) Deny(d Denial) error {
	if d.TokenID == "" && d.SessionID == "" && d.Subject == "" && d.ClientID == "" {
		return errors.New("gatehouse: denial names nothing; set TokenID, SessionID, Subject or ClientID")
	}
	if !d.Until.After(time.Now()) {
		return fmt.Errorf("gatehouse: denial ends at %s, which has passed; set Until to the expiry of the last token it is about", d.Until)
	}
	return g.denials.add(d)
}

var errRevoked = &TokenError{Reason: reason.Revoked, err: errors.New("token was shut out by Deny or Config.Revoked")}

// revoked reports whether a denial, or [Config.Revoked], shuts id out.
func (g *Guard) revoked(c *verified) bool {
	return g.denials.match(c, time.Now()) || g.Revoked != nil && g.Revoked(c.identity)
}

// denialKey is the first field by which a denial is found.
type denialKey struct{ field, value string }

func (d Denial) key() denialKey {
	switch {
	case d.TokenID != "":
		return denialKey{"jti", d.TokenID}
	case d.SessionID != "":
		return denialKey{"sid", d.SessionID}
	case d.Subject != "":
		return denialKey{"sub", d.Subject}
	}
	return denialKey{"client_id", d.ClientID}
}

func (d Denial) matches(c *verified, now time.Time) bool {
	id := &c.identity
	return now.Before(d.Until) &&
		(d.TokenID == "" || d.TokenID == id.TokenID) &&
		(d.SessionID == "" || d.SessionID == c.sessionID) &&
		(d.Subject == "" || d.Subject == id.Subject) &&
		(d.ClientID == "" || d.ClientID == id.ClientID) &&
		(d.IssuedBefore.IsZero() || id.IssuedAt.Before(d.IssuedBefore))
}

// denials is read with every request and written rarely: readers share a snapshot
// and no lock.
type denials struct {
	mu      sync.Mutex // of writers
	current atomic.Pointer[map[denialKey][]Denial]
}

func (l *denials) add(d Denial) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, count, now := make(map[denialKey][]Denial), 0, time.Now()
	if old := l.current.Load(); old != nil {
		maps.Copy(next, *old)
	}
	for key, list := range next {
		var kept []Denial
		for _, e := range list {
			if now.Before(e.Until) {
				kept = append(kept, e)
			}
		}
		if count += len(kept); len(kept) > 0 {
			next[key] = kept
		} else {
			delete(next, key)
		}
	}
	if count >= maxDenials {
		return ErrTooManyDenials
	}
	next[d.key()] = append(next[d.key()], d)
	l.current.Store(&next)
	return nil
}

func (l *denials) match(c *verified, now time.Time) bool {
	current := l.current.Load()
	if current == nil {
		return false
	}
	for _, key := range [...]denialKey{{"jti", c.identity.TokenID}, {"sid", c.sessionID}, {"sub", c.identity.Subject}, {"client_id", c.identity.ClientID}} {
		for _, d := range (*current)[key] {
			if d.matches(c, now) {
				return true
			}
		}
	}
	return false
}
