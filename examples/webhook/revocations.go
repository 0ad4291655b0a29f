package main

import (
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

const (
	// tokenLifetime is the longest lifetime of an access token of Clerk, plus an hour for
	// differences between clocks.
	tokenLifetime  = 25 * time.Hour
	maxRevocations = 100_000
)

var errFull = errors.New("too many revocations within the lifetime of a token")

// member is a user in one organization, or in all of them.
type member struct {
	user         string
	organization string // empty means all organizations
}

// revocations holds, for each member, the time before which all tokens are revoked. A
// member has one entry, however many events arrive. The zero value is empty. It is safe
// for concurrent use.
type revocations struct {
	mu     sync.RWMutex
	before map[member]time.Time
}

// add revokes the tokens of m that were issued before at. It returns errFull if there is
// no space for another member.
func (r *revocations) add(m member, at time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.before == nil {
		r.before = make(map[member]time.Time)
	}
	latest, exists := r.before[m]
	if !exists && len(r.before) >= maxRevocations {
		r.removeExpired(time.Now())
		if len(r.before) >= maxRevocations {
			return errFull
		}
	}
	if at.After(latest) {
		r.before[m] = at
	}
	return nil
}

// removeExpired removes the entries whose tokens have all expired by now.
func (r *revocations) removeExpired(now time.Time) {
	for m, at := range r.before {
		if at.Before(now.Add(-tokenLifetime)) {
			delete(r.before, m)
		}
	}
}

// isRevoked reports whether the token of id is revoked. It is for gatehouse.Config.Revoked.
func (r *revocations) isRevoked(id gatehouse.Identity) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return id.IssuedAt.Before(r.before[member{user: id.Subject}]) ||
		id.Organization.ID != "" && id.IssuedAt.Before(r.before[member{id.Subject, id.Organization.ID}])
}
