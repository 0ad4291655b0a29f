package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// tokenLifetime is the longest lifetime of an access token of Clerk, plus an hour for
// differences between clocks.
const tokenLifetime = 25 * time.Hour

// event is one event of Clerk (https://clerk.com/docs/webhooks/overview).
type event struct {
	Type      string          `json:"type"`
	Timestamp int64           `json:"timestamp"` // when it happened, in milliseconds
	Data      json.RawMessage `json:"data"`      // the user, session or membership
}

// time returns when e happened. An event that is delivered late or twice must not revoke
// the tokens of a user who has signed in since.
func (e event) time() time.Time {
	if e.Timestamp <= 0 {
		return time.Now()
	}
	return time.UnixMilli(e.Timestamp)
}

// denial returns the denial of the tokens that e revokes: those that were issued before it. It is
// the same for each delivery of e. ok is false if e revokes none.
func (e event) denial() (d gatehouse.Denial, ok bool, err error) {
	m, ok, err := e.revocation()
	if err != nil || !ok {
		return gatehouse.Denial{}, false, err
	}
	return gatehouse.Denial{
		Subject:      m.user,
		Organization: m.organization,
		IssuedBefore: e.time(),
		Until:        e.time().Add(tokenLifetime),
	}, true, nil
}

// member is a user in one organization, or in all of them.
type member struct {
	user         string
	organization string // empty means all organizations
}

// revocation returns the member whose tokens e revokes. ok is false if e revokes none.
func (e event) revocation() (m member, ok bool, err error) {
	switch e.Type {
	case "user.deleted":
		var user struct{ ID string }
		err = json.Unmarshal(e.Data, &user)
		m, ok = member{user: user.ID}, true
	case "user.updated":
		var user struct {
			ID             string
			Banned, Locked bool
		}
		err = json.Unmarshal(e.Data, &user)
		m, ok = member{user: user.ID}, user.Banned || user.Locked
	case "session.revoked", "session.removed", "session.ended":
		var session struct {
			UserID string `json:"user_id"`
		}
		err = json.Unmarshal(e.Data, &session)
		m, ok = member{user: session.UserID}, true
	case "organizationMembership.deleted":
		var membership struct {
			Organization struct{ ID string }
			User         struct {
				ID string `json:"user_id"`
			} `json:"public_user_data"`
		}
		err = json.Unmarshal(e.Data, &membership)
		m, ok = member{membership.User.ID, membership.Organization.ID}, true
		if err == nil && m.organization == "" {
			err = fmt.Errorf("%s names no organization", e.Type)
		}
	default:
		return member{}, false, nil
	}
	if err == nil && m.user == "" {
		err = fmt.Errorf("%s names no user", e.Type)
	}
	return m, ok, err
}
