package main

import (
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

const (
	// tokenLifetime is how long an access token of Clerk lives, and an hour for
	// clocks.
	tokenLifetime = 25 * time.Hour
	maxDepartures = 100_000
)

var errFull = errors.New("too many departures within the lifetime of a token")

// departure is a user who left, or left one organization.
type departure struct {
	user         string
	organization string // empty when it is all of them
}

// departures knows since when who is gone. Users may leave as often as they like
// and have one row each, which a list of denials would not give them. The zero
// value is empty; it is safe for concurrent use.
type departures struct {
	mu    sync.RWMutex
	since map[departure]time.Time
}

// note shuts out the tokens that who got before at.
func (d *departures) note(who departure, at time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since == nil {
		d.since = make(map[departure]time.Time)
	}
	known, again := d.since[who]
	if !again && len(d.since) >= maxDepartures {
		d.forget(time.Now().Add(-tokenLifetime))
		if len(d.since) >= maxDepartures {
			return errFull
		}
	}
	if at.After(known) {
		d.since[who] = at
	}
	return nil
}

// forget drops the rows from before a time. Their tokens have expired.
func (d *departures) forget(before time.Time) {
	for who, at := range d.since {
		if at.Before(before) {
			delete(d.since, who)
		}
	}
}

// shutOut is a gatehouse.Config.Revoked.
func (d *departures) shutOut(id gatehouse.Identity) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return id.IssuedAt.Before(d.since[departure{user: id.Subject}]) ||
		id.Organization.ID != "" && id.IssuedAt.Before(d.since[departure{id.Subject, id.Organization.ID}])
}
